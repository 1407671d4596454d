//! The wire: GraphQL over HTTP and WebSocket, health, and the pages of development mode.

pub(crate) mod body;
pub(crate) mod cors;
pub(crate) mod development;
mod ended;
pub(crate) mod explorer;
pub(crate) mod forwarded;
mod get;
mod graphql;
mod health;
mod jwks;
pub(crate) mod linking_page;
pub(crate) mod listening;
pub(crate) mod logging;
mod metrics;
mod operating;
mod subgraph_token;
mod webhooks;
pub(crate) mod websocket;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::app::App;
use crate::graph::Operations;
use crate::limits::SocketQuotas;
use crate::sandbox::{self, Sandbox};
use crate::verification::Client;
use websocket::Sockets;

pub(crate) use graphql::negotiate;
pub use operating::serve_worker;

/// What handlers work with.
pub(crate) struct Wire {
    app: Arc<App>,
    operations: Operations,
    /// For federation routers.
    for_routers: Operations,
    sockets: Sockets,
}

/// What is served, beside the graph, and until when.
pub struct Service {
    pub app: Arc<App>,
    pub operations: Operations,
    pub for_routers: Operations,
    /// The sandbox that runs in this process, if one does.
    pub sandbox: Option<Sandbox>,
    pub stop: CancellationToken,
}

/// Serves until told to stop, then lets requests under way end.
pub async fn serve(listener: TcpListener, service: Service) {
    let stop = service.stop.clone();
    let patience = service.app.config.http.patience();
    let Ok(address) = listener.local_addr() else { return };
    let sockets = TaskTracker::new();
    let router = router(service, address, &sockets);
    listening::serve_with_sockets(listener, router, patience, (stop, sockets)).await;
}

fn router(service: Service, address: SocketAddr, sockets: &TaskTracker) -> Router {
    let Service { app, operations, for_routers, sandbox, stop } = service;
    let gateway = operations.gateway().cloned();
    // Shared whole: each request takes a copy.
    let wire = Arc::new(Wire {
        operations,
        for_routers,
        sockets: Sockets {
            origins: origins(
                &app.config.http.allowed_origins,
                app.config.is_development().then_some(address),
            ),
            quotas: SocketQuotas::new(&app.config.limits),
            open: sockets.clone(),
            stop: stop.clone(),
        },
        app: app.clone(),
    });
    let graph = post(graphql::post).get(get::get);
    let graph = match cors::layer(&app.config.http.allowed_origins) {
        Some(cors) => graph.layer(cors),
        None => graph,
    };
    let mut router = Router::new()
        .route("/graphql", graph)
        .route("/webhooks/{platform}", post(webhooks::receive))
        .route("/.well-known/jwks.json", get(jwks::jwks))
        .route("/sessions/ended", get(ended::ended))
        .route("/subgraph-token", get(subgraph_token::subgraph_token))
        .merge(explorer::router());
    if app.config.is_development() && app.config.demo.enabled {
        router = router.route("/dev/sign-in", get(development::sign_in)).merge(linking_page::router());
    }
    let probed = operating::Process {
        app: app.clone(),
        sockets: Some(sockets.clone()),
        stop: stop.clone(),
        backlog: Arc::default(),
        gateway,
    };
    let router = router.with_state(wire).merge(operating::router(probed));
    let mut router = router.layer(CatchPanicLayer::custom(answer_to_panic));
    // Behind that layer: its faults cut connections by unwinding.
    if let Some(sandbox) = sandbox {
        router = router.merge(sandbox::router(sandbox, stop.clone()));
    }
    let (ids, is_development) = (app.ids.clone(), app.config.is_development());
    if is_development {
        router = router.layer(axum::middleware::from_fn(development::require_loopback_host));
    }
    // In one layer: each one that is laid around a router costs every request two allocations.
    router.layer((
        logging::layers(ids, is_development),
        secure(header::REFERRER_POLICY, "no-referrer"),
        secure(header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ))
}

/// Origins whose pages may open a WebSocket: those that are configured, and in development our own, which is at `own`.
pub(crate) fn origins(configured: &[String], own: Option<SocketAddr>) -> Vec<String> {
    let own =
        own.map(|address| [format!("http://{address}"), format!("http://localhost:{}", address.port())]);
    configured.iter().cloned().chain(own.into_iter().flatten()).collect()
}

/// Adds a header that a response does not have.
pub(crate) fn secure(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

/// What a device tells of itself: shortened, because it is kept.
fn client(wire: &Wire, headers: &HeaderMap, peer: ConnectInfo<SocketAddr>) -> Client {
    const LONGEST: usize = 200;
    let device = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    // `to_str` gives nothing but ASCII.
    let device = device.map(|device| device.get(..LONGEST).unwrap_or(device).into());
    let address = forwarded::client_address(headers, peer.0.ip(), &wire.app.config.http.trusted_proxies);
    Client { device, ip_address: Some(address) }
}

pub(crate) fn answer_to_panic(panic: Box<dyn std::any::Any + Send>) -> Response {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let cause = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    let error = crate::error::Error::internal(anyhow::anyhow!("panic: {cause}"));
    graphql::refusal(axum::http::StatusCode::INTERNAL_SERVER_ERROR, &error)
}
