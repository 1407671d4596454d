//! The gateway behind WebSockets, where no accounts graph runs in the same process.
//!
//! What is asked over a socket goes on with what its first message has shown, so it ends with that: when the access token
//! runs out, or its session has ended. The client comes back with a new one.

use std::sync::Arc;

use async_graphql::Request as GraphRequest;
use async_graphql::parser::parse_query;
use async_graphql::parser::types::{DocumentOperations, OperationType};
use axum::http::{HeaderMap, HeaderValue, header};
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::http::Wire;
use super::identity::{Known, Unknown};
use super::{Answer, Asked, Request};
use crate::config;
use crate::endings::Awaited;
use crate::graph::{Execution, Told};
use crate::http::websocket::{Admitted, Close, Endpoint, Sockets};

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
        // A browser sends cookies with a socket as well; who speaks is said in its first message and nowhere else.
        headers.remove(header::AUTHORIZATION);
        headers.remove(header::COOKIE);
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

    fn execute(&self, _: &HeaderMap, speaker: &Speaker, request: GraphRequest) -> Execution {
        let is_subscription = is_subscription(&request);
        let (gateway, request) = (self.gateway.clone(), Request::from(&request));
        let asked = Asked { headers: speaker.headers.clone(), by_get: false, caller: None };
        let answers = async move {
            match is_subscription {
                true => gateway.subscribe(request, asked).await.unwrap_or_else(once),
                false => once(gateway.answer(request, asked).await),
            }
        };
        let answers = answers.boxed().flatten_stream();
        let answers = answers.map(|Answer { body, outcome, .. }| (Told::Written(body), outcome.into()));
        Execution { is_subscription, answers: answers.boxed() }
    }
}

fn once(answer: Answer) -> super::subscribe::Answers {
    stream::iter([answer]).boxed()
}

/// Whether an operation may have more than one answer. One that cannot be read has one: why.
fn is_subscription(request: &GraphRequest) -> bool {
    let Ok(document) = parse_query(&request.query) else { return false };
    let operation = match &document.operations {
        DocumentOperations::Single(operation) => Some(operation),
        DocumentOperations::Multiple(operations) => {
            request.operation_name.as_ref().and_then(|name| operations.get(name.as_str()))
        }
    };
    operation.is_some_and(|operation| operation.node.ty == OperationType::Subscription)
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
