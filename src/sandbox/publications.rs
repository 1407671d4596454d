//! What profiles publish at the platform.
//!
//! Content is rejected that has neither text nor media, over 2,000 characters of text, or the word `forbidden` in it.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::once::{Call, require_profile, result_key};
use super::problem::Problem;
use super::state::keep;
use super::{Sandbox, webhooks};

const PUBLISH: &str = "POST /profiles/{external_id}/publications";
/// Characters of a text.
const MAX_TEXT: usize = 2000;
const FORBIDDEN: &str = "forbidden";
/// How long a story can be seen.
const STORY: TimeDelta = TimeDelta::hours(24);

#[derive(Clone, Serialize, Deserialize)]
pub struct Publication {
    pub external_id: String,
    #[serde(flatten)]
    pub published: Published,
    #[serde(flatten)]
    pub content: NewPublication,
    pub published_at: DateTime<Utc>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct NewPublication {
    /// A `STORY` ends after 24 hours.
    format: String,
    text: Option<String>,
    #[serde(default)]
    media: Vec<Value>,
    audience: String,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Published {
    publication_id: String,
    permalink: String,
    expires_at: Option<DateTime<Utc>>,
}

impl NewPublication {
    fn check(&self) -> Result<(), Problem> {
        let text = self.text.as_deref().unwrap_or_default();
        let reason = if text.is_empty() && self.media.is_empty() {
            "there is neither text nor media"
        } else if text.chars().count() > MAX_TEXT {
            "the text is too long"
        } else if text.to_lowercase().contains(FORBIDDEN) {
            "the text has a word that is not allowed"
        } else {
            return Ok(());
        };
        Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, reason))
    }
}

/// Publishes, once for each idempotency key.
pub async fn publish(
    State(sandbox): State<Sandbox>,
    Path((platform, external_id)): Path<(String, String)>,
    headers: HeaderMap,
    Json(new): Json<NewPublication>,
) -> Result<(StatusCode, Json<Published>), Problem> {
    let (publication_id, published_at) = (sandbox.new_id("publication"), sandbox.0.clock.now());
    let call = Call::new(&sandbox, &platform, &headers, PUBLISH)?;
    let published = call.once(&external_id, |state, _| {
        require_profile(state, &external_id)?;
        new.check()?;
        let published = Published {
            permalink: format!("https://{platform}.example/{publication_id}"),
            publication_id,
            expires_at: new.format.eq_ignore_ascii_case("story").then(|| published_at + STORY),
        };
        let publication = Publication {
            external_id: external_id.clone(),
            published: published.clone(),
            content: new,
            published_at,
        };
        keep(&mut state.publications, publication);
        Ok(published)
    })?;
    Ok((StatusCode::CREATED, Json(published)))
}

#[derive(Deserialize)]
pub struct Attempt {
    idempotency_key: String,
}

/// What came of publishing under a key. One that is removed since did arrive.
pub async fn settle(
    State(sandbox): State<Sandbox>,
    Path((platform, external_id)): Path<(String, String)>,
    Query(attempt): Query<Attempt>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let call = Call::new(&sandbox, &platform, &headers, "GET /profiles/{external_id}/publications")?;
    call.read(|state| {
        let arrived = state.results.get(&result_key(PUBLISH, &external_id, &attempt.idempotency_key));
        let never = || Problem::new(StatusCode::NOT_FOUND, "it never arrived");
        arrived.cloned().map(Json).ok_or_else(never)
    })
}

/// Removes a publication; one that is gone is gone.
pub async fn remove(
    State(sandbox): State<Sandbox>,
    Path((platform, external_id, publication_id)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    const ENDPOINT: &str = "DELETE /profiles/{external_id}/publications/{publication_id}";
    let call = Call::new(&sandbox, &platform, &headers, ENDPOINT)?;
    call.change(|state| {
        state.publications.retain(|publication| {
            publication.external_id != external_id || publication.published.publication_id != publication_id
        });
        Ok(StatusCode::NO_CONTENT)
    })
}

/// The platform takes a publication away, and sends the webhook that tells of it.
pub async fn take_away(
    State(sandbox): State<Sandbox>,
    Path((platform, publication_id)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let state = sandbox.platform(&platform).ok_or_else(Problem::unknown_platform)?;
    let (mut copies, mut of) = (0, None);
    state.send_if_modified(|state| {
        copies = state.faults.webhook_copies();
        let is_it = |publication: &Publication| publication.published.publication_id == publication_id;
        let found = state.publications.iter().position(is_it);
        of = found.map(|index| state.publications.remove(index).external_id);
        of.is_some()
    });
    let external_id =
        of.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is no such publication"))?;
    let data = json!({ "external_id": external_id, "publication_id": publication_id });
    webhooks::tell(&sandbox, &platform, ("publication.removed", data), copies);
    Ok(StatusCode::NO_CONTENT)
}
