//! Webhooks of the sandbox platforms: servers in development say where they take them, and each is delivered at
//! least once to one of them.

use std::net::SocketAddr;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::put;
use axum::{Json, Router};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::{Host, Url};

use super::problem::Problem;
use super::{Sandbox, WEBHOOK_SECRET};
use crate::clock::Clock;
use crate::platform::WebhookKey;

/// How often a server says that it is there, and after which silence it is forgotten.
const RENEWAL: Duration = Duration::from_secs(5);
const FORGOTTEN: Duration = Duration::from_secs(30);
/// Between two tries to deliver, and from the first to the last one.
const PAUSE: Duration = Duration::from_secs(1);
const GIVE_UP: Duration = Duration::from_secs(300);

/// A server that takes webhooks.
pub(super) struct Receiver {
    url: Url,
    /// How far its time is ahead of the sandbox's: that of a test stands still.
    ahead: TimeDelta,
    heard: Instant,
}

#[derive(Serialize, Deserialize)]
struct Registration {
    /// The platform's key follows behind a slash.
    url: Url,
    now: DateTime<Utc>,
}

pub fn router() -> Router<Sandbox> {
    Router::new().route("/sandbox/webhooks", put(register))
}

/// Takes note of a server on this machine.
async fn register(
    State(sandbox): State<Sandbox>,
    Json(new): Json<Registration>,
) -> Result<StatusCode, Problem> {
    let is_here = match new.url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if !is_here || new.url.scheme() != "http" {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "url begins with http://127.0.0.1"));
    }
    let ahead = new.now - sandbox.0.clock.now();
    let receiver = Receiver { url: new.url, ahead, heard: Instant::now() };
    let mut receivers = sandbox.0.receivers.lock().unwrap_or_else(PoisonError::into_inner);
    receivers.retain(|known| known.url != receiver.url && known.heard.elapsed() < FORGOTTEN);
    receivers.push(receiver);
    Ok(StatusCode::NO_CONTENT)
}

/// One message, the same at each try.
struct Message {
    platform: String,
    id: String,
    body: String,
}

/// Tells of something, in the background; `copies` times at once, as a platform might.
pub(super) fn tell(sandbox: &Sandbox, platform: &str, (kind, data): (&'static str, Value), copies: usize) {
    let body = json!({ "type": kind, "platform": platform, "data": data });
    let id = sandbox.new_id("msg");
    let (sandbox, message) =
        (sandbox.clone(), Message { platform: platform.to_owned(), id, body: body.to_string() });
    tokio::spawn(async move {
        let deliveries = (0..copies).map(|_| deliver(&sandbox, &message));
        futures_util::future::join_all(deliveries).await;
    });
}

async fn deliver(sandbox: &Sandbox, message: &Message) {
    let begin = Instant::now();
    while begin.elapsed() < GIVE_UP {
        let receivers: Vec<_> = {
            let known = sandbox.0.receivers.lock().unwrap_or_else(PoisonError::into_inner);
            known.iter().map(|receiver| (receiver.url.clone(), receiver.ahead)).collect()
        };
        for (url, ahead) in receivers {
            sandbox.count_webhook(&message.platform, false);
            if try_at(sandbox, message, url, ahead).await {
                sandbox.count_webhook(&message.platform, true);
                return;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    tracing::warn!(platform = message.platform, "no server took a webhook of the sandbox");
}

async fn try_at(sandbox: &Sandbox, message: &Message, url: Url, ahead: TimeDelta) -> bool {
    let at = sandbox.0.clock.now() + ahead;
    let Ok(key) = WebhookKey::parse(&WEBHOOK_SECRET.into()) else { return false };
    let Ok(headers) = key.sign(&message.id, at, message.body.as_bytes()) else { return false };
    let url = format!("{url}/{}", message.platform);
    let mut request = sandbox.0.http.post(url).body(message.body.clone());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answer = request.header("Content-Type", "application/json").send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

impl Sandbox {
    /// The time of the servers that use this sandbox: that of a test stands still elsewhere. One that has just started is
    /// waited for.
    pub(super) async fn time_of_servers(&self) -> DateTime<Utc> {
        const TRIES: u32 = 20;
        for _ in 0..TRIES {
            let heard = {
                let known = self.0.receivers.lock().unwrap_or_else(PoisonError::into_inner);
                known.iter().max_by_key(|receiver| receiver.heard).map(|receiver| receiver.ahead)
            };
            if let Some(ahead) = heard {
                return self.0.clock.now() + ahead;
            }
            tokio::time::sleep(PAUSE / TRIES).await;
        }
        self.0.clock.now()
    }

    fn count_webhook(&self, platform: &str, was_taken: bool) {
        const ENDPOINT: &str = "webhook";
        let Some(state) = self.platform(platform) else { return };
        state.send_modify(|state| {
            if was_taken {
                state.count_effect(ENDPOINT);
            } else {
                state.count_call(ENDPOINT);
            }
        });
    }
}

/// Tells a sandbox where this server takes webhooks.
pub struct WebhookSubscription {
    http: reqwest::Client,
    sandbox: String,
    own: Url,
    clock: Clock,
}

impl WebhookSubscription {
    /// Of the server at `address` with the sandbox at `url`.
    pub fn new(url: &str, address: SocketAddr, clock: Clock) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(RENEWAL).build()?;
        let own = format!("http://{address}/webhooks").parse()?;
        Ok(Self { http, sandbox: format!("{url}/sandbox/webhooks"), own, clock })
    }

    /// Renews it for ever.
    pub async fn renew(self) {
        loop {
            let registration = Registration { url: self.own.clone(), now: self.clock.now() };
            let answer = self.http.put(&self.sandbox).json(&registration).send().await;
            let pause = if answer.is_ok_and(|answer| answer.status().is_success()) { RENEWAL } else { PAUSE };
            tokio::time::sleep(pause).await;
        }
    }
}
