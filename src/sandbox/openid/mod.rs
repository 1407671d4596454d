//! The OpenID provider of a sandbox platform: discovery, an approval page, tokens and keys.
//!
//! It is as strict as a provider should be, so that a client that is not notices here: codes are good once and for a minute,
//! only for the client, the redirect URL and the PKCE challenge that they were asked with.

mod authorize;
mod token;

use std::collections::BTreeMap;

use axum::extract::{Path, State as Shared};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

use super::problem::Problem;
use super::{Sandbox, faults};
use crate::ids::Ids;

/// What a provider remembers.
#[derive(Clone, Default)]
pub struct State {
    /// The seed of its Ed25519 key, and the name of that.
    seed: [u8; 32],
    key_id: String,
    /// By code.
    grants: BTreeMap<String, Grant>,
}

impl State {
    pub fn new(ids: &Ids) -> Self {
        Self {
            seed: ids.bytes(),
            key_id: URL_SAFE_NO_PAD.encode(ids.bytes::<8>()),
            grants: BTreeMap::default(),
        }
    }

    fn key(&self) -> SigningKey {
        SigningKey::from_bytes(&self.seed)
    }
}

/// What a code stands for.
#[derive(Clone)]
struct Grant {
    external_id: String,
    redirect_uri: String,
    nonce: Option<String>,
    code_challenge: String,
    expires_at: DateTime<Utc>,
}

pub fn router(sandbox: &Sandbox) -> Router<Sandbox> {
    let asked_by_servers = Router::new()
        .route("/.well-known/openid-configuration", get(configuration))
        .route("/jwks", get(keys))
        .route("/token", post(token::token))
        .route_layer(middleware::from_fn_with_state(sandbox.clone(), faults::misbehave));
    asked_by_servers.merge(authorize::router())
}

/// The issuer under the name by which the caller reached it: the sandbox may be a part of the server or a process of its own.
fn issuer(headers: &HeaderMap, platform: &str) -> String {
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    format!("http://{host}/sandbox/{platform}")
}

async fn configuration(
    Shared(sandbox): Shared<Sandbox>,
    Path(platform): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let state = sandbox.platform(&platform).ok_or_else(Problem::unknown_platform)?;
    state.send_modify(|state| state.count_call("GET /.well-known/openid-configuration"));
    let issuer = issuer(&headers, &platform);
    Ok(Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["public"],
        // HS256 and `none` are what a client must not take, whatever is said here.
        "id_token_signing_alg_values_supported": ["EdDSA", "HS256", "none"],
        "scopes_supported": ["openid", "profile"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    })))
}

async fn keys(
    Shared(sandbox): Shared<Sandbox>,
    Path(platform): Path<String>,
) -> Result<Json<Value>, Problem> {
    let state = sandbox.platform(&platform).ok_or_else(Problem::unknown_platform)?;
    state.send_modify(|state| state.count_call("GET /jwks"));
    let state = state.borrow();
    let public = URL_SAFE_NO_PAD.encode(state.openid.key().verifying_key().as_bytes());
    Ok(Json(json!({ "keys": [{
        "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": state.openid.key_id, "x": public,
    }] })))
}
