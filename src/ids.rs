//! Ids and randomness: where they are made, and how an id is written in the graph.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use uuid::Uuid;

/// Makes ids and secrets from one cryptographically secure generator.
#[derive(Clone)]
pub struct Ids(Arc<Mutex<ChaCha20Rng>>);

impl Ids {
    /// Seeded by the operating system.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
    pub fn random() -> Self {
        Self(Arc::new(Mutex::new(ChaCha20Rng::from_rng(&mut rand::rng()))))
    }

    /// The same ids at every run, for tests.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(ChaCha20Rng::seed_from_u64(seed))))
    }

    /// A UUID of version 7 (RFC 9562): ordered by time, with 74 random bits.
    pub fn uuid(&self, now: DateTime<Utc>) -> Uuid {
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes()).into_uuid()
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
        bytes
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ids")
    }
}

/// What a global id of the graph names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    Account,
    LinkedProfile,
    Verification,
    AccountSession,
    ProfileConnection,
    SecurityAlert,
    Passkey,
    /// No node: by which of its profiles and passkeys an account is signed in to.
    SignInMethod,
    /// No node: a passkey that is about to be registered.
    PasskeyRegistration,
}

impl NodeKind {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Account, "account"),
        (Self::LinkedProfile, "profile"),
        (Self::Verification, "verification"),
        (Self::AccountSession, "session"),
        (Self::ProfileConnection, "connection"),
        (Self::SecurityAlert, "alert"),
        (Self::Passkey, "passkey"),
        (Self::SignInMethod, "sign_in_method"),
        (Self::PasskeyRegistration, "passkey_registration"),
    ];

    fn prefix(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::LinkedProfile => "profile",
            Self::Verification => "verification",
            Self::AccountSession => "session",
            Self::ProfileConnection => "connection",
            Self::SecurityAlert => "alert",
            Self::Passkey => "passkey",
            Self::SignInMethod => "sign_in_method",
            Self::PasskeyRegistration => "passkey_registration",
        }
    }
}

/// A global id: `profile_0193f0…`, a kind and 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeId {
    pub kind: NodeKind,
    pub uuid: Uuid,
}

impl NodeId {
    pub fn new(kind: NodeKind, uuid: Uuid) -> Self {
        Self { kind, uuid }
    }

    /// The UUID in `id` if it is well-formed and names a `kind`.
    pub fn parse_as(kind: NodeKind, id: &str) -> Option<Uuid> {
        id.parse::<Self>().ok().filter(|parsed| parsed.kind == kind).map(|parsed| parsed.uuid)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.kind.prefix(), self.uuid.simple())
    }
}

impl FromStr for NodeId {
    type Err = ();

    /// Takes only the one form that [`NodeId`] is written in, so that one object has one id.
    fn from_str(id: &str) -> Result<Self, ()> {
        let (prefix, digits) = id.rsplit_once('_').ok_or(())?;
        let (kind, _) = NodeKind::ALL.into_iter().find(|(_, name)| *name == prefix).ok_or(())?;
        Ok(Self { kind, uuid: canonical_uuid(digits).ok_or(())? })
    }
}

/// The global id of what is recorded of an event: `activity_0193f0…_42`, its account and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ActivityId {
    pub account: Uuid,
    pub number: i64,
}

impl ActivityId {
    const PREFIX: &'static str = "activity_";
}

impl fmt::Display for ActivityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}_{}", Self::PREFIX, self.account.simple(), self.number)
    }
}

impl FromStr for ActivityId {
    type Err = ();

    /// Takes only the one form that [`ActivityId`] is written in.
    fn from_str(id: &str) -> Result<Self, ()> {
        let (account, number) = id.strip_prefix(Self::PREFIX).and_then(|id| id.split_once('_')).ok_or(())?;
        let canonical = number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0');
        let number = Some(number).filter(|_| canonical).and_then(|number| number.parse().ok()).ok_or(())?;
        Ok(Self { account: canonical_uuid(account).ok_or(())?, number })
    }
}

/// The UUID that is written as 32 hexadecimal digits in lower case.
fn canonical_uuid(digits: &str) -> Option<Uuid> {
    let canonical =
        digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    Some(digits).filter(|_| canonical).and_then(|digits| Uuid::try_parse(digits).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_object_has_one_id() {
        let uuid = Uuid::from_u128(0x0193_f000_0000_7000_8000_0000_0000_00ab);
        let id = NodeId::new(NodeKind::LinkedProfile, uuid);
        assert_eq!(id.to_string(), "profile_0193f000000070008000000000000ab".replace("0ab", "00ab"));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(NodeId::parse_as(NodeKind::Account, &id.to_string()), None);
        let method = NodeId::new(NodeKind::SignInMethod, uuid);
        assert_eq!(method.to_string().parse(), Ok(method));
        for other in [
            "profile_0193F000000070008000000000000AB0",
            "profile_{0193f000-0000-7000-8000-0000000000ab}",
            "profile_",
            "profile",
            "sign_in_method",
            "x_profile_0193f0000000700080000000000000ab",
            "",
            "toaster_0193f0000000700080000000000000ab",
        ] {
            assert_eq!(other.parse::<NodeId>(), Err(()), "{other}");
        }
    }

    #[test]
    fn one_activity_has_one_id() {
        let account = Uuid::from_u128(0xab);
        let id = ActivityId { account, number: 42 };
        assert_eq!(id.to_string(), "activity_000000000000000000000000000000ab_42");
        assert_eq!(id.to_string().parse(), Ok(id));
        for number in ["", "0", "042", "+42", "-42", "4 2", "99999999999999999999", "42_", "٤٢"] {
            let other = format!("activity_000000000000000000000000000000ab_{number}");
            assert_eq!(other.parse::<ActivityId>(), Err(()), "{other}");
        }
        for other in ["activity_ab_42", "activity_000000000000000000000000000000AB_42", "activity_", ""] {
            assert_eq!(other.parse::<ActivityId>(), Err(()), "{other}");
        }
    }

    #[test]
    fn a_seed_repeats_itself() {
        let now = chrono::DateTime::UNIX_EPOCH;
        assert_eq!(Ids::seeded(7).uuid(now), Ids::seeded(7).uuid(now));
        assert_ne!(Ids::seeded(7).uuid(now), Ids::seeded(8).uuid(now));
        assert_ne!(Ids::random().bytes::<16>(), Ids::random().bytes::<16>());
    }
}
