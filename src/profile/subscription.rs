//! What happens to profiles, as it happens.

use async_graphql::{Context, Description, Object};
use uuid::Uuid;

use super::event::ProfileChanged;
use super::graphql::LinkedProfile;
use crate::account::event::Happened;
use crate::error::Error;
use crate::graph::context::app;
use crate::graph::scalars::DateTime;
use crate::store::Event;

/// Handle, name, avatar or sign-in of a profile; or somebody else has claimed it.
#[derive(Description)]
pub struct ProfileChange {
    account: Uuid,
    event: Event<ProfileChanged>,
}

impl ProfileChange {
    /// Of such an event of `account`.
    pub fn of(account: Uuid, event: Event<Happened>) -> Option<Self> {
        let event = event.narrow(|happened| match happened {
            Happened::Profile(changed) => Some(changed),
            Happened::Claimed(claimed) => Some(ProfileChanged { profile: claimed.profile, sign_in: None }),
            _ => None,
        })?;
        Some(Self { account, event })
    }
}

#[Object(use_type_description)]
impl ProfileChange {
    /// Pass it as `after` to continue right behind this event.
    pub async fn cursor(&self, ctx: &Context<'_>) -> String {
        app(ctx).store.cursor(self.account, self.event.number)
    }

    /// When it happened.
    pub async fn occurred_at(&self) -> DateTime {
        self.event.occurred_at.into()
    }

    /// As it is now; null once erased.
    async fn profile(&self, ctx: &Context<'_>) -> Option<Result<LinkedProfile, Error>> {
        // At this event's version or later, or a fast reader could be shown what was before.
        let (version, profile) = (self.event.number, self.event.payload.profile);
        LinkedProfile::of_account(ctx, self.account, version, profile).await.transpose()
    }
}
