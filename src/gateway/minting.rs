//! Tokens for subgraphs that the accounts replicas behind a gateway make for its callers: `GET` of `/subgraph-token` there.
//!
//! **Invariants.** What is kept is of one caller and one subgraph, and for a few seconds, so that a profile that is being unlinked is
//! named no longer than that (S17). A subgraph for which none can be had gets none: it is as if nobody asked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::http::{HeaderMap, HeaderValue, header};
use futures_util::FutureExt;
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::replicas::Replicas;
use super::settings::Subgraph;
use super::subgraph::share::Flights;

/// How long one is used: far shorter than it is good.
const USED: Duration = Duration::from_secs(5);
const KEPT: usize = 20_000;

/// What a replica makes.
#[derive(Debug, Deserialize, Serialize)]
pub struct Minted {
    /// `Bearer …`
    pub authorization: String,
    /// What it names beside whom it speaks for.
    pub named: BTreeSet<String>,
}

/// A token, as it is sent.
pub struct Token {
    pub header: HeaderValue,
    pub named: BTreeSet<String>,
    made: Instant,
}

/// What a client shows to the replicas.
pub fn shown(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(header::AUTHORIZATION).cloned()
}

/// Whose token it is: the SHA-256 of what they show, and the subgraph.
type Whose = (Option<[u8; 32]>, String);

/// Has tokens made, and keeps them. Cheap to clone.
#[derive(Clone)]
pub struct Minter(Arc<Inner>);

struct Inner {
    replicas: Replicas,
    made: Cache<Whose, Arc<Token>>,
    making: Flights<Whose, Option<Arc<Token>>>,
}

impl Minter {
    pub fn new(replicas: Replicas) -> Self {
        Self(Arc::new(Inner { replicas, made: Cache::new(KEPT), making: Flights::default() }))
    }

    /// The token for a subgraph of whoever shows that as `Authorization`; `None` if none can be had.
    pub async fn mint(
        &self,
        shown: Option<HeaderValue>,
        name: &str,
        settings: &Subgraph,
    ) -> Option<Arc<Token>> {
        let digest = shown.as_ref().map(|shown| Sha256::digest(shown.as_bytes()).into());
        let whose = (digest, name.to_owned());
        if let Some(token) = self.0.made.get(&whose).filter(|token| token.made.elapsed() < USED) {
            return Some(token);
        }
        let (inner, own, query) = (self.0.clone(), whose.clone(), query(name, settings));
        let making = async move {
            let made = inner.make(shown, &query).await;
            let made = made.inspect_err(|error| {
                tracing::warn!(
                    error = format!("{error:#}"),
                    subgraph = own.1,
                    "no token can be had for a subgraph"
                );
            });
            let token = Arc::new(made.ok()?);
            inner.made.insert(own, token.clone());
            Some(token)
        };
        self.0.making.join(whose, || making.boxed()).await
    }
}

impl Inner {
    async fn make(&self, shown: Option<HeaderValue>, query: &[(&str, String)]) -> anyhow::Result<Token> {
        let made = Instant::now();
        let bytes = self.replicas.get("/subgraph-token", query, shown).await?;
        let Minted { authorization, named } = serde_json::from_slice(&bytes)
            .context("the answer is not {\"authorization\": \"…\", \"named\": […]}")?;
        let mut header = HeaderValue::try_from(authorization)?;
        header.set_sensitive(true);
        Ok(Token { header, named, made })
    }
}

fn query(name: &str, settings: &Subgraph) -> [(&'static str, String); 3] {
    [
        ("subgraph", name.to_owned()),
        ("scopes", settings.scopes.join(",")),
        ("platforms", settings.platforms.join(",")),
    ]
}
