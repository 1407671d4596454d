//! Who asks, for a gateway without accounts: by the access tokens of the accounts replicas behind it, and the keys that
//! those publish.
//!
//! The replicas tell as well which sessions have ended. While nobody can say so, tokens are good until they run out; the
//! replicas themselves see to what is theirs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use arc_swap::ArcSwap;
use axum::http::{HeaderMap, header};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use quick_cache::sync::Cache;
use reqwest::Url;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::guard::Rights;
use super::replicas::{self, Replicas};
use super::sessions::Sessions;
use super::settings::Gateway;
use crate::clock::Clock;
use crate::endings::Awaited;

/// Between two looks at the keys; a new key is published long before it signs.
const PERIOD: Duration = Duration::from_secs(60);
/// The same as long as there are none.
const AT_FIRST: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);
const MOST_BYTES: usize = 64 * 1024;
/// Verified tokens that are remembered.
const REMEMBERED: usize = 100_000;
/// Far beyond what an access token is nothing is parsed.
const LONGEST: usize = 4096;
/// The only type of token that speaks for somebody.
const TYPE: &str = "JWT";

/// Knows whom tokens speak for.
pub struct Identity {
    url: Url,
    client: reqwest::Client,
    validation: Validation,
    keys: ArcSwap<HashMap<String, DecodingKey>>,
    /// By the token's SHA-256.
    verified: Cache<[u8; 32], Arc<Known>>,
    sessions: Option<Sessions>,
    clock: Clock,
}

/// Whom a token speaks for.
#[derive(Debug)]
pub struct Known {
    pub rights: Rights,
    /// The account, by a number that says nothing else of it.
    pub account: Uuid,
    session: Option<String>,
    /// Seconds since the epoch.
    pub expires_at: i64,
}

/// Why nobody is known by what a caller shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// It is no token of the replicas, or has run out.
    Invalid,
    /// Its session has ended.
    Ended,
    /// There are no keys yet to tell by.
    NotYet,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    sid: Option<String>,
    #[serde(default)]
    scope: String,
    exp: i64,
}

impl Identity {
    /// `None` where no URL of keys is configured.
    ///
    /// # Errors
    /// A URL that is none.
    pub fn new(settings: &Gateway) -> anyhow::Result<Option<Self>> {
        let Some(url) = replicas::url(settings)? else { return Ok(None) };
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // Looked at for each request, as verified tokens are remembered.
        validation.validate_exp = false;
        Ok(Some(Self {
            url: replicas::below(&url, "/.well-known/jwks.json"),
            client: reqwest::Client::builder().timeout(PATIENCE).build()?,
            validation,
            keys: ArcSwap::default(),
            verified: Cache::new(REMEMBERED),
            sessions: Replicas::new(settings)?.map(Sessions::new),
            clock: Clock::system(),
        }))
    }

    /// Looks for new keys and for sessions that have ended, for ever.
    pub async fn follow(&self) {
        let sessions = async {
            if let Some(sessions) = &self.sessions {
                sessions.follow().await;
            }
        };
        tokio::join!(self.follow_keys(), sessions);
    }

