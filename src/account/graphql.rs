//! The account in the graph.

use std::sync::Arc;

use async_graphql::{Context, Description, ID, InputObject, MaybeUndefined, Object, SimpleObject};
use uuid::Uuid;

use super::suggestion::LinkSuggestion;
use super::{AccountUpdate, Requested};
use crate::activity::graphql::{AccountActivity, ActivityKind};
use crate::error::{AccountsErrorCode, Error, UserError};
use crate::graph::consistency::{graph_at, own_graph};
use crate::graph::context::{app, require_viewer};
use crate::graph::pagination::{self, Connection, PageArguments};
use crate::graph::scalars::{DateTime, Url, version_number};
use crate::ids::{NodeId, NodeKind};
use crate::link_graph;
use crate::link_graph::graphql::{LinkGraph, LinkStatus};
use crate::platform::PlatformKey;
use crate::profile::graphql::LinkedProfile;
use crate::security::graphql::SecurityCenter;

/// How many unlinked profiles are shown.
const SHOWN_UNLINKED: usize = 20;

/// One person's hub: the profiles that they proved to own, and how those work together.
#[derive(Clone, Description)]
pub struct Account(pub Arc<link_graph::LinkGraph>);

impl Account {
    /// An account after a command that ended at `version`.
    pub async fn at(ctx: &Context<'_>, id: Uuid, version: i64) -> Result<Self, Error> {
        let graph = graph_at(ctx, id, version).await?;
        graph
            .map(Self)
            .ok_or_else(|| Error::internal(anyhow::anyhow!("an account is gone right after it was changed")))
    }
}

#[Object(use_type_description)]
impl Account {
    /// The global id.
    pub async fn id(&self) -> ID {
        NodeId::new(NodeKind::Account, self.0.account.id).into()
    }

    /// What the person is called here.
    async fn display_name(&self) -> &str {
        &self.0.account.display_name
    }

    /// A picture of the person.
    async fn avatar_url(&self) -> Option<Url> {
        self.0.account.avatar_url.as_deref().and_then(Url::parse)
    }

    /// When the account was made.
    async fn created_at(&self) -> DateTime {
        self.0.account.created_at.into()
    }

    /// Set while the account waits to be deleted; until then `cancelAccountDeletion` keeps it.
    async fn deletes_at(&self) -> Option<DateTime> {
        self.0.account.deletes_at.map(DateTime::from)
    }

    /// The number of this account's latest event.
    async fn version(&self) -> i32 {
        version_number(self.0.version)
    }

    /// Subscribe behind this snapshot: good as `after` of every account stream.
    async fn event_cursor(&self, ctx: &Context<'_>) -> String {
        app(ctx).store.cursor(self.0.account.id, self.0.version)
    }

    /// At most 20 that are linked, then the newest 20 that are not. Absent `statuses`: all but UNLINKED.
    // A list counts as six: else a small operation that goes round in the graph has an answer without end.
    #[graphql(complexity = "1 + 6 * child_complexity")]
    async fn profiles(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those of this platform.")] platform: Option<PlatformKey>,
        #[graphql(desc = "Only those that stand so.")] statuses: Option<Vec<LinkStatus>>,
    ) -> Result<Vec<LinkedProfile>, Error> {
        let is_there = |profile: &LinkedProfile| {
            platform.as_ref().is_none_or(|platform| platform.as_str() == profile.row().platform)
        };
        let mut profiles = LinkedProfile::all(&self.0);
        profiles.retain(|profile| {
            let status = profile.row().status.into();
            is_there(profile) && statuses.as_ref().is_none_or(|statuses| statuses.contains(&status))
        });
        if statuses.is_some_and(|statuses| statuses.contains(&LinkStatus::Unlinked)) {
            let unlinked = LinkedProfile::unlinked(ctx, &self.0).await?;
            profiles.extend(unlinked.into_iter().filter(is_there).take(SHOWN_UNLINKED));
        }
        Ok(profiles)
    }

    /// The profiles and how they are connected, at one version.
    async fn link_graph(&self) -> LinkGraph {
        LinkGraph(self.0.clone())
    }

    /// Who is signed in, and what the person should look at.
    async fn security(&self) -> SecurityCenter {
        SecurityCenter(self.0.clone())
    }

    /// Platforms that are not linked, at most one suggestion for each.
    #[graphql(complexity = "1 + 6 * child_complexity")]
    async fn link_suggestions(&self, ctx: &Context<'_>) -> Result<Vec<LinkSuggestion>, Error> {
        LinkSuggestion::of(ctx, &self.0).await
    }

