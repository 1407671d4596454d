//! Tokens for subgraphs that the accounts replicas behind a gateway make for its callers: `GET` of `/subgraph-token` there.
//!
//! **Invariants.** What is kept is of one caller and one subgraph, and for a few seconds, so that a profile that is being unlinked is
//! named no longer than that (S17). A subgraph for which none can be had gets none: it is as if nobody asked. Refusals are kept
//! like tokens, and replicas that do not answer are left alone for a while: neither a forged token nor an outage costs each
//! operation a call.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use futures_util::FutureExt;
use quick_cache::sync::Cache;
use recloser::{AsyncRecloser, Error as Unmade, Recloser};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::identity::{Identity, Unknown};
use super::replicas::{Refused, Replicas};
use super::settings::Subgraph;
use super::subgraph::headers::MIN_VERSION;
use super::subgraph::share::Flights;

/// How long one is used: far shorter than it is good.
const USED: Duration = Duration::from_secs(5);
const KEPT: usize = 20_000;
/// Of so many calls half have to fail for the replicas to be left alone, and for how long. Then one at a time asks.
const CIRCUIT_CALLS: usize = 20;
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
    at_least: i64,
}

/// Who asks for a token, as the replicas are told.
#[derive(Clone, Default)]
pub struct Asking {
    authorization: Option<HeaderValue>,
    /// Their account is seen at this version or later.
    at_least: i64,
}

impl Asking {
    /// Whoever sends these headers.
    pub fn of(headers: &HeaderMap) -> Self {
        let at_least = headers.get(MIN_VERSION).and_then(|value| value.to_str().ok()?.parse().ok());
        Self {
            authorization: headers.get(header::AUTHORIZATION).cloned(),
            at_least: at_least.unwrap_or_default(),
        }
    }

    /// The SHA-256 of what they show.
    fn digest(&self) -> Option<[u8; 32]> {
        self.authorization.as_ref().map(|shown| Sha256::digest(shown.as_bytes()).into())
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        if self.at_least > 0 {
            headers.insert(MIN_VERSION, self.at_least.into());
        }
        headers
    }
}

/// Whose token it is, and the subgraph.
type Whose = (Option<[u8; 32]>, String);

/// Has tokens made, and keeps them. Cheap to clone.
#[derive(Clone)]
pub struct Minter(Arc<Inner>);

struct Inner {
    replicas: Replicas,
    identity: Option<Arc<Identity>>,
    said: Cache<Whose, Said>,
    /// By what they depend on as well: the version, and the last change.
    making: Flights<(Whose, i64, Option<Instant>), Option<Arc<Token>>>,
    /// When something of somebody may have changed, through this gateway.
    changed: Cache<[u8; 32], Instant>,
    circuit: AsyncRecloser,
    /// The circuit has been open, and nobody has got an answer since. The library lets all through then that come at once.
    is_away: AtomicBool,
    probe: Semaphore,
}

impl Minter {
    /// `identity` knows whose access tokens are none.
    pub fn new(replicas: Replicas, identity: Option<Arc<Identity>>) -> Self {
        let circuit = Recloser::custom()
            .error_rate(0.5)
            .closed_len(CIRCUIT_CALLS)
            .half_open_len(1)
            .open_wait(CIRCUIT_WAIT)
            .build();
        Self(Arc::new(Inner {
            replicas,
            identity,
            said: Cache::new(KEPT),
            changed: Cache::new(KEPT),
            making: Flights::default(),
            circuit: circuit.into(),
            is_away: AtomicBool::new(false),
            probe: Semaphore::new(1),
        }))
    }

    /// The token for a subgraph; `None` if none can be had.
    pub async fn mint(&self, asking: Asking, name: &str, settings: &Subgraph) -> Option<Arc<Token>> {
        if self.0.is_nobody(&asking) {
            return None;
        }
        let whose = (asking.digest(), name.to_owned());
        if let Some(said) = self.0.said.get(&whose).filter(|said| self.0.holds(said, &asking)) {
            return said.token;
        }
        let (inner, own, query) = (self.0.clone(), whose.clone(), query(name, settings));
        let at_least = asking.at_least;
        let making = async move {
            let at = Instant::now();
            let token = inner.make(&asking, &query, &own.1).await.ok()?;
            inner.said.insert(own, Said { token: token.clone(), at, at_least });
            token
        };
        let changed = self.0.changed_at(&whose.0);
        self.0.making.join((whose, at_least, changed), || making.boxed()).await
    }

    /// Something of theirs may be changing until what this gives is dropped: what was said of them before that counts no longer.
    pub fn changing(&self, asking: &Asking) -> Changing {
        Changing(self.clone(), asking.digest())
    }
}

/// A change under way, which may have happened also where nobody waits for its answer any more.
pub struct Changing(Minter, Option<[u8; 32]>);

