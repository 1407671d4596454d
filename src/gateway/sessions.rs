//! Sessions that have ended, as the accounts replicas behind a gateway tell them: `GET` of `gateway.sessions_url`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use arc_swap::ArcSwap;
use axum::http::HeaderValue;
use reqwest::Url;
use reqwest::redirect::Policy;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::settings::Gateway;
use super::subgraph::headers::ROUTER;
use crate::endings::{Awaited, Endings};

/// Between two looks. The replicas look as often themselves, so that an end is known within the 5 seconds of S15.
const PERIOD: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(2);
/// One that is told no more counts for so long: the next replica may not have looked yet.
const KEPT: Duration = Duration::from_secs(60);
/// Some hundred thousand sessions.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// What a replica tells: the `sid` of each session that ended while tokens of it may still be good.
#[derive(Debug, Deserialize, Serialize)]
pub struct Ended {
    pub sessions: Vec<String>,
}

/// Knows which sessions have ended.
pub struct Sessions {
    url: Url,
    client: reqwest::Client,
    token: HeaderValue,
    /// When each of them was told last.
    ended: ArcSwap<HashMap<String, Instant>>,
    sockets: Endings<String>,
}

impl Sessions {
    /// `None` where no URL is configured.
    ///
    /// # Errors
    /// A URL that is none, or a token that cannot be sent.
    pub fn new(settings: &Gateway) -> anyhow::Result<Option<Self>> {
        if settings.sessions_url.is_empty() {
            return Ok(None);
        }
        let url: Url = settings.sessions_url.parse().context("gateway.sessions_url is no URL")?;
        ensure!(
            matches!(url.scheme(), "http" | "https"),
            "gateway.sessions_url is neither http:// nor https://"
        );
        let name = &settings.local_subgraph;
        let token = settings.of(name).router_token;
        ensure!(
            !token.expose_secret().is_empty(),
            "gateway.sessions_url is for routers: gateway.subgraphs.{name}.router_token is missing"
        );
        let mut token = HeaderValue::from_str(token.expose_secret()).with_context(|| {
            format!("gateway.subgraphs.{name}.router_token has characters that no header may have")
        })?;
        token.set_sensitive(true);
        // A redirect would take the token elsewhere.
        let client = reqwest::Client::builder().timeout(PATIENCE).redirect(Policy::none()).build()?;
        Ok(Some(Self { url, client, token, ended: ArcSwap::default(), sockets: Endings::default() }))
    }

    /// Looks again and again, for ever. As long as nobody tells, what is known counts.
    pub async fn follow(&self) {
        let mut is_told = true;
        loop {
            let looked = self.look().await;
            // Once, and not every two seconds.
            if let Err(error) = &looked
                && is_told
            {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "nobody tells which sessions have ended; tokens are good until they run out"
                );
            }
            is_told = looked.is_ok();
            tokio::time::sleep(PERIOD).await;
        }
    }

    async fn look(&self) -> anyhow::Result<()> {
        let asking = self.client.get(self.url.clone()).header(ROUTER, self.token.clone()).send();
        let asked = asking.await.and_then(reqwest::Response::error_for_status);
        let mut response = asked.map_err(reqwest::Error::without_url)?;
        ensure!(response.status().is_success(), "the answer has status {}", response.status());
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
            ensure!(bytes.len() + chunk.len() <= MOST_BYTES, "the answer is too large");
            bytes.extend_from_slice(&chunk);
        }
        let Ended { sessions } =
            serde_json::from_slice(&bytes).context("the answer is not {\"sessions\": [\"…\"]}")?;
        let (now, known) = (Instant::now(), self.ended.load());
        let new: Vec<_> = sessions.iter().filter(|session| !known.contains_key(*session)).cloned().collect();
        let told = sessions.into_iter().map(|session| (session, now));
        let kept =
            known.iter().filter(|(_, at)| at.elapsed() < KEPT).map(|(session, at)| (session.clone(), *at));
        // What is told now stands in the place of what was told before.
        self.ended.store(Arc::new(kept.chain(told).collect()));
        self.sockets.tell(&new);
        Ok(())
    }

    pub fn has_ended(&self, session: &str) -> bool {
        self.ended.load().contains_key(session)
    }

    /// Waits for the end of a session, or until `stop`.
    pub fn wait_for(&self, session: &str, stop: &CancellationToken) -> Awaited<String> {
        let awaited = self.sockets.wait_for(session.to_owned(), stop);
        // It may have ended before anybody could be told.
        if self.has_ended(session) {
            awaited.token().cancel();
        }
        awaited
    }
}
