//! The deployment's secret and the keys that are derived from it, one for each use.
//!
//! One secret to configure and to keep; HKDF (RFC 5869) makes keys of it that tell nothing about each
//! other. Whoever holds the secret holds everything, so it is never logged, stored or sent.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::ids::Ids;

/// Digits of a one-time code.
pub const CODE_LENGTH: usize = 6;

/// A message authentication code of SHA-256.
pub type Digest = [u8; 32];

/// The seed of an Ed25519 key.
pub type SigningSeed = [u8; 32];

/// The keys of one deployment; the same on all of its replicas.
pub struct Keys {
    signing: [SigningSeed; 3],
    cursor: [u8; 32],
    confirmation: [u8; 32],
    page: [u8; 32],
    code: [u8; 32],
    oauth: [u8; 32],
    hash: [u8; 32],
    seal: [u8; 32],
}

impl Keys {
    /// Derives the keys from `secret`, which has at least 32 bytes of entropy. `signing_number` says which key of many
    /// signs.
    pub fn derive(secret: &[u8], signing_number: u32) -> Self {
        let hkdf = Hkdf::<Sha256>::new(Some(b"accounts-center"), secret);
        let key = |purpose: &str| {
            let mut key = [0; 32];
            hkdf.expand(purpose.as_bytes(), &mut key).expect("32 bytes are within HKDF's limit");
            key
        };
        let signing = |number: u32| key(&format!("access token signature {number}"));
        let (before, after) = (signing_number.wrapping_sub(1), signing_number.wrapping_add(1));
        Self {
            signing: [signing(signing_number), signing(before), signing(after)],
            cursor: key("event cursor"),
            confirmation: key("confirmation"),
            page: key("page cursor"),
            code: key("one-time code"),
            oauth: key("oauth secret"),
            hash: key("stored hash"),
            seal: key("sealed column"),
        }
    }

    /// The seeds of the Ed25519 keys of access tokens: of the one that signs, and of those before and after it, whose
    /// tokens are taken while replicas change from one to the next.
    pub fn signing_seeds(&self) -> &[SigningSeed; 3] {
        &self.signing
    }

    /// Authenticates what a cursor says.
    pub fn cursor_tag(&self, message: &[u8]) -> Digest {
        mac(&self.cursor, &[message])
    }

    /// Authenticates what the cursor of a page says, which `parts` are together.
    pub fn page_tag(&self, parts: &[&[u8]]) -> Digest {
        mac(&self.page, parts)
    }

    /// Authenticates what a person confirms, which `parts` are together.
    pub fn confirmation_tag(&self, parts: &[&[u8]]) -> Digest {
        mac(&self.confirmation, parts)
    }

    /// A hash of a secret for a column: of no use to whoever reads the table.
    pub fn hash(&self, purpose: &str, value: &[u8]) -> Digest {
        mac(&self.hash, &[purpose.as_bytes(), &[0], value])
    }

    /// Whether `value` hashes to `stored`, in constant time.
    pub fn hash_matches(&self, purpose: &str, value: &[u8], stored: &[u8]) -> bool {
        self.hash(purpose, value).ct_eq(stored).into()
    }

    /// The `number`-th one-time code of a verification: uniform, from a CSPRNG that is seeded by a key
    /// and not by the database. A retried delivery thus sends the same code again, and none has to be kept.
    pub fn one_time_code(&self, verification: Uuid, number: i32) -> String {
        let seed = mac(&self.code, &[verification.as_bytes(), &number.to_be_bytes()]);
        let code: u32 = ChaCha20Rng::from_seed(seed).random_range(0..1_000_000);
        format!("{code:0CODE_LENGTH$}")
    }

    /// The secrets of one authorization request at a platform. Nobody can guess them without the key, and none has to be
    /// kept.
    pub fn oauth_secrets(&self, verification: Uuid) -> OAuthSecrets {
        let secret = |purpose: &str| {
            URL_SAFE_NO_PAD.encode(mac(&self.oauth, &[verification.as_bytes(), purpose.as_bytes()]))
        };
        OAuthSecrets { state: secret("state"), nonce: secret("nonce"), verifier: secret("PKCE verifier") }
    }

