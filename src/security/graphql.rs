//! The security of an account in the graph.

use std::sync::Arc;

use accounts_center_entity::security_alert;
use async_graphql::{Context, Description, ID, InputObject, Object, SimpleObject};
use uuid::Uuid;

use super::checkup::{SecurityAdvice, advise};
use super::{AlertKind, service};
use crate::error::{Error, UserError};
use crate::graph::context::{app, require_viewer, viewer};
use crate::graph::loaders;
use crate::graph::pagination::{self, Connection, CursorScope, PageArguments};
use crate::graph::scalars::DateTime;
use crate::ids::{NodeId, NodeKind};
use crate::link_graph::LinkGraph;
use crate::passkey::graphql::Passkey;
use crate::profile::graphql::LinkedProfile;
use crate::session;
use crate::session::graphql::AccountSession;
use crate::session::sign_in_method::SignInMethod;

/// Who is signed in to the account, and what its owner should look at.
#[derive(Description)]
pub struct SecurityCenter(pub Arc<LinkGraph>);

#[Object(use_type_description)]
impl SecurityCenter {
    /// The same as long as the account is.
    async fn id(&self) -> ID {
        format!("security_{}", self.account().simple()).into()
    }

    /// The session that asks; null where none does.
    async fn current_session(&self, ctx: &Context<'_>) -> Option<Result<AccountSession, Error>> {
        let viewer = viewer(ctx).filter(|viewer| viewer.account == self.account())?;
        let row = loaders::session(ctx, viewer.account, viewer.session).await.transpose()?;
        Some(row.map(|row| AccountSession(row.as_ref().clone())))
    }

    /// The devices that are signed in, the one that signed in last first.
    #[graphql(complexity = "pagination::complexity(child_complexity, |name| {
        __ctx.param_value(__variables_definition, __field, name, None).ok().flatten()
    })")]
    #[expect(clippy::too_many_arguments, reason = "the arguments of a Relay connection")]
    async fn sessions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many of the newest, or behind `after`: at most 100. Absent, as `last`: 20.")]
        first: Option<i32>,
        #[graphql(desc = "Only what is older than this cursor.")] after: Option<String>,
        #[graphql(desc = "So many of the oldest, or before `before`: at most 100.")] last: Option<i32>,
        #[graphql(desc = "Only what is newer than this cursor.")] before: Option<String>,
    ) -> Result<Connection<AccountSession>, Error> {
        let scope = self.scope(ctx, "sessions");
        let page = PageArguments { first, after, last, before }.page(|cursor| place(&scope, cursor))?;
        let slice = session::page(app(ctx), self.account(), &page).await?;
        Ok(Connection::new(slice, |row| (scope.write(row.id.as_bytes()), AccountSession(row))))
    }

    /// What the person was warned of, newest first.
    #[graphql(complexity = "pagination::complexity(child_complexity, |name| {
        __ctx.param_value(__variables_definition, __field, name, None).ok().flatten()
    })")]
    #[expect(clippy::too_many_arguments, reason = "the arguments of a Relay connection")]
    async fn alerts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many of the newest, or behind `after`: at most 100. Absent, as `last`: 20.")]
        first: Option<i32>,
        #[graphql(desc = "Only what is older than this cursor.")] after: Option<String>,
        #[graphql(desc = "So many of the oldest, or before `before`: at most 100.")] last: Option<i32>,
        #[graphql(desc = "Only what is newer than this cursor.")] before: Option<String>,
    ) -> Result<Connection<SecurityAlert>, Error> {
        let scope = self.scope(ctx, "alerts");
        let page = PageArguments { first, after, last, before }.page(|cursor| place(&scope, cursor))?;
        let slice = service::page(app(ctx), self.account(), &page).await?;
        let slice = slice.filter_map(SecurityAlert::of);
        Ok(Connection::new(slice, |alert| (scope.write(alert.row.id.as_bytes()), alert)))
    }

    /// What signs in to the account now.
    async fn sign_in_methods(&self, ctx: &Context<'_>) -> Result<Vec<SignInMethod>, Error> {
        SignInMethod::usable(ctx, &self.0).await
    }

    /// What `startStepUp` may use now.
    async fn step_up_options(&self, ctx: &Context<'_>) -> Result<Vec<SignInMethod>, Error> {
        SignInMethod::usable(ctx, &self.0).await
    }

    /// Oldest first, at most 20.
    #[graphql(complexity = "1 + 5 * child_complexity")]
    async fn passkeys(&self, ctx: &Context<'_>) -> Result<Vec<Passkey>, Error> {
        Passkey::all(ctx, self.account()).await
    }

    /// What the person could do to be safer, the most urgent first.
    async fn checkup(&self, ctx: &Context<'_>) -> Result<Vec<SecurityAdvice>, Error> {
        let passkeys = Passkey::all(ctx, self.account()).await?;
        advise(app(ctx), &self.0, passkeys.len()).await
    }
}

