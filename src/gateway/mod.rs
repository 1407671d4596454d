//! The federation engine: operations over a supergraph, planned, fetched from subgraphs and answered as one.
//!
//! It knows subgraphs, never accounts.

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
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::Ids;
use crate::trace::{TRACEPARENT, TRACESTATE};
use caller::Caller;
use execute::errors::{GraphqlError, at_most};
use guard::Rights;
use identity::Identity;
use metrics::Metrics;
use minting::Minter;
use overrides::Overrides;
use plan::conditions::Choice;
use plan::planners::{Planners, Question};
use plan::{Kind, Plan};
use replicas::Replicas;
use subgraph::headers::{Rules, SESSION_MODE};
use subgraph::share::Flights;
use subgraph::{Calls, Subgraphs, With, confined};
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

/// What a client gets. Cheap to clone.
#[derive(Clone)]
pub struct Answer {
    pub body: Bytes,
    pub outcome: Outcome,
    /// What the accounts graph sets for the client, where it is elsewhere.
    pub cookies: Vec<HeaderValue>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was executed, with whatever errors.
    Executed,
    /// It was not: it cannot be read, is not valid, or cannot be planned.
    Refused,
    /// It was not: it came by GET and needs POST.
    NotByGet,
    /// It was not: there is more to do than can be done.
    Overloaded,
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
    identity: Option<Identity>,
    /// Client queries under way that others may join; absent if each one is executed by itself.
    flights: Option<Flights<Asking, Answer>>,
}

/// All that an answer can depend on, with every header of the client.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Asking {
    question: Question,
    /// As JSON.
    variables: String,
    headers: Vec<(HeaderName, Bytes)>,
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
        let minter = Replicas::new(&settings)?.map(Minter::new);
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
            identity: Identity::new(&settings)?,
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
        self.0.identity.as_ref()
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

    /// What is served now.
    pub fn serving(&self) -> Arc<Serving> {
        self.0.serving.load_full()
    }

    /// Answers a query or a mutation.
    pub async fn answer(&self, request: Request, asked: Asked) -> Answer {
        let answer = self.answer_uncounted(request, asked).await;
        self.0.with.metrics.answered(answer.outcome.name());
        answer
    }

    async fn answer_uncounted(&self, request: Request, asked: Asked) -> Answer {
        let ready = match self.ready(request, &asked, self.draw()).await {
            Ok(ready) => ready,
            Err(refused) => return refused,
        };
        if ready.plan.kind == Kind::Subscription {
            let message =
                "Subscriptions are not supported over this transport; follow them over a WebSocket.";
            return refused(Outcome::Refused, &[GraphqlError::new("BAD_USER_INPUT", message)]);
        }
        self.finish(ready, asked).await
    }

    /// Answers a query or a mutation that is ready.
    async fn finish(&self, ready: Ready, asked: Asked) -> Answer {
        // Who asks may be known by more than headers.
        let may_share = ready.plan.kind == Kind::Query && asked.caller.is_none();
        match self.0.flights.as_ref().filter(|_| may_share) {
            None => ready.execute(&asked).await,
            Some(flights) => {
                let asking = Asking::new(ready.question.clone(), &ready.variables, &asked.headers);
                flights.join(asking, || async move { ready.execute(&asked).await }.boxed()).await
            }
        }
    }

    /// An operation with its plan and its variables; or the answer to one that is not executed.
    /// `drawn` is where chance has put it, for percentages of `@override`.
    async fn ready(&self, request: Request, asked: &Asked, drawn: u64) -> Result<Ready, Answer> {
        let Some(query) = request.query else {
            let message = "There is no `query`: send the operation's text in it.";
            return Err(refused(Outcome::Refused, &[GraphqlError::new("BAD_USER_INPUT", message)]));
        };
        let serving = self.serving();
        let supergraph = &serving.supergraph;
        let known = &supergraph.planner.supergraph.progressive_overrides;
        let rights = self.rights(asked);
        let chance = rights.part.unwrap_or(drawn);
        let overrides = Overrides::of(known, self.0.override_labels.as_ref(), &asked.headers, chance);
        let overrides = overrides.with(known, self.labels_of(&rights));
        let (name, choice) = (request.operation_name, Choice::default());
        let id = supergraph.id;
        let mut question =
            Question { supergraph: id, operation: query, name, overrides, choice, refused: None };
        let mut plan = self.plan(supergraph, &question).await?;
        if let Some((outcome, error)) = self.misplaced(&plan, asked.by_get) {
            return Err(refused(outcome, &[error]));
        }
        let variables = supergraph.inputs.coerce(&plan.variables, request.variables.unwrap_or_default());
        let variables = variables.map_err(|errors| self.refuse(Outcome::Refused, &errors))?;
        if plan.is_undecided() {
            let is_true = |name: &Arc<str>| variables.get(&**name) == Some(&Value::Bool(true));
            question.choice = plan.undecided.iter().map(|name| (name.clone(), is_true(name))).collect();
            // By what the operation meets, and no more: callers who differ in nothing else share a plan.
            let policies = &self.0.settings.policies;
            question.refused = Some(supergraph.guards.refused(&plan.guards, &rights, policies));
            plan = self.plan(supergraph, &question).await?;
            if let Some((outcome, error)) = self.misplaced(&plan, asked.by_get) {
                return Err(refused(outcome, &[error]));
            }
        }
        let variables = plan.own_names(variables);
        let wants_plan = asked.headers.get(QUERY_PLAN).is_some_and(|value| value == "include");
        let shows_plan = wants_plan && self.0.settings.query_plans;
        Ok(Ready { serving, question, plan, variables, shows_plan })
    }

    fn draw(&self) -> u64 {
        u64::from_be_bytes(self.0.with.ids.bytes())
    }

    /// What is known of whoever asks.
    fn rights(&self, asked: &Asked) -> Rights {
        match (&asked.caller, &self.0.identity) {
            (Some(caller), _) => caller.rights(),
            (None, Some(identity)) => identity.rights(&asked.headers),
            (None, None) => Rights::default(),
        }
    }

    /// The labels of `@override` that hold for whoever has these rights.
    fn labels_of(&self, rights: &Rights) -> impl Iterator<Item = &str> {
        let labels = self.0.settings.override_labels.iter();
        labels.filter(|(_, scopes)| rights.has_any(scopes)).map(|(label, _)| label.as_str())
    }

    async fn plan(&self, supergraph: &Arc<Supergraph>, question: &Question) -> Result<Arc<Plan>, Answer> {
        self.0.planners.plan(supergraph, question.clone()).await.map_err(|refusal| {
            let outcome = if refusal.is_passing() { Outcome::Overloaded } else { Outcome::Refused };
            self.refuse(outcome, &refusal.0)
        })
    }

    fn refuse(&self, outcome: Outcome, errors: &[GraphqlError]) -> Answer {
        refused(outcome, &at_most(self.0.settings.max_errors, errors.iter().cloned()))
    }

    /// Why a plan is not executed where its operation came.
    fn misplaced(&self, plan: &Plan, by_get: bool) -> Option<(Outcome, GraphqlError)> {
        let bad = |message| GraphqlError::new("BAD_USER_INPUT", message);
        match plan.kind {
            Kind::Mutation if by_get => {
                Some((Outcome::NotByGet, bad("A mutation is sent by POST; GET is for queries.")))
            }
            _ if plan.introspects && !self.0.settings.introspection => {
                let message = "Introspection is switched off here.";
                Some((Outcome::Refused, GraphqlError::new("INTROSPECTION_DISABLED", message)))
            }
            Kind::Query | Kind::Mutation | Kind::Subscription => None,
        }
    }
}

