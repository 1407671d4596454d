//! One round of load: the same operation over a fixed number of keep-alive connections.

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

/// A server with the operation that it gets from each of some people in turn.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub body: Bytes,
    pub tokens: Arc<[String]>,
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

/// Sends the first person's request once.
pub async fn fetch(target: &Target) -> anyhow::Result<Reply> {
    let mut connection = Connection::open(target.address).await?;
    connection.exchange(target, 0).await
}

/// Takes every answer of a round that is a 200 with this many bytes.
pub fn of_length(length: usize) -> impl Fn(&Reply) -> anyhow::Result<()> + Clone {
    move |reply| {
        ensure!(
            reply.status == StatusCode::OK && reply.body.len() == length,
            "{} with {} bytes, where 200 with {length} was due: {}",
            reply.status,
            reply.body.len(),
            String::from_utf8_lossy(&reply.body[..reply.body.len().min(300)]),
        );
        Ok(())
    }
}

/// Connections to one server.
pub struct Connections(Vec<Connection>);

impl Connections {
    /// Opens `count`, each with one small request that reads nothing, so that the server has accepted it.
    pub async fn open(address: SocketAddr, count: usize) -> anyhow::Result<Self> {
        Self::open_at(address, "/live", count).await
    }

    /// The same for a server that says at `probe` that it lives.
    pub async fn open_at(address: SocketAddr, probe: &str, count: usize) -> anyhow::Result<Self> {
        let mut opened = Vec::with_capacity(count);
        for _ in 0..count {
            let mut connection = Connection::open(address).await?;
            let request = Request::get(probe).header("host", address.to_string()).body(Full::default())?;
            let status = connection.send(request).await?.status;
            ensure!(status == StatusCode::OK, "{address} answers {status} to GET {probe}");
            opened.push(connection);
        }
        Ok(Self(opened))
    }

    /// Sends the request `requests` times, one at a time over each connection; the round fails with the first
    /// answer that `check` does not take.
    pub async fn round(
        self,
        target: &Target,
        requests: usize,
        check: impl Fn(&Reply) -> anyhow::Result<()> + Clone + Send + 'static,
        bar: &ProgressBar,
    ) -> anyhow::Result<Round> {
        let next = Arc::new(AtomicUsize::new(0));
        let begin = Instant::now();
        let mut tasks = JoinSet::new();
        for connection in self.0 {
            let share = Share { target: target.clone(), requests, next: next.clone(), bar: bar.clone() };
            tasks.spawn(share.send(connection, check.clone()));
        }
        let mut latencies = Vec::with_capacity(requests);
        while let Some(share) = tasks.join_next().await {
            latencies.extend(share??);
        }
        Ok(Round { elapsed: begin.elapsed(), latencies })
    }
}

/// What one connection does of a round.
struct Share {
    target: Target,
    requests: usize,
    /// The number of the next request, whoever sends it.
    next: Arc<AtomicUsize>,
    bar: ProgressBar,
}

impl Share {
    /// Sends requests one after the other as long as some are left.
    async fn send(
        self,
        mut connection: Connection,
        check: impl Fn(&Reply) -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<i64>> {
        let mut latencies = Vec::new();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.requests {
                return Ok(latencies);
            }
            let begin = Instant::now();
            let reply = connection.exchange(&self.target, number).await?;
            latencies.push(i64::try_from(begin.elapsed().as_micros())?);
            check(&reply).with_context(|| format!("an answer of {}", self.target.address))?;
            self.bar.inc(1);
        }
    }
}

/// hyper's bare connection: a pool would blur how many there are, and costs CPU that the servers
/// have to share with us.
struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    async fn exchange(&mut self, target: &Target, number: usize) -> anyhow::Result<Reply> {
        let token = &target.tokens[number % target.tokens.len()];
        let request = Request::post("/graphql")
            .header("host", target.address.to_string())
            .header("content-type", "application/json")
            .header("accept", ACCEPT)
            .header("authorization", format!("Bearer {token}"))
            .body(Full::new(target.body.clone()))?;
        self.send(request).await
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Reply> {
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
