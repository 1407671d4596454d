//! The gateway behind WebSockets, where no accounts graph runs in the same process.
//!
//! What is asked over a socket goes on with what its first message has shown, so it ends with that: when the access token
//! runs out, or its session has ended. The client comes back with a new one.

use std::sync::Arc;

use async_graphql::Request as GraphRequest;
use async_graphql::parser::parse_query;
use async_graphql::parser::types::OperationType;
use axum::http::{HeaderMap, HeaderValue, header};
use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::execute::errors::GraphqlError;
use super::http::Wire;
use super::identity::{Known, Unknown};
use super::{Answer, Asked, Outcome, Request, refused};
use crate::config;
use crate::endings::Awaited;
use crate::graph::{Execution, Told};
use crate::http::websocket::{Admitted, Close, Endpoint, Sockets};
use crate::limits::waiting::Room;

/// Whoever speaks over a socket.
pub struct Speaker {
    /// What subgraphs may be told: the headers that the socket began with, and what its first message has shown.
    headers: Arc<HeaderMap>,
    /// Whom that speaks for, where that can be told.
    known: Option<Arc<Known>>,
    end: Option<Awaited<String>>,
}

impl Endpoint for Wire {
    type Visitor = HeaderMap;
    type Speaker = Speaker;

    fn settings(&self) -> &config::Http {
        &self.settings
    }

    fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    async fn admit(
        &self,
        visitor: &HeaderMap,
        authorization: Option<String>,
    ) -> Result<Admitted<Speaker>, Close> {
        let mut headers = visitor.clone();
        let identity = self.gateway.identity();
        let known = match (&authorization, identity) {
            (Some(shown), Some(identity)) => Some(identity.who(shown).map_err(Close::from)?),
            (_, _) => None,
        };
        if let Some(authorization) = authorization {
            let mut value = HeaderValue::try_from(authorization).map_err(|_| Close::Forbidden)?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let both = known.as_ref().zip(identity);
        let end = both.and_then(|(known, identity)| identity.wait_for_end(known, &self.sockets.stop));
        let until = both.map(|(known, identity)| Instant::now() + identity.time_left(known));
        let account = known.as_ref().map(|known| known.account);
        Ok(Admitted { speaker: Speaker { headers: headers.into(), known, end }, account, until })
    }

    fn ended<'a>(&self, speaker: &'a Speaker) -> Option<&'a CancellationToken> {
        speaker.end.as_ref().map(Awaited::token)
    }

    async fn check(&self, speaker: &Speaker) -> Result<(), Close> {
        let both = self.gateway.identity().zip(speaker.known.as_ref());
        let has_ended = both.is_some_and(|(identity, known)| identity.has_ended(known));
        if has_ended { Err(Close::SessionEnded) } else { Ok(()) }
    }

    fn execute(&self, _: &HeaderMap, speaker: &Speaker, request: GraphRequest, room: Room) -> Execution {
        let is_subscription = may_go_on(&request);
        let (gateway, request) =
            (self.gateway.clone(), Request::new(request.query.as_str().into(), &request));
        let asked = Asked { headers: speaker.headers.clone(), by_get: false, caller: None };
        // In a task of its own: whoever does not ask for the answer must not let it stand still with what it holds.
        let executing = async move { gateway.execute(request, asked, room).await };
        let executing = AbortOnDropHandle::new(tokio::spawn(executing));
        let answers = stream::once(executing).flat_map(|executed| {
            executed.unwrap_or_else(|error| {
                tracing::error!(%error, "an operation was not executed");
                stream::iter([failed()]).boxed()
            })
        });
        let answers = answers.map(|Answer { body, outcome, .. }| (Told::Written(body), outcome.into()));
        Execution { is_subscription, answers: answers.boxed() }
    }
}

fn failed() -> Answer {
    let error = GraphqlError::new("INTERNAL", "Something went wrong on our side; try again in a moment.");
    refused(Outcome::Refused, &[error])
}

/// Whether an operation may have more than one answer, so that it takes a subscription's place. What it is in the end its
/// plan says.
fn may_go_on(request: &GraphRequest) -> bool {
    let Ok(document) = parse_query(&request.query) else { return request.query.contains("subscription") };
    let name = request.operation_name.as_deref();
    document.operations.iter().any(|(own, operation)| {
        operation.node.ty == OperationType::Subscription
            && name.is_none_or(|name| own.is_some_and(|own| own == name))
    })
}

impl From<Unknown> for Close {
    fn from(unknown: Unknown) -> Self {
        match unknown {
            Unknown::Invalid => Self::Forbidden,
            Unknown::Ended => Self::SessionEnded,
            Unknown::NotYet => Self::Unavailable,
        }
    }
}
