//! What happened, in words for the person.

use uuid::Uuid;

use super::graphql::ActivityKind;
use crate::account::event::{Administration, DeletionChanged, Happened};
use crate::link_graph::event::{ConnectionChanged, LinkStatusChanged};
use crate::link_graph::graphql::{Experience, LinkStatus, LinkStatusReason};
use crate::passkey::event::PasskeyChange;
use crate::profile::event::ProfileChanged;
use crate::session::event::SessionEnd;

/// A sentence. `name` is what a profile is called; `None` for one that is gone.
pub fn describe(
    kind: ActivityKind,
    happened: Option<&Happened>,
    name: impl Fn(Uuid) -> Option<String>,
) -> String {
    let name = |id: Uuid| name(id).unwrap_or_else(|| "a profile that is gone now".to_owned());
    match happened {
        Some(Happened::Account(_)) => "The name or the picture of your account was changed.".to_owned(),
        Some(Happened::Suggestion(_)) => "A suggestion of what to link was dismissed.".to_owned(),
        Some(Happened::LinkStatus(changed)) => capitalised(&link(changed, &name(changed.profile))),
        Some(Happened::Connection(changed)) => {
            connection(changed, &name(changed.source), &name(changed.target))
        }
        Some(Happened::Profile(changed)) => capitalised(&profile(changed, &name(changed.profile))),
        Some(Happened::Claimed(claimed)) => {
            let until = claimed.due_at.format("%Y-%m-%d %H:%M UTC");
            let name = name(claimed.profile);
            format!("Somebody else has proved {name}. Prove it again before {until}, or it goes to them.")
        }
        Some(Happened::ClaimStarted(_)) => "A profile of another account was claimed from here.".to_owned(),
        Some(Happened::Session(changed)) => session(changed.ended).to_owned(),
        Some(Happened::Passkey(changed)) => passkey(changed.change).to_owned(),
        Some(Happened::Deletion(DeletionChanged { deletes_at: Some(at) })) => {
            format!("Your account is going to be deleted on {}.", at.format("%Y-%m-%d %H:%M UTC"))
        }
        Some(Happened::Deletion(DeletionChanged { deletes_at: None })) => "Your account is kept.".to_owned(),
        Some(Happened::Administered(administered)) => administration(administered.action).to_owned(),
        // Not recorded: what it warns of is. And nobody reads of the end of an account.
        Some(Happened::Alert(_) | Happened::Erased(_)) | None => unknown(kind).to_owned(),
    }
}

fn link(changed: &LinkStatusChanged, profile: &str) -> String {
    if changed.previous.is_none() {
        return format!("{profile} was linked.");
    }
    match (changed.status, changed.reason) {
        (LinkStatus::Active, LinkStatusReason::UnlinkCancelled) => format!("{profile} was kept."),
        (LinkStatus::Active, LinkStatusReason::PlatformReactivated) => {
            format!("{profile} was reactivated by its platform.")
        }
        (LinkStatus::Active, LinkStatusReason::Reverified) => format!("{profile} was proved again."),
        (LinkStatus::Active, LinkStatusReason::Released) => format!("{profile} was taken back."),
        (LinkStatus::Active, _) => format!("{profile} works again."),
        (LinkStatus::AttentionRequired, _) => format!("{profile} has to be proved again."),
        (LinkStatus::Suspended, _) => format!("{profile} was deactivated by its platform."),
        (LinkStatus::Contained, _) => format!("{profile} was reported as stolen and cut off."),
        (LinkStatus::Unlinking, LinkStatusReason::ClaimedByNewOwner) => {
            format!("{profile} is being unlinked, because somebody else proved that it is theirs.")
        }
        (LinkStatus::Unlinking, _) => format!("{profile} is being unlinked."),
        (LinkStatus::Unlinked, LinkStatusReason::PlatformDeleted) => {
            format!("{profile} was unlinked, because it was deleted at its platform.")
        }
        (LinkStatus::Unlinked, LinkStatusReason::ClaimedByNewOwner) => {
            format!("{profile} was unlinked, because somebody else proved that it is theirs.")
        }
        (LinkStatus::Unlinked, _) => format!("{profile} was unlinked."),
    }
}

/// Who of the operators it was is for them to know.
fn administration(action: Administration) -> &'static str {
    match action {
        Administration::Shown => "An operator has looked at your account.",
        Administration::Locked => "An operator has locked your account.",
        Administration::Unlocked => "An operator has unlocked your account.",
    }
}

