//! Whoever signs the tokens of subgraphs: keys at `/.well-known/jwks.json`, and claims as a test wants them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// Has one key, number 1, at first.
pub struct Issuer {
    pub url: String,
    shared: Arc<Shared>,
    _serving: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Shared {
    keys: Mutex<Vec<u8>>,
    asked: AtomicUsize,
}

impl Issuer {
    pub async fn start() -> Self {
        let shared = Arc::new(Shared { keys: Mutex::new(vec![1]), ..Shared::default() });
        let router = Router::new().route("/.well-known/jwks.json", get(jwks)).with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, _serving: AbortOnDropHandle::new(serving) }
    }

    /// What is published from now on; without any key it is out of order.
    pub fn publish(&self, keys: &[u8]) {
        *self.shared.keys.lock().unwrap() = keys.to_vec();
    }

    /// How often the keys were asked for.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }
}

async fn jwks(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, StatusCode> {
    shared.asked.fetch_add(1, Ordering::SeqCst);
    let keys = shared.keys.lock().unwrap().clone();
    let public = |number: u8| URL_SAFE_NO_PAD.encode(pair(number).verifying_key().as_bytes());
    let key = |number| json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": name(number), "x": public(number) });
    match keys.is_empty() {
        true => Err(StatusCode::SERVICE_UNAVAILABLE),
        false => Ok(Json(json!({ "keys": keys.into_iter().map(key).collect::<Vec<_>>() }))),
    }
}

/// The claims of a good token for `audience`, which ends at `exp`.
pub fn claims(audience: &str, exp: i64) -> Value {
    let profiles = json!({ "instagram": ["ig_ada"], "whatsapp": ["wa_ada"] });
    json!({ "iss": "accounts-center", "aud": audience, "sub": "account_ada", "exp": exp, "scope": "profiles:read", "profiles": profiles })
}

/// A token signed with this key.
pub fn sign(number: u8, claims: &Value) -> String {
    sign_as(&json!({ "alg": "EdDSA", "typ": "JWT", "kid": name(number) }), number, claims)
}

/// The same with a header of its own.
pub fn sign_as(header: &Value, number: u8, claims: &Value) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = pair(number).sign(signed.as_bytes()).to_bytes();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Tokens that must not be taken by `audience`, and why; a good one would end at `exp`, and it is `now`.
pub fn bad_tokens(audience: &str, now: i64) -> Vec<(&'static str, String)> {
    let good = claims(audience, now + 60);
    let with = |claim: &str, value: Value| {
        let mut claims = good.clone();
        claims[claim] = value;
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        sign(1, &claims)
    };
    let header = |alg: &str| json!({ "alg": alg, "typ": "JWT", "kid": name(1) });
    let unsigned = sign_as(&header("none"), 1, &good);
    vec![
        ("of another subgraph", with("aud", json!("facebook"))),
        ("of the Accounts Center itself", with("aud", json!("accounts-center"))),
        ("without an audience", with("aud", Value::Null)),
        ("of another issuer", with("iss", json!("somebody-else"))),
        ("expired", with("exp", json!(now - 10))),
        ("for ever", with("exp", Value::Null)),
        ("signed by another key", sign_as(&header("EdDSA"), 2, &good)),
        ("of an unknown key", sign(2, &good)),
        ("of another algorithm", sign_as(&header("HS256"), 1, &good)),
        ("not signed", unsigned.rsplit_once('.').unwrap().0.to_owned() + "."),
        ("nothing", "x".to_owned()),
    ]
}

fn pair(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn name(number: u8) -> String {
    format!("key {number}")
}
