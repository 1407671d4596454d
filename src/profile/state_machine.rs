//! How a link stands, and what becomes of it: the one place that says which transition is allowed.

use accounts_center_entity::linked_profile::{self, LinkStatus, LinkStatusReason};
use chrono::{DateTime, TimeDelta, Utc};

/// How long a person may change their mind about unlinking.
pub const GRACE: TimeDelta = TimeDelta::hours(24);

/// What keeps a linked profile from working. Each hold can be set whatever the others are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    pub attention_required: bool,
    pub suspended: bool,
    pub contained: bool,
}

/// How a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    Linked {
        holds: Holds,
        /// When it is gone for good, if it is being unlinked.
        unlinks_at: Option<DateTime<Utc>>,
    },
    Unlinked,
}

/// What can happen to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    Unlink,
    Keep,
    GraceEnded,
    /// The platform says that the profile is deactivated.
    PlatformDeactivated,
    /// The platform says that the profile is active, whatever it was before.
    PlatformReactivated,
    /// The platform says that it wants a new proof.
    CredentialsExpired,
    PlatformDeleted,
    /// Its owner proved it again.
    Reverified,
    Contain,
    Release,
    ClaimedByNewOwner,
    /// Somebody else has proved it, and its owner has not, in the time that they had.
    ClaimUpheld,
}

/// What a transition comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<T> {
    Becomes(T),
    /// It is so already.
    Unchanged,
    Refused,
}

/// Another state, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub state: LinkState,
    pub reason: LinkStatusReason,
}

impl LinkState {
    /// How the link of a row stands.
    pub fn of(row: &linked_profile::Model) -> Self {
        if row.status == LinkStatus::Unlinked {
            return Self::Unlinked;
        }
        let holds = Holds {
            attention_required: row.attention_required,
            suspended: row.suspended,
            contained: row.contained,
        };
        Self::Linked { holds, unlinks_at: row.unlinks_at }
    }

    /// What is shown: the first that holds.
    pub fn status(self) -> LinkStatus {
        match self {
            Self::Unlinked => LinkStatus::Unlinked,
            Self::Linked { unlinks_at: Some(_), .. } => LinkStatus::Unlinking,
            Self::Linked { holds: Holds { contained: true, .. }, .. } => LinkStatus::Contained,
            Self::Linked { holds: Holds { suspended: true, .. }, .. } => LinkStatus::Suspended,
            Self::Linked { holds: Holds { attention_required: true, .. }, .. } => {
                LinkStatus::AttentionRequired
            }
            Self::Linked { .. } => LinkStatus::Active,
        }
    }

    /// What `transition` makes of this link at the instant `now`.
    ///
    /// What the platform says replaces what it said before, so that the order in which it is heard does not
    /// matter. It lifts its own holds and no others.
    pub fn after(self, transition: Transition, now: DateTime<Utc>) -> Verdict<Change> {
        use LinkStatusReason as Reason;
        let Self::Linked { holds, unlinks_at } = self else { return of_unlinked(transition) };
        let held = |holds| Self::Linked { holds, unlinks_at };
        let by_platform =
            |attention_required, suspended| held(Holds { attention_required, suspended, ..holds });
        let is_over = unlinks_at.is_some_and(|at| at <= now);
        let (state, reason) = match transition {
            Transition::Unlink => {
                let unlinks_at = Some(unlinks_at.unwrap_or(now + GRACE));
                (Self::Linked { holds, unlinks_at }, Reason::UserRequest)
            }
            Transition::Keep if is_over => return Verdict::Refused,
            Transition::Keep => (Self::Linked { holds, unlinks_at: None }, Reason::UnlinkCancelled),
            Transition::GraceEnded if !is_over => return Verdict::Refused,
            Transition::GraceEnded => (Self::Unlinked, Reason::GracePeriodEnded),
            Transition::PlatformDeactivated => (by_platform(false, true), Reason::PlatformDeactivated),
            Transition::PlatformReactivated => (by_platform(false, false), Reason::PlatformReactivated),
            Transition::CredentialsExpired => (by_platform(true, false), Reason::CredentialsExpired),
            Transition::PlatformDeleted => (Self::Unlinked, Reason::PlatformDeleted),
            Transition::Reverified => (by_platform(false, holds.suspended), Reason::Reverified),
            Transition::Contain => (held(Holds { contained: true, ..holds }), Reason::ReportedStolen),
            Transition::Release => (held(Holds { contained: false, ..holds }), Reason::Released),
            // Only what its owner is giving up can be claimed.
            Transition::ClaimedByNewOwner if unlinks_at.is_none() => return Verdict::Refused,
            Transition::ClaimedByNewOwner | Transition::ClaimUpheld => {
                (Self::Unlinked, Reason::ClaimedByNewOwner)
            }
        };
        if state == self { Verdict::Unchanged } else { Verdict::Becomes(Change { state, reason }) }
    }
}

