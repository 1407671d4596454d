//! Confirmations: what a person gets in answer to a request that needs a second thought, and sends back to say that
//! they mean it.
//!
//! 32 characters of base64url: until when it is good, and 16 bytes of an HMAC over that, the account, the session and what it
//! confirms. So one of another session, or for something else, is as bad as an invented one, and none has to be kept.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use subtle::ConstantTimeEq;

use super::Viewer;
use crate::keys::Keys;

/// How long one is good.
const GOOD: TimeDelta = TimeDelta::minutes(10);
const UNTIL: usize = 8;
const TAG: usize = 16;

/// What a viewer has to confirm.
pub struct Confirmation<'a> {
    pub keys: &'a Keys,
    pub viewer: Viewer,
    /// The mutation, with all that it is going to do, in a fixed form.
    pub act: &'a str,
}

impl Confirmation<'_> {
    /// The token to be sent back.
    pub fn write(&self, now: DateTime<Utc>) -> String {
        let until = (now + GOOD).timestamp_millis().to_be_bytes();
        URL_SAFE_NO_PAD.encode([until.as_slice(), &self.tag(until)].concat())
    }

    /// Whether `token` is one for this that is still good.
    pub fn is_given_by(&self, token: &str, now: DateTime<Utc>) -> bool {
        let mut bytes = [0; UNTIL + TAG];
        if URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).ok() != Some(bytes.len()) {
            return false;
        }
        let (until, tag) = bytes.split_at(UNTIL);
        let Ok(until) = <[u8; UNTIL]>::try_from(until) else { return false };
        bool::from(self.tag(until).ct_eq(tag)) && now.timestamp_millis() < i64::from_be_bytes(until)
    }

    fn tag(&self, until: [u8; UNTIL]) -> [u8; TAG] {
        let Viewer { account, session } = self.viewer;
        let parts = [until.as_slice(), account.as_bytes(), session.as_bytes(), self.act.as_bytes()];
        let mut tag = [0; TAG];
        tag.copy_from_slice(&self.keys.confirmation_tag(&parts)[..TAG]);
        tag
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_confirmation_is_of_one_session_for_one_act_and_a_while() {
        let (keys, others) = (Keys::derive(&[1; 32], 0), Keys::derive(&[2; 32], 0));
        let [account, session, other] = [1, 2, 3].map(Uuid::from_u128);
        let of =
            |account, session, act, keys| Confirmation { keys, viewer: Viewer { account, session }, act };
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let own = of(account, session, "delete", &keys);
        let token = own.write(now);
        assert_eq!(token.len(), 32);
        assert!(own.is_given_by(&token, now + GOOD - TimeDelta::milliseconds(1)));
        assert!(!own.is_given_by(&token, now + GOOD));
        for foreign in [
            of(other, session, "delete", &keys),
            of(account, other, "delete", &keys),
            of(account, session, "other", &keys),
            of(account, session, "delete", &others),
        ] {
            assert!(!foreign.is_given_by(&token, now));
        }
        // With more time than was given.
        let mut forged = URL_SAFE_NO_PAD.decode(&token).unwrap();
        forged[4] += 1;
        assert!(!own.is_given_by(&URL_SAFE_NO_PAD.encode(forged), now));
        for garbage in ["", "x", "ü", &"A".repeat(32), &"A".repeat(5000)] {
            assert!(!own.is_given_by(garbage, now), "{garbage}");
        }
    }
}
