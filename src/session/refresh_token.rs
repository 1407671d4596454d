//! Refresh tokens: opaque, good for one use, and each the predecessor of exactly one.
//!
//! A token names its session and its number in it, bears a secret, and is authenticated by a key, so that what was never
//! given out changes nothing. The session's row has the number of the good one and a hash of its secret. The next secret
//! follows from the last by a key: whoever asks again because the answer was lost gets the same token, and none is kept.

use accounts_center_entity::session;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::ids::Ids;
use crate::keys::{Digest, Keys};

/// Bytes: a session, a number, a secret, and what authenticates them.
const LENGTH: usize = 16 + 4 + 32 + TAG;
const TAG: usize = 16;

/// What a refresh token says.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    session: Uuid,
    number: u32,
    secret: [u8; 32],
}

/// What a genuine token is to its session.
#[derive(PartialEq, Eq)]
pub enum Verdict {
    /// It is the good one. This takes its place.
    Good(RefreshToken),
    /// It was, a moment ago: this has taken its place already.
    Retried(RefreshToken),
    /// Its successor is in use: one of two has stolen it.
    Reused,
    /// Its session has ended.
    Ended,
}

impl RefreshToken {
    /// The first one of a session.
    pub fn first(ids: &Ids, session: Uuid) -> Self {
        Self { session, number: 0, secret: ids.bytes() }
    }

    /// What `text` says; `None` if it was not given out here.
    pub fn parse(keys: &Keys, text: &str) -> Option<Self> {
        // Not even decoded if it is far too long.
        let bytes = URL_SAFE_NO_PAD.decode(Some(text).filter(|text| text.len() <= 2 * LENGTH)?).ok()?;
        let (said, tag) = bytes.split_at_checked(LENGTH - TAG)?;
        let (session, rest) = said.split_at(16);
        let (number, secret) = rest.split_at(4);
        let token = Self {
            session: Uuid::from_slice(session).ok()?,
            number: u32::from_be_bytes(number.try_into().ok()?),
            secret: secret.try_into().ok()?,
        };
        bool::from(token.tag(keys).as_slice().ct_eq(tag)).then_some(token)
    }

    /// The token as its holder keeps it.
    pub fn write(&self, keys: &Keys) -> String {
        URL_SAFE_NO_PAD.encode([self.said().as_slice(), &self.tag(keys)].concat())
    }

    pub fn session(&self) -> Uuid {
        self.session
    }

    /// As the session's row has it.
    pub fn stored_number(&self) -> i32 {
        i32::try_from(self.number).unwrap_or(i32::MAX)
    }

    /// The secret as the session's row has it.
    pub fn stored_hash(&self, keys: &Keys) -> Digest {
        keys.hash("refresh secret", &self.said())
    }

    /// What this token is to the session in `row`, which it names. `retry` is how long its successor is given out again.
    pub fn judge(
        &self,
        keys: &Keys,
        row: &session::Model,
        (now, retry): (DateTime<Utc>, TimeDelta),
    ) -> Verdict {
        if row.revoked_at.is_some() || row.expires_at <= now {
            return Verdict::Ended;
        }
        let is_stored = |token: &Self| {
            let hash = token.stored_hash(keys);
            row.refresh_hash.as_deref().is_some_and(|stored| hash.ct_eq(stored).into())
        };
        let next = self.successor(keys);
        match self.stored_number() {
            number if number == row.refresh_number && is_stored(self) => Verdict::Good(next),
            // The database is an older backup: it has not seen this one yet, and nobody can have used it there.
            number if number > row.refresh_number => Verdict::Good(next),
            _ if is_stored(&next) && row.refreshed_at.is_some_and(|at| now < at + retry) => {
                Verdict::Retried(next)
            }
            _ => Verdict::Reused,
        }
    }

    fn successor(&self, keys: &Keys) -> Self {
        let secret = keys.hash("refresh successor", &self.said());
        Self { session: self.session, number: self.number.saturating_add(1), secret }
    }

    fn said(&self) -> Vec<u8> {
        [self.session.as_bytes().as_slice(), &self.number.to_be_bytes(), &self.secret].concat()
    }

    fn tag(&self, keys: &Keys) -> [u8; TAG] {
        let mut tag = [0; TAG];
        tag.copy_from_slice(&keys.hash("refresh token", &self.said())[..TAG]);
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    const RETRY: TimeDelta = TimeDelta::seconds(10);

    fn row(keys: &Keys, good: &RefreshToken) -> session::Model {
        session::Model {
            id: good.session,
            account_id: Uuid::from_u128(1),
            opened_by_profile_id: None,
            opened_by_passkey_id: None,
            device: None,
            ip_address: None,
            created_at: NOW,
            authenticated_at: NOW,
            expires_at: NOW + TimeDelta::days(90),
            revoked_at: None,
            refresh_number: good.stored_number(),
            refresh_hash: Some(good.stored_hash(keys).to_vec()),
            refreshed_at: Some(NOW),
        }
    }

    #[test]
    fn a_token_is_good_once_and_for_a_moment_again() {
        let keys = Keys::derive(&[1; 32], 0);
        let first = RefreshToken::first(&Ids::seeded(1), Uuid::from_u128(2));
        let (second, third) = (first.successor(&keys), first.successor(&keys).successor(&keys));
        let judge = |token: &RefreshToken, good: &RefreshToken, seconds: i64| {
            token.judge(&keys, &row(&keys, good), (NOW + TimeDelta::seconds(seconds), RETRY))
        };
        assert!(judge(&first, &first, 1000) == Verdict::Good(second.clone()));
        assert!(judge(&first, &second, 9) == Verdict::Retried(second.clone()));
        assert!(judge(&first, &second, 10) == Verdict::Reused, "a retry comes soon");
        assert!(judge(&first, &third, 1) == Verdict::Reused, "the answer had arrived");
        assert!(judge(&third, &second, 1) == Verdict::Good(third.successor(&keys)), "of after the backup");
        let foreign = RefreshToken { secret: [7; 32], ..second.clone() };
        assert!(judge(&foreign, &second, 1) == Verdict::Reused, "of another line of tokens");

        let mut ended = row(&keys, &first);
        ended.revoked_at = Some(NOW);
        assert!(first.judge(&keys, &ended, (NOW, RETRY)) == Verdict::Ended);
        ended.revoked_at = None;
        ended.expires_at = NOW;
        assert!(first.judge(&keys, &ended, (NOW, RETRY)) == Verdict::Ended);
        ended.expires_at = NOW + RETRY;
        ended.refresh_hash = None;
        assert!(first.judge(&keys, &ended, (NOW, RETRY)) == Verdict::Reused, "the row knows of none");
    }

    #[test]
    fn only_what_was_given_out_is_taken() {
        let keys = Keys::derive(&[1; 32], 0);
        let token = RefreshToken::first(&Ids::seeded(1), Uuid::from_u128(2));
        let text = token.write(&keys);
        assert!(RefreshToken::parse(&keys, &text) == Some(token));
        assert!(RefreshToken::parse(&Keys::derive(&[2; 32], 0), &text).is_none());
        for at in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            assert!(RefreshToken::parse(&keys, &other).is_none(), "{other}");
        }
        for garbage in ["", "x", "ü", &text[1..], &format!("{text}AAAA"), &"A".repeat(91), &"A".repeat(5000)]
        {
            assert!(RefreshToken::parse(&keys, garbage).is_none(), "{garbage}");
        }
    }
}
