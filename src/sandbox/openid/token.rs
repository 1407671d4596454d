//! The token endpoint.

use axum::Json;
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Grant, issuer};
use crate::keys::new_secret;
use crate::sandbox::faults::IdTokenFault;
use crate::sandbox::problem::Problem;
use crate::sandbox::state::{PlatformState, Profile};
use crate::sandbox::{CLIENT_ID, CLIENT_SECRET, Sandbox};

/// Seconds that an id token is good.
const TOKEN_LIFETIME: i64 = 300;

#[derive(Deserialize)]
pub struct TokenRequest {
    grant_type: Option<String>,
    code: Option<String>,
    redirect_uri: Option<String>,
    code_verifier: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// Gives an id token for a code, which is used up by it, whatever comes of that.
pub async fn token(
    State(sandbox): State<Sandbox>,
    Path(platform): Path<String>,
    headers: HeaderMap,
    Form(request): Form<TokenRequest>,
) -> Result<Response, Problem> {
    const ENDPOINT: &str = "POST /token";
    let state = sandbox.platform(&platform).ok_or_else(Problem::unknown_platform)?;
    let (now, time) = (sandbox.0.clock.now(), sandbox.time_of_servers().await);
    let mut answer = Err((StatusCode::BAD_REQUEST, "invalid_request"));
    state.send_modify(|state| {
        state.count_call(ENDPOINT);
        answer = redeem(state, &headers, &request, now).map(|(grant, profile)| {
            state.count_effect(ENDPOINT);
            let issuer = issuer(&headers, &platform);
            let mut tokens = json!({
                "access_token": new_secret(&sandbox.0.ids), "token_type": "Bearer", "expires_in": TOKEN_LIFETIME,
            });
            if state.faults.id_token != Some(IdTokenFault::Absent) {
                tokens["id_token"] = sign(state, claims(&issuer, &grant, &profile, time)).into();
            }
            tokens
        });
    });
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    Ok(match answer {
        Ok(tokens) => (no_store, Json(tokens)).into_response(),
        Err((status, error)) => (status, no_store, Json(json!({ "error": error }))).into_response(),
    })
}

fn redeem(
    state: &mut PlatformState,
    headers: &HeaderMap,
    request: &TokenRequest,
    now: DateTime<Utc>,
) -> Result<(Grant, Profile), (StatusCode, &'static str)> {
    let bad = |error| (StatusCode::BAD_REQUEST, error);
    if !is_client(headers, request) {
        return Err((StatusCode::UNAUTHORIZED, "invalid_client"));
    }
    if request.grant_type.as_deref() != Some("authorization_code") {
        return Err(bad("unsupported_grant_type"));
    }
    let code = request.code.as_deref().ok_or(bad("invalid_request"))?;
    let grant = state.openid.grants.remove(code).ok_or(bad("invalid_grant"))?;
    let verifier = request.code_verifier.as_deref().unwrap_or_default();
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    let fits = request.redirect_uri.as_deref() == Some(&grant.redirect_uri)
        && challenge == grant.code_challenge
        && grant.expires_at > now;
    let profile = state.profile(&grant.external_id).filter(|_| fits).cloned();
    profile.map(|profile| (grant, profile)).ok_or(bad("invalid_grant"))
}

/// Whether the client shows its secret, by HTTP Basic or in the body.
fn is_client(headers: &HeaderMap, request: &TokenRequest) -> bool {
    let basic = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let basic = basic.and_then(|value| value.strip_prefix("Basic "));
    if let Some(basic) = basic {
        return STANDARD
            .decode(basic)
            .is_ok_and(|pair| pair == format!("{CLIENT_ID}:{CLIENT_SECRET}").as_bytes());
    }
    (request.client_id.as_deref(), request.client_secret.as_deref()) == (Some(CLIENT_ID), Some(CLIENT_SECRET))
}

fn claims(issuer: &str, grant: &Grant, profile: &Profile, time: DateTime<Utc>) -> Value {
    json!({
        "iss": issuer,
        "sub": profile.external_id,
        "aud": CLIENT_ID,
        "exp": time.timestamp() + TOKEN_LIFETIME,
        "iat": time.timestamp(),
        "nonce": grant.nonce,
        "preferred_username": profile.handle,
        "name": profile.display_name,
        "picture": profile.avatar_url,
    })
}

/// The id token, with what is to be wrong with it.
fn sign(state: &PlatformState, mut claims: Value) -> String {
    let (fault, key) = (state.faults.id_token, state.openid.key());
    match fault {
        Some(IdTokenFault::Issuer) => claims["iss"] = "https://somebody.example/".into(),
        Some(IdTokenFault::Audience) => claims["aud"] = "somebody".into(),
        Some(IdTokenFault::Nonce) => claims["nonce"] = "of another request".into(),
        Some(IdTokenFault::Expiry) => {
            claims["exp"] = claims["iat"].clone();
        }
        _ => {}
    }
    let (algorithm, key_id) = match fault {
        Some(IdTokenFault::Unsigned) => ("none", &state.openid.key_id[..]),
        Some(IdTokenFault::Shared) => ("HS256", &state.openid.key_id[..]),
        Some(IdTokenFault::Key) => ("EdDSA", "unlisted"),
        _ => ("EdDSA", &state.openid.key_id[..]),
    };
    let header = json!({ "alg": algorithm, "kid": key_id, "typ": "JWT" });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = match fault {
        Some(IdTokenFault::Unsigned) => Vec::new(),
        Some(IdTokenFault::Shared) => {
            let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(CLIENT_SECRET.as_bytes())
                .expect("HMAC takes any key");
            mac.update(signed.as_bytes());
            mac.finalize().into_bytes().to_vec()
        }
        Some(IdTokenFault::Signature | IdTokenFault::Key) => {
            SigningKey::from_bytes(&[7; 32]).sign(signed.as_bytes()).to_vec()
        }
        _ => key.sign(signed.as_bytes()).to_vec(),
    };
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
