//! Sessions in the graph.

use accounts_center_entity::session;
use async_graphql::{Context, Description, ID, InputObject, Object, SimpleObject};
use chrono::TimeDelta;
use secrecy::ExposeSecret;

use super::sign_in_method::SignInMethod;
use super::{AccessToken, cookie};
use crate::account::graphql::Account;
use crate::error::{Code, Error, UserError};
use crate::graph::context::{app, limited, require_viewer, viewer};
use crate::graph::scalars::{DateTime, Secret};
use crate::ids::{NodeId, NodeKind};
use crate::limits::Limit;
use crate::passkey::graphql::Passkey;
use crate::platform::graphql::Platform;
use crate::profile::graphql::LinkedProfile;

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

    /// How it was opened.
    async fn opened_by(&self, ctx: &Context<'_>) -> Result<SignInMethod, Error> {
        let account = self.0.account_id;
        if let Some(id) = self.0.opened_by_passkey_id {
            return Ok(SignInMethod::of_passkey(id, Passkey::find(ctx, account, id).await?));
        }
        let profile = match self.0.opened_by_profile_id {
            Some(id) => LinkedProfile::of_account(ctx, account, 0, id).await?,
            None => None,
        };
        Ok(SignInMethod::of_profile(self.0.opened_by_profile_id.unwrap_or(self.0.id), profile))
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

    /// When it was used last: refreshed, as devices do every few minutes while they are used.
    async fn last_used_at(&self) -> DateTime {
        self.0.refreshed_at.unwrap_or(self.0.created_at).into()
    }

    /// The platform that it is for; null for the Accounts Center itself.
    async fn platform(&self) -> Option<Platform> {
        None
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
    /// Opaque, good for one use: each refresh gives the next one. Null in cookie mode and after step-up.
    refresh_token: Option<Secret>,
}

impl SessionTokens {
    /// With the refresh token where the caller wants to have it; `from_cookie` if the last one came from a cookie.
    pub fn of(ctx: &Context<'_>, access: AccessToken, (refresh_token, from_cookie): (String, bool)) -> Self {
        let lifetime = TimeDelta::days(app(ctx).config.sessions.lifetime_days.into());
        let refresh_token = cookie::keep(ctx, refresh_token, (from_cookie, lifetime));
        Self {
            access_token: Secret::new(access.token),
            access_token_expires_at: access.expires_at.into(),
            refresh_token: refresh_token.map(Secret::new),
        }
    }

    /// After a step-up: the refresh token stays as it is.
    pub fn of_step_up(access: AccessToken) -> Self {
        Self {
            access_token: Secret::new(access.token),
            access_token_expires_at: access.expires_at.into(),
            refresh_token: None,
        }
    }
}

/// With what to refresh a session.
#[derive(InputObject)]
pub struct RefreshSessionInput {
    /// The session's refresh token; absent in cookie mode.
    refresh_token: Option<Secret>,
}

/// The session, refreshed.
#[derive(SimpleObject, Default)]
pub struct RefreshSessionPayload {
    /// The session; null where there are errors.
    session: Option<AccountSession>,
    /// What the device shows from now on; null where there are errors.
    tokens: Option<SessionTokens>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

/// Which session to end.
#[derive(InputObject)]
pub struct RevokeSessionInput {
    /// Its global id; that of the session that asks signs out.
    session_id: ID,
}

/// The session has ended.
#[derive(SimpleObject, Default)]
pub struct RevokeSessionPayload {
    /// Its global id; null where there are errors.
    revoked_session_id: Option<ID>,
    /// The account as it is now; null where there are errors.
    account: Option<Account>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

/// Which sessions to end.
#[derive(InputObject)]
pub struct SignOutEverywhereInput {
    /// Whether the session that asks goes on.
    keep_current: bool,
}

/// The sessions have ended.
#[derive(SimpleObject, Default)]
pub struct SignOutEverywherePayload {
    /// How many they were; null where there are errors.
    ended_sessions: Option<i32>,
    /// The account as it is now; null where there are errors.
    account: Option<Account>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct SessionMutation;

#[Object]
impl SessionMutation {
    /// In cookie mode the token comes from the HttpOnly cookie. UNAUTHENTICATED for a token that is not good; one that
    /// was used before ends its session. An answer that was lost can be had again within 10 seconds.
    async fn refresh_session(
        &self,
        ctx: &Context<'_>,
        input: RefreshSessionInput,
    ) -> Result<RefreshSessionPayload, Error> {
        limited(ctx, Limit::Refresh)?;
        let sent = cookie::sent(ctx);
        let (token, from_cookie) = match (&input.refresh_token, &sent) {
            (Some(token), _) => (token.expose(), false),
            (None, Some(token)) => (token.expose_secret(), true),
            (None, None) => {
                return Err(Error::unauthenticated("Send `refreshToken`; there is no cookie either."));
            }
        };
        let refreshed = super::refresh(app(ctx), token).await;
        if from_cookie && matches!(&refreshed, Err(error) if error.code() == Code::Unauthenticated) {
            cookie::forget(ctx);
        }
        let refreshed = refreshed?;
        let tokens = SessionTokens::of(ctx, refreshed.access, (refreshed.refresh_token, from_cookie));
        let session = Some(AccountSession(refreshed.session));
        Ok(RefreshSessionPayload { session, tokens: Some(tokens), user_errors: Vec::new() })
    }

    /// Ends a session: its mutations at once, its reads and sockets within 5 seconds. Ending one that has ended changes
    /// nothing. NOT_FOUND.
    async fn revoke_session(
        &self,
        ctx: &Context<'_>,
        input: RevokeSessionInput,
    ) -> Result<RevokeSessionPayload, Error> {
        let viewer = require_viewer(ctx)?;
        let id = NodeId::parse_as(NodeKind::AccountSession, &input.session_id);
        let signed_out = match super::revoke(app(ctx), viewer, id).await? {
            Ok(signed_out) => signed_out,
            Err(user_errors) => return Ok(RevokeSessionPayload { user_errors, ..Default::default() }),
        };
        if id == Some(viewer.session) {
            cookie::forget(ctx);
        }
        Ok(RevokeSessionPayload {
            revoked_session_id: Some(input.session_id),
            account: Some(Account::at(ctx, viewer.account, signed_out.version).await?),
            user_errors: Vec::new(),
        })
    }

    /// Ends all sessions of the account, as `revokeSession` does.
    async fn sign_out_everywhere(
        &self,
        ctx: &Context<'_>,
        input: SignOutEverywhereInput,
    ) -> Result<SignOutEverywherePayload, Error> {
        let viewer = require_viewer(ctx)?;
        let signed_out = match super::revoke_all(app(ctx), viewer, input.keep_current).await? {
            Ok(signed_out) => signed_out,
            Err(user_errors) => return Ok(SignOutEverywherePayload { user_errors, ..Default::default() }),
        };
        if !input.keep_current {
            cookie::forget(ctx);
        }
        Ok(SignOutEverywherePayload {
            ended_sessions: Some(i32::try_from(signed_out.ended.len()).unwrap_or(i32::MAX)),
            account: Some(Account::at(ctx, viewer.account, signed_out.version).await?),
            user_errors: Vec::new(),
        })
    }
}
