//! Access tokens: JWTs (RFC 7519) signed with Ed25519 (RFC 8037).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::SigningKey;
use indexmap::IndexMap;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use quick_cache::sync::Cache;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Viewer;
use super::subgraph_token::{KEPT, Mint, Minted, SUBGRAPH};
use crate::clock::Clock;
use crate::config;
use crate::ids::{Ids, NodeId, NodeKind};
use crate::keys::Keys;

/// Verified tokens that are remembered: a signature costs more than a query.
const REMEMBERED: usize = 100_000;
/// A token is some 500 bytes; far beyond that nothing is parsed.
const MAX_LENGTH: usize = 4096;

/// Stands for everybody who is signed in where the configuration says who has a scope.
const EVERYBODY: &str = "*";

/// Signs and verifies access tokens. Cheap to clone.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    clock: Clock,
    issuer: String,
    audience: String,
    lifetime: TimeDelta,
    /// Who has which scope.
    scopes: IndexMap<String, Vec<String>>,
    header: Header,
    /// Of tokens for subgraphs: it says that they are those.
    subgraph_header: Header,
    signing: EncodingKey,
    /// By their ids.
    verifying: HashMap<String, DecodingKey>,
    jwks: serde_json::Value,
    /// By the token's SHA-256, so that the cache holds nothing that signs in.
    verified: Cache<[u8; 32], Verified>,
    /// Those that subgraphs were given of late.
    minted: Cache<Minted, Mint>,
}

#[derive(Clone)]
struct Verified {
    viewer: Viewer,
    /// Seconds since the epoch.
    expires_at: i64,
}

/// A signed token and when it runs out.
pub struct AccessToken {
    pub token: String,
    pub expires_at: DateTime<Utc>,
}

/// Why a token is not taken. Says nothing of the token itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("The access token has expired; sign in again.")]
    Expired,
    #[error("The access token is not valid; sign in again.")]
    Invalid,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    /// The account's global id.
    sub: String,
    /// The session's global id.
    sid: String,
    /// Separated by spaces (RFC 8693, section 4.2); absent for who has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    scope: String,
    jti: String,
    iat: i64,
    exp: i64,
}

impl Tokens {
    pub fn new(keys: &Keys, clock: Clock, config: &config::Sessions) -> Self {
        let pairs = keys.signing_seeds().map(|seed| SigningKey::from_bytes(&seed));
        let public = pairs.each_ref().map(|pair| pair.verifying_key().to_bytes());
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(thumbprint(&public[0]));
        let subgraph_header = Header { typ: Some(SUBGRAPH.to_owned()), ..header.clone() };
        Self(Arc::new(Inner {
            clock,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            lifetime: TimeDelta::minutes(config.access_token_minutes.into()),
            scopes: config.scopes.clone(),
            header,
            subgraph_header,
            signing: EncodingKey::from_ed_der(&pkcs8(pairs[0].as_bytes())),
            verifying: public.iter().map(|key| (thumbprint(key), DecodingKey::from_ed_der(key))).collect(),
            jwks: json!({ "keys": public.each_ref().map(jwk) }),
            verified: Cache::new(REMEMBERED),
            minted: Cache::new(KEPT),
        }))
    }

    /// A token that speaks for `viewer` until it runs out.
    pub fn sign(&self, viewer: Viewer, ids: &Ids) -> anyhow::Result<AccessToken> {
        let now = self.0.clock.now();
        let expires_at = now + self.0.lifetime;
        let claims = Claims {
            iss: self.0.issuer.clone(),
            aud: self.0.audience.clone(),
            sub: NodeId::new(NodeKind::Account, viewer.account).to_string(),
            sid: NodeId::new(NodeKind::AccountSession, viewer.session).to_string(),
            scope: self.scopes_of(Some(viewer)).into_iter().collect::<Vec<_>>().join(" "),
            jti: ids.uuid(now).simple().to_string(),
            iat: now.timestamp(),
            exp: expires_at.timestamp(),
        };
        Ok(AccessToken { token: self.encode(&claims)?, expires_at })
    }

