//! The whole graph: ours, and what other subgraphs add to it. What ours cannot answer alone goes to the federation engine,
//! which asks ours in this process.

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::{Request, Response};
use axum::http::HeaderMap;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value as Json};

use super::documents::Prepared;
use super::outcome::Outcome;
use super::{Answered, Asked, Operations, Shared, size};
use crate::config;
use crate::error::{Code, Error};
use crate::gateway::caller::Caller;
use crate::gateway::{self, Gateway};

/// The engine, and our graph as it asks it.
pub struct Whole {
    gateway: Gateway,
    ours: Operations,
    limits: config::Graph,
    goes_directly: bool,
}

impl Whole {
    /// `ours` is the graph for routers.
    pub fn new(gateway: Gateway, ours: Operations) -> Self {
        let config = &ours.app.config;
        let (limits, goes_directly) = (config.graph.clone(), config.gateway.direct);
        Self { gateway, ours, limits, goes_directly }
    }

    /// Whether our graph can answer an operation alone, and as the engine would.
    pub fn is_ours(&self, prepared: &Prepared) -> bool {
        if !self.goes_directly {
            return false;
        }
        let supergraph = &self.gateway.serving().supergraph;
        prepared.is_covered(supergraph.id, |document| supergraph.alone.covers(document))
    }

    /// Why an operation is not even planned: it is over the limits of ours.
    pub fn excess(&self, prepared: &Prepared) -> Option<Error> {
        // What was executed once was within them.
        prepared.unknown.as_ref()?;
        let what = size::excess(&prepared.document, &self.limits)?;
        Some(Error::client(Code::QueryTooComplex, what))
    }

    /// Answers a query or a mutation.
    pub async fn answer(&self, prepared: &Prepared, asked: Asked) -> Answered {
        let by_get = asked.by_get;
        let headers = asked.headers.clone();
        let asking = Arc::new(Asking {
            shared: Shared::new(&self.ours, asked.at_least),
            ours: self.ours.clone(),
            asked,
            headers: Mutex::default(),
        });
        let asked = gateway::Asked { headers, by_get, caller: Some(asking.clone()) };
        let answer = self.gateway.answer(request(&prepared.request), asked).await;
        let headers = std::mem::take(&mut *asking.headers.lock().unwrap_or_else(PoisonError::into_inner));
        let outcome = match answer.outcome {
            gateway::Outcome::Executed => Outcome::Executed,
            gateway::Outcome::Refused => Outcome::Refused,
            gateway::Outcome::NotByGet => Outcome::NotByGet,
            gateway::Outcome::Overloaded => Outcome::Overloaded,
        };
        Answered { body: answer.body, outcome, tag: None, headers }
    }
}

/// A request as the engine takes it.
fn request(request: &Request) -> gateway::Request {
    let variables = match serde_json::to_value(&request.variables) {
        Ok(Json::Object(variables)) => Some(variables),
        _ => None,
    };
    gateway::Request {
        query: Some(request.query.clone()),
        operation_name: request.operation_name.clone(),
        variables,
        extensions: None,
    }
}

/// One request of a client, as our graph is asked for its parts.
struct Asking {
    ours: Operations,
    asked: Asked,
    shared: Shared,
    /// What goes beside the answer: cookies.
    headers: Mutex<HeaderMap>,
}

impl Caller for Asking {
    fn execute(self: Arc<Self>, request: Request) -> BoxFuture<'static, Response> {
        async move {
            let prepared = match self.ours.documents.prepare(request) {
                Ok(prepared) => prepared,
                Err(refusal) => return *refusal,
            };
            let (mut response, _) = self.ours.run(prepared, self.asked.clone(), self.shared.clone()).await;
            let headers = std::mem::take(&mut response.http_headers);
            if !headers.is_empty() {
                self.headers.lock().unwrap_or_else(PoisonError::into_inner).extend(headers);
            }
            response
        }
        .boxed()
    }

    fn extensions(&self) -> Map<String, Json> {
        let mut told = Response::default();
        self.shared.consistency.tell(&mut told);
        match serde_json::to_value(told.extensions) {
            Ok(Json::Object(extensions)) => extensions,
            _ => Map::new(),
        }
    }
}