    /// The stored form of a code, bound to its verification and number.
    pub fn code_hash(&self, verification: Uuid, number: i32, code: &str) -> Digest {
        let mut value = verification.as_bytes().to_vec();
        value.extend(number.to_be_bytes());
        value.extend(code.as_bytes());
        self.hash("one-time code", &value)
    }

    /// Encrypts personal data for a column; it opens only for the same `owner`.
    pub fn seal(&self, ids: &Ids, owner: Uuid, plain: &[u8]) -> anyhow::Result<Vec<u8>> {
        let nonce: [u8; 24] = ids.bytes();
        let payload = Payload { msg: plain, aad: owner.as_bytes() };
        let sealed = self
            .cipher()
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| anyhow::anyhow!("a column could not be sealed"))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`Keys::seal`] made.
    pub fn open(&self, owner: Uuid, sealed: &[u8]) -> anyhow::Result<Vec<u8>> {
        let unreadable = || anyhow::anyhow!("a sealed column does not open: was the secret changed?");
        let (nonce, sealed) = sealed.split_at_checked(24).ok_or_else(unreadable)?;
        let nonce: [u8; 24] = nonce.try_into().map_err(|_| unreadable())?;
        let payload = Payload { msg: sealed, aad: owner.as_bytes() };
        self.cipher().decrypt(&XNonce::from(nonce), payload).map_err(|_| unreadable())
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.seal.into())
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

/// What binds an authorization request to its verification: 256 bits each, readable in a URL.
pub struct OAuthSecrets {
    /// Comes back with the browser.
    pub state: String,
    /// Comes back in the id token.
    pub nonce: String,
    /// What the authorization code is redeemed with (PKCE, RFC 7636).
    pub verifier: String,
}

impl OAuthSecrets {
    /// Whether `shown` is the state, in constant time.
    pub fn is_state(&self, shown: &str) -> bool {
        self.state.as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

/// A new secret for whoever holds it: 256 random bits, readable in a URL.
pub fn new_secret(ids: &Ids) -> String {
    URL_SAFE_NO_PAD.encode(ids.bytes::<32>())
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> Digest {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_column_opens_for_its_owner_only() {
        let keys = Keys::derive(&[1; 32], 0);
        let ids = Ids::seeded(1);
        let (owner, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let sealed = keys.seal(&ids, owner, b"+491713920042").unwrap();
        assert_eq!(keys.open(owner, &sealed).unwrap(), b"+491713920042");
        assert!(keys.open(other, &sealed).is_err());
        assert!(Keys::derive(&[2; 32], 0).open(owner, &sealed).is_err());
        assert!(keys.open(owner, &sealed[..10]).is_err());
    }

    #[test]
    fn secrets_of_authorization_requests_differ() {
        let (keys, others) = (Keys::derive(&[1; 32], 0), Keys::derive(&[2; 32], 0));
        let of = |keys: &Keys, id| {
            let OAuthSecrets { state, nonce, verifier } = keys.oauth_secrets(Uuid::from_u128(id));
            [state, nonce, verifier]
        };
        let all: Vec<_> = [of(&keys, 1), of(&keys, 2), of(&others, 1)].concat();
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), 9);
        // As long as a PKCE verifier has to be.
        assert!(all.iter().all(|secret| secret.len() == 43));
        assert!(keys.oauth_secrets(Uuid::from_u128(1)).is_state(&all[0]));
        assert!(!keys.oauth_secrets(Uuid::from_u128(1)).is_state(&all[3]));
    }

    #[test]
    fn codes_have_six_digits_and_differ() {
        let keys = Keys::derive(&[1; 32], 0);
        let id = Uuid::from_u128(1);
        let codes: Vec<_> = (1..=200).map(|number| keys.one_time_code(id, number)).collect();
        assert!(codes.iter().all(|c| c.len() == 6 && c.bytes().all(|b| b.is_ascii_digit())));
        let distinct: std::collections::HashSet<_> = codes.iter().collect();
        assert!(distinct.len() > 190);
        assert_eq!(codes[0], keys.one_time_code(id, 1));
        assert_ne!(keys.code_hash(id, 1, &codes[0]), keys.code_hash(id, 2, &codes[0]));
    }
}
