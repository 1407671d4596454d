//! The signature of a platform's webhooks, as [Standard Webhooks](https://www.standardwebhooks.com) has it.

use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook};
use subtle::ConstantTimeEq;

/// How far the clocks of a platform and of this server may be apart.
const TOLERANCE: TimeDelta = TimeDelta::minutes(5);
/// Bytes of a message's id that are kept.
const MAX_ID: usize = 255;

/// The key that a platform signs its webhooks with.
pub struct WebhookKey(Webhook);

/// Why a webhook is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    #[error("the header {0} is missing or malformed")]
    Header(&'static str),
    #[error("webhook-timestamp is more than 5 minutes from the time here")]
    Timestamp,
    #[error("webhook-signature does not fit")]
    Signature,
}

impl WebhookKey {
    /// Reads `whsec_` and base64 of 24 to 64 bytes.
    ///
    /// # Errors
    /// Says what would be right, and never what was given.
    pub fn parse(secret: &SecretString) -> anyhow::Result<Self> {
        let encoded = secret.expose_secret().strip_prefix("whsec_");
        let key = encoded.and_then(|encoded| STANDARD.decode(encoded).ok());
        let key = key.filter(|key| (24..=64).contains(&key.len())).ok_or_else(|| {
            anyhow::anyhow!("it must be whsec_ and base64 of 24 to 64 random bytes, as the platform has it")
        })?;
        Ok(Self(Webhook::from_bytes(key)?))
    }

    /// The id of a message that this key has signed, at an instant near `now`.
    ///
    /// The library's own check asks the system for the time; it signs anew here, and the signatures are compared.
    pub fn verify<'a>(
        &self,
        headers: &'a HeaderMap,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<&'a str, Unsigned> {
        let header = |name| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.filter(|value| !value.is_empty()).ok_or(Unsigned::Header(name))
        };
        let id = header(HEADER_WEBHOOK_ID)?;
        if id.len() > MAX_ID {
            return Err(Unsigned::Header(HEADER_WEBHOOK_ID));
        }
        let malformed = Unsigned::Header(HEADER_WEBHOOK_TIMESTAMP);
        let timestamp: i64 = header(HEADER_WEBHOOK_TIMESTAMP)?.parse().map_err(|_| malformed)?;
        let signatures = header(HEADER_WEBHOOK_SIGNATURE)?;
        let expected = self.0.sign(id, timestamp, body).map_err(|_| Unsigned::Signature)?;
        // Several, parted by blanks, while a key is being changed.
        let fits = |signature: &str| bool::from(signature.as_bytes().ct_eq(expected.as_bytes()));
        if !signatures.split(' ').any(fits) {
            return Err(Unsigned::Signature);
        }
        if timestamp.abs_diff(now.timestamp()) > TOLERANCE.num_seconds().unsigned_abs() {
            return Err(Unsigned::Timestamp);
        }
        Ok(id)
    }

    /// The headers that a message is sent with.
    pub fn sign(
        &self,
        id: &str,
        at: DateTime<Utc>,
        body: &[u8],
    ) -> anyhow::Result<[(&'static str, String); 3]> {
        let signature = self.0.sign(id, at.timestamp(), body)?;
        Ok([
            (HEADER_WEBHOOK_ID, id.to_owned()),
            (HEADER_WEBHOOK_TIMESTAMP, at.timestamp().to_string()),
            (HEADER_WEBHOOK_SIGNATURE, signature),
        ])
    }
}

impl std::fmt::Debug for WebhookKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::from_timestamp(1_649_367_553, 0).unwrap();
    const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;

    fn key(secret: &str) -> anyhow::Result<WebhookKey> {
        WebhookKey::parse(&secret.into())
    }

    fn headers(changes: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("webhook-id", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk"),
            ("webhook-timestamp", "1649367553"),
            ("webhook-signature", "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="),
        ]
        .iter()
        .chain(changes)
        {
            headers.insert(*name, value.parse().unwrap());
        }
        headers
    }

    /// The example of the specification's own libraries.
    #[test]
    fn a_signature_of_the_specification_is_believed_for_five_minutes() {
        let key = key("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD").unwrap();
        let long = "m".repeat(256);
        let verify = |changes: &[(&'static str, &str)], seconds| {
            let headers = headers(changes);
            key.verify(&headers, BODY, NOW + TimeDelta::seconds(seconds)).map(str::to_owned)
        };
        let id = Ok("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk".to_owned());
        for seconds in [0, 300, -300] {
            assert_eq!(verify(&[], seconds), id);
        }
        for seconds in [301, -301] {
            assert_eq!(verify(&[], seconds), Err(Unsigned::Timestamp));
        }
        let two = "v1,AAAA v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw= v2,x";
        assert_eq!(verify(&[("webhook-signature", two)], 0), id);
        for bad in ["v1,", "v1,t", "v2,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=", "v1"] {
            assert_eq!(verify(&[("webhook-signature", bad)], 0), Err(Unsigned::Signature), "{bad}");
        }
        assert_eq!(verify(&[("webhook-id", "msg_other")], 0), Err(Unsigned::Signature));
        assert_eq!(verify(&[("webhook-id", &long)], 0), Err(Unsigned::Header("webhook-id")));
        assert_eq!(verify(&[("webhook-timestamp", "1649367554")], 0), Err(Unsigned::Signature));
        assert_eq!(verify(&[("webhook-timestamp", "now")], 0), Err(Unsigned::Header("webhook-timestamp")));
        assert_eq!(key.verify(&headers(&[]), b"{}", NOW), Err(Unsigned::Signature));
        assert_eq!(key.verify(&headers(&[]), b"\xff", NOW), Err(Unsigned::Signature));
        assert_eq!(key.verify(&HeaderMap::new(), BODY, NOW), Err(Unsigned::Header("webhook-id")));
    }

    #[test]
    fn a_key_is_whsec_and_base64_of_enough_bytes() {
        assert!(key(crate::sandbox::WEBHOOK_SECRET).is_ok());
        for bad in ["", "whsec_", "C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_c2hvcnQ=", "whsec_not base64"] {
            assert!(key(bad).unwrap_err().to_string().contains("whsec_ and base64"), "{bad}");
        }
    }
}
