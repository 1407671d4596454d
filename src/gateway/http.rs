//! GraphQL over HTTP for the gateway alone.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use super::execute::errors::GraphqlError;
use super::{Answer, Gateway, Request, refused};

const JSON: &str = "application/json";

/// What is served.
pub fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/graphql", get(by_get).post(by_post))
        .route("/live", get(|| async {}))
        .route("/ready", get(|| async {}))
        .with_state(gateway)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
}

async fn by_get(State(gateway): State<Arc<Gateway>>, Query(parameters): Query<Parameters>) -> Response {
    let variables = match parameters.variables.as_deref().map(serde_json::from_str).transpose() {
        Ok(variables) => variables,
        Err(_) => return bad_input("The parameter `variables` is no object in JSON."),
    };
    let Parameters { query, operation_name, .. } = parameters;
    respond(gateway.answer(Request { query, operation_name, variables, extensions: None }, true).await)
}

async fn by_post(State(gateway): State<Arc<Gateway>>, body: Bytes) -> Response {
    match serde_json::from_slice(&body) {
        Ok(request) => respond(gateway.answer(request, false).await),
        Err(_) => bad_input("The body is no GraphQL request in JSON."),
    }
}

fn bad_input(message: &str) -> Response {
    let answer = refused(&[GraphqlError::new("BAD_USER_INPUT", message)]);
    (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, JSON)], answer.body).into_response()
}

fn respond(answer: Answer) -> Response {
    ([(header::CONTENT_TYPE, JSON)], answer.body).into_response()
}