impl SecurityCenter {
    fn account(&self) -> Uuid {
        self.0.account.id
    }

    fn scope<'a>(&self, ctx: &Context<'a>, list: &'static str) -> CursorScope<'a> {
        CursorScope { keys: &app(ctx).keys, list, owner: self.account() }
    }
}

fn place(scope: &CursorScope<'_>, cursor: &str) -> Option<Uuid> {
    scope.read(cursor).map(Uuid::from_bytes)
}

/// Something that the owner of the account should look at.
#[derive(Description)]
pub struct SecurityAlert {
    row: security_alert::Model,
    kind: AlertKind,
}

impl SecurityAlert {
    /// `None` for a kind of another release.
    pub fn of(row: security_alert::Model) -> Option<Self> {
        let kind = AlertKind::of_name(&row.kind)?;
        Some(Self { row, kind })
    }

    /// The alert of this id, if it is of `account`.
    pub async fn find(ctx: &Context<'_>, account: Uuid, id: Uuid) -> Result<Option<Self>, Error> {
        let found = loaders::alert(ctx, account, id).await?;
        Ok(found.and_then(|row| Self::of(row.as_ref().clone())))
    }
}

#[Object(use_type_description)]
impl SecurityAlert {
    /// The global id.
    pub async fn id(&self) -> ID {
        NodeId::new(NodeKind::SecurityAlert, self.row.id).into()
    }

    /// What it warns of.
    async fn kind(&self) -> AlertKind {
        self.kind
    }

    /// When that happened.
    async fn occurred_at(&self) -> DateTime {
        self.row.occurred_at.into()
    }

    /// The profile that it is about, as it is now; null where there is none.
    async fn profile(&self, ctx: &Context<'_>) -> Option<Result<LinkedProfile, Error>> {
        LinkedProfile::of_account(ctx, self.row.account_id, 0, self.row.profile_id?).await.transpose()
    }

    /// The session that it is about; null where there is none, and once it has ended.
    async fn session(&self, ctx: &Context<'_>) -> Option<Result<AccountSession, Error>> {
        let row = loaders::session(ctx, self.row.account_id, self.row.session_id?).await.transpose()?;
        Some(row.map(|row| AccountSession(row.as_ref().clone())))
    }

    /// When the person said that they have seen it.
    async fn acknowledged_at(&self) -> Option<DateTime> {
        self.row.acknowledged_at.map(DateTime::from)
    }

    /// What happened, in words for the person.
    async fn description(&self) -> &'static str {
        match self.kind {
            AlertKind::NewSignIn => {
                "Somebody signed in to your account. If it was not you, sign that device out."
            }
            AlertKind::ProfileLinked => "A profile was linked to your account. If it was not you, unlink it.",
            AlertKind::ProfileUnlinked => "A profile of your account is unlinked, or will be soon.",
            AlertKind::ProfileContained => "A profile was reported as stolen and cut off from your account.",
            AlertKind::ProfileClaimed => {
                "Somebody else has proved a profile of your account and claims it. Prove it again, or it goes to them."
            }
            AlertKind::ProfileClaimStarted => {
                "Somebody who is signed in to your account has claimed a profile of another one. If it was not you, sign that device out, which ends the claim."
            }
            AlertKind::RefreshTokenReused => {
                "Somebody used an old token of one of your devices, which may have been stolen. The device was signed out."
            }
            AlertKind::PasskeyAdded => {
                "A passkey was added to your account. If it was not you, delete it and sign that device out."
            }
            AlertKind::TooManyAttempts => {
                "Somebody typed too many wrong codes to sign in with one of your profiles."
            }
            AlertKind::AccountDeletionRequested => {
                "Your account is going to be deleted. If it was not you, keep it, and sign the other devices out."
            }
        }
    }
}

/// Which alert was seen.
#[derive(InputObject)]
pub struct AcknowledgeAlertInput {
    /// Its global id.
    alert_id: ID,
}

/// The alert, seen.
#[derive(SimpleObject, Default)]
pub struct AcknowledgeAlertPayload {
    /// The alert as it is now; null where there are errors.
    alert: Option<SecurityAlert>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct SecurityMutation;

#[Object]
impl SecurityMutation {
    /// Says that the person has seen an alert. NOT_FOUND.
    async fn acknowledge_alert(
        &self,
        ctx: &Context<'_>,
        input: AcknowledgeAlertInput,
    ) -> Result<AcknowledgeAlertPayload, Error> {
        let viewer = require_viewer(ctx)?;
        let id = NodeId::parse_as(NodeKind::SecurityAlert, &input.alert_id);
        Ok(match service::acknowledge(app(ctx), viewer, id).await? {
            Ok(row) => AcknowledgeAlertPayload { alert: SecurityAlert::of(row), user_errors: Vec::new() },
            Err(user_errors) => AcknowledgeAlertPayload { user_errors, ..Default::default() },
        })
    }
}
