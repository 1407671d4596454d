//! The peer of the hub run: the cheapest answer that axum can give to the same request.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use axum::Router;
use axum::http::{HeaderValue, header};
use axum::routing::{get, post};
use bytes::Bytes;

#[derive(clap::Args)]
pub struct Options {
    #[arg(long)]
    listen: SocketAddr,
    /// The file whose content is every answer's body
    #[arg(long)]
    body: PathBuf,
    #[arg(long)]
    content_type: HeaderValue,
}

/// Serves until the process is ended by a signal; there is nothing to drain.
pub async fn serve(options: Options) -> anyhow::Result<()> {
    let body = Bytes::from(
        std::fs::read(&options.body).with_context(|| format!("cannot read {}", options.body.display()))?,
    );
    let content_type = options.content_type;
    // The request's body is read, as any server of queries has to.
    let answer = move |_request: Bytes| async move { ([(header::CONTENT_TYPE, content_type)], body) };
    let router = Router::new().route("/graphql", post(answer)).route("/live", get(|| async {}));
    let listener = tokio::net::TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    Ok(axum::serve(listener, router).await?)
}
