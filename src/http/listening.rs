//! Connections: taken, bounded in the time that they may say nothing, and let go of.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum_server::accept::NoDelayAcceptor;
use axum_server::{Handle, Server};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The headers of a request, from the connection's first moment or the end of the request before.
    pub headers: Duration,
    /// Requests that are under way when the server is to stop.
    pub drain: Duration,
}

/// Serves until told to stop, then lets requests under way end.
pub async fn serve(listener: TcpListener, router: Router, patience: Patience, stop: CancellationToken) {
    let handle = Handle::<SocketAddr>::new();
    // Small frames go out at once: Nagle's algorithm would hold an event back for some 40 ms.
    let mut server = Server::from_listener(listener).acceptor(NoDelayAcceptor::new()).handle(handle.clone());
    server.http_builder().http1().header_read_timeout(patience.headers);
    let server = server
        // The other limit begins when the first bytes have told the version of HTTP.
        .first_request_timeout(patience.headers)
        .accept_error_handler(|_, error| tracing::warn!(%error, "a connection was not taken"));
    let serving = server.serve(router.into_make_service_with_connect_info::<SocketAddr>());
    let stopping = async {
        stop.cancelled().await;
        handle.graceful_shutdown(Some(patience.drain));
        Instant::now()
    };
    let (served, stopped) = tokio::join!(serving, stopping);
    if let Err(error) = served {
        tracing::error!(%error, "serving ended");
    }
    if stopped.elapsed() >= patience.drain {
        tracing::warn!("requests were still under way when the time to end them was over");
    }
}
