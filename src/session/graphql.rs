//! Sessions in the graph.

use accounts_center_entity::session;
use async_graphql::{Context, Description, ID, Object, SimpleObject};
use chrono::TimeDelta;

use super::AccessToken;
use crate::graph::context::{app, viewer};
use crate::graph::scalars::{DateTime, Secret};
use crate::ids::{NodeId, NodeKind};

/// A device that is signed in to the account.
#[derive(Description)]
pub struct AccountSession(pub session::Model);

#[Object(use_type_description)]
impl AccountSession {
    /// The global id.
    pub async fn id(&self) -> ID {
        NodeId::new(NodeKind::AccountSession, self.0.id).into()
    }

    /// Whether it is the session that asks.
    async fn current(&self, ctx: &Context<'_>) -> bool {
        viewer(ctx).is_some_and(|viewer| viewer.session == self.0.id)
    }

    /// What opened it, as its `User-Agent` said.
    async fn device(&self) -> Option<&str> {
        self.0.device.as_deref()
    }

    /// The address that it was opened from.
    async fn ip_address(&self) -> Option<&str> {
        self.0.ip_address.as_deref()
    }

    /// When it was opened.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// Until then this session needs no step-up.
    async fn fresh_until(&self, ctx: &Context<'_>) -> DateTime {
        let minutes = app(ctx).config.sessions.step_up_minutes;
        (self.0.authenticated_at + TimeDelta::minutes(minutes.into())).into()
    }
}

/// What a device shows to speak for its session.
#[derive(SimpleObject)]
pub struct SessionTokens {
    /// A signed JWT; send it as `Authorization: Bearer`.
    access_token: Secret,
    /// When the access token runs out.
    access_token_expires_at: DateTime,
    /// Opaque, good for one use: each refresh gives the next one. Null in cookie mode and after step-up, and
    /// as long as this server does not refresh.
    refresh_token: Option<Secret>,
}

impl From<AccessToken> for SessionTokens {
    fn from(access: AccessToken) -> Self {
        Self {
            access_token: Secret::new(access.token),
            access_token_expires_at: access.expires_at.into(),
            refresh_token: None,
        }
    }
}
