//! What a person could do to be safer.

use accounts_center_entity::linked_profile::LinkStatus;
use async_graphql::{Enum, SimpleObject};

use super::service;
use crate::app::App;
use crate::error::Error;
use crate::link_graph::LinkGraph;
use crate::profile::{is_any_claimed, signs_in};

/// What a person could do to be safer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum SecurityAdviceKind {
    /// To register a passkey, which cannot be phished and needs no platform.
    AddPasskey,
    /// To link a second profile that can sign in: with one that is lost the account is, too.
    AddSecondProfile,
    /// To look at the sessions, and acknowledge the alerts about them.
    ReviewSessions,
    /// To prove a profile again, because somebody else claims it, or its platform asks for that.
    ReverifyProfile,
}

/// One thing that a person could do to be safer.
#[derive(Debug, PartialEq, Eq, SimpleObject)]
pub struct SecurityAdvice {
    /// What to do.
    kind: SecurityAdviceKind,
    /// The same in a few words.
    title: &'static str,
    /// Why, in a sentence.
    description: &'static str,
}

impl SecurityAdvice {
    /// To prove a profile again before it goes to somebody else.
    const CLAIMED: Self = Self {
        kind: SecurityAdviceKind::ReverifyProfile,
        title: "Prove a profile again",
        description: "Somebody else has proved one of your profiles and claims it. Unless you prove it as well, it goes to them.",
    };

    fn of(kind: SecurityAdviceKind) -> Self {
        let (title, description) = match kind {
            SecurityAdviceKind::ReviewSessions => (
                "Review your sessions",
                "There are sign-ins that you have not looked at. Sign out what you do not know.",
            ),
            SecurityAdviceKind::ReverifyProfile => (
                "Prove a profile again",
                "A platform asks for a new proof. Until then nothing is shared with the profile.",
            ),
            SecurityAdviceKind::AddPasskey => (
                "Add a passkey",
                "It signs in by your device alone, also when a platform is not available, and nobody can trick you out of it.",
            ),
            SecurityAdviceKind::AddSecondProfile => (
                "Link a second profile",
                "You can sign in with one profile only. If you lose it, you lose this account.",
            ),
        };
        Self { kind, title, description }
    }
}

/// The advice for the owner of an account with so many passkeys, the most urgent first.
pub async fn advise(app: &App, graph: &LinkGraph, passkeys: usize) -> Result<Vec<SecurityAdvice>, Error> {
    let is_claimed = is_any_claimed(app, &graph.profiles).await?;
    let is_doubtful = service::has_doubtful_sessions(app, graph.account.id).await?;
    // One of a kind: the other one comes once this is done.
    let is_asked =
        !is_claimed && graph.profiles.iter().any(|profile| profile.status == LinkStatus::AttentionRequired);
    let has_one = graph.profiles.iter().filter(|profile| signs_in(&app.platforms, profile)).count() < 2;
    let has_none = passkeys == 0 && app.passkeys.is_some();
    let advice = [
        (is_doubtful, SecurityAdviceKind::ReviewSessions),
        (is_asked, SecurityAdviceKind::ReverifyProfile),
        (has_one, SecurityAdviceKind::AddSecondProfile),
        (has_none, SecurityAdviceKind::AddPasskey),
    ];
    let advice = advice.into_iter().filter(|(wanted, _)| *wanted).map(|(_, kind)| SecurityAdvice::of(kind));
    Ok(is_claimed.then_some(SecurityAdvice::CLAIMED).into_iter().chain(advice).collect())
}