    /// Whom `token` speaks for.
    pub fn verify(&self, token: &str) -> Result<Viewer, TokenError> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let verified = match self.0.verified.get(&digest) {
            Some(verified) => verified,
            None => {
                let verified = self.verify_signature(token)?;
                self.0.verified.insert(digest, verified.clone());
                verified
            }
        };
        if verified.expires_at <= self.0.clock.now().timestamp() {
            return Err(TokenError::Expired);
        }
        Ok(verified.viewer)
    }

    /// The scopes of whoever asks, by the configuration as it is: what was taken from somebody is gone at once.
    pub fn scopes_of(&self, viewer: Option<Viewer>) -> BTreeSet<String> {
        let Some(viewer) = viewer else { return BTreeSet::new() };
        let id = NodeId::new(NodeKind::Account, viewer.account).to_string();
        let has = |(_, who): &(&String, &Vec<String>)| who.iter().any(|one| *one == EVERYBODY || *one == id);
        self.0.scopes.iter().filter(has).map(|(scope, _)| scope.clone()).collect()
    }

    /// The public keys whose tokens are taken: a JWK Set (RFC 7517, RFC 8037).
    pub fn jwks(&self) -> &serde_json::Value {
        &self.0.jwks
    }

    fn verify_signature(&self, token: &str) -> Result<Verified, TokenError> {
        let claims: Claims = self.decode(token, &self.0.audience)?;
        let account = NodeId::parse_as(NodeKind::Account, &claims.sub).ok_or(TokenError::Invalid)?;
        let session = NodeId::parse_as(NodeKind::AccountSession, &claims.sid).ok_or(TokenError::Invalid)?;
        Ok(Verified { viewer: Viewer { account, session }, expires_at: claims.exp })
    }

    /// The claims of a token that one of our keys has signed for `audience`, though it may have expired.
    pub(super) fn decode<T: DeserializeOwned>(&self, token: &str, audience: &str) -> Result<T, TokenError> {
        if token.len() > MAX_LENGTH {
            return Err(TokenError::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        // One for a subgraph speaks for somebody as well, and its audience may be any name.
        if header.typ.as_deref() == Some(SUBGRAPH) {
            return Err(TokenError::Invalid);
        }
        let key = header.kid.and_then(|kid| self.0.verifying.get(&kid)).ok_or(TokenError::Invalid)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&self.0.issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // By our own clock, which tests can move.
        validation.validate_exp = false;
        Ok(jsonwebtoken::decode(token, key, &validation).map_err(|_| TokenError::Invalid)?.claims)
    }

    pub(super) fn encode(&self, claims: &impl Serialize) -> anyhow::Result<String> {
        Ok(jsonwebtoken::encode(&self.0.header, claims, &self.0.signing)?)
    }

    /// A token for a subgraph.
    pub(super) fn encode_for_subgraph(&self, claims: &impl Serialize) -> anyhow::Result<String> {
        Ok(jsonwebtoken::encode(&self.0.subgraph_header, claims, &self.0.signing)?)
    }

    pub(super) fn minted(&self) -> &Cache<Minted, Mint> {
        &self.0.minted
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

    pub(super) fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// The audience of tokens of services, which no access token has.
    pub(super) fn service_audience(&self) -> String {
        format!("{}-services", self.0.audience)
    }

    /// Signs claims as they are, for tests of what [`Tokens::verify`] refuses.
    #[cfg(test)]
    fn sign_raw(&self, header: &Header, claims: &serde_json::Value) -> String {
        jsonwebtoken::encode(header, claims, &self.0.signing).unwrap()
    }
}

/// A public key as a JWK (RFC 8037, section 2).
fn jwk(public: &[u8; 32]) -> serde_json::Value {
    json!({
        "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(public),
        "kid": thumbprint(public), "use": "sig", "alg": "EdDSA",
    })
}

/// The id of a public key: its thumbprint (RFC 7638).
fn thumbprint(public: &[u8; 32]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public);
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)))
}