fn session(ended: Option<SessionEnd>) -> &'static str {
    match ended {
        None => "A device was signed in.",
        Some(SessionEnd::SignedOut) => "A device was signed out.",
        Some(SessionEnd::ProfileNotActive) => {
            "A device was signed out, because the profile that it signed in with is not active."
        }
        Some(SessionEnd::AccountLocked) => {
            "A device was signed out, because an operator has locked the account."
        }
        Some(SessionEnd::TooMany) => {
            "A device was signed out that was not used for longest, because too many were signed in."
        }
        Some(SessionEnd::PasskeyDeleted) => {
            "A device was signed out, because the passkey that it signed in with was deleted."
        }
        Some(SessionEnd::RefreshTokenReused) => {
            "A device was signed out, because an old token of it was used, which may have been stolen."
        }
    }
}

fn passkey(change: PasskeyChange) -> &'static str {
    match change {
        PasskeyChange::Added => "A passkey was added.",
        PasskeyChange::Renamed => "A passkey was given another name.",
        PasskeyChange::Deleted => "A passkey was deleted.",
    }
}

fn profile(changed: &ProfileChanged, profile: &str) -> String {
    match changed.sign_in {
        None => format!("{profile} has another handle, name or picture."),
        Some(true) => format!("{profile} may be used to sign in."),
        Some(false) => format!("{profile} may not be used to sign in any more."),
    }
}

fn connection(changed: &ConnectionChanged, source: &str, target: &str) -> String {
    let experience = match changed.experience {
        Experience::CrossPosting => "Cross-posting",
        Experience::SharedLogin => "Shared login",
        Experience::BusinessTools => "Sharing of business tools",
        Experience::Messaging => "Sharing of messages",
    };
    // One that is paused or resumed is enabled before and after.
    let state = if changed.enabled { "enabled" } else { "disabled" };
    format!("{experience} from {source} to {target} is {state}.")
}

fn unknown(kind: ActivityKind) -> &'static str {
    match kind {
        ActivityKind::Account => "Your account was changed.",
        ActivityKind::Link => "A linked profile was changed.",
        ActivityKind::Experience => "What your profiles do together was changed.",
        ActivityKind::Privacy => "Your privacy settings were changed.",
        ActivityKind::DataSharing => "What your profiles share was changed.",
        ActivityKind::Post => "A post was changed.",
        ActivityKind::Security => "The security of your account was changed.",
        ActivityKind::Business => "A business was changed.",
        ActivityKind::Messaging => "A message was changed.",
    }
}

/// The sentence with its first letter large: it may begin with no name.
fn capitalised(sentence: &str) -> String {
    let mut characters = sentence.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::event::ProfileChanged;

    #[test]
    fn a_sentence_names_what_is_still_there() {
        let (known, gone) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let name = |id| (id == known).then(|| "WhatsApp +49 ··· ·· 42".to_owned());
        let link = |profile, previous, status, reason| {
            let changed = LinkStatusChanged { profile, previous, status, reason };
            describe(ActivityKind::Link, Some(&Happened::LinkStatus(changed)), name)
        };
        let connection = |enabled| {
            let experience = Experience::CrossPosting;
            let connection = Uuid::from_u128(3);
            let changed = ConnectionChanged { connection, source: known, target: gone, experience, enabled };
            describe(ActivityKind::Experience, Some(&Happened::Connection(changed)), name)
        };
        let active = Some(LinkStatus::Active);
        assert_eq!(
            link(known, None, LinkStatus::Active, LinkStatusReason::Verified),
            "WhatsApp +49 ··· ·· 42 was linked."
        );
        assert_eq!(
            link(known, active, LinkStatus::Unlinking, LinkStatusReason::UserRequest),
            "WhatsApp +49 ··· ·· 42 is being unlinked."
        );
        assert_eq!(
            link(gone, active, LinkStatus::Unlinked, LinkStatusReason::GracePeriodEnded),
            "A profile that is gone now was unlinked."
        );
        assert_eq!(
            connection(true),
            "Cross-posting from WhatsApp +49 ··· ·· 42 to a profile that is gone now is enabled."
        );
        assert!(connection(false).ends_with("is disabled."));
        let shown = Happened::Profile(ProfileChanged { profile: gone, sign_in: None });
        assert_eq!(
            describe(ActivityKind::Link, Some(&shown), name),
            "A profile that is gone now has another handle, name or picture."
        );
        assert_eq!(describe(ActivityKind::Link, None, name), "A linked profile was changed.");
    }
}
