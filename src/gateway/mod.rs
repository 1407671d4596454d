//! The federation engine: operations over a supergraph, planned, fetched from subgraphs and answered as one.
//!
//! It knows subgraphs, never accounts.

pub mod execute;
pub mod http;
pub mod introspection;
pub mod metrics;
pub mod overrides;
pub mod plan;
pub mod plant;
pub mod schema;
pub mod settings;
pub mod subgraph;
pub mod supergraph;
#[cfg(test)]
mod testing;
pub mod variables;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName};
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::Ids;
use crate::trace::{TRACEPARENT, TRACESTATE};
use execute::errors::{GraphqlError, at_most};
use metrics::Metrics;
use overrides::Overrides;
use plan::conditions::Choice;
use plan::planners::{Planners, Question};
use plan::{Kind, Plan};
use subgraph::share::Flights;
use subgraph::{Calls, Subgraphs};
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
    pub query: Option<String>,
    pub operation_name: Option<String>,
    pub variables: Option<Map<String, Value>>,
    pub extensions: Option<Map<String, Value>>,
}

/// How an operation came, beside what it says.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub headers: HeaderMap,
    /// By GET: nothing is changed.
    pub by_get: bool,
}

/// What a client gets. Cheap to clone.
#[derive(Clone)]
pub struct Answer {
    pub body: Bytes,
    pub outcome: Outcome,
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
    ids: Ids,
    metrics: Arc<Metrics>,
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
    fn new(text: &str, settings: &settings::Gateway, with: (Ids, Arc<Metrics>)) -> anyhow::Result<Self> {
        let supergraph = Arc::new(Supergraph::parse(text)?);
        let calls = Calls::new(&supergraph.subgraphs, settings, with)?;
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
        let serving = Serving::new(text, &settings, (ids.clone(), metrics.clone()))?;
        metrics.loaded(true);
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
            flights: settings.share_queries.then(Flights::default),
            settings,
            ids,
            metrics,
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
        let (settings, with) = (self.0.settings.clone(), (self.0.ids.clone(), self.0.metrics.clone()));
        // To read a large one takes seconds, and must hold nobody up.
        let read = tokio::task::spawn_blocking(move || Serving::new(&text, &settings, with)).await;
        match read.unwrap_or_else(|panic| Err(panic.into())) {
            Ok(serving) => {
                self.0.serving.store(Arc::new(serving));
                self.0.metrics.loaded(true);
                tracing::info!(supergraph = name, "a new supergraph is served");
            }
            Err(error) => {
                self.0.metrics.loaded(false);
                let error = format!("{error:#}");
                tracing::error!(
                    supergraph = name,
                    error,
                    "a new supergraph is refused; the one before stays"
                );
            }
        }
    }

    pub fn ids(&self) -> &Ids {
        &self.0.ids
    }

    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// What is served now.
    pub fn serving(&self) -> Arc<Serving> {
        self.0.serving.load_full()
    }

    /// Answers a query or a mutation.
    pub async fn answer(&self, request: Request, asked: Asked) -> Answer {
        let answer = self.answer_uncounted(request, asked).await;
        self.0.metrics.answered(answer.outcome.name());
        answer
    }

    async fn answer_uncounted(&self, request: Request, asked: Asked) -> Answer {
        let Some(query) = request.query else {
            let message = "There is no `query`: send the operation's text in it.";
            return refused(Outcome::Refused, &[GraphqlError::new("BAD_USER_INPUT", message)]);
        };
        let serving = self.serving();
        let supergraph = &serving.supergraph;
        let known = &supergraph.planner.supergraph.progressive_overrides;
        let chance = u64::from_be_bytes(self.0.ids.bytes());
        let overrides = Overrides::of(known, self.0.override_labels.as_ref(), &asked.headers, chance);
        let (operation, name) = (query.into(), request.operation_name);
        let choice = Choice::default();
        let mut question = Question { supergraph: supergraph.id, operation, name, overrides, choice };
        let mut plan = match self.plan(supergraph, &question).await {
            Ok(plan) => plan,
            Err(refused) => return refused,
        };
        if let Some((outcome, error)) = self.misplaced(&plan, asked.by_get) {
            return refused(outcome, &[error]);
        }
        let variables = match supergraph.inputs.coerce(&plan.variables, request.variables.unwrap_or_default())
        {
            Ok(variables) => variables,
            Err(errors) => return self.refuse(Outcome::Refused, &errors),
        };
        if !plan.undecided.is_empty() {
            let is_true = |name: &Arc<str>| variables.get(&**name) == Some(&Value::Bool(true));
            question.choice = plan.undecided.iter().map(|name| (name.clone(), is_true(name))).collect();
            plan = match self.plan(supergraph, &question).await {
                Ok(plan) => plan,
                Err(refused) => return refused,
            };
            if let Some((outcome, error)) = self.misplaced(&plan, asked.by_get) {
                return refused(outcome, &[error]);
            }
        }
        let variables = plan.own_names(variables);
        let wants_plan = asked.headers.get(QUERY_PLAN).is_some_and(|value| value == "include");
        let work = Work { serving, plan, variables, shows_plan: wants_plan && self.0.settings.query_plans };
        match self.0.flights.as_ref().filter(|_| work.plan.kind == Kind::Query) {
            None => work.execute(&asked.headers).await,
            Some(flights) => {
                let asking = Asking::new(question, &work.variables, &asked.headers);
                flights.join(asking, || async move { work.execute(&asked.headers).await }.boxed()).await
            }
        }
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
            Kind::Subscription => Some((Outcome::Refused, bad("This gateway does not serve subscriptions."))),
            Kind::Mutation if by_get => {
                Some((Outcome::NotByGet, bad("A mutation is sent by POST; GET is for queries.")))
            }
            _ if plan.introspects && !self.0.settings.introspection => {
                let message = "Introspection is switched off here.";
                Some((Outcome::Refused, GraphqlError::new("INTROSPECTION_DISABLED", message)))
            }
            Kind::Query | Kind::Mutation => None,
        }
    }
}

/// An operation that is ready to be executed.
struct Work {
    serving: Arc<Serving>,
    plan: Arc<Plan>,
    variables: Map<String, Value>,
    shows_plan: bool,
}

impl Work {
    async fn execute(self, headers: &HeaderMap) -> Answer {
        let Self { serving, plan, variables, shows_plan } = self;
        let subgraphs = Subgraphs::new(&serving.calls, headers, plan.kind);
        let executed = execute::execute(&serving.supergraph, &plan, &variables, &subgraphs).await;
        executed.into_answer(shows_plan.then_some(&*plan))
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
    fn into_answer(self, plan: Option<&Plan>) -> Answer {
        let Self { data, errors } = self;
        let mut body = data;
        if !errors.is_empty() {
            body.extend_from_slice(b",\"errors\":");
            // Writing to memory does not fail.
            let _ = serde_json::to_writer(&mut body, &errors);
        }
        if let Some(plan) = plan {
            body.extend_from_slice(b",\"extensions\":{\"queryPlan\":");
            let _ = serde_json::to_writer(&mut body, &plan.tree);
            body.push(b'}');
        }
        body.push(b'}');
        Answer { body: body.into(), outcome: Outcome::Executed }
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
    Answer { body: serde_json::to_vec(&Refused { errors }).unwrap_or_default().into(), outcome }
}
