//! For federation routers: tokens of their other subgraphs, `/subgraph-token?subgraph=NAME&scopes=…&platforms=…`.
//!
//! What such a token says is what `serve` tells its own subgraphs; which scopes and platforms a subgraph is told of, its router knows.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Wire;
use super::graphql::{
    GRAPHQL_JSON, authenticate, bad_input, min_version, refusal, require_router, unauthenticated,
};
use crate::error::Error;
use crate::gateway::minting::Minted;
use crate::graph::whole::{named, profiles_on};
use crate::session::Audience;

/// Lists have commas between their items.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    subgraph: String,
    #[serde(default)]
    scopes: String,
    #[serde(default)]
    platforms: String,
}

pub(super) async fn subgraph_token(
    State(wire): State<Arc<Wire>>,
    headers: HeaderMap,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    if let Err(error) = require_router(&wire, &headers) {
        return unauthenticated(GRAPHQL_JSON, &error);
    }
    let Ok(Query(asked)) = asked else {
        let message = "The URL is /subgraph-token?subgraph=NAME&scopes=a,b&platforms=instagram.";
        return refusal(StatusCode::BAD_REQUEST, &bad_input(message));
    };
    let list = |text: &str| -> Vec<String> {
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    };
    let viewer = match authenticate(&wire, &headers).await {
        Ok(viewer) => viewer,
        Err(error) => return unauthenticated(GRAPHQL_JSON, &error),
    };
    let Some(at_least) = min_version(&headers) else {
        let message = "Accounts-Center-Min-Version is a version: the number that an answer told.";
        return refusal(StatusCode::BAD_REQUEST, &bad_input(message));
    };
    let (app, scopes) = (&wire.app, list(&asked.scopes));
    let profiles = match profiles_on(app, (viewer, at_least), &list(&asked.platforms)).await {
        Ok(profiles) => profiles,
        Err(error) => return refusal(StatusCode::SERVICE_UNAVAILABLE, &error),
    };
    let named = named(profiles.as_ref());
    let audience = Audience { subgraph: &asked.subgraph, scopes: &scopes, profiles };
    let minted = app.tokens.mint_for_subgraph(viewer, audience, &app.ids);
    match minted.and_then(|header| Ok(Minted { authorization: header.to_str()?.to_owned(), named })) {
        Ok(minted) => ([(header::CACHE_CONTROL, "no-store")], Json(minted)).into_response(),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &Error::internal(error)),
    }
}
