//! The messages of `graphql-transport-ws`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::http::graphql::Answer;

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum FromClient {
    ConnectionInit { payload: Option<InitPayload> },
    Ping { payload: Option<serde_json::Value> },
    Pong {},
    Subscribe { id: String, payload: Box<async_graphql::Request> },
    Complete { id: String },
}

#[derive(Default, Deserialize)]
pub(super) struct InitPayload {
    #[serde(alias = "Authorization")]
    pub authorization: Option<String>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ToClient<'a> {
    ConnectionAck,
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<serde_json::Value>,
    },
    Next {
        id: &'a str,
        payload: Payload<'a>,
    },
    Error {
        id: &'a str,
        payload: Errors<'a>,
    },
    Complete {
        id: &'a str,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Payload<'a> {
    Response(Answer<'a>),
    Written(&'a RawValue),
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Errors<'a> {
    Response(&'a [async_graphql::ServerError]),
    Written(&'a RawValue),
}

/// The answer to what was not executed, as it was written.
#[derive(Deserialize)]
pub(super) struct Refusal<'a> {
    #[serde(borrow)]
    pub errors: &'a RawValue,
}