/// There is no way back: it has to be linked anew.
fn of_unlinked(transition: Transition) -> Verdict<Change> {
    match transition {
        Transition::Unlink
        | Transition::GraceEnded
        | Transition::PlatformDeleted
        | Transition::ClaimedByNewOwner
        | Transition::ClaimUpheld => Verdict::Unchanged,
        Transition::Keep
        | Transition::PlatformDeactivated
        | Transition::PlatformReactivated
        | Transition::CredentialsExpired
        | Transition::Reverified
        | Transition::Contain
        | Transition::Release => Verdict::Refused,
    }
}

impl Change {
    /// Why the link now stands as it does. Where lifting one hold shows another one, that is the reason of the
    /// one that is shown.
    pub fn standing_reason(&self) -> LinkStatusReason {
        match self.state.status() {
            LinkStatus::Unlinking => LinkStatusReason::UserRequest,
            LinkStatus::Contained => LinkStatusReason::ReportedStolen,
            LinkStatus::Suspended => LinkStatusReason::PlatformDeactivated,
            LinkStatus::AttentionRequired => LinkStatusReason::CredentialsExpired,
            LinkStatus::Active | LinkStatus::Unlinked => self.reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    const LATER: DateTime<Utc> = DateTime::from_timestamp(1_800_000_001, 0).unwrap();

    /// Every state and what each transition makes of it. The letters are the holds (attention required, suspended,
    /// contained; `-` is none), `u` before them that it is being unlinked, `o` that the 24 hours of that are over,
    /// `x` that it is unlinked. `=` is unchanged, `!` refused.
    const TABLE: &str = "
        state unlink keep ended deact react expired deleted reverified contain release claimed upheld
        -     u-     =    !     s     =     a       x       =          c       =       !       x
        a     ua     =    !     s     -     =       x       -          ac      =       !       x
        s     us     =    !     =     -     a       x       =          sc      =       !       x
        c     uc     =    !     sc    =     ac      x       =          =       -       !       x
        as    uas    =    !     s     -     a       x       s          asc     =       !       x
        ac    uac    =    !     sc    c     =       x       c          =       a       !       x
        sc    usc    =    !     =     c     ac      x       =          =       s       !       x
        asc   uasc   =    !     sc    c     ac      x       sc         =       as      !       x
        u-    =      -    !     us    =     ua      x       =          uc      =       x       x
        ua    =      a    !     us    u-    =       x       u-         uac     =       x       x
        us    =      s    !     =     u-    ua      x       =          usc     =       x       x
        uc    =      c    !     usc   =     uac     x       =          =       u-      x       x
        uas   =      as   !     us    u-    ua      x       us         uasc    =       x       x
        uac   =      ac   !     usc   uc    =       x       uc         =       ua      x       x
        usc   =      sc   !     =     uc    uac     x       =          =       us      x       x
        uasc  =      asc  !     usc   uc    uac     x       usc        =       uas     x       x
        o-    =      !    x     os    =     oa      x       =          oc      =       x       x
        oa    =      !    x     os    o-    =       x       o-         oac     =       x       x
        os    =      !    x     =     o-    oa      x       =          osc     =       x       x
        oc    =      !    x     osc   =     oac     x       =          =       o-      x       x
        oas   =      !    x     os    o-    oa      x       os         oasc    =       x       x
        oac   =      !    x     osc   oc    =       x       oc         =       oa      x       x
        osc   =      !    x     =     oc    oac     x       =          =       os      x       x
        oasc  =      !    x     osc   oc    oac     x       osc        =       oas     x       x
        x     =      !    =     !     !     !       =       !          !       !       =       =
    ";

    fn transition(name: &str) -> (Transition, LinkStatusReason) {
        use {LinkStatusReason as Reason, Transition as T};
        match name {
            "unlink" => (T::Unlink, Reason::UserRequest),
            "keep" => (T::Keep, Reason::UnlinkCancelled),
            "ended" => (T::GraceEnded, Reason::GracePeriodEnded),
            "deact" => (T::PlatformDeactivated, Reason::PlatformDeactivated),
            "react" => (T::PlatformReactivated, Reason::PlatformReactivated),
            "expired" => (T::CredentialsExpired, Reason::CredentialsExpired),
            "deleted" => (T::PlatformDeleted, Reason::PlatformDeleted),
            "reverified" => (T::Reverified, Reason::Reverified),
            "contain" => (T::Contain, Reason::ReportedStolen),
            "release" => (T::Release, Reason::Released),
            "claimed" => (T::ClaimedByNewOwner, Reason::ClaimedByNewOwner),
            "upheld" => (T::ClaimUpheld, Reason::ClaimedByNewOwner),
            other => panic!("{other}"),
        }
    }

    fn state(name: &str, unlinks_at: DateTime<Utc>) -> LinkState {
        if name == "x" {
            return LinkState::Unlinked;
        }
        let holds = Holds {
            attention_required: name.contains('a'),
            suspended: name.contains('s'),
            contained: name.contains('c'),
        };
        let unlinks_at = match name.as_bytes()[0] {
            b'u' => Some(unlinks_at),
            b'o' => Some(NOW),
            _ => None,
        };
        LinkState::Linked { holds, unlinks_at }
    }

    #[test]
    fn every_pair_of_state_and_transition() {
        let mut rows = TABLE.trim().lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        let names = rows.next().unwrap();
        let mut pairs = 0;
        for row in rows {
            assert_eq!(row.len(), names.len(), "{row:?}");
            let before = state(row[0], LATER);
            for (name, cell) in names.iter().zip(&row).skip(1) {
                let (transition, reason) = transition(name);
                // Unlinking begins with 24 hours; another transition leaves the end where it is.
                let unlinks_at = if *name == "unlink" { NOW + GRACE } else { LATER };
                let expected = match *cell {
                    "=" => Verdict::Unchanged,
                    "!" => Verdict::Refused,
                    after => Verdict::Becomes(Change { state: state(after, unlinks_at), reason }),
                };
                assert_eq!(before.after(transition, NOW), expected, "{} {name}", row[0]);
                pairs += 1;
            }
        }
        assert_eq!(pairs, 25 * 12);
    }

    #[test]
    fn the_first_that_holds_is_shown() {
        for (name, status) in [
            ("-", LinkStatus::Active),
            ("a", LinkStatus::AttentionRequired),
            ("as", LinkStatus::Suspended),
            ("asc", LinkStatus::Contained),
            ("uasc", LinkStatus::Unlinking),
            ("oasc", LinkStatus::Unlinking),
            ("x", LinkStatus::Unlinked),
        ] {
            assert_eq!(state(name, LATER).status(), status, "{name}");
        }
    }

    #[test]
    fn what_is_shown_next_has_its_own_reason() {
        for (before, name, reason) in [
            ("sc", "release", LinkStatusReason::PlatformDeactivated),
            ("ac", "release", LinkStatusReason::CredentialsExpired),
            ("c", "release", LinkStatusReason::Released),
            ("uc", "keep", LinkStatusReason::ReportedStolen),
            ("u-", "keep", LinkStatusReason::UnlinkCancelled),
            ("u-", "deleted", LinkStatusReason::PlatformDeleted),
            ("us", "react", LinkStatusReason::UserRequest),
        ] {
            let Verdict::Becomes(change) = state(before, LATER).after(transition(name).0, NOW) else {
                panic!("{before} {name}");
            };
            assert_eq!(change.standing_reason(), reason, "{before} {name}");
        }
    }
}