/// An Ed25519 seed as PKCS #8 (RFC 8410, section 7): a fixed prefix and the seed.
fn pkcs8(seed: &[u8; 32]) -> Vec<u8> {
    const PREFIX: [u8; 16] =
        [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    [PREFIX.as_slice(), seed].concat()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn tokens(secret: u8, number: u32, clock: &Clock) -> Tokens {
        let config = crate::config::Config::from_pairs([]).unwrap();
        Tokens::new(&Keys::derive(&[secret; 32], number), clock.clone(), &config.sessions)
    }

    #[test]
    fn a_key_is_changed_without_refusing_tokens_of_the_last_one() {
        let clock = Clock::fixed(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let viewer = Viewer { account: Uuid::from_u128(1), session: Uuid::from_u128(2) };
        let numbered = [0, 1, 2, 3].map(|number| tokens(1, number, &clock));
        let signed = numbered.each_ref().map(|tokens| tokens.sign(viewer, &Ids::seeded(1)).unwrap().token);
        for (n, tokens) in numbered.iter().enumerate() {
            for (m, token) in signed.iter().enumerate() {
                let expected = if n.abs_diff(m) <= 1 { Ok(viewer) } else { Err(TokenError::Invalid) };
                assert_eq!(tokens.verify(token), expected, "a token of {m} at a server of {n}");
            }
            let kid = jsonwebtoken::decode_header(&signed[n]).unwrap().kid.unwrap();
            assert_eq!(tokens.jwks()["keys"][0]["kid"], kid.as_str());
        }
    }

    /// RFC 8037, appendix A.3.
    #[test]
    fn a_key_is_named_by_its_thumbprint() {
        let public = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let name = thumbprint(&public.try_into().unwrap());
        assert_eq!(name, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn s13_only_our_own_unexpired_tokens_for_this_audience_are_taken() {
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let clock = Clock::fixed(start);
        let ours = tokens(1, 0, &clock);
        let viewer = Viewer { account: Uuid::from_u128(1), session: Uuid::from_u128(2) };
        let signed = ours.sign(viewer, &Ids::seeded(1)).unwrap();
        assert_eq!(ours.verify(&signed.token), Ok(viewer));
        assert_eq!(signed.expires_at, start + TimeDelta::minutes(10));

        assert_eq!(tokens(2, 0, &clock).verify(&signed.token), Err(TokenError::Invalid), "a foreign key");
        let (_, rest) = signed.token.split_once('.').unwrap();
        for alg in ["none", "HS256", "RS256"] {
            let header = URL_SAFE_NO_PAD.encode(json!({"typ": "JWT", "alg": alg}).to_string());
            assert_eq!(ours.verify(&format!("{header}.{rest}")), Err(TokenError::Invalid), "alg {alg}");
            let unsigned = format!("{header}.{}.", rest.split_once('.').unwrap().0);
            assert_eq!(ours.verify(&unsigned), Err(TokenError::Invalid), "alg {alg} unsigned");
        }

        let good = json!({
            "iss": "accounts-center", "aud": "accounts-center", "jti": "1", "iat": 1_800_000_000, "exp": 1_800_000_600,
            "sub": NodeId::new(NodeKind::Account, viewer.account).to_string(),
            "sid": NodeId::new(NodeKind::AccountSession, viewer.session).to_string(),
        });
        let header = ours.0.header.clone();
        assert_eq!(ours.verify(&ours.sign_raw(&header, &good)), Ok(viewer));
        let nameless = Header::new(Algorithm::EdDSA);
        assert_eq!(ours.verify(&ours.sign_raw(&nameless, &good)), Err(TokenError::Invalid), "by no key");
        for (claim, value) in [
            ("iss", json!("somebody-else")),
            ("aud", json!("instagram")),
            ("sub", json!("account_x")),
            ("sid", json!(null)),
            ("exp", json!(null)),
        ] {
            let mut bad = good.clone();
            bad[claim] = value;
            assert_eq!(ours.verify(&ours.sign_raw(&header, &bad)), Err(TokenError::Invalid), "{claim}");
        }
        for garbage in ["", ".", "..", "a.b.c", "ü", &"x".repeat(10_000)] {
            assert_eq!(ours.verify(garbage), Err(TokenError::Invalid));
        }

        clock.set_offset(600);
        assert_eq!(ours.verify(&signed.token), Err(TokenError::Expired), "also from the cache");
    }
}
