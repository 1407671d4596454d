//! The accounts replicas behind a gateway, apart from their graph: what they tell routers.

use std::time::Duration;

use anyhow::{Context, ensure};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use secrecy::ExposeSecret;

use super::settings::Gateway;
use super::subgraph::headers::ROUTER;

const PATIENCE: Duration = Duration::from_secs(2);
/// Some hundred thousand sessions that have ended.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// An answer that is a refusal.
#[derive(Debug, thiserror::Error)]
#[error("the answer has status {0}")]
pub struct Refused(pub StatusCode);

/// Asks the replicas as a router. Cheap to clone.
#[derive(Clone)]
pub struct Replicas {
    url: Url,
    client: Client,
    token: HeaderValue,
}

/// Where the replicas are; `None` where that is not configured.
///
/// # Errors
/// What is no URL.
pub fn url(settings: &Gateway) -> anyhow::Result<Option<Url>> {
    if settings.accounts_url.is_empty() {
        return Ok(None);
    }
    let url: Url = settings.accounts_url.parse().context("gateway.accounts_url is no URL")?;
    ensure!(matches!(url.scheme(), "http" | "https"), "gateway.accounts_url is neither http:// nor https://");
    Ok(Some(url))
}

/// What is at `path` below `url`.
pub fn below(url: &Url, path: &str) -> Url {
    let mut url = url.clone();
    let base = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{base}{path}"));
    url
}

impl Replicas {
    /// `None` where no URL is configured, or no token to show as a router.
    ///
    /// # Errors
    /// A URL that is none, or a token that cannot be sent.
    pub fn new(settings: &Gateway) -> anyhow::Result<Option<Self>> {
        let (name, token) = (&settings.local_subgraph, settings.of(&settings.local_subgraph).router_token);
        let Some(url) = url(settings)?.filter(|_| !token.expose_secret().is_empty()) else { return Ok(None) };
        let mut token = HeaderValue::from_str(token.expose_secret()).with_context(|| {
            format!("gateway.subgraphs.{name}.router_token has characters that no header may have")
        })?;
        token.set_sensitive(true);
        // A redirect would take the token elsewhere.
        let client = Client::builder().timeout(PATIENCE).redirect(Policy::none()).build()?;
        Ok(Some(Self { url, client, token }))
    }

    /// What they answer at a path, on behalf of whoever sends `headers`.
    ///
    /// # Errors
    /// [`Refused`] for another status than of success; whatever else is no such answer.
    pub async fn get(
        &self,
        path: &str,
        query: &[(&str, String)],
        headers: HeaderMap,
    ) -> anyhow::Result<Vec<u8>> {
        let request = self.client.get(below(&self.url, path)).query(query).headers(headers);
        let request = request.header(ROUTER, self.token.clone());
        let mut response = request.send().await.map_err(reqwest::Error::without_url)?;
        ensure!(response.status().is_success(), Refused(response.status()));
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
            ensure!(bytes.len() + chunk.len() <= MOST_BYTES, "the answer is too large");
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}