impl Drop for Changing {
    fn drop(&mut self) {
        if let Some(digest) = self.1 {
            self.0.0.changed.insert(digest, Instant::now());
        }
    }
}

/// The replicas cannot say anything just now.
struct Silent;

impl Inner {
    /// Whether what they show is known to speak for nobody: then the replicas need not say so.
    fn is_nobody(&self, asking: &Asking) -> bool {
        let both = self.identity.as_ref().zip(asking.authorization.as_ref());
        both.is_some_and(|(identity, shown)| {
            let known = shown.to_str().map_or(Err(Unknown::Invalid), |shown| identity.who(shown));
            matches!(known, Err(Unknown::Invalid | Unknown::Ended))
        })
    }

    fn changed_at(&self, digest: &Option<[u8; 32]>) -> Option<Instant> {
        self.changed.get(digest.as_ref()?)
    }

    fn holds(&self, said: &Said, asking: &Asking) -> bool {
        let changed = self.changed_at(&asking.digest());
        said.at.elapsed() < USED
            && said.at_least >= asking.at_least
            && changed.is_none_or(|changed| changed < said.at)
    }

    /// `None` if it is refused.
    async fn make(
        &self,
        asking: &Asking,
        query: &[(&str, String)],
        subgraph: &str,
    ) -> Result<Option<Arc<Token>>, Silent> {
        let status = |error: &anyhow::Error| error.downcast_ref::<Refused>().map(|Refused(status)| *status);
        let is_fault = |error: &anyhow::Error| status(error).is_none_or(|status| status.is_server_error());
        let _probe = match self.is_away.load(Ordering::Relaxed) {
            true => Some(self.probe.try_acquire().map_err(|_| Silent)?),
            false => None,
        };
        let asked = self.replicas.get("/subgraph-token", query, asking.headers());
        let warn = |error: &anyhow::Error| {
            tracing::warn!(error = format!("{error:#}"), subgraph, "no token can be had for a subgraph");
        };
        let made = match self.circuit.call_with(is_fault, asked).await {
            Ok(bytes) => {
                self.is_away.store(false, Ordering::Relaxed);
                read(&bytes)
            }
            // That it was said when the circuit opened is enough.
            Err(Unmade::Rejected) => {
                self.is_away.store(true, Ordering::Relaxed);
                return Err(Silent);
            }
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
    use std::sync::atomic::AtomicUsize;

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
        (Minter::new(Replicas::new(&settings).unwrap().unwrap(), None), asked)
    }

    fn somebody(at_least: i64) -> Asking {
        Asking { authorization: Some(HeaderValue::from_static("Bearer a.b.c")), at_least }
    }

    /// Asks `times` for a token of one who shows the same each time. Gives how often the replicas were asked.
    async fn ask(status: StatusCode, times: usize) -> usize {
        let (minter, asked) = minter(status).await;
        let subgraph = Config::from_pairs([]).unwrap().gateway.subgraph;
        for _ in 0..times {
            let token = minter.mint(somebody(0), "books", &subgraph).await;
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
        assert_eq!(ask(StatusCode::SERVICE_UNAVAILABLE, 2 * CIRCUIT_CALLS).await, CIRCUIT_CALLS + 1);
    }

    #[tokio::test]
    async fn who_asks_first_afterwards_asks_alone() {
        let (minter, asked) = minter(StatusCode::SERVICE_UNAVAILABLE).await;
        let subgraph = Config::from_pairs([]).unwrap().gateway.subgraph;
        let ask = |version| minter.mint(somebody(version), "books", &subgraph);
        for version in 0..2 * CIRCUIT_CALLS as i64 {
            assert!(ask(version).await.is_none());
        }
        let before = asked.load(Ordering::Relaxed);
        tokio::time::sleep(CIRCUIT_WAIT + Duration::from_millis(200)).await;
        futures_util::future::join_all((0..50).map(ask)).await;
        assert_eq!(asked.load(Ordering::Relaxed), before + 1);
    }

    #[tokio::test]
    async fn what_is_said_holds_until_something_changes_or_more_is_known() {
        let (minter, asked) = minter(StatusCode::OK).await;
        let subgraph = Config::from_pairs([]).unwrap().gateway.subgraph;
        let asked_by = async |asking: Asking| {
            minter.mint(asking, "books", &subgraph).await.unwrap();
            asked.load(Ordering::Relaxed)
        };
        assert_eq!(asked_by(somebody(7)).await, 1);
        assert_eq!(asked_by(somebody(3)).await, 1);
        assert_eq!(asked_by(somebody(8)).await, 2);
        drop(minter.changing(&somebody(0)));
        assert_eq!(asked_by(somebody(0)).await, 3);
        drop(minter.changing(&Asking::default()));
        assert_eq!(asked_by(somebody(0)).await, 3);
    }
}
