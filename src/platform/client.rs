//! The client of a platform's HTTP API (see the platform contract in `README.md`).

use anyhow::Context;
use axum::http::header::RETRY_AFTER;
use chrono::{DateTime, TimeDelta, Utc};
use recloser::AsyncRecloser;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use url::Url;

use super::answers::{CodeDelivery, Delivered, Notice, PrivacyRead, ProfileClaim};
use super::line::{CIRCUIT_OPEN, Caller, Line, circuit};
use super::{PlatformError, PlatformKey};

/// Bytes of an answer that we read; a platform's answers are small.
const ANSWER_LIMIT: usize = 64 * 1024;
/// A platform that asks for more time than this is asked again all the same.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);

/// Speaks to one platform.
#[derive(Clone)]
pub struct PlatformClient {
    base_url: Url,
    credential: SecretString,
    line: Line,
    circuit: AsyncRecloser,
    caller: Caller,
}

impl PlatformClient {
    pub(super) fn new(
        line: &Line,
        key: &PlatformKey,
        base_url: &str,
        credential: SecretString,
    ) -> anyhow::Result<Self> {
        let base_url: Url = base_url
            .parse()
            .with_context(|| format!("platforms.{key}.base_url is {base_url:?}, which is no URL"))?;
        if base_url.cannot_be_a_base() || !matches!(base_url.scheme(), "http" | "https") {
            anyhow::bail!("platforms.{key}.base_url must begin with https:// or http://");
        }
        Ok(Self { base_url, credential, line: line.clone(), circuit: circuit(), caller: Caller::Job })
    }

    /// The same for a call that a person waits for: it waits for its turn, where a job is put back.
    pub fn awaited(&self) -> Self {
        Self { caller: Caller::Person, ..self.clone() }
    }

    /// The same for a job's further call, or one that makes two could be put back between them for ever.
    pub fn going_on(&self) -> Self {
        Self { caller: Caller::JobUnderWay, ..self.clone() }
    }

    /// Delivers a code to a profile, and tells that profile's external id. The same
    /// `idempotency_key` delivers once, however often it is sent.
    pub async fn send_code(
        &self,
        delivery: &CodeDelivery<'_>,
        idempotency_key: &str,
    ) -> Result<String, PlatformError> {
        let request = self.effect(&["codes"], idempotency_key).json(delivery);
        let delivered: Delivered = self.answer(request).await?;
        Ok(delivered.external_id)
    }

    /// What the platform knows of a profile.
    pub async fn profile(&self, external_id: &str) -> Result<ProfileClaim, PlatformError> {
        let claim: ProfileClaim = self.answer(self.request(Method::GET, &["profiles", external_id])).await?;
        claim.checked().ok_or_else(not_of_contract)
    }

    /// What a profile's owner shares at the platform.
    pub async fn privacy(&self, external_id: &str) -> Result<PrivacyRead, PlatformError> {
        let request = self.request(Method::GET, &["profiles", external_id, "privacy"]);
        let read: PrivacyRead = self.answer(request).await?;
        read.checked().ok_or_else(not_of_contract)
    }

    /// Tells the owner of a profile something, once for each `idempotency_key`.
    pub async fn notice(
        &self,
        external_id: &str,
        notice: &Notice<'_>,
        idempotency_key: &str,
    ) -> Result<(), PlatformError> {
        let path = ["profiles", external_id, "notices"];
        self.send(self.effect(&path, idempotency_key).json(notice)).await.map(drop)
    }

    /// Has the platform end the logins that came from a profile here.
    pub async fn revoke_sessions(
        &self,
        external_id: &str,
        idempotency_key: &str,
    ) -> Result<(), PlatformError> {
        let path = ["profiles", external_id, "sessions", "revoke"];
        self.send(self.effect(&path, idempotency_key)).await.map(drop)
    }

    /// Whether an operator has switched the platform off: then it is not called.
    pub fn is_off(&self) -> bool {
        self.line.is_off()
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, PlatformError> {
        let body = self.send(request).await?;
        // The cause is left out: it could quote what the platform said of a person.
        serde_json::from_slice(&body).map_err(|_| not_of_contract())
    }

    async fn send(&self, request: RequestBuilder) -> Result<Vec<u8>, PlatformError> {
        let _place = self.line.admit(self.caller).await?;
        let call = async {
            let unavailable =
                |error: reqwest::Error| PlatformError::Unavailable(error.without_url().to_string());
            let mut response = request.send().await.map_err(unavailable)?;
            self.refusal(&response).map_or(Ok(()), Err)?;
            read(&mut response).await.map_err(PlatformError::Unavailable)
        };
        match self.circuit.call_with(PlatformError::is_fault, call).await {
            Ok(body) => Ok(body),
            Err(recloser::Error::Inner(error)) => Err(error),
            Err(recloser::Error::Rejected) => Err(CIRCUIT_OPEN),
        }
    }

    /// What there is to say where an answer is none.
    fn refusal(&self, response: &Response) -> Option<PlatformError> {
        let status = response.status();
        let asks_for_time = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        match status {
            _ if status.is_success() => None,
            StatusCode::NOT_FOUND => Some(PlatformError::NotFound),
            _ if asks_for_time && let Some(pause) = pause_of(response, self.line.calls.clock.now()) => {
                Some(PlatformError::NotNow("it asks for time", pause))
            }
            // A credential that is being changed is refused for a while.
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::REQUEST_TIMEOUT => Some(PlatformError::Unavailable(format!("status {status}"))),
            _ if status.is_server_error() => Some(PlatformError::Unavailable(format!("status {status}"))),
            _ => Some(PlatformError::Refused(status)),
        }
    }

    fn effect(&self, path: &[&str], idempotency_key: &str) -> RequestBuilder {
        self.request(Method::POST, path).header("Idempotency-Key", idempotency_key)
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base_url.clone();
        // Segments are percent-encoded, so that an external id cannot leave its place in the path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let request = self.line.calls.http.request(method, url).bearer_auth(self.credential.expose_secret());
        request.headers(self.line.headers())
    }
}

fn not_of_contract() -> PlatformError {
    PlatformError::Unavailable("an answer that is not of the contract".to_owned())
}

/// How long the platform asks to be left alone: seconds, or a date (RFC 9110, section 10.2.3).
fn pause_of(response: &Response, now: DateTime<Utc>) -> Option<TimeDelta> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = match text.parse::<u32>() {
        Ok(seconds) => TimeDelta::seconds(seconds.into()),
        Err(_) => DateTime::parse_from_rfc2822(text).ok()?.to_utc() - now,
    };
    Some(pause.clamp(TimeDelta::zero(), LONGEST_PAUSE))
}

/// The body of an answer; else why it cannot be read.
pub(super) async fn read(response: &mut Response) -> Result<Vec<u8>, String> {
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
