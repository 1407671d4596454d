//! Tokens for subgraphs that the accounts replicas behind a gateway make for its callers: `GET` of `/subgraph-token` there.
//!
//! **Invariants.** What is kept is of one caller and one subgraph, and for a few seconds, so that a profile that is being unlinked is
//! named no longer than that (S17). A subgraph for which none can be had gets none: it is as if nobody asked. Refusals are kept
//! like tokens, and replicas that do not answer are left alone for a while: neither a forged token nor an outage costs each
//! operation a call.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use futures_util::FutureExt;
use quick_cache::sync::Cache;
use recloser::{AsyncRecloser, Error as Unmade, Recloser};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::replicas::{Refused, Replicas};
use super::settings::Subgraph;
use super::subgraph::share::Flights;

/// How long one is used: far shorter than it is good.
const USED: Duration = Duration::from_secs(5);
const KEPT: usize = 20_000;
/// Of so many calls more than half have to fail for the replicas to be left alone, and for how long.
const CIRCUIT_CALLS: usize = 4;
const CIRCUIT_WAIT: Duration = Duration::from_secs(2);

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
}

/// What the replicas said, and when they were asked.
#[derive(Clone)]
struct Said {
    token: Option<Arc<Token>>,
    at: Instant,
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
    said: Cache<Whose, Said>,
    making: Flights<Whose, Option<Arc<Token>>>,
    circuit: AsyncRecloser,
}

impl Minter {
    pub fn new(replicas: Replicas) -> Self {
        let circuit = Recloser::custom()
            .error_rate(0.5)
            .closed_len(CIRCUIT_CALLS)
            .half_open_len(1)
            .open_wait(CIRCUIT_WAIT)
            .build();
        Self(Arc::new(Inner {
            replicas,
            said: Cache::new(KEPT),
            making: Flights::default(),
            circuit: circuit.into(),
        }))
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
        if let Some(said) = self.0.said.get(&whose).filter(|said| said.at.elapsed() < USED) {
            return said.token;
        }
        let (inner, own, query) = (self.0.clone(), whose.clone(), query(name, settings));
        let making = async move {
            let at = Instant::now();
            let token = inner.make(shown, &query, &own.1).await.ok()?;
            inner.said.insert(own, Said { token: token.clone(), at });
            token
        };
        self.0.making.join(whose, || making.boxed()).await
    }
}

/// The replicas cannot say anything just now.
struct Silent;

impl Inner {
    /// `None` if it is refused.
    async fn make(
        &self,
        shown: Option<HeaderValue>,
        query: &[(&str, String)],
        subgraph: &str,
    ) -> Result<Option<Arc<Token>>, Silent> {
        let status = |error: &anyhow::Error| error.downcast_ref::<Refused>().map(|Refused(status)| *status);
        let is_fault = |error: &anyhow::Error| status(error).is_none_or(|status| status.is_server_error());
        let asked = self.replicas.get("/subgraph-token", query, shown);
        let warn = |error: &anyhow::Error| {
            tracing::warn!(error = format!("{error:#}"), subgraph, "no token can be had for a subgraph");
        };
        let made = match self.circuit.call_with(is_fault, asked).await {
            Ok(bytes) => read(&bytes),
            // That it was said when the circuit opened is enough.
            Err(Unmade::Rejected) => return Err(Silent),
            Err(Unmade::Inner(error)) if is_fault(&error) => {
                warn(&error);
                return Err(Silent);
            }
            Err(Unmade::Inner(error)) => Err(error),
        };
        // Anybody can show what is no token: that is nothing to warn of.
        let made = made.inspect_err(|error| {
            if status(error) != Some(StatusCode::UNAUTHORIZED) {
                warn(error);
            }
        });
        Ok(made.ok().map(Arc::new))
    }
}

fn read(bytes: &[u8]) -> anyhow::Result<Token> {
    let Minted { authorization, named } = serde_json::from_slice(bytes)
        .context("the answer is not {\"authorization\": \"…\", \"named\": […]}")?;
    let mut header = HeaderValue::try_from(authorization)?;
    header.set_sensitive(true);
    Ok(Token { header, named })
}

fn query(name: &str, settings: &Subgraph) -> [(&'static str, String); 3] {
    [
        ("subgraph", name.to_owned()),
        ("scopes", settings.scopes.join(",")),
        ("platforms", settings.platforms.join(",")),
    ]
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::routing::get;

    use super::*;
    use crate::config::Config;

    /// A minter whose replicas answer that, and how often they were asked.
    async fn minter(status: StatusCode) -> (Minter, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let answer = async move || {
            count.fetch_add(1, Ordering::Relaxed);
            (status, r#"{"authorization":"Bearer x.y.z","named":[]}"#)
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let settings = [
            ("ACCOUNTS__GATEWAY__ACCOUNTS_URL", url),
            ("ACCOUNTS__GATEWAY__SUBGRAPHS__ACCOUNTS__ROUTER_TOKEN", "secret".to_owned()),
        ];
        let settings = Config::from_pairs(settings).unwrap().gateway;
        let router = Router::new().route("/subgraph-token", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        crate::tls::choose_library();
        (Minter::new(Replicas::new(&settings).unwrap().unwrap()), asked)
    }

    /// Asks `times` for a token of one who shows the same each time. Gives how often the replicas were asked.
    async fn ask(status: StatusCode, times: usize) -> usize {
        let (minter, asked) = minter(status).await;
        let subgraph = Config::from_pairs([]).unwrap().gateway.subgraph;
        for _ in 0..times {
            let shown = Some(HeaderValue::from_static("Bearer a.b.c"));
            let token = minter.mint(shown, "books", &subgraph).await;
            assert_eq!(token.is_some(), status == StatusCode::OK);
        }
        asked.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn what_is_said_of_one_caller_counts_for_a_while_also_if_it_is_no() {
        for status in [StatusCode::OK, StatusCode::UNAUTHORIZED, StatusCode::BAD_REQUEST] {
            assert_eq!(ask(status, 5).await, 1, "{status}");
        }
    }

    #[tokio::test]
    async fn replicas_that_do_not_answer_are_left_alone_for_a_while() {
        // It is judged with the next one after so many.
        assert_eq!(ask(StatusCode::SERVICE_UNAVAILABLE, 20).await, CIRCUIT_CALLS + 1);
    }
}
