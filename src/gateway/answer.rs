//! What a client gets.

use axum::body::Bytes;
use axum::http::HeaderValue;
use serde::Serialize;
use serde_json::{Map, Value};

use super::execute::Executed;
use super::execute::errors::GraphqlError;
use crate::http::websocket::MAX_ANSWER;
use crate::limits::waiting::Room;

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

impl Executed {
    pub(super) fn into_answer(self, extensions: &Map<String, Value>) -> Answer {
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
    pub(super) fn name(self) -> &'static str {
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

impl Answer {
    /// The same over a socket, where it may have to wait in the socket's room until it is taken.
    pub(super) fn for_socket(self, room: Option<&Room>) -> Self {
        match fit_for_socket(self.body, room) {
            Ok(body) => Self { body, ..self },
            Err(body) => Self { body, outcome: Outcome::Refused, ..self },
        }
    }
}

/// The body of an answer that may have to wait until a socket takes it, in its `room`. Without one it waits all the same: what has
/// changed something must not be told to be tried again.
///
/// # Errors
/// The refusal in its place: it is larger than a socket takes, or too many wait already.
pub fn fit_for_socket(body: Bytes, room: Option<&Room>) -> Result<Bytes, Bytes> {
    let refusal = |code, message| refused(Outcome::Refused, &[GraphqlError::new(code, message)]).body;
    if body.len() >= MAX_ANSWER {
        let message = "The answer is larger than a socket takes; ask for less, or by POST.";
        return Err(refusal("ANSWER_TOO_LARGE", message));
    }
    let Some(room) = room else { return Ok(body) };
    let message = "Too many answers wait until clients take them; try again in a moment.";
    room.hold(body).ok_or_else(|| refusal("SERVICE_UNAVAILABLE", message))
}
