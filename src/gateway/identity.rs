//! Who asks, for a gateway without accounts: by the access tokens of the accounts replicas behind it, and the keys that
//! those publish.
//!
//! That a session has ended is not known here before its token runs out; the replicas themselves see to what is theirs.

use std::collections::HashMap;
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

use super::guard::Rights;
use super::settings::Gateway;
use crate::clock::Clock;

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
    verified: Cache<[u8; 32], (Rights, i64)>,
    clock: Clock,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
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
        if settings.jwks_url.is_empty() {
            return Ok(None);
        }
        let url: Url = settings.jwks_url.parse().context("gateway.jwks_url is no URL")?;
        ensure!(matches!(url.scheme(), "http" | "https"), "gateway.jwks_url is neither http:// nor https://");
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // Looked at for each request, as verified tokens are remembered.
        validation.validate_exp = false;
        Ok(Some(Self {
            url,
            client: reqwest::Client::builder().timeout(PATIENCE).build()?,
            validation,
            keys: ArcSwap::default(),
            verified: Cache::new(REMEMBERED),
            clock: Clock::system(),
        }))
    }

    /// Looks for new keys, for ever. As long as they cannot be looked at, those that are known count.
    pub async fn follow(&self) {
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
            let period = if self.keys.load().is_empty() { AT_FIRST } else { PERIOD };
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
        Ok(keys.collect())
    }

    /// What whoever sends these headers may do: nothing, unless their token is good.
    pub fn rights(&self, headers: &HeaderMap) -> Rights {
        self.verify(headers).unwrap_or_default()
    }

    fn verify(&self, headers: &HeaderMap) -> Option<Rights> {
        let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        let token = token.trim();
        if !scheme.eq_ignore_ascii_case("bearer") || token.len() > LONGEST {
            return None;
        }
        let digest: [u8; 32] = Sha256::digest(token).into();
        let (rights, expires_at) = match self.verified.get(&digest) {
            Some(known) => known,
            None => {
                let verified = self.verify_signature(token)?;
                self.verified.insert(digest, verified.clone());
                verified
            }
        };
        (self.clock.now().timestamp() < expires_at).then_some(rights)
    }

    fn verify_signature(&self, token: &str) -> Option<(Rights, i64)> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        if header.typ.as_deref() != Some(TYPE) {
            return None;
        }
        let keys = self.keys.load();
        let key = keys.get(&header.kid?)?;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.validation).ok()?.claims;
        let digest: [u8; 32] = Sha256::digest(&claims.sub).into();
        let mut part = [0; 8];
        part.copy_from_slice(&digest[..8]);
        let rights = Rights {
            is_signed_in: true,
            scopes: claims.scope.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect(),
            part: Some(u64::from_be_bytes(part)),
        };
        Some((rights, claims.exp))
    }
}
