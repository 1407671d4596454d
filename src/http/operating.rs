//! What probes and Prometheus ask of every process that serves or works.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{development, health, metrics};
use crate::app::App;
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
    let development = app.config.is_development();
    let mut router = router(Process { app, sockets: None, stop, backlog: Arc::default() });
    if development {
        router = router.layer(axum::middleware::from_fn(development::require_loopback_host));
    }
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let stopping = stopped.clone();
    let serving =
        axum::serve(listener, service).with_graceful_shutdown(async move { stopping.cancelled().await });
    let out_of_time = async {
        stopped.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = serving => if let Err(error) = served { tracing::error!(%error, "serving probes ended") },
        () = out_of_time => {}
    }
}