    /// What happened to the account, newest first.
    // Not by `first` and `last` themselves: the library then refuses a variable that is declared and not given.
    #[graphql(complexity = "pagination::complexity(child_complexity, |name| {
        __ctx.param_value(__variables_definition, __field, name, None).ok().flatten()
    })")]
    #[expect(clippy::too_many_arguments, reason = "the arguments of a Relay connection, and the filter")]
    async fn activity(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "So many of the newest, or behind `after`: at most 100. Absent, as `last`: 20.")]
        first: Option<i32>,
        #[graphql(desc = "Only what is older than this cursor.")] after: Option<String>,
        #[graphql(desc = "So many of the oldest, or before `before`: at most 100.")] last: Option<i32>,
        #[graphql(desc = "Only what is newer than this cursor.")] before: Option<String>,
        #[graphql(desc = "Only of these kinds.")] kinds: Option<Vec<ActivityKind>>,
    ) -> Result<Connection<AccountActivity>, Error> {
        let page = PageArguments { first, after, last, before };
        AccountActivity::page(app(ctx), &self.0, page, kinds.as_deref()).await
    }
}

#[derive(Default)]
pub struct AccountQuery;

#[Object]
impl AccountQuery {
    /// The signed-in account; null for an anonymous caller.
    async fn viewer(&self, ctx: &Context<'_>) -> Option<Result<Account, Error>> {
        Some(own_graph(ctx).await.transpose()?.map(Account))
    }
}

/// What to change; what is absent stays as it is.
#[derive(InputObject)]
pub struct UpdateAccountInput {
    /// 1 to 80 characters.
    display_name: MaybeUndefined<String>,
    /// An https URL of at most 2000 bytes; null takes the picture away.
    avatar_url: MaybeUndefined<Url>,
}

/// The account, changed.
#[derive(SimpleObject, Default)]
pub struct UpdateAccountPayload {
    /// The account as it is now; null where there are errors.
    account: Option<Account>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

/// Whether the person means it.
#[derive(InputObject)]
pub struct RequestAccountDeletionInput {
    /// What the first answer gave, at most 10 minutes ago and in this session.
    confirmation: Option<String>,
}

/// The account, waiting to be deleted.
#[derive(SimpleObject, Default)]
pub struct RequestAccountDeletionPayload {
    /// The account as it is now; null where there are errors.
    account: Option<Account>,
    /// What to send with the same request to say that the person means it; null where that was done.
    confirmation: Option<String>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

/// Which request it is.
#[derive(InputObject)]
pub struct CancelAccountDeletionInput {
    /// For caches of the client; not used here.
    #[graphql(name = "clientMutationId")]
    _client_mutation_id: Option<String>,
}

/// The account, kept.
#[derive(SimpleObject, Default)]
pub struct CancelAccountDeletionPayload {
    /// The account as it is now.
    account: Option<Account>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct AccountMutation;

#[Object]
impl AccountMutation {
    /// INVALID, TOO_LONG.
    async fn update_account(
        &self,
        ctx: &Context<'_>,
        input: UpdateAccountInput,
    ) -> Result<UpdateAccountPayload, Error> {
        let viewer = require_viewer(ctx)?;
        let update = AccountUpdate {
            display_name: input.display_name.as_opt_deref(),
            avatar_url: input.avatar_url.as_opt_ref().map(|url| url.map(Url::as_str)),
        };
        Ok(match super::update(app(ctx), viewer, update).await? {
            Ok(version) => UpdateAccountPayload {
                account: Some(Account::at(ctx, viewer.account, version).await?),
                user_errors: Vec::new(),
            },
            Err(user_errors) => UpdateAccountPayload { user_errors, ..Default::default() },
        })
    }

    /// Step-up. The account is deleted after 7 days, with all that is linked to it; until then it works as before. The first
    /// answer is CONFIRMATION_REQUIRED, with what to send back. Asking for it again changes nothing: the first date counts.
    async fn request_account_deletion(
        &self,
        ctx: &Context<'_>,
        input: RequestAccountDeletionInput,
    ) -> Result<RequestAccountDeletionPayload, Error> {
        let viewer = require_viewer(ctx)?;
        let requested = super::request_deletion(app(ctx), viewer, input.confirmation.as_deref()).await?;
        Ok(match requested {
            Requested::Waits(version) => RequestAccountDeletionPayload {
                account: Some(Account::at(ctx, viewer.account, version).await?),
                ..Default::default()
            },
            Requested::Unconfirmed(confirmation) => {
                let message = "Your account and all that is linked to it would be deleted for good. Confirm it, \
                    and it is in some days.";
                let code = AccountsErrorCode::ConfirmationRequired;
                RequestAccountDeletionPayload {
                    account: None,
                    confirmation: Some(confirmation),
                    user_errors: vec![UserError::new(code, message, &["confirmation"])],
                }
            }
        })
    }

    /// Keeps an account that waits to be deleted.
    async fn cancel_account_deletion(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "input")] _input: CancelAccountDeletionInput,
    ) -> Result<CancelAccountDeletionPayload, Error> {
        let viewer = require_viewer(ctx)?;
        let version = super::cancel_deletion(app(ctx), viewer).await?;
        let account = Account::at(ctx, viewer.account, version).await?;
        Ok(CancelAccountDeletionPayload { account: Some(account), user_errors: Vec::new() })
    }
}
