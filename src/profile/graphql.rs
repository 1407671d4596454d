//! A linked profile in the graph.

use std::sync::Arc;

use accounts_center_entity::linked_profile;
use async_graphql::{Context, Description, Error as GraphError, ID, Interface, Object};
use uuid::Uuid;

use crate::account::graphql::Account;
use crate::graph::context::app;
use crate::graph::scalars::{DateTime, Url};
use crate::ids::{NodeId, NodeKind};
use crate::link_graph::LinkGraph;
use crate::link_graph::graphql::{Experience, LinkStatus, LinkStatusReason, ProfileConnection};
use crate::platform::PlatformKey;
use crate::platform::graphql::Platform;

/// What a person other than its owner may see of a profile that they meet in a business, post or ledger.
#[derive(Interface)]
#[expect(clippy::duplicated_attributes, reason = "two fields of one type are no duplicate")]
#[graphql(
    field(name = "id", ty = "ID", desc = "The global id."),
    field(name = "platform", ty = "Result<Platform, GraphError>", desc = "Where the profile is."),
    field(
        name = "handle",
        ty = "&str",
        desc = "The handle, or a masked phone number such as `+49 ··· ·· 42`."
    ),
    field(name = "display_name", ty = "&str", desc = "The name that the platform shows."),
    field(name = "avatar_url", ty = "Option<Url>", desc = "The picture that the platform shows.")
)]
pub enum ProfileCard {
    LinkedProfile(LinkedProfile),
}

/// A profile on a platform whose owner proved that it is theirs.
#[derive(Clone, Description)]
pub struct LinkedProfile {
    graph: Arc<LinkGraph>,
    /// Its place among the graph's profiles.
    index: usize,
}

impl LinkedProfile {
    /// All profiles of a graph, oldest first.
    pub fn all(graph: &Arc<LinkGraph>) -> Vec<Self> {
        (0..graph.profiles.len()).map(|index| Self { graph: graph.clone(), index }).collect()
    }

    /// The profile of this id, if it is in the graph.
    pub fn find(graph: &Arc<LinkGraph>, id: Uuid) -> Option<Self> {
        let index = graph.profiles.iter().position(|profile| profile.id == id)?;
        Some(Self { graph: graph.clone(), index })
    }

    /// The profile of this key, if it is in the graph.
    pub fn find_by_key(graph: &Arc<LinkGraph>, platform: &str, external_id: &str) -> Option<Self> {
        let is_it = |profile: &linked_profile::Model| {
            profile.platform == platform && profile.external_id == external_id
        };
        let index = graph.profiles.iter().position(is_it)?;
        Some(Self { graph: graph.clone(), index })
    }

    pub fn row(&self) -> &linked_profile::Model {
        &self.graph.profiles[self.index]
    }
}

#[Object(use_type_description)]
impl LinkedProfile {
    /// The global id.
    pub async fn id(&self) -> ID {
        NodeId::new(NodeKind::LinkedProfile, self.row().id).into()
    }

    /// The account that it is linked to.
    async fn account(&self) -> Account {
        Account(self.graph.clone())
    }

    /// Where the profile is.
    pub async fn platform(&self, ctx: &Context<'_>) -> Result<Platform, GraphError> {
        Ok(Platform::configured(app(ctx), &self.row().platform)?)
    }

    /// The key of the platform, for federation.
    async fn platform_key(&self, ctx: &Context<'_>) -> Result<PlatformKey, GraphError> {
        Ok(Platform::configured(app(ctx), &self.row().platform)?.0.key.clone())
    }

    /// Opaque, scoped to the platform, never a phone number or e-mail address.
    async fn external_id(&self) -> &str {
        &self.row().external_id
    }

    /// The handle, or a masked phone number such as `+49 ··· ·· 42`.
    pub async fn handle(&self) -> &str {
        &self.row().handle
    }

    /// The name that the platform shows.
    pub async fn display_name(&self) -> &str {
        &self.row().display_name
    }

    /// The picture that the platform shows.
    pub async fn avatar_url(&self) -> Option<Url> {
        self.row().avatar_url.as_deref().and_then(Url::parse)
    }

    /// How the link stands.
    async fn status(&self) -> LinkStatus {
        self.row().status.into()
    }

    /// Why it stands so.
    async fn status_reason(&self) -> LinkStatusReason {
        self.row().status_reason.into()
    }

    /// When it was linked.
    async fn linked_at(&self) -> DateTime {
        self.row().linked_at.into()
    }

    /// Since when the status is what it is.
    async fn status_changed_at(&self) -> DateTime {
        self.row().status_changed_at.into()
    }

    /// Those that begin or end here: at most 38.
    async fn connections(
        &self,
        #[graphql(desc = "Only those for which it is on.")] experience: Option<Experience>,
    ) -> Vec<ProfileConnection> {
        let mut connections = ProfileConnection::all(&self.graph, experience);
        connections.retain(|connection| connection.touches(self.row().id));
        connections
    }

    /// Whether a proof of it signs in to the account.
    async fn sign_in_enabled(&self) -> bool {
        self.row().sign_in_enabled
    }
}
