//! Access tokens: JWTs (RFC 7519) signed with Ed25519 (RFC 8037).

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Viewer;
use crate::clock::Clock;
use crate::config;
use crate::ids::{Ids, NodeId, NodeKind};
use crate::keys::Keys;

/// Verified tokens that are remembered: a signature costs more than a query.
const REMEMBERED: usize = 100_000;
/// A token is some 500 bytes; far beyond that nothing is parsed.
const MAX_LENGTH: usize = 4096;

/// Signs and verifies access tokens. Cheap to clone.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    clock: Clock,
    issuer: String,
    audience: String,
    lifetime: TimeDelta,
    header: Header,
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
    /// By the token's SHA-256, so that the cache holds nothing that signs in.
    verified: Cache<[u8; 32], Verified>,
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
    jti: String,
    iat: i64,
    exp: i64,
}

impl Tokens {
    pub fn new(keys: &Keys, clock: Clock, config: &config::Sessions) -> Self {
        let key = SigningKey::from_bytes(keys.signing_seed());
        let public = key.verifying_key().to_bytes();
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(Sha256::digest(public)[..8].iter().map(|b| format!("{b:02x}")).collect());
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&config.issuer]);
        validation.set_audience(&[&config.audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // By our own clock, which tests can move.
        validation.validate_exp = false;
        Self(Arc::new(Inner {
            clock,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            lifetime: TimeDelta::minutes(config.access_token_minutes.into()),
            header,
            signing: EncodingKey::from_ed_der(&pkcs8(key.as_bytes())),
            verifying: DecodingKey::from_ed_der(&public),
            validation,
            verified: Cache::new(REMEMBERED),
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
            jti: ids.uuid(now).simple().to_string(),
            iat: now.timestamp(),
            exp: expires_at.timestamp(),
        };
        let token = jsonwebtoken::encode(&self.0.header, &claims, &self.0.signing)?;
        Ok(AccessToken { token, expires_at })
    }

    /// Whom `token` speaks for.
    pub fn verify(&self, token: &str) -> Result<Viewer, TokenError> {
        if token.len() > MAX_LENGTH {
            return Err(TokenError::Invalid);
        }
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

    fn verify_signature(&self, token: &str) -> Result<Verified, TokenError> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.0.verifying, &self.0.validation)
            .map_err(|_| TokenError::Invalid)?
            .claims;
        let account = NodeId::parse_as(NodeKind::Account, &claims.sub).ok_or(TokenError::Invalid)?;
        let session = NodeId::parse_as(NodeKind::AccountSession, &claims.sid).ok_or(TokenError::Invalid)?;
        Ok(Verified { viewer: Viewer { account, session }, expires_at: claims.exp })
    }

    /// Signs claims as they are, for tests of what [`Tokens::verify`] refuses.
    #[cfg(test)]
    fn sign_raw(&self, header: &Header, claims: &serde_json::Value) -> String {
        jsonwebtoken::encode(header, claims, &self.0.signing).unwrap()
    }
}

/// An Ed25519 seed as PKCS #8 (RFC 8410, section 7): a fixed prefix and the seed.
fn pkcs8(seed: &[u8; 32]) -> Vec<u8> {
    const PREFIX: [u8; 16] =
        [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    [PREFIX.as_slice(), seed].concat()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn tokens(secret: u8, clock: &Clock) -> Tokens {
        let config = crate::config::Config::from_pairs([]).unwrap();
        Tokens::new(&Keys::derive(&[secret; 32]), clock.clone(), &config.sessions)
    }

    #[test]
    fn s13_only_our_own_unexpired_tokens_for_this_audience_are_taken() {
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let clock = Clock::fixed(start);
        let ours = tokens(1, &clock);
        let viewer = Viewer { account: Uuid::from_u128(1), session: Uuid::from_u128(2) };
        let signed = ours.sign(viewer, &Ids::seeded(1)).unwrap();
        assert_eq!(ours.verify(&signed.token), Ok(viewer));
        assert_eq!(signed.expires_at, start + TimeDelta::minutes(10));

        assert_eq!(tokens(2, &clock).verify(&signed.token), Err(TokenError::Invalid), "a foreign key");
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
        let header = Header::new(Algorithm::EdDSA);
        assert_eq!(ours.verify(&ours.sign_raw(&header, &good)), Ok(viewer));
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