    /// As long as they cannot be looked at, those that are known count.
    async fn follow_keys(&self) {
        loop {
            match self.fetch().await {
                Ok(keys) => {
                    if keys.keys().ne(self.keys.load().keys()) {
                        // What one of them has signed that is no more.
                        self.verified.clear();
                    }
                    self.keys.store(keys.into());
                }
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "the keys of access tokens cannot be looked at"
                    );
                }
            }
            let period = if self.is_blind() { AT_FIRST } else { PERIOD };
            tokio::time::sleep(period).await;
        }
    }

    async fn fetch(&self) -> anyhow::Result<HashMap<String, DecodingKey>> {
        let sent =
            self.client.get(self.url.clone()).send().await.and_then(reqwest::Response::error_for_status);
        let mut response = sent.map_err(reqwest::Error::without_url)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
            ensure!(bytes.len() + chunk.len() <= MOST_BYTES, "they are too large");
            bytes.extend_from_slice(&chunk);
        }
        let set: JwkSet = serde_json::from_slice(&bytes).context("they are no JWK set")?;
        let keys = set.keys.iter().filter_map(|key| {
            let is_ours = matches!(&key.algorithm, AlgorithmParameters::OctetKeyPair(pair)
                if pair.curve == EllipticCurve::Ed25519);
            let name = key.common.key_id.clone().filter(|_| is_ours)?;
            Some((name, DecodingKey::from_jwk(key).ok()?))
        });
        let keys: HashMap<_, _> = keys.collect();
        // Else those that are known count.
        ensure!(!keys.is_empty(), "none of them is an Ed25519 key with an id");
        Ok(keys)
    }

    /// What whoever sends these headers may do: nothing, unless their token is good.
    pub fn rights(&self, headers: &HeaderMap) -> Rights {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let known = shown.and_then(|shown| self.who(shown).ok());
        known.map(|known| known.rights.clone()).unwrap_or_default()
    }

    /// Whether nobody can be told yet, as the keys have not been seen.
    pub fn is_blind(&self) -> bool {
        self.keys.load().is_empty()
    }

    /// Who shows `Bearer …`.
    ///
    /// # Errors
    /// Why that is nobody.
    pub fn who(&self, authorization: &str) -> Result<Arc<Known>, Unknown> {
        let (scheme, token) = authorization.split_once(' ').ok_or(Unknown::Invalid)?;
        let token = token.trim();
        if !scheme.eq_ignore_ascii_case("bearer") || token.len() > LONGEST {
            return Err(Unknown::Invalid);
        }
        let digest: [u8; 32] = Sha256::digest(token).into();
        let known = match self.verified.get(&digest) {
            Some(known) => known,
            None if self.is_blind() => return Err(Unknown::NotYet),
            None => {
                let known = Arc::new(self.verify_signature(token).ok_or(Unknown::Invalid)?);
                self.verified.insert(digest, known.clone());
                known
            }
        };
        if known.expires_at <= self.clock.now().timestamp() {
            return Err(Unknown::Invalid);
        }
        if self.has_ended(&known) { Err(Unknown::Ended) } else { Ok(known) }
    }

    /// Whether the session is known to have ended.
    pub fn has_ended(&self, known: &Known) -> bool {
        let session = known.session.as_ref();
        self.sessions.as_ref().zip(session).is_some_and(|(sessions, session)| sessions.has_ended(session))
    }

    /// Waits for the end of the session, or until `stop`; absent if nobody tells of it.
    pub fn wait_for_end(&self, known: &Known, stop: &CancellationToken) -> Option<Awaited<String>> {
        Some(self.sessions.as_ref()?.wait_for(known.session.as_ref()?, stop))
    }

    /// How long it is good from now on.
    pub fn time_left(&self, known: &Known) -> Duration {
        let left = known.expires_at.saturating_sub(self.clock.now().timestamp());
        Duration::from_secs(u64::try_from(left).unwrap_or_default())
    }

    fn verify_signature(&self, token: &str) -> Option<Known> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        if header.typ.as_deref() != Some(TYPE) {
            return None;
        }
        let keys = self.keys.load();
        let key = keys.get(&header.kid?)?;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.validation).ok()?.claims;
        let digest: [u8; 32] = Sha256::digest(&claims.sub).into();
        let (mut part, mut account) = ([0; 8], [0; 16]);
        part.copy_from_slice(&digest[..8]);
        account.copy_from_slice(&digest[..16]);
        let rights = Rights {
            is_signed_in: true,
            scopes: claims.scope.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect(),
            part: Some(u64::from_be_bytes(part)),
        };
        let account = Uuid::from_bytes(account);
        Some(Known { rights, account, session: claims.sid, expires_at: claims.exp })
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;

    use super::*;
    use crate::config::Config;

    /// Whoever answers in the replicas' place, or answers too early, must not take the keys away that are known.
    #[tokio::test]
    async fn a_set_without_a_key_of_ours_is_none() {
        crate::tls::choose_library();
        let ours =
            r#"{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let foreign = r#"{"kty":"oct","kid":"2","k":"c2VjcmV0"}"#;
        for (keys, is_good) in [("", false), (foreign, false), (ours, true)] {
            let text = format!("{{\"keys\":[{keys}]}}");
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let router = Router::new().route("/.well-known/jwks.json", get(async move || text));
            tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
            let settings = Config::from_pairs([("ACCOUNTS__GATEWAY__ACCOUNTS_URL", url)]).unwrap().gateway;
            let identity = Identity::new(&settings).unwrap().unwrap();
            assert_eq!(identity.fetch().await.is_ok(), is_good, "{keys}");
        }
    }
}
