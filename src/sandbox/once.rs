//! What calls of the contract have in common: who may make them, of whom they are, and that one with an
//! `Idempotency-Key` is done once.

use axum::http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::problem::Problem;
use super::state::PlatformState;
use super::{CREDENTIAL, Sandbox};
use crate::platform::ProfileState;

/// A call that has come in, counted under the name of its endpoint.
pub(super) struct Call<'a> {
    state: &'a watch::Sender<PlatformState>,
    headers: &'a HeaderMap,
    endpoint: &'static str,
}

impl<'a> Call<'a> {
    /// Counts a call, whether it may be made or not.
    pub fn new(
        sandbox: &'a Sandbox,
        platform: &str,
        headers: &'a HeaderMap,
        endpoint: &'static str,
    ) -> Result<Self, Problem> {
        let state = sandbox.platform(platform).ok_or_else(Problem::unknown_platform)?;
        state.send_modify(|state| state.count_call(endpoint));
        Ok(Self { state, headers, endpoint })
    }

    /// Looks at what the platform holds.
    pub fn read<T>(&self, look: impl FnOnce(&PlatformState) -> Result<T, Problem>) -> Result<T, Problem> {
        self.authorize()?;
        look(&self.state.borrow())
    }

    /// Does `act`, which is an effect if it succeeds.
    pub fn change<T>(
        &self,
        act: impl FnOnce(&mut PlatformState) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        self.authorize()?;
        let mut result = None;
        self.state.send_modify(|state| {
            let done = act(state);
            if done.is_ok() {
                state.count_effect(self.endpoint);
            }
            result = Some(done);
        });
        result.unwrap_or_else(|| Err(Problem::lost()))
    }

    /// The same once for each `Idempotency-Key` and `subject`: whoever comes again gets the first result, also at the same
    /// moment. What was refused had no effect, and is tried anew.
    pub fn once<T: Serialize + DeserializeOwned>(
        &self,
        subject: &str,
        act: impl FnOnce(&mut PlatformState, &str) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        self.authorize()?;
        let key = self.idempotency_key()?;
        let kept_under = result_key(self.endpoint, subject, &key);
        let mut result = None;
        // Whoever modifies it is alone.
        self.state.send_modify(|state| {
            if let Some(first) = state.results.get(&kept_under) {
                result = Some(serde_json::from_value(first.clone()).map_err(|_| Problem::lost()));
                return;
            }
            let done = act(state, &key).and_then(|done| {
                let kept = serde_json::to_value(&done).map_err(|_| Problem::lost())?;
                state.results.insert(kept_under.clone(), kept);
                state.count_effect(self.endpoint);
                Ok(done)
            });
            result = Some(done);
        });
        result.unwrap_or_else(|| Err(Problem::lost()))
    }

    fn authorize(&self) -> Result<(), Problem> {
        let shown = self.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if shown.and_then(|value| value.strip_prefix("Bearer ")) == Some(CREDENTIAL) {
            return Ok(());
        }
        let detail = format!("the sandbox takes the credential {CREDENTIAL:?}");
        Err(Problem::new(StatusCode::UNAUTHORIZED, detail))
    }

    fn idempotency_key(&self) -> Result<String, Problem> {
        let key = self.headers.get("Idempotency-Key").and_then(|value| value.to_str().ok());
        key.filter(|key| !key.is_empty()).map(str::to_owned).ok_or_else(|| {
            Problem::new(StatusCode::BAD_REQUEST, "a POST with an effect bears an Idempotency-Key")
        })
    }
}

/// Where the result of an effect is kept.
pub(super) fn result_key(endpoint: &str, subject: &str, key: &str) -> String {
    format!("{endpoint} {subject} {key}")
}

/// Refuses a profile that the platform does not have, or not any more.
pub(super) fn require_profile(state: &PlatformState, external_id: &str) -> Result<(), Problem> {
    match state.profile(external_id) {
        Some(profile) if profile.state != ProfileState::Deleted => Ok(()),
        _ => Err(Problem::no_such_profile()),
    }
}
