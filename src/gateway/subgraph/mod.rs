//! Calling subgraphs.

pub mod client;
pub mod confined;
pub mod failure;
pub mod headers;
mod local;
pub mod share;
mod tokens;
pub mod upstream;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_graphql::{Request, Response, Variables};
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use futures_util::FutureExt;
use futures_util::future::Either;
use futures_util::stream::{BoxStream, StreamExt};
use secrecy::ExposeSecret;

use super::Asked;
use super::caller::Caller;
use super::execute::Limits;
use super::metrics::Metrics;
use super::minting::{Asking, Minter};
use super::plan::Kind;
use super::plan::steps::Step;
use super::plant;
use super::schema::ApiSchema;
use super::settings::Gateway;
use crate::ids::Ids;
use crate::trace::Trace;
use client::SubgraphClient;
use confined::Confined;
use headers::Rules;
use share::Flights;
use tokens::Tokens;

pub use failure::Failure;

/// What calls of all supergraphs share. Cheap to clone.
#[derive(Clone)]
pub struct With {
    pub ids: Ids,
    pub metrics: Arc<Metrics>,
    /// Who makes tokens for subgraphs, where nobody in this process does.
    pub minter: Option<Minter>,
}

/// All subgraphs of one supergraph.
pub struct Calls {
    subgraphs: BTreeMap<String, Arc<Subgraph>>,
    with: With,
    show_names: bool,
    limits: Limits,
    /// The one that a [`Caller`] answers for.
    local: String,
}

struct Subgraph {
    name: String,
    client: SubgraphClient,
    rules: Rules,
    /// Whether it gets a token of its own.
    gets_token: bool,
    /// What it may be told of; absent if that is everything.
    confined: Option<Confined>,
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
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes, is_judged: Arc::default() }
    }
}

/// What has come of a call, and how long it took.
pub struct Fetched {
    pub outcome: Result<Brought, Failure>,
    took: Duration,
}

/// What a subgraph has brought.
pub enum Brought {
    Text(Unread),
    /// From the subgraph of this process.
    Values(Box<Response>),
}

/// What comes of a subscription: an event, or why there are no more.
pub type Event = Result<Brought, Failure>;

impl Fetched {
    /// What nobody waited for.
    pub fn at_once(brought: Brought) -> Self {
        Self { outcome: Ok(brought), took: Duration::ZERO }
    }
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
        (urls, schema): (&BTreeMap<String, Uri>, &ApiSchema),
        settings: &Gateway,
        with: With,
    ) -> anyhow::Result<Self> {
        let subgraphs = urls.iter().map(|(name, url)| {
            let own = settings.of(name);
            let rules = Rules::new(&own)?;
            let url = settings.url_of(name)?.unwrap_or_else(|| url.clone());
            let flights = own.share.then(Flights::default);
            let subgraph = Subgraph {
                name: name.clone(),
                gets_token: own.mint_tokens && own.router_token.expose_secret().is_empty(),
                confined: Confined::new(schema, settings, &own),
                client: SubgraphClient::new(url, own),
                rules,
                flights,
            };
            Ok((name.clone(), Arc::new(subgraph)))
        });
        let subgraphs = subgraphs.collect::<anyhow::Result<_>>()?;
        let limits = Limits { errors: settings.max_errors, answer_bytes: settings.answer_bytes };
        let local = settings.local_subgraph.clone();
        Ok(Self { subgraphs, with, show_names: settings.show_subgraph_names, limits, local })
    }
}

/// The subgraphs as one request of a client calls them.
pub struct Subgraphs<'a> {
    calls: &'a Calls,
    /// The client's.
    headers: &'a HeaderMap,
    caller: Option<&'a Arc<dyn Caller>>,
    trace: Trace,
    /// Calls that began before a mutation do not know of it, so nothing that completes one joins them.
    shares: bool,
    /// Cookies for the client, where a subgraph may set some: in a mutation.
    cookies: Option<Arc<Mutex<Vec<HeaderValue>>>>,
}

impl<'a> Subgraphs<'a> {
    /// For an operation of this kind.
    pub fn new(calls: &'a Calls, asked: &'a Asked, kind: Kind) -> Self {
        let headers = &asked.headers;
        let trace = Trace::of(headers, u128::from_be_bytes(calls.with.ids.bytes()));
        let cookies = (kind == Kind::Mutation).then(Arc::default);
        Self { calls, headers, caller: asked.caller.as_ref(), trace, shares: kind == Kind::Query, cookies }
    }

