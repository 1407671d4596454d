//! One round of load: the same request over a fixed number of keep-alive connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use indicatif::ProgressBar;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::client::ACCEPT;

/// A server with the request that it gets.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub body: Bytes,
    pub token: String,
}

/// A full answer.
pub struct Reply {
    pub status: StatusCode,
    pub content_type: String,
    pub body: Bytes,
}

pub struct Round {
    pub elapsed: Duration,
    /// In µs, one for each request, in no order.
    pub latencies: Vec<i64>,
}

/// Sends the request once.
pub async fn fetch(target: &Target) -> anyhow::Result<Reply> {
    let mut connection = Connection::open(target).await?;
    connection.exchange(target).await
}

/// Sends the request `requests` times over `connections`; every answer has to be a 200 with `length`
/// bytes, or the round fails.
pub async fn round(
    target: &Target,
    connections: usize,
    requests: usize,
    length: usize,
    bar: &ProgressBar,
) -> anyhow::Result<Round> {
    let left = Arc::new(AtomicUsize::new(requests));
    let mut opened = Vec::with_capacity(connections);
    for _ in 0..connections {
        opened.push(Connection::open(target).await?);
    }
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for connection in opened {
        tasks.spawn(send_share(connection, target.clone(), length, left.clone(), bar.clone()));
    }
    let mut latencies = Vec::with_capacity(requests);
    while let Some(share) = tasks.join_next().await {
        latencies.extend(share??);
    }
    Ok(Round { elapsed: begin.elapsed(), latencies })
}

/// Sends requests one after the other as long as some are `left`.
async fn send_share(
    mut connection: Connection,
    target: Target,
    length: usize,
    left: Arc<AtomicUsize>,
    bar: ProgressBar,
) -> anyhow::Result<Vec<i64>> {
    let mut latencies = Vec::new();
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
        let begin = Instant::now();
        let reply = connection.exchange(&target).await?;
        latencies.push(i64::try_from(begin.elapsed().as_micros())?);
        ensure!(
            reply.status == StatusCode::OK && reply.body.len() == length,
            "{} answered {} with {} bytes, where 200 with {length} was due: {}",
            target.address,
            reply.status,
            reply.body.len(),
            String::from_utf8_lossy(&reply.body[..reply.body.len().min(300)]),
        );
        bar.inc(1);
    }
    Ok(latencies)
}

/// hyper's bare connection: a pool would blur how many there are, and costs CPU that the servers
/// have to share with us.
struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    async fn open(target: &Target) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(target.address)
            .await
            .with_context(|| format!("cannot connect to {}", target.address))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    async fn exchange(&mut self, target: &Target) -> anyhow::Result<Reply> {
        let request = Request::post("/graphql")
            .header("host", target.address.to_string())
            .header("content-type", "application/json")
            .header("accept", ACCEPT)
            .header("authorization", format!("Bearer {}", target.token))
            .body(Full::new(target.body.clone()))?;
        self.0.ready().await?;
        let (head, body) = self.0.send_request(request).await?.into_parts();
        let content_type = match head.headers.get("content-type") {
            Some(value) => value.to_str()?.to_owned(),
            None => String::new(),
        };
        let body = body.collect().await?.to_bytes();
        Ok(Reply { status: head.status, content_type, body })
    }
}
