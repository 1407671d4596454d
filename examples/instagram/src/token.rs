//! Who asks: what the Accounts Center says in the token that it makes for this subgraph, for at most a minute.
//!
//! It is a JWT, signed by Ed25519 with one of the keys at `/.well-known/jwks.json`. `aud` is this subgraph: a token that was made
//! for another one, or for the Accounts Center itself, is not taken. `sub` is the account, and absent where nobody is signed in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use tokio::time::Instant;

/// Between two askings for the keys, whatever ids of keys people make up.
const PAUSE: Duration = Duration::from_secs(5);
/// After so long the keys are asked for anew, so that one that is taken back is not believed for ever.
const FRESH: Duration = Duration::from_secs(600);
/// How long the Accounts Center gets to tell its keys.
const PATIENCE: Duration = Duration::from_secs(2);
/// Seconds that its clock may be ahead of ours.
const LEEWAY: i64 = 5;
/// Beyond what a token has, also of an account with many profiles.
const MAX_LENGTH: usize = 16_384;

/// Whose tokens are taken, and which.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// Where its keys are: `https://accounts.example.com/.well-known/jwks.json`.
    pub jwks_url: String,
    /// `iss`: `sessions.issuer` of the Accounts Center.
    pub issuer: String,
    /// `aud`: the name that this subgraph has in `[gateway.subgraphs]`.
    pub audience: String,
}

/// Whom a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The account's global id; `None` where nobody is signed in.
    pub account: Option<String>,
    pub scopes: Vec<String>,
    /// The external ids of the account's profiles, by platform: what it may see.
    pub profiles: HashMap<String, Vec<String>>,
}

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("A token of the Accounts Center for this subgraph is needed.")]
    Invalid,
    #[error("Tokens cannot be verified now.")]
    Unavailable,
}

/// Verifies tokens. Cheap to clone.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    from: Issuer,
    http: reqwest::Client,
    /// Seconds since the epoch.
    now: Box<dyn Fn() -> i64 + Send + Sync>,
    keys: Mutex<Keys>,
    /// Held while the keys are asked for: once for all who wait for them.
    asking: tokio::sync::Mutex<Option<Instant>>,
}

/// By their ids, and since when.
#[derive(Default)]
struct Keys {
    by_id: HashMap<String, DecodingKey>,
    read: Option<Instant>,
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: i64,
    /// Separated by spaces (RFC 8693, section 4.2).
    #[serde(default)]
    scope: String,
    #[serde(default)]
    profiles: HashMap<String, Vec<String>>,
}

impl Caller {
    /// Whether a profile is one of theirs.
    pub fn has(&self, platform: &str, external_id: &str) -> bool {
        self.profiles.get(platform).is_some_and(|ids| ids.iter().any(|id| id == external_id))
    }
}

impl Verifier {
    /// Takes tokens as `from` says; `now` is the time in seconds since the epoch.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(from: Issuer, now: impl Fn() -> i64 + Send + Sync + 'static) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()?;
        let now = Box::new(now);
        Ok(Self(Arc::new(Inner { from, http, now, keys: Mutex::default(), asking: Default::default() })))
    }

    /// Whom `token` speaks for.
    ///
    /// # Errors
    /// It is none of ours, or its key cannot be had.
    pub async fn verify(&self, token: &str) -> Result<Caller, Refused> {
        if token.len() > MAX_LENGTH {
            return Err(Refused::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refused::Invalid)?;
        let key = self.key(&header.kid.ok_or(Refused::Invalid)?).await?;
        // Its algorithm is ours to say, and never the token's.
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&self.0.from.issuer]);
        validation.set_audience(&[&self.0.from.audience]);
        validation.set_required_spec_claims(&["iss", "aud", "exp"]);
        // By the clock that we are given.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation);
        let claims = claims.map_err(|_| Refused::Invalid)?.claims;
        if claims.exp.saturating_add(LEEWAY) <= (self.0.now)() {
            return Err(Refused::Invalid);
        }
        let scopes = claims.scope.split_whitespace().map(str::to_owned).collect();
        Ok(Caller { account: claims.sub, scopes, profiles: claims.profiles })
    }

    async fn key(&self, id: &str) -> Result<DecodingKey, Refused> {
        if let (Some(key), true) = self.known(id) {
            return Ok(key);
        }
        let mut asked = self.0.asking.lock().await;
        // Somebody before us may have had them brought.
        let (key, is_fresh) = self.known(id);
        let may_ask = asked.is_none_or(|asked| asked.elapsed() >= PAUSE);
        if may_ask && (key.is_none() || !is_fresh) {
            *asked = Some(Instant::now());
            match self.ask().await {
                Ok(by_id) => *self.keys() = Keys { by_id, read: Some(Instant::now()) },
                Err(error) => tracing::warn!(%error, "the keys of the Accounts Center cannot be had"),
            }
        }
        // While it is away, what it said last holds.
        match (self.known(id).0, self.keys().read) {
            (Some(key), _) => Ok(key),
            (None, Some(_)) => Err(Refused::Invalid),
            (None, None) => Err(Refused::Unavailable),
        }
    }

    /// The key of this id, and whether the keys were asked for lately.
    fn known(&self, id: &str) -> (Option<DecodingKey>, bool) {
        let keys = self.keys();
        (keys.by_id.get(id).cloned(), keys.read.is_some_and(|read| read.elapsed() < FRESH))
    }

    fn keys(&self) -> std::sync::MutexGuard<'_, Keys> {
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self) -> reqwest::Result<HashMap<String, DecodingKey>> {
        let response = self.0.http.get(&self.0.from.jwks_url).send().await?.error_for_status()?;
        let set: JwkSet = response.json().await?;
        // Of other kinds there may be some one day, for other uses.
        let ours = set.keys.into_iter().filter(|key| {
            matches!(key.algorithm, AlgorithmParameters::OctetKeyPair(_)) && key.common.key_id.is_some()
        });
        Ok(ours
            .filter_map(|key| Some((key.common.key_id.clone()?, DecodingKey::from_jwk(&key).ok()?)))
            .collect())
    }
}
