//! The client of a platform's HTTP API (see the platform contract in `README.md`).

use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use reqwest::{Method, RequestBuilder, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::Url;

use super::{PlatformKey, mask_handle};
use crate::clock::Clock;
use crate::ids::Ids;
use crate::switches::{SwitchKind, Switches};

/// Bytes of an answer that we read; a platform's answers are small.
const ANSWER_LIMIT: usize = 64 * 1024;

/// Bytes of an external id or handle, characters of a name, bytes of a URL that are kept.
const MAX_ID: usize = 255;
const MAX_NAME: usize = 200;
const MAX_URL: usize = 2000;

/// Speaks to one platform.
#[derive(Clone)]
pub struct PlatformClient {
    http: reqwest::Client,
    base_url: Url,
    credential: SecretString,
    clock: Clock,
    ids: Ids,
    switch: PlatformSwitch,
}

/// How a call failed. Its text names the platform's status and never what was sent.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// 404: the platform does not know the handle or profile.
    #[error("the platform does not know it")]
    NotFound,
    /// The platform will not do this, however often it is asked.
    #[error("the platform refused it with status {0}")]
    Refused(StatusCode),
    /// An operator has switched the platform off.
    #[error("an operator has switched it off")]
    SwitchedOff,
    /// No answer, or none that makes sense: later it may.
    #[error("the platform is not available: {0}")]
    Unavailable(String),
}

/// To whom a code goes. Both are for the platform alone.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// Whoever is behind this handle.
    Handle(String),
    /// This profile, whatever its handle is by now.
    ExternalId(String),
}

/// A code on its way to a profile.
#[derive(Serialize)]
pub struct CodeDelivery<'a> {
    #[serde(flatten)]
    pub to: &'a Recipient,
    pub code: &'a str,
    pub purpose: &'a str,
    pub expires_at: DateTime<Utc>,
    pub locale: &'a str,
}

/// What a platform says of one of its profiles. The handle is unmasked: mask it before it goes anywhere.
#[derive(Clone, Serialize, Deserialize)]
pub struct ProfileClaim {
    pub external_id: String,
    pub handle: String,
    pub display_name: String,
    pub avatar_url: Option<String>,
    pub state: ProfileState,
}

impl ProfileClaim {
    /// The claim if it can be kept: ids and handles as they are, names without what is no text.
    fn checked(mut self) -> Option<Self> {
        let is_kept = |text: &str| (1..=MAX_ID).contains(&text.len()) && !text.contains(char::is_control);
        // A deleted profile has no handle any more: it may be somebody else's.
        let has_handle = self.state == ProfileState::Deleted || is_kept(&self.handle);
        if !is_kept(&self.external_id) || !has_handle {
            return None;
        }
        let name = self.display_name.chars().filter(|c| !c.is_control());
        // Who has no name is often called by the number.
        self.display_name = mask_handle(&name.take(MAX_NAME).collect::<String>());
        self.avatar_url =
            self.avatar_url.filter(|url| url.len() <= MAX_URL && !url.contains(char::is_control));
        Some(self)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileState {
    Active,
    Deactivated,
    CredentialsExpired,
    Deleted,
}

#[derive(Deserialize)]
struct Delivered {
    external_id: String,
}

/// What calls to all platforms share.
#[derive(Clone)]
pub(super) struct Calls {
    pub http: reqwest::Client,
    pub clock: Clock,
    ids: Ids,
    switches: Switches,
}

/// Whether an operator lets a platform be called.
#[derive(Clone)]
pub(super) struct PlatformSwitch {
    switches: Switches,
    key: PlatformKey,
}

impl PlatformSwitch {
    pub fn is_off(&self) -> bool {
        self.switches.is_off(SwitchKind::Platform, self.key.as_str())
    }
}

impl Calls {
    pub(super) fn new(clock: Clock, ids: Ids, switches: Switches) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(2))
            .timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent("accounts-center")
            .build()
            .context("no HTTP client")?;
        Ok(Self { http, clock, ids, switches })
    }

    pub(super) fn switch(&self, key: &PlatformKey) -> PlatformSwitch {
        PlatformSwitch { switches: self.switches.clone(), key: key.clone() }
    }
}

impl PlatformClient {
    pub(super) fn new(
        calls: &Calls,
        key: &PlatformKey,
        base_url: &str,
        credential: SecretString,
    ) -> anyhow::Result<Self> {
        let switch = calls.switch(key);
        let Calls { http, clock, ids, .. } = calls.clone();
        let base_url: Url = base_url
            .parse()
            .with_context(|| format!("platforms.{key}.base_url is {base_url:?}, which is no URL"))?;
        if base_url.cannot_be_a_base() || !matches!(base_url.scheme(), "http" | "https") {
            anyhow::bail!("platforms.{key}.base_url must begin with https:// or http://");
        }
        Ok(Self { http, base_url, credential, clock, ids, switch })
    }

    /// Delivers a code to a profile, and tells that profile's external id. The same
    /// `idempotency_key` delivers once, however often it is sent.
    pub async fn send_code(
        &self,
        delivery: &CodeDelivery<'_>,
        idempotency_key: &str,
    ) -> Result<String, PlatformError> {
        let request = self.request(Method::POST, &["codes"]).header("Idempotency-Key", idempotency_key);
        let delivered: Delivered = self.answer(request.json(delivery)).await?;
        Ok(delivered.external_id)
    }

    /// What the platform knows of a profile.
    pub async fn profile(&self, external_id: &str) -> Result<ProfileClaim, PlatformError> {
        let claim: ProfileClaim = self.answer(self.request(Method::GET, &["profiles", external_id])).await?;
        claim
            .checked()
            .ok_or_else(|| PlatformError::Unavailable("a profile that is not of the contract".into()))
    }

    /// Whether an operator has switched the platform off: then it is not called.
    pub fn is_off(&self) -> bool {
        self.switch.is_off()
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, PlatformError> {
        if self.is_off() {
            return Err(PlatformError::SwitchedOff);
        }
        answer(request).await
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base_url.clone();
        // Segments are percent-encoded, so that an external id cannot leave its place in the path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let request = self.http.request(method, url).bearer_auth(self.credential.expose_secret());
        request.header("X-Request-Id", self.ids.uuid(self.clock.now()).to_string())
    }
}

async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, PlatformError> {
    let unavailable = |error: reqwest::Error| PlatformError::Unavailable(error.without_url().to_string());
    let mut response = request.send().await.map_err(unavailable)?;
    let status = response.status();
    match status {
        StatusCode::NOT_FOUND => return Err(PlatformError::NotFound),
        // A credential that is being changed is refused for a while.
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::REQUEST_TIMEOUT => {
            return Err(PlatformError::Unavailable(format!("status {status}")));
        }
        _ if status.is_server_error() => {
            return Err(PlatformError::Unavailable(format!("status {status}")));
        }
        _ if !status.is_success() => return Err(PlatformError::Refused(status)),
        _ => {}
    }
    let body = read(&mut response).await.map_err(PlatformError::Unavailable)?;
    // The cause is left out: it could quote what the platform said of a person.
    serde_json::from_slice(&body)
        .map_err(|_| PlatformError::Unavailable("an answer that is not of the contract".to_owned()))
}

/// The body of an answer; else why it cannot be read.
pub(super) async fn read(response: &mut reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error.without_url().to_string())? {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Err(format!("an answer over {ANSWER_LIMIT} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

impl std::fmt::Debug for PlatformClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PlatformClient({})", self.base_url)
    }
}
