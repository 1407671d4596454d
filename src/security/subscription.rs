//! Alerts, as they are raised.

use async_graphql::{Context, Description, Object, Subscription};
use uuid::Uuid;

use super::event::AlertRaised;
use super::graphql::SecurityAlert;
use crate::account::event::Happened;
use crate::error::Error;
use crate::graph::context::app;
use crate::graph::scalars::DateTime;
use crate::graph::subscription::{self, Answers};
use crate::store::{Event, StreamEvent};

/// The person is warned of something.
#[derive(Description)]
pub struct SecurityAlertRaised {
    account: Uuid,
    event: Event<AlertRaised>,
}

impl SecurityAlertRaised {
    /// Of such an event of `account`.
    pub fn of(account: Uuid, event: Event<Happened>) -> Option<Self> {
        let event = event.narrow(|happened| match happened {
            Happened::Alert(raised) => Some(raised),
            _ => None,
        })?;
        Some(Self { account, event })
    }
}

#[Object(use_type_description)]
impl SecurityAlertRaised {
    /// Pass it as `after` to continue right behind this event.
    pub async fn cursor(&self, ctx: &Context<'_>) -> String {
        app(ctx).store.cursor(self.account, self.event.number)
    }

    /// When it happened.
    pub async fn occurred_at(&self) -> DateTime {
        self.event.occurred_at.into()
    }

    /// As it is now; null once erased.
    async fn alert(&self, ctx: &Context<'_>) -> Option<Result<SecurityAlert, Error>> {
        SecurityAlert::find(ctx, self.account, self.event.payload.alert).await.transpose()
    }
}

#[derive(Default)]
pub struct SecuritySubscription;

#[Subscription]
impl SecuritySubscription {
    /// What the person is warned of, the moment it happens.
    async fn security_alert_raised(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Continue right behind this cursor. Absent: from now on.")] after: Option<String>,
    ) -> Result<Answers<SecurityAlertRaised>, Error> {
        subscription::follow(ctx, Some(&[AlertRaised::KIND]), after, SecurityAlertRaised::of).await
    }
}
