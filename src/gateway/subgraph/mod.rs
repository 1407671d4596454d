//! Calling subgraphs.

pub mod client;
pub mod failure;
pub mod headers;
pub mod share;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{HeaderMap, Uri};
use futures_util::FutureExt;
use futures_util::future::Either;

use super::execute::Limits;
use super::metrics::Metrics;
use super::plan::Kind;
use super::plan::steps::Step;
use super::settings::Gateway;
use crate::ids::Ids;
use crate::trace::Trace;
use client::SubgraphClient;
use headers::Rules;
use share::Flights;

pub use failure::Failure;

/// All subgraphs of one supergraph.
pub struct Calls {
    subgraphs: BTreeMap<String, Arc<Subgraph>>,
    ids: Ids,
    metrics: Arc<Metrics>,
    show_names: bool,
    limits: Limits,
}

struct Subgraph {
    name: String,
    client: SubgraphClient,
    rules: Rules,
    /// Calls under way that others may join; absent if each one is made by itself.
    flights: Option<Flights<Call, Result<Unread, Failure>>>,
}

/// What a subgraph has answered. Whether it is GraphQL shows when it is read.
#[derive(Clone)]
pub struct Unread {
    pub bytes: Bytes,
    /// Of all that share it the first reader says so.
    is_judged: Arc<AtomicBool>,
}

impl Unread {
    fn new(bytes: Bytes) -> Self {
        Self { bytes, is_judged: Arc::default() }
    }
}

/// What has come of a call, and how long it took.
pub struct Fetched {
    pub outcome: Result<Unread, Failure>,
    took: Duration,
}

/// All that an answer of a subgraph can depend on.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Call {
    body: Bytes,
    headers: Vec<(String, Bytes)>,
}

impl Calls {
    /// # Errors
    /// A setting that cannot be followed.
    pub fn new(
        urls: &BTreeMap<String, Uri>,
        settings: &Gateway,
        (ids, metrics): (Ids, Arc<Metrics>),
    ) -> anyhow::Result<Self> {
        let subgraphs = urls.iter().map(|(name, url)| {
            let own = settings.of(name);
            let rules = Rules::new(&own)?;
            let url = settings.url_of(name)?.unwrap_or_else(|| url.clone());
            let flights = own.share.then(Flights::default);
            let subgraph =
                Subgraph { name: name.clone(), client: SubgraphClient::new(url, own), rules, flights };
            Ok((name.clone(), Arc::new(subgraph)))
        });
        let subgraphs = subgraphs.collect::<anyhow::Result<_>>()?;
        let limits = Limits { errors: settings.max_errors, answer_bytes: settings.answer_bytes };
        Ok(Self { subgraphs, ids, metrics, show_names: settings.show_subgraph_names, limits })
    }
}

/// The subgraphs as one request of a client calls them.
pub struct Subgraphs<'a> {
    calls: &'a Calls,
    /// The client's.
    headers: &'a HeaderMap,
    trace: Trace,
    /// Calls that began before a mutation do not know of it, so nothing that completes one joins them.
    shares: bool,
}

impl<'a> Subgraphs<'a> {
    /// For an operation of this kind.
    pub fn new(calls: &'a Calls, headers: &'a HeaderMap, kind: Kind) -> Self {
        let trace = Trace::of(headers, u128::from_be_bytes(calls.ids.bytes()));
        Self { calls, headers, trace, shares: kind == Kind::Query }
    }

    /// Calls the subgraph of a step. What comes is to be read, and [judged](Self::judge).
    pub fn fetch(&self, step: &Step, body: Vec<u8>) -> impl Future<Output = Fetched> + Send + use<> {
        let Some(subgraph) = self.calls.subgraphs.get(&step.subgraph).cloned() else {
            let unknown = Fetched { outcome: Err(Failure::Unknown), took: Duration::ZERO };
            return Either::Left(std::future::ready(unknown));
        };
        let headers = subgraph.rules.apply(self.headers);
        let mut sent = headers.clone();
        self.trace.write(u64::from_be_bytes(self.calls.ids.bytes()), &mut sent);
        let (shares, is_mutation, body) = (self.shares, step.is_mutation, Bytes::from(body));
        Either::Right(async move {
            let began = Instant::now();
            let outcome = match subgraph.flights.clone().filter(|_| shares) {
                Some(flights) => {
                    let call = Call { body: body.clone(), headers: told_apart(&headers) };
                    let own = subgraph.clone();
                    let begin =
                        || async move { own.client.call(body, &sent, true).await.map(Unread::new) }.boxed();
                    flights.join(call, begin).await
                }
                None => subgraph.client.call(body, &sent, !is_mutation).await.map(Unread::new),
            };
            Fetched { outcome, took: began.elapsed() }
        })
    }

    /// Takes note of what has become of a call, once what came is read: so garbage is no answer.
    pub fn judge(&self, step: &Step, fetched: &Fetched, read: Result<(), Failure>) {
        let Some(subgraph) = self.calls.subgraphs.get(&step.subgraph) else { return };
        if let Ok(unread) = &fetched.outcome
            && !unread.is_judged.swap(true, Ordering::Relaxed)
        {
            subgraph.client.note(read);
        }
        self.calls.metrics.called(&subgraph.name, read, fetched.took);
    }

    pub fn limits(&self) -> Limits {
        self.calls.limits
    }

    pub fn shown_name<'n>(&self, name: &'n str) -> Option<&'n str> {
        self.calls.show_names.then_some(name)
    }
}

/// Headers as what tells two calls apart: all of them, in their order.
fn told_apart(headers: &HeaderMap) -> Vec<(String, Bytes)> {
    let told = headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), Bytes::copy_from_slice(value.as_bytes())));
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::gateway::plan::layout::Layout;
    use crate::gateway::plan::steps::{Path, Target};
    use crate::gateway::testing::Bench;

    /// Garbage for ten who have asked together is one failure, and garbage ten times is ten.
    #[tokio::test]
    async fn what_is_shared_is_judged_once() {
        crate::tls::choose_library();
        let mut settings = Config::from_pairs([]).unwrap().gateway;
        settings.subgraph.circuit_calls = 4;
        let (_, [shape]) = Bench::new(["{ box { id } }"]);
        let at = Path { segments: Vec::new(), position: Layout::ROOT, keys: Vec::new() };
        let step = Step {
            subgraph: "boxes".to_owned(),
            is_mutation: false,
            head: Box::default(),
            variables: Vec::new(),
            conditions: Vec::new(),
            shown_if: Vec::new(),
            waits_for: Vec::new(),
            target: Target::Root { at, shape },
        };
        for (is_shared, failure) in [(true, Failure::Unreachable), (false, Failure::CircuitOpen)] {
            // Nobody listens there.
            let urls = [("boxes".to_owned(), Uri::from_static("http://127.0.0.1:1/"))].into();
            let calls = Calls::new(&urls, &settings, (Ids::random(), Arc::default())).unwrap();
            let headers = HeaderMap::new();
            let subgraphs = Subgraphs::new(&calls, &headers, Kind::Query);
            let shared = Unread::new(Bytes::new());
            for _ in 0..10 {
                let unread = if is_shared { shared.clone() } else { Unread::new(Bytes::new()) };
                let fetched = Fetched { outcome: Ok(unread), took: Duration::ZERO };
                subgraphs.judge(&step, &fetched, Err(Failure::Malformed));
            }
            let next = subgraphs.fetch(&step, b"{}".to_vec()).await.outcome;
            assert_eq!(next.map(|_| ()), Err(failure), "shared: {is_shared}");
        }
    }
}
