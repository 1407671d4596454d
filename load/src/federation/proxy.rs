//! The limit of the federation run: a reverse proxy that hands on what it gets, both ways.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::uri::{Authority, PathAndQuery, Scheme};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;

#[derive(clap::Args)]
pub struct Options {
    #[arg(long)]
    listen: SocketAddr,
    /// Whom it stands in front of
    #[arg(long)]
    upstream: SocketAddr,
}

struct Proxy {
    client: Client<HttpConnector, Body>,
    upstream: Authority,
}

/// Serves until the process is ended by a signal; there is nothing to drain.
pub async fn serve(options: Options) -> anyhow::Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let proxy = Proxy { client, upstream: options.upstream.to_string().parse()? };
    let router = Router::new().fallback(hand_on).with_state(Arc::new(proxy));
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    Ok(axum::serve(listener.tap_io(|stream| drop(stream.set_nodelay(true))), router).await?)
}

async fn hand_on(State(proxy): State<Arc<Proxy>>, mut request: Request) -> Response {
    let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let uri = Uri::builder().scheme(Scheme::HTTP).authority(proxy.upstream.clone()).path_and_query(path);
    let Ok(uri) = uri.build() else { return StatusCode::BAD_REQUEST.into_response() };
    *request.uri_mut() = uri;
    request.headers_mut().remove(header::HOST);
    match proxy.client.request(request).await {
        Ok(response) => response.map(Body::new),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}
