//! The connections to a subgraph: pooled, and given up where the other side has gone without a word.

use std::time::Duration;

use axum::body::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::gateway::settings::Subgraph;

/// A connection that was idle for so long is closed.
const IDLE: Duration = Duration::from_secs(30);
/// Bytes that a connection reads at once, at most, and keeps room for while it is idle.
const BUFFER: usize = 16 * 1024;

pub type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// By what a connection whose other side has gone without a word is found out: probes of TCP, and pings of HTTP/2.
#[derive(Clone, Copy, Debug)]
pub struct KeepAlive {
    /// Nothing has come for so long before the first of them.
    pub interval: Duration,
    /// Between two probes, and for the answer to a ping.
    pub pause: Duration,
    /// Probes without an answer, until it is given up.
    pub probes: u32,
}

impl KeepAlive {
    pub const USUAL: Self =
        Self { interval: Duration::from_secs(30), pause: Duration::from_secs(10), probes: 3 };
}

/// The pool, empty.
pub fn pool(settings: &Subgraph, keep_alive: KeepAlive) -> Http {
    let secured = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http();
    let tcp = tcp(settings, keep_alive);
    let connector = match settings.http2 {
        true => secured.enable_http2().wrap_connector(tcp),
        false => secured.enable_all_versions().wrap_connector(tcp),
    };
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http1_max_buf_size(BUFFER)
        .http2_keep_alive_interval(keep_alive.interval)
        .http2_keep_alive_timeout(keep_alive.pause)
        .http2_only(settings.http2)
        .build(connector)
}

fn tcp(settings: &Subgraph, keep_alive: KeepAlive) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    tcp.set_keepalive(Some(keep_alive.interval));
    tcp.set_keepalive_interval(Some(keep_alive.pause));
    tcp.set_keepalive_retries(Some(keep_alive.probes));
    tcp.set_connect_timeout(Some(settings.connect()));
    tcp
}

#[cfg(test)]
mod tests {
    use axum::http::Uri;
    use socket2::SockRef;
    use tokio::net::TcpListener;
    use tower::ServiceExt;

    use super::*;

    /// What the kernel knows of a connection as it is made: hours would pass by its own defaults.
    #[tokio::test]
    async fn the_kernel_probes_who_has_gone_silent() {
        let settings = crate::config::Config::from_pairs([]).unwrap().gateway.subgraph;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place: Uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let usual = KeepAlive::USUAL;
        let connection = tcp(&settings, usual).oneshot(place).await.unwrap();
        let socket = SockRef::from(connection.inner());
        assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), usual.interval);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), usual.pause);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), usual.probes);
    }
}
