//! The account in the graph.

use std::sync::Arc;

use async_graphql::{Context, Description, ID, Object};

use crate::error::Error;
use crate::graph::consistency::own_graph;
use crate::graph::context::app;
use crate::graph::scalars::{DateTime, Url, version_number};
use crate::ids::{NodeId, NodeKind};
use crate::link_graph;
use crate::link_graph::graphql::{LinkGraph, LinkStatus};
use crate::platform::PlatformKey;
use crate::profile::graphql::LinkedProfile;

/// One person's hub: the profiles that they proved to own, and how those work together.
#[derive(Clone, Description)]
pub struct Account(pub Arc<link_graph::LinkGraph>);

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

    /// The number of this account's latest event.
    async fn version(&self) -> i32 {
        version_number(self.0.version)
    }

    /// Subscribe behind this snapshot: good as `after` of every account stream.
    async fn event_cursor(&self, ctx: &Context<'_>) -> String {
        app(ctx).store.cursor(self.0.account.id, self.0.version)
    }

    /// At most 20 that are linked. Absent `statuses`: all but UNLINKED.
    async fn profiles(
        &self,
        #[graphql(desc = "Only those of this platform.")] platform: Option<PlatformKey>,
        #[graphql(desc = "Only those that stand so.")] statuses: Option<Vec<LinkStatus>>,
    ) -> Vec<LinkedProfile> {
        let mut profiles = LinkedProfile::all(&self.0);
        profiles.retain(|profile| {
            let row = profile.row();
            platform.as_ref().is_none_or(|platform| platform.as_str() == row.platform)
                && statuses.as_ref().is_none_or(|statuses| statuses.contains(&row.status.into()))
        });
        profiles
    }

    /// The profiles and how they are connected, at one version.
    async fn link_graph(&self) -> LinkGraph {
        LinkGraph(self.0.clone())
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