/// An operation that is ready to be executed.
struct Ready {
    serving: Arc<Serving>,
    question: Question,
    plan: Arc<Plan>,
    variables: Map<String, Value>,
    shows_plan: bool,
}

impl Ready {
    async fn execute(self, asked: &Asked) -> Answer {
        let Self { serving, plan, variables, shows_plan, .. } = self;
        let subgraphs = Subgraphs::new(&serving.calls, asked, plan.kind);
        let executed = execute::execute(&serving.supergraph, &plan, &variables, &subgraphs).await;
        let mut extensions = asked.caller.as_ref().map(|caller| caller.extensions()).unwrap_or_default();
        if let Some(tree) = shows_plan.then(|| serde_json::to_value(&plan.tree).ok()).flatten() {
            extensions.insert("queryPlan".to_owned(), tree);
        }
        Answer { cookies: subgraphs.into_cookies(), ..executed.into_answer(&extensions) }
    }
}

impl Asking {
    fn new(question: Question, variables: &Map<String, Value>, headers: &HeaderMap) -> Self {
        // Which trace a request belongs to changes nothing in its answer, nor does its own name.
        let is_name = |name: &HeaderName| [&TRACEPARENT, &TRACESTATE, &REQUEST_ID].contains(&name);
        let told = headers.iter().filter(|(name, _)| !is_name(name));
        let told = told.map(|(name, value)| (name.clone(), Bytes::copy_from_slice(value.as_bytes())));
        let variables = serde_json::to_string(variables).unwrap_or_default();
        Self { question, variables, headers: told.collect() }
    }
}

impl execute::Executed {
    fn into_answer(self, extensions: &Map<String, Value>) -> Answer {
        let Self { data, errors } = self;
        let mut body = data;
        if !errors.is_empty() {
            body.extend_from_slice(b",\"errors\":");
            // Writing to memory does not fail.
            let _ = serde_json::to_writer(&mut body, &errors);
        }
        if !extensions.is_empty() {
            body.extend_from_slice(b",\"extensions\":");
            let _ = serde_json::to_writer(&mut body, extensions);
        }
        body.push(b'}');
        Answer { body: body.into(), outcome: Outcome::Executed, cookies: Vec::new() }
    }
}

impl Outcome {
    /// What it is called in metrics.
    fn name(self) -> &'static str {
        match self {
            Self::Executed => "executed",
            Self::Refused | Self::NotByGet => "refused",
            Self::Overloaded => "overloaded",
        }
    }
}

/// An answer to what was not executed.
pub fn refused(outcome: Outcome, errors: &[GraphqlError]) -> Answer {
    #[derive(Serialize)]
    struct Refused<'a> {
        errors: &'a [GraphqlError],
    }
    let body = serde_json::to_vec(&Refused { errors }).unwrap_or_default().into();
    Answer { body, outcome, cookies: Vec::new() }
}
