//! The federation engine: operations over a supergraph, planned, fetched from subgraphs and answered as one.
//!
//! It knows subgraphs, never accounts.

pub mod execute;
pub mod http;
pub mod introspection;
pub mod plan;
pub mod schema;
pub mod subgraph;
pub mod supergraph;
pub mod variables;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use execute::errors::GraphqlError;
use plan::Kind;
use plan::planners::{Limits, Planners};
use subgraph::{Calls, Settings, Subgraphs};
use supergraph::Supergraph;

/// An operation as a client sends it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Request {
    pub query: Option<String>,
    pub operation_name: Option<String>,
    pub variables: Option<Map<String, Value>>,
    pub extensions: Option<Map<String, Value>>,
}

/// What a client gets.
pub struct Answer {
    pub body: Vec<u8>,
    /// Whether the operation was executed, with whatever errors.
    pub is_executed: bool,
}

/// The engine with one supergraph.
pub struct Gateway {
    supergraph: Arc<Supergraph>,
    planners: Planners,
    calls: Calls,
}

impl Gateway {
    pub fn new(supergraph: Supergraph, limits: &Limits, settings: Settings) -> std::io::Result<Self> {
        Ok(Self { supergraph: Arc::new(supergraph), planners: Planners::new(limits)?, calls: Calls::new(settings) })
    }

    /// Answers a query or a mutation.
    pub async fn answer(&self, request: Request, by_get: bool) -> Answer {
        let supergraph = self.supergraph.clone();
        let Some(query) = request.query else {
            let message = "There is no `query`: send the operation's text in it.";
            return refused(&[GraphqlError::new("BAD_USER_INPUT", message)]);
        };
        let plan = match self.planners.plan(&supergraph, &query, request.operation_name.as_deref()).await {
            Ok(plan) => plan,
            Err(refusal) => return refused(&refusal.0),
        };
        if plan.kind == Kind::Subscription || (by_get && plan.kind != Kind::Query) {
            let message = match plan.kind {
                Kind::Subscription => "Subscriptions are not served here.",
                _ => "A mutation is sent by POST; GET is for queries.",
            };
            return refused(&[GraphqlError::new("BAD_USER_INPUT", message)]);
        }
        let variables = match supergraph.inputs.coerce(&plan.variables, request.variables.unwrap_or_default()) {
            Ok(variables) => variables,
            Err(errors) => return refused(&errors),
        };
        let subgraphs = Subgraphs { calls: &self.calls, supergraph: &supergraph };
        let executed = execute::execute(&supergraph, &plan, &variables, &subgraphs).await;
        executed.into_answer()
    }
}

impl execute::Executed {
    fn into_answer(self) -> Answer {
        let Self { data, errors } = self;
        let mut body = Vec::with_capacity(data.len() + 16);
        body.extend_from_slice(b"{\"data\":");
        body.extend_from_slice(&data);
        if !errors.is_empty() {
            body.extend_from_slice(b",\"errors\":");
            // Writing to memory does not fail.
            let _ = serde_json::to_writer(&mut body, &errors);
        }
        body.push(b'}');
        Answer { body, is_executed: true }
    }
}

/// An answer to what was not executed.
pub fn refused(errors: &[GraphqlError]) -> Answer {
    #[derive(Serialize)]
    struct Refused<'a> {
        errors: &'a [GraphqlError],
    }
    Answer { body: serde_json::to_vec(&Refused { errors }).unwrap_or_default(), is_executed: false }
}