    /// Cookies for the client of what was called.
    pub fn into_cookies(self) -> Vec<HeaderValue> {
        let Some(cookies) = self.cookies else { return Vec::new() };
        std::mem::take(&mut *cookies.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Calls the subgraph of a step with variables, given without the braces around them. What comes is to be read, and
    /// [judged](Self::judge).
    pub fn fetch(&self, step: &Step, variables: &[u8]) -> impl Future<Output = Fetched> + Send + use<> {
        match self.caller.filter(|_| self.is_local(&step.subgraph)) {
            Some(caller) => Either::Left(self.ask(caller.clone(), step, variables)),
            None => Either::Right(self.send(step, variables)),
        }
    }

    fn is_local(&self, subgraph: &str) -> bool {
        self.caller.is_some() && subgraph == self.calls.local
    }

    /// Asks the subgraph of this process.
    fn ask(
        &self,
        caller: Arc<dyn Caller>,
        step: &Step,
        variables: &[u8],
    ) -> impl Future<Output = Fetched> + Send + use<> {
        let began = Instant::now();
        let call = read(variables)
            .map(|variables| local::Call::new(step.operation.clone(), variables, &step.target));
        let own = self.calls.subgraphs.get(&step.subgraph);
        let patience = own.map_or(Duration::MAX, |own| own.client.settings().answer());
        async move {
            let outcome = match call {
                Ok(call) => call.execute(caller, patience).await,
                Err(failure) => Err(failure),
            };
            let outcome = outcome.map(|response| Brought::Values(Box::new(response)));
            Fetched { outcome, took: began.elapsed() }
        }
    }

    /// Sends a request to the subgraph of a step.
    fn send(&self, step: &Step, variables: &[u8]) -> impl Future<Output = Fetched> + Send + use<> {
        let Some(subgraph) = self.calls.subgraphs.get(&step.subgraph).cloned() else {
            let unknown = Fetched { outcome: Err(Failure::Unknown), took: Duration::ZERO };
            return Either::Left(std::future::ready(unknown));
        };
        let headers = self.headers_for(&subgraph);
        let (trace, span) = (self.trace.clone(), u64::from_be_bytes(self.calls.with.ids.bytes()));
        let body = Bytes::from([&*step.head, variables, b"}}"].concat());
        let (shares, is_mutation, cookies) = (self.shares, step.is_mutation, self.cookies.clone());
        let changes_accounts = is_mutation && step.subgraph == self.calls.local;
        let minter = self.calls.with.minter.as_ref().filter(|_| changes_accounts);
        let changing = minter.map(|minter| minter.changing(&Asking::of(self.headers)));
        Either::Right(async move {
            let began = Instant::now();
            // Before anything is shared: what is told of one caller is for none but them.
            let headers = headers.await;
            let mut sent = headers.clone();
            trace.write(span, &mut sent);
            let outcome = match subgraph.flights.clone().filter(|_| shares) {
                Some(flights) => {
                    let call = Call { body: body.clone(), headers: told_apart(&headers) };
                    let own = subgraph.clone();
                    let calling = async move {
                        own.client.call(body, &sent, true).await.map(|called| Unread::new(called.body))
                    };
                    flights.join(call, || calling.boxed()).await
                }
                None => subgraph.client.call(body, &sent, !is_mutation).await.map(|called| {
                    if let Some(cookies) = cookies.filter(|_| is_mutation && !called.cookies.is_empty()) {
                        cookies.lock().unwrap_or_else(PoisonError::into_inner).extend(called.cookies);
                    }
                    Unread::new(called.body)
                }),
            };
            drop(changing);
            Fetched { outcome: outcome.map(Brought::Text), took: began.elapsed() }
        })
    }

    /// Those of the client's headers that a subgraph gets, and a token of its own.
    fn headers_for(&self, subgraph: &Arc<Subgraph>) -> impl Future<Output = HeaderMap> + Send + use<> {
        let mut headers = subgraph.rules.apply(self.headers);
        let token = Tokens::of(self, subgraph).map(|tokens| tokens.token());
        async move {
            if let Some(token) = token
                && let Some(token) = token.await
            {
                headers.insert(header::AUTHORIZATION, token);
            }
            headers
        }
    }

    /// Begins a subscription, with variables without the braces around them.
    pub async fn follow(&self, step: &Step, variables: &[u8]) -> Result<BoxStream<'static, Event>, Failure> {
        if let Some(caller) = self.caller.filter(|_| self.is_local(&step.subgraph)) {
            let request = Request::new(&*step.operation).variables(read(variables)?);
            let events = caller.clone().subscribe(request);
            return Ok(events.map(|response| Ok(Brought::Values(response))).boxed());
        }
        let subgraph = self.calls.subgraphs.get(&step.subgraph).ok_or(Failure::Unknown)?;
        let mut headers = self.headers_for(subgraph).await;
        // A subscription may outlive a token, and begin again.
        let tokens = Tokens::of(self, subgraph).map(|tokens| tokens.anew());
        self.trace.write(u64::from_be_bytes(self.calls.with.ids.bytes()), &mut headers);
        let body = Bytes::from([&*step.head, variables, b"}}"].concat());
        let events = subgraph.client.subscribe(body, headers, tokens).await?;
        Ok(events.map(|event| event.map(|bytes| Brought::Text(Unread::new(bytes)))).boxed())
    }

    /// What the token for the subgraph of a step names, if it gets one. `None` if that cannot be known just now.
    pub async fn named_for(&self, step: &Step) -> Option<BTreeSet<String>> {
        let own = self.calls.subgraphs.get(&step.subgraph);
        match own.and_then(|own| Tokens::of(self, own)) {
            Some(tokens) => tokens.named().await,
            None => Some(BTreeSet::new()),
        }
    }

    /// Takes note of what has become of a call, once what came is read: so garbage is no answer.
    pub fn judge(&self, step: &Step, fetched: &Fetched, read: Result<(), Failure>) {
        let Some(subgraph) = self.calls.subgraphs.get(&step.subgraph) else { return };
        if let Ok(Brought::Text(unread)) = &fetched.outcome
            && !unread.is_judged.swap(true, Ordering::Relaxed)
        {
            subgraph.client.note(read);
        }
        self.calls.with.metrics.called(&subgraph.name, read, fetched.took);
    }

    /// What a subgraph may be told of; `None` if that is everything.
    pub fn confined(&self, subgraph: &str) -> Option<&Confined> {
        if self.is_local(subgraph) || plant::is_out("gateway::confined") {
            return None;
        }
        self.calls.subgraphs.get(subgraph)?.confined.as_ref()
    }

    pub fn limits(&self) -> Limits {
        self.calls.limits
    }

    pub fn shown_name<'n>(&self, name: &'n str) -> Option<&'n str> {
        // That of this process is the gateway itself to whoever asks.
        (self.calls.show_names && !self.is_local(name)).then_some(name)
    }
}

/// Variables, given without the braces around them, for the subgraph of this process. What another subgraph has brought for a key may
/// be JSON and yet nothing that can be read: half of a pair of surrogates, or lists within lists without end.
fn read(variables: &[u8]) -> Result<Variables, Failure> {
    serde_json::from_slice(&[b"{", variables, b"}"].concat()).map_err(|_| Failure::Malformed)
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
            is_subscription: false,
            operation: "".into(),
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
            let calls = Calls::new(
                (&urls, &ApiSchema::default()),
                &settings,
                With { ids: Ids::random(), metrics: Arc::default(), minter: None },
            )
            .unwrap();
            let asked = Asked::default();
            let subgraphs = Subgraphs::new(&calls, &asked, Kind::Query);
            let shared = Unread::new(Bytes::new());
            for _ in 0..10 {
                let unread = if is_shared { shared.clone() } else { Unread::new(Bytes::new()) };
                let fetched = Fetched { outcome: Ok(Brought::Text(unread)), took: Duration::ZERO };
                subgraphs.judge(&step, &fetched, Err(Failure::Malformed));
            }
            let next = subgraphs.fetch(&step, b"").await.outcome;
            assert_eq!(next.map(|_| ()), Err(failure), "shared: {is_shared}");
        }
    }
}
