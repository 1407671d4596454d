//! The federation engine: operations over a supergraph, planned, fetched from subgraphs and answered as one.
//!
//! It knows subgraphs, never accounts.

mod answer;
pub mod caller;
pub mod compose;
pub mod contract;
pub mod execute;
pub mod guard;
pub mod http;
pub mod identity;
pub mod introspection;
pub mod metrics;
pub mod minting;
pub mod overrides;
pub mod plan;
pub mod plant;
mod ready;
mod replicas;
pub mod schema;
pub mod sessions;
pub mod settings;
mod sockets;
pub mod subgraph;
mod subscribe;
pub mod supergraph;
#[cfg(test)]
mod testing;
pub mod variables;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::ids::Ids;
use crate::trace::{TRACEPARENT, TRACESTATE};
pub use answer::{Answer, Outcome, fit_for_socket, refused};
use caller::Caller;
use identity::Identity;
use metrics::Metrics;
use minting::Minter;
use plan::planners::Planners;
use ready::Asking;
use replicas::Replicas;
use subgraph::headers::{Rules, SESSION_MODE};
use subgraph::share::Flights;
use subgraph::{Calls, With, confined};
pub use subscribe::broken;
use supergraph::Supergraph;
use supergraph::source::Source;

/// The header by which a client asks for the plan of its operation.
pub const QUERY_PLAN: HeaderName = HeaderName::from_static("accounts-center-query-plan");

/// The header with the id of a request: the client's own, or one that is made here.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An operation as a client sends it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Request {
    pub query: Option<Arc<str>>,
    pub operation_name: Option<String>,
    pub variables: Option<Map<String, Value>>,
    pub extensions: Option<Map<String, Value>>,
}

impl Request {
    /// One whose text is `query`, as our own graph takes it.
    pub fn new(query: Arc<str>, request: &async_graphql::Request) -> Self {
        let variables = match serde_json::to_value(&request.variables) {
            Ok(Value::Object(variables)) => Some(variables),
            _ => None,
        };
        let operation_name = request.operation_name.clone();
        Self { query: Some(query), operation_name, variables, extensions: None }
    }
}

/// How an operation came, beside what it says.
#[derive(Clone, Default)]
pub struct Asked {
    pub headers: Arc<HeaderMap>,
    /// By GET: nothing is changed.
    pub by_get: bool,
    /// Who asks, where a subgraph runs in this process.
    pub caller: Option<Arc<dyn Caller>>,
}

/// A supergraph with the connections to its subgraphs. It is swapped whole.
pub struct Serving {
    pub supergraph: Arc<Supergraph>,
    calls: Calls,
}

/// The engine. Cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    serving: ArcSwap<Serving>,
    planners: Planners,
    settings: settings::Gateway,
    override_labels: Option<HeaderName>,
    /// Which headers subgraphs get, whatever they are.
    rules: Vec<Rules>,
    with: With,
    /// Who is who by the tokens of clients, where nothing in this process says so.
    identity: Option<Arc<Identity>>,
    /// Client queries under way that others may join; absent if each one is executed by itself.
    flights: Option<Flights<Asking, Answer>>,
}

impl Serving {
    fn new(text: &str, settings: &settings::Gateway, with: With) -> anyhow::Result<Self> {
        let supergraph = Arc::new(Supergraph::parse_with(text, &settings.local_subgraph)?);
        confined::check(&supergraph.planner.supergraph, settings)?;
        let calls = Calls::new((&supergraph.subgraphs, &supergraph.schema), settings, with)?;
        Ok(Self { supergraph, calls })
    }
}

impl Gateway {
    /// Serves the supergraph that `text` is.
    ///
    /// # Errors
    /// What is wrong with the supergraph or with a setting.
    pub fn new(text: &str, settings: settings::Gateway, ids: Ids) -> anyhow::Result<Self> {
        let metrics = Arc::new(Metrics::default());
        let identity = Identity::new(&settings)?.map(Arc::new);
        let minter = Replicas::new(&settings)?.map(|replicas| Minter::new(replicas, identity.clone()));
        let with = With { ids: ids.clone(), metrics: metrics.clone(), minter };
        let serving = Serving::new(text, &settings, with.clone())?;
        metrics.loaded(true);
        let each = settings.subgraphs.keys().map(|name| settings.of(name));
        let rules =
            each.chain([settings.subgraph.clone()]).map(|own| Rules::new(&own)).collect::<Result<_, _>>()?;
        let name = &settings.override_label_header;
        let override_labels = match name.is_empty() {
            true => None,
            false => Some(name.parse().map_err(|_| {
                anyhow::anyhow!("gateway.override_label_header is {name:?}, which is no header's name")
            })?),
        };
        Ok(Self(Arc::new(Inner {
            serving: ArcSwap::from_pointee(serving),
            planners: Planners::new(&settings.plans, metrics.clone())?,
            override_labels,
            rules,
            identity,
            flights: settings.share_queries.then(Flights::default),
            settings,
            with,
        })))
    }

