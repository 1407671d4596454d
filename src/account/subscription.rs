//! What happens to an account, as it happens.

use async_graphql::{Context, Description, Interface, Object, Subscription};
use uuid::Uuid;

use super::event::{AccountChanged, Happened};
use super::graphql::Account;
use crate::error::Error;
use crate::graph::consistency::graph_at;
use crate::graph::context::app;
use crate::graph::scalars::DateTime;
use crate::graph::subscription::{self, Answers};
use crate::link_graph::graphql::{ConnectionChange, LinkStatusChange};
use crate::profile::subscription::ProfileChange;
use crate::security::subscription::SecurityAlertRaised;
use crate::session::subscription::SessionChange;
use crate::store::Event;

/// An event of the signed-in account.
#[derive(Interface)]
#[graphql(
    field(name = "cursor", ty = "String", desc = "Pass it as `after` to continue right behind this event."),
    field(name = "occurred_at", ty = "DateTime", desc = "When it happened.")
)]
pub enum AccountEvent {
    AccountChange(AccountChange),
    ConnectionChange(ConnectionChange),
    LinkStatusChange(LinkStatusChange),
    ProfileChange(ProfileChange),
    SecurityAlertRaised(SecurityAlertRaised),
    SessionChange(SessionChange),
}

impl AccountEvent {
    fn of(account: Uuid, event: Event<Happened>) -> Option<Self> {
        match event.payload {
            Happened::Account(_)
            | Happened::Suggestion(_)
            | Happened::Passkey(_)
            | Happened::Deletion(_)
            | Happened::Administered(_)
            | Happened::Erased(_) => AccountChange::of(account, event).map(Self::AccountChange),
            Happened::LinkStatus(_) => LinkStatusChange::of(account, event).map(Self::LinkStatusChange),
            Happened::Connection(_) => ConnectionChange::of(account, event).map(Self::ConnectionChange),
            Happened::Profile(_) | Happened::Claimed(_) => {
                ProfileChange::of(account, event).map(Self::ProfileChange)
            }
            // Told by the alert that comes with it.
            Happened::ClaimStarted(_) => None,
            Happened::Session(_) => SessionChange::of(account, event).map(Self::SessionChange),
            Happened::Alert(_) => SecurityAlertRaised::of(account, event).map(Self::SecurityAlertRaised),
        }
    }
}

/// The name, the picture, the suggestions or the passkeys of the account changed, or whether it stays; or an operator did
/// something with it.
#[derive(Description)]
pub struct AccountChange {
    account: Uuid,
    event: Event<AccountChanged>,
}

impl AccountChange {
    /// Of such an event of `account`.
    fn of(account: Uuid, event: Event<Happened>) -> Option<Self> {
        let event = event.narrow(|happened| match happened {
            Happened::Account(changed) => Some(changed),
            Happened::Suggestion(_)
            | Happened::Passkey(_)
            | Happened::Deletion(_)
            | Happened::Administered(_)
            | Happened::Erased(_) => Some(AccountChanged {}),
            _ => None,
        })?;
        Some(Self { account, event })
    }
}

#[Object(use_type_description)]
impl AccountChange {
    /// Pass it as `after` to continue right behind this event.
    pub async fn cursor(&self, ctx: &Context<'_>) -> String {
        app(ctx).store.cursor(self.account, self.event.number)
    }

    /// When it happened.
    pub async fn occurred_at(&self) -> DateTime {
        self.event.occurred_at.into()
    }

    /// As it is now; null once erased.
    async fn account(&self, ctx: &Context<'_>) -> Option<Result<Account, Error>> {
        // At this event's version or later, or a fast reader could be shown what was before.
        let graph = graph_at(ctx, self.account, self.event.number).await;
        graph.map(|graph| graph.map(Account)).transpose()
    }
}

#[derive(Default)]
pub struct AccountSubscription;

#[Subscription]
impl AccountSubscription {
    /// Every event of the account, in one stream.
    async fn account_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Continue right behind this cursor. Absent: from now on.")] after: Option<String>,
    ) -> Result<Answers<AccountEvent>, Error> {
        subscription::follow(ctx, None, after, AccountEvent::of).await
    }
}
