//! A server as its clients see it: GraphQL over POST.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::beside::Tell;
use crate::phones::Phones;

/// What we accept, by GraphQL over HTTP.
pub const ACCEPT: &str = "application/graphql-response+json, application/json;q=0.9";

/// Talks to one server, to the sandbox behind it and to the subgraph beside it. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    address: SocketAddr,
    pub phones: Arc<Phones>,
    /// Where the subgraph is, if there is one.
    beside: Option<SocketAddr>,
}

/// Data of an operation with the moments that frame it.
pub struct Answer<T> {
    pub data: T,
    /// Just before the request was written.
    pub sent: Instant,
    /// When the last byte of the answer was here.
    pub received: Instant,
}

/// What the person could put right, which no load run expects.
#[derive(Deserialize)]
pub struct UserError {
    code: String,
    message: String,
}

#[derive(Deserialize)]
struct Response {
    data: Option<Value>,
    #[serde(default)]
    errors: Vec<TopLevelError>,
}

#[derive(Deserialize)]
struct TopLevelError {
    message: String,
    #[serde(default)]
    extensions: Extensions,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Extensions {
    code: Option<String>,
    retry_after: Option<f64>,
}

impl Api {
    pub fn new(address: SocketAddr, phones: Arc<Phones>) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tcp_nodelay(true)
            .timeout(Duration::from_secs(30))
            .build()?;
        Ok(Self { http, address, phones, beside: None })
    }

    /// With the subgraph at `beside`.
    pub fn beside(self, beside: Option<SocketAddr>) -> Self {
        Self { beside, ..self }
    }

    /// Has the subgraph tell something. Gives when it was asked, and when it had.
    pub async fn tell(&self, tell: &Tell) -> anyhow::Result<(Instant, Instant)> {
        let beside = self.beside.context("there is no subgraph beside the accounts graph")?;
        let request = self.http.post(format!("http://{beside}/tell")).json(tell);
        let sent = Instant::now();
        request.send().await?.error_for_status()?;
        Ok((sent, Instant::now()))
    }

    /// Executes an operation; a rate limit is waited for, any other error ends the run.
    pub async fn execute<T: DeserializeOwned>(
        &self,
        query: &str,
        variables: Value,
        token: Option<&str>,
    ) -> anyhow::Result<Answer<T>> {
        let body = json!({ "query": query, "variables": variables });
        loop {
            let answer = self.post(&body, token).await?;
            let Response { data, errors } = answer.data;
            let Some(error) = errors.into_iter().next() else {
                let data = data.context("an answer without data and errors")?;
                let data = serde_json::from_value(data).context("data of an unknown form")?;
                return Ok(Answer { data, sent: answer.sent, received: answer.received });
            };
            match error.extensions.code.as_deref() {
                Some("RATE_LIMITED") => {
                    let pause = error.extensions.retry_after.unwrap_or(1.0).clamp(0.1, 600.0);
                    eprintln!("rate limited: waiting {pause} s");
                    sleep(Duration::from_secs_f64(pause)).await;
                }
                code => bail!("{}: {}", code.unwrap_or("no code"), error.message),
            }
        }
    }

    async fn post(&self, body: &Value, token: Option<&str>) -> anyhow::Result<Answer<Response>> {
        let mut request =
            self.http.post(format!("http://{}/graphql", self.address)).header("accept", ACCEPT).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let sent = Instant::now();
        let answer = request.send().await?;
        let status = answer.status();
        let bytes = answer.bytes().await?;
        let received = Instant::now();
        let data = serde_json::from_slice(&bytes).with_context(|| {
            format!("{status} with {}", String::from_utf8_lossy(&bytes[..bytes.len().min(200)]))
        })?;
        Ok(Answer { data, sent, received })
    }
}

/// Ends the run if a mutation told a user error.
pub fn refuse(errors: &[UserError]) -> anyhow::Result<()> {
    match errors.first() {
        Some(error) => bail!("{}: {}", error.code, error.message),
        None => Ok(()),
    }
}
