//! The phones of the sandbox's WhatsApp: profiles to link, and the one-time codes that they get.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{bail, ensure};
use serde::Deserialize;
use serde_json::json;
use tokio::time::sleep;

const CODE_LIMIT: Duration = Duration::from_secs(30);

pub struct Phones {
    http: reqwest::Client,
    sandbox: SocketAddr,
    next_number: AtomicU64,
}

#[derive(Deserialize)]
struct Inbox {
    codes: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    code: String,
}

impl Phones {
    pub fn new(sandbox: SocketAddr) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        // Runs on one and the same PostgreSQL must not meet each other's numbers. A run takes far
        // longer for a number than the millisecond after which the next run's numbers begin.
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let first = u64::try_from(since_1970.as_millis())?;
        Ok(Self { http, sandbox, next_number: AtomicU64::new(first) })
    }

    /// Adds a profile; returns its handle, a phone number.
    pub async fn add_profile(&self) -> anyhow::Result<String> {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed) % 100_000_000;
        let handle = format!("+4930{number:08}");
        let answer = self
            .http
            .post(format!("http://{}/sandbox/whatsapp/profiles", self.sandbox))
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

    /// Waits for the one code that comes to a new phone.
    pub async fn code(&self, handle: &str) -> anyhow::Result<String> {
        let deadline = Instant::now() + CODE_LIMIT;
        while Instant::now() < deadline {
            let inbox: Inbox = self
                .http
                .get(format!("http://{}/sandbox/whatsapp/inbox", self.sandbox))
                .query(&[("handle", handle)])
                .send()
                .await?
                .error_for_status()?
                .json()
                .await?;
            if let Some(message) = inbox.codes.into_iter().next() {
                return Ok(message.code);
            }
            sleep(Duration::from_millis(10)).await;
        }
        bail!("no code came to {handle} within {} s", CODE_LIMIT.as_secs())
    }
}
