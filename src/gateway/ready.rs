//! Making an operation ready to be executed, and executing it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, header};
use futures_util::FutureExt;
use serde_json::{Map, Value};

use super::execute;
use super::execute::errors::{GraphqlError, at_most};
use super::guard::Rights;
use super::identity::Identity;
use super::overrides::Overrides;
use super::plan::conditions::Choice;
use super::plan::planners::Question;
use super::plan::{Kind, Plan};
use super::subgraph::Subgraphs;
use super::supergraph::Supergraph;
use super::{Answer, Asked, Gateway, Outcome, QUERY_PLAN, REQUEST_ID, Request, Serving, refused};
use crate::trace::{TRACEPARENT, TRACESTATE};

/// All that an answer can depend on, with every header of the client.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Asking {
    pub(super) question: Question,
    /// As JSON.
    variables: String,
    headers: Vec<(HeaderName, Bytes)>,
}

impl Gateway {
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
    pub(super) async fn finish(&self, ready: Ready, asked: Asked) -> Answer {
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
    pub(super) async fn ready(&self, request: Request, asked: &Asked, drawn: u64) -> Result<Ready, Answer> {
        let Some(query) = request.query else {
            let message = "There is no `query`: send the operation's text in it.";
            return Err(refused(Outcome::Refused, &[GraphqlError::new("BAD_USER_INPUT", message)]));
        };
        if asked.caller.is_none()
            && asked.headers.contains_key(header::AUTHORIZATION)
            && self.identity().is_some_and(Identity::is_blind)
        {
            // Not that nobody is signed in: a client would take its session for ended.
            let message = "Whose token that is cannot be known just now; try again in a moment.";
            return Err(refused(Outcome::Overloaded, &[GraphqlError::new("SERVICE_UNAVAILABLE", message)]));
        }
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
        if let Some(error) = asked.by_get.then(|| self.unfit_for_a_url(&serving, &plan, &variables)).flatten()
        {
            return Err(refused(Outcome::NotByGet, &[error]));
        }
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

    pub(super) fn draw(&self) -> u64 {
        u64::from_be_bytes(self.0.with.ids.bytes())
    }

    /// What is known of whoever asks.
    pub(super) fn rights(&self, asked: &Asked) -> Rights {
        match (&asked.caller, &self.0.identity) {
            (Some(caller), _) => caller.rights(),
            (None, Some(identity)) => identity.rights(&asked.headers),
            (None, None) => Rights::default(),
        }
    }

    /// The labels of `@override` that hold for whoever has these rights.
    pub(super) fn labels_of(&self, rights: &Rights) -> impl Iterator<Item = &str> {
        let labels = self.0.settings.override_labels.iter();
        labels.filter(|(_, scopes)| rights.has_any(scopes)).map(|(label, _)| label.as_str())
    }

    pub(super) async fn plan(
        &self,
        supergraph: &Arc<Supergraph>,
        question: &Question,
    ) -> Result<Arc<Plan>, Answer> {
        self.0.planners.plan(supergraph, question.clone()).await.map_err(|refusal| {
            let outcome = if refusal.is_passing() { Outcome::Overloaded } else { Outcome::Refused };
            self.refuse(outcome, &refusal.0)
        })
    }

    pub(super) fn refuse(&self, outcome: Outcome, errors: &[GraphqlError]) -> Answer {
        refused(outcome, &at_most(self.0.settings.max_errors, errors.iter().cloned()))
    }

    /// What of the variables must not stand in a URL, which is kept in logs.
    fn unfit_for_a_url(
        &self,
        serving: &Serving,
        plan: &Plan,
        variables: &Map<String, Value>,
    ) -> Option<GraphqlError> {
        let scalars = &self.0.settings.post_only;
        let variable = serving.supergraph.inputs.given(scalars, &plan.variables, variables)?;
        let (name, ty) = (&variable.name, &variable.variable_type);
        let message = format!("${name} is a {ty}: send the operation by POST, not in a URL.");
        Some(GraphqlError::new("BAD_USER_INPUT", message))
    }

    /// Why a plan is not executed where its operation came.
    pub(super) fn misplaced(&self, plan: &Plan, by_get: bool) -> Option<(Outcome, GraphqlError)> {
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
pub(super) struct Ready {
    pub(super) serving: Arc<Serving>,
    question: Question,
    pub(super) plan: Arc<Plan>,
    pub(super) variables: Map<String, Value>,
    pub(super) shows_plan: bool,
}

impl Ready {
    pub(super) async fn execute(self, asked: &Asked) -> Answer {
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
    pub(super) fn new(question: Question, variables: &Map<String, Value>, headers: &HeaderMap) -> Self {
        // Which trace a request belongs to changes nothing in its answer, nor does its own name.
        let is_name = |name: &HeaderName| [&TRACEPARENT, &TRACESTATE, &REQUEST_ID].contains(&name);
        let told = headers.iter().filter(|(name, _)| !is_name(name));
        let told = told.map(|(name, value)| (name.clone(), Bytes::copy_from_slice(value.as_bytes())));
        let variables = serde_json::to_string(variables).unwrap_or_default();
        Self { question, variables, headers: told.collect() }
    }
}