    /// Looks for a new supergraph again and again, for ever. One that is bad is refused, and what is served stays.
    pub async fn follow(self, mut source: Source) {
        let mut looks = tokio::time::interval(Duration::from_secs(self.0.settings.poll_seconds));
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            match source.changed().await {
                Ok(None) => {}
                Ok(Some(text)) => self.renew(&source.name(), text).await,
                Err(error) if error.is::<compose::Problems>() => {
                    self.0.with.metrics.loaded(false);
                    tracing::error!(
                        error = format!("{error:#}"),
                        "the subgraphs cannot be composed as they are now; what is served stays"
                    );
                }
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "the supergraph cannot be looked at; what is served stays"
                    );
                }
            }
        }
    }

    async fn renew(&self, name: &str, text: String) {
        let (settings, with) = (self.0.settings.clone(), self.0.with.clone());
        // To read a large one takes seconds, and must hold nobody up.
        let read = tokio::task::spawn_blocking(move || Serving::new(&text, &settings, with)).await;
        match read.unwrap_or_else(|panic| Err(panic.into())) {
            Ok(serving) => {
                self.0.serving.store(Arc::new(serving));
                self.0.with.metrics.loaded(true);
                tracing::info!(supergraph = name, "a new supergraph is served");
            }
            Err(error) => {
                self.0.with.metrics.loaded(false);
                let error = format!("{error:#}");
                tracing::error!(
                    supergraph = name,
                    error,
                    "a new supergraph is refused; the one before stays"
                );
            }
        }
    }

    /// Looks for what the accounts replicas tell of their tokens again and again, for ever, if guards go by those.
    pub async fn follow_identity(self) {
        match &self.0.identity {
            Some(identity) => identity.follow().await,
            None => std::future::pending().await,
        }
    }

    /// Who is who by the tokens of clients, where nothing else in this process says so.
    pub fn identity(&self) -> Option<&Identity> {
        self.0.identity.as_deref()
    }

    pub fn ids(&self) -> &Ids {
        &self.0.with.ids
    }

    pub fn metrics(&self) -> &Metrics {
        &self.0.with.metrics
    }

    /// Those of a client's headers that what is asked over a socket can depend on, copied: as they came, they hold the whole
    /// request. `None` if they are too large to be kept as long as it is open.
    ///
    /// A browser sends its cookies with a socket as well; who speaks is said in its first message and nowhere else, and there
    /// is no answer to set a cookie in.
    pub fn lasting(&self, headers: &HeaderMap) -> Option<HeaderMap> {
        const MOST_BYTES: usize = 4096;
        let never = [header::AUTHORIZATION, header::COOKIE, header::ORIGIN, SESSION_MODE];
        let own = [TRACEPARENT, TRACESTATE, QUERY_PLAN];
        let is_kept = |name: &HeaderName| {
            own.contains(name)
                || self.0.override_labels.as_ref() == Some(name)
                || (!never.contains(name) && self.0.rules.iter().any(|rules| rules.forwards(name)))
        };
        let (mut kept, mut bytes) = (HeaderMap::new(), 0);
        for (name, value) in headers.iter().filter(|(name, _)| is_kept(name)) {
            bytes += name.as_str().len() + value.len();
            kept.append(name.clone(), HeaderValue::from_bytes(value.as_bytes()).ok()?);
        }
        (bytes <= MOST_BYTES).then_some(kept)
    }

    /// Whether a rule of some subgraph forwards this header of the client.
    pub fn forwards(&self, name: &HeaderName) -> bool {
        self.0.rules.iter().any(|rules| rules.forwards(name))
    }

    /// What is served now.
    pub fn serving(&self) -> Arc<Serving> {
        self.0.serving.load_full()
    }
}
