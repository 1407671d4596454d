//! An account's activity in the graph.

use std::sync::Arc;

use accounts_center_entity::activity;
use async_graphql::{Context, Description, Enum, ID, Object};
use chrono::Utc;
use uuid::Uuid;

use super::{description, service};
use crate::account::event::Happened;
use crate::app::App;
use crate::error::Error;
use crate::graph::consistency::graph_at;
use crate::graph::context::app;
use crate::graph::loaders;
use crate::graph::pagination::{Connection, CursorScope, PageArguments};
use crate::graph::scalars::DateTime;
use crate::ids::ActivityId;
use crate::link_graph::LinkGraph;
use crate::profile::graphql::LinkedProfile;

/// What a recorded event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum ActivityKind {
    /// The account itself.
    Account,
    /// Linked profiles.
    Link,
    /// What linked profiles do together.
    Experience,
    /// Privacy settings.
    Privacy,
    /// Consents, and what was shared.
    DataSharing,
    /// Posts and their deliveries.
    Post,
    /// Sessions, sign-in and recovery.
    Security,
    /// Businesses.
    Business,
    /// Messages.
    Messaging,
}

/// Something that happened to the account; it is kept longer than the event.
#[derive(Clone, Description)]
pub struct AccountActivity {
    graph: Arc<LinkGraph>,
    kind: ActivityKind,
    number: i64,
    occurred_at: chrono::DateTime<Utc>,
    /// Absent where another release wrote it in a form of its own.
    happened: Option<Happened>,
}

impl AccountActivity {
    /// A page of the activity of a graph's account.
    pub async fn page(
        app: &App,
        graph: &Arc<LinkGraph>,
        page: PageArguments,
        kinds: Option<&[ActivityKind]>,
    ) -> Result<Connection<Self>, Error> {
        let scope = CursorScope { keys: &app.keys, list: "activity", owner: graph.account.id };
        let page = page.page(|cursor| scope.read(cursor).map(i64::from_be_bytes))?;
        let slice = service::page(app.store.db(), (graph.account.id, graph.version), &page, kinds).await?;
        let slice = slice.filter_map(|row| Self::of(graph, row));
        Ok(Connection::new(slice, |activity| (scope.write(&activity.number.to_be_bytes()), activity)))
    }

    /// The activity of this id, if it is of `owner`.
    pub async fn find(ctx: &Context<'_>, owner: Uuid, id: ActivityId) -> Result<Option<Self>, Error> {
        if id.account != owner {
            return Ok(None);
        }
        let Some(row) = loaders::activity(ctx, id).await? else { return Ok(None) };
        let graph = graph_at(ctx, owner, id.number).await?;
        Ok(graph.and_then(|graph| Self::of(&graph, row.as_ref().clone())))
    }

    /// `None` for a kind of another release.
    fn of(graph: &Arc<LinkGraph>, row: activity::Model) -> Option<Self> {
        let activity::Model { number, occurred_at, kind, payload, .. } = row;
        let happened = Happened::parse(&kind, payload)?.inspect_err(|error| {
            tracing::warn!(kind, number, %error, "what is recorded of an event cannot be read");
        });
        let kind = service::kind_of(&kind)?;
        Some(Self { graph: graph.clone(), kind, number, occurred_at, happened: happened.ok() })
    }
}

#[Object(use_type_description)]
impl AccountActivity {
    /// The global id.
    pub async fn id(&self) -> ID {
        ActivityId { account: self.graph.account.id, number: self.number }.to_string().into()
    }

    /// What it is about.
    async fn kind(&self) -> ActivityKind {
        self.kind
    }

    /// When it happened.
    async fn occurred_at(&self) -> DateTime {
        self.occurred_at.into()
    }

    /// What happened, in words for the person.
    async fn description(&self, ctx: &Context<'_>) -> String {
        let app = app(ctx);
        description::describe(self.kind, self.happened.as_ref(), |id| {
            let profile = self.graph.profiles.iter().find(|profile| profile.id == id)?;
            let platform = app.platforms.get(&profile.platform);
            let platform = platform.map_or(&profile.platform, |platform| &platform.display_name);
            Some(format!("{platform} {}", profile.handle))
        })
    }

    /// The profile that it is about, as it is now; null where there is none.
    async fn profile(&self, ctx: &Context<'_>) -> Option<Result<LinkedProfile, Error>> {
        let id = match self.happened.as_ref()? {
            Happened::Account(_)
            | Happened::Suggestion(_)
            | Happened::Deletion(_)
            | Happened::Administered(_)
            | Happened::Erased(_)
            | Happened::Session(_)
            | Happened::Alert(_)
            | Happened::ClaimStarted(_)
            | Happened::Passkey(_) => return None,
            Happened::LinkStatus(changed) => changed.profile,
            Happened::Connection(changed) => changed.source,
            Happened::Profile(changed) => changed.profile,
            Happened::Claimed(claimed) => claimed.profile,
        };
        LinkedProfile::find(ctx, &self.graph, id).await.transpose()
    }
}
