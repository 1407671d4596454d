//! The server as its clients see it: GraphQL over POST, and the sandbox's phone.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::sleep;

/// What we accept, by GraphQL over HTTP.
pub const ACCEPT: &str = "application/graphql-response+json, application/json;q=0.9";
const CODE_LIMIT: Duration = Duration::from_secs(10);

pub struct Api {
    http: reqwest::Client,
    pub address: SocketAddr,
    next_number: AtomicU64,
}

/// Data of an operation with the moments that frame it.
pub struct Answer<T> {
    pub data: T,
    /// Just before the request was written.
    pub sent: Instant,
    /// When the last byte of the answer was here.
    pub received: Instant,
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

/// A one-time code as the sandbox's phone shows it.
#[derive(Clone, PartialEq, Deserialize)]
pub struct Message {
    pub code: String,
    sent_at: Value,
}

#[derive(Deserialize)]
struct Inbox {
    codes: Vec<Message>,
}

impl Api {
    pub fn new(address: SocketAddr) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tcp_nodelay(true)
            .timeout(Duration::from_secs(30))
            .build()?;
        // Runs on one and the same PostgreSQL must not meet each other's numbers. A run takes far
        // longer for a number than the millisecond after which the next run's numbers begin.
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let first = u64::try_from(since_1970.as_millis())?;
        Ok(Self { http, address, next_number: AtomicU64::new(first) })
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

    /// Adds a profile to the sandbox's WhatsApp; returns its handle, a phone number.
    pub async fn add_profile(&self) -> anyhow::Result<String> {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed) % 100_000_000;
        let handle = format!("+4930{number:08}");
        let answer = self
            .http
            .post(format!("http://{}/sandbox/whatsapp/profiles", self.address))
            .json(&json!({
                "external_id": format!("load-{number:08}"),
                "handle": &handle,
                "display_name": format!("Load {number:08}"),
            }))
            .send()
            .await?;
        let status = answer.status();
        ensure!(
            status.is_success(),
            "the sandbox answers {status} to a new profile: {}",
            answer.text().await?
        );
        Ok(handle)
    }

    /// The newest code on the phone of `handle`, if there is one.
    pub async fn newest_code(&self, handle: &str) -> anyhow::Result<Option<Message>> {
        let inbox: Inbox = self
            .http
            .get(format!("http://{}/sandbox/whatsapp/inbox", self.address))
            .query(&[("handle", handle)])
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        Ok(inbox.codes.into_iter().next())
    }

    /// Waits for a code that is not the one that the phone showed `before`.
    pub async fn next_code(&self, handle: &str, before: Option<&Message>) -> anyhow::Result<String> {
        let deadline = Instant::now() + CODE_LIMIT;
        while Instant::now() < deadline {
            match self.newest_code(handle).await? {
                Some(message) if Some(&message) != before => return Ok(message.code),
                _ => sleep(Duration::from_millis(10)).await,
            }
        }
        bail!("no code came to {handle} within {} s", CODE_LIMIT.as_secs())
    }
}
