//! What probes and Prometheus ask of every process that serves or works.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::listening::{self, Patience};
use super::{development, health, metrics};
use crate::app::App;
use crate::gateway::Gateway;
use crate::store::BacklogWatch;

/// How long a probe that is being answered gets when the process stops.
const DRAIN: Duration = Duration::from_secs(1);

/// A process as probes see it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Process {
    pub app: Arc<App>,
    /// Its open sockets; absent for one that serves nobody, and then it hears no other replicas either.
    pub sockets: Option<TaskTracker>,
    pub stop: CancellationToken,
    pub backlog: Arc<BacklogWatch>,
    /// The engine, where there is one.
    pub gateway: Option<Gateway>,
}

pub(super) fn router(process: Process) -> Router {
    Router::new()
        .route("/ready", get(health::ready))
        .route("/live", get(health::live))
        .route("/metrics", get(metrics::metrics))
        .with_state(process)
}

/// Answers for a worker, which serves nothing else, until it has stopped: while its last jobs end it is alive, and says
/// that it is not ready.
pub async fn serve_worker(
    listener: TcpListener,
    app: Arc<App>,
    stop: CancellationToken,
    stopped: CancellationToken,
) {
    let (development, patience) = (app.config.is_development(), app.config.http.patience());
    let mut router = router(Process { app, sockets: None, stop, backlog: Arc::default(), gateway: None });
    if development {
        router = router.layer(axum::middleware::from_fn(development::require_loopback_host));
    }
    let patience = Patience { drain: DRAIN, ..patience };
    listening::serve(listener, router, patience, stopped).await;
}
