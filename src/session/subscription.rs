//! Sessions, as they are opened and end.

use async_graphql::{Context, Description, ID, Object};
use uuid::Uuid;

use super::event::SessionChanged;
use super::graphql::AccountSession;
use crate::account::event::Happened;
use crate::error::Error;
use crate::graph::context::app;
use crate::graph::loaders;
use crate::graph::scalars::DateTime;
use crate::ids::{NodeId, NodeKind};
use crate::store::Event;

/// A device was signed in or out.
#[derive(Description)]
pub struct SessionChange {
    account: Uuid,
    event: Event<SessionChanged>,
}

impl SessionChange {
    /// Of such an event of `account`.
    pub fn of(account: Uuid, event: Event<Happened>) -> Option<Self> {
        let event = event.narrow(|happened| match happened {
            Happened::Session(changed) => Some(changed),
            _ => None,
        })?;
        Some(Self { account, event })
    }
}

#[Object(use_type_description)]
impl SessionChange {
    /// Pass it as `after` to continue right behind this event.
    pub async fn cursor(&self, ctx: &Context<'_>) -> String {
        app(ctx).store.cursor(self.account, self.event.number)
    }

    /// When it happened.
    pub async fn occurred_at(&self) -> DateTime {
        self.event.occurred_at.into()
    }

    /// As it is now; null once it has ended.
    async fn session(&self, ctx: &Context<'_>) -> Option<Result<AccountSession, Error>> {
        let row = loaders::session(ctx, self.account, self.event.payload.session).await.transpose()?;
        Some(row.map(|row| AccountSession(row.as_ref().clone())))
    }

    /// The id of a session that ended by this; null where one was opened.
    async fn ended_session_id(&self) -> Option<ID> {
        let SessionChanged { session, ended } = self.event.payload;
        ended.map(|_| NodeId::new(NodeKind::AccountSession, session).into())
    }
}
