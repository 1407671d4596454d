//! A linked profile in the graph.

use std::sync::Arc;

use accounts_center_entity::linked_profile::LinkStatus as LinkStatusOfRow;
use accounts_center_entity::{experience_grant, linked_profile};
use async_graphql::{Context, Description, Error as GraphError, ID, Interface, Object};
use uuid::Uuid;

use super::exposure::ProfileExposure;
use super::unlink_preview::UnlinkPreview;
use crate::account::graphql::Account;
use crate::error::Error;
use crate::graph::consistency::{self, graph_at};
use crate::graph::context::app;
use crate::graph::loaders;
use crate::graph::scalars::{DateTime, Url};
use crate::ids::{NodeId, NodeKind};
use crate::link_graph::graphql::{Experience, LinkStatus, LinkStatusReason, ProfileConnection};
use crate::link_graph::{Edge, LinkGraph};
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
    /// The graph of its account.
    graph: Arc<LinkGraph>,
    place: Place,
}

#[derive(Clone)]
enum Place {
    /// Among the graph's profiles.
    Node(usize),
    /// It is unlinked: the graph does not have it any more.
    Tombstone(Arc<linked_profile::Model>),
}

/// The name of a profile that is unlinked; its own is erased.
const REMOVED: &str = "Removed profile";

impl LinkedProfile {
    /// All profiles of a graph, oldest first.
    pub fn all(graph: &Arc<LinkGraph>) -> Vec<Self> {
        (0..graph.profiles.len()).map(|index| Self::node(graph, index)).collect()
    }

    /// The newest profiles that the account of `graph` has unlinked, newest first.
    pub async fn unlinked(ctx: &Context<'_>, graph: &Arc<LinkGraph>) -> Result<Vec<Self>, Error> {
        let mut rows = loaders::newest_tombstones(ctx, graph.account.id).await?;
        // One that was unlinked after the graph was read is still in it.
        rows.retain(|row| Self::linked(graph, row.id).is_none());
        consistency::beside_the_graph(ctx);
        Ok(rows.into_iter().map(|row| Self { graph: graph.clone(), place: Place::Tombstone(row) }).collect())
    }

    /// The profile of this id, if it is in the graph.
    pub fn linked(graph: &Arc<LinkGraph>, id: Uuid) -> Option<Self> {
        let index = graph.profiles.iter().position(|profile| profile.id == id)?;
        Some(Self::node(graph, index))
    }

    /// The profile of this id, linked or unlinked, if it belongs to the account of `graph`.
    pub async fn find(ctx: &Context<'_>, graph: &Arc<LinkGraph>, id: Uuid) -> Result<Option<Self>, Error> {
        if let Some(linked) = Self::linked(graph, id) {
            return Ok(Some(linked));
        }
        consistency::beside_the_graph(ctx);
        let row = loaders::tombstone(ctx, graph.account.id, id).await?;
        Ok(row.map(|row| Self { graph: graph.clone(), place: Place::Tombstone(row) }))
    }

    /// The same of `account`, whose graph is read at version `at_least` or later.
    pub async fn of_account(
        ctx: &Context<'_>,
        account: Uuid,
        at_least: i64,
        id: Uuid,
    ) -> Result<Option<Self>, Error> {
        match graph_at(ctx, account, at_least).await? {
            Some(graph) => Self::find(ctx, &graph, id).await,
            None => Ok(None),
        }
    }

    /// The profile of this key, if it is in the graph.
    pub fn find_by_key(graph: &Arc<LinkGraph>, platform: &str, external_id: &str) -> Option<Self> {
        let is_it = |profile: &linked_profile::Model| {
            profile.platform == platform && profile.external_id == external_id
        };
        let index = graph.profiles.iter().position(is_it)?;
        Some(Self::node(graph, index))
    }

    fn node(graph: &Arc<LinkGraph>, index: usize) -> Self {
        Self { graph: graph.clone(), place: Place::Node(index) }
    }

    /// The profiles that `experience` flows to from this one now.
    pub(super) fn targets(&self, experience: Experience) -> Vec<Self> {
        self.flows(experience)
            .filter(|edge| edge.source == self.row().id)
            .filter_map(|edge| self.active(edge.target))
            .collect()
    }

    /// The profiles that `experience` flows from to this one now.
    pub(super) fn sources(&self, experience: Experience) -> Vec<Self> {
        self.flows(experience)
            .filter(|edge| edge.target == self.row().id)
            .filter_map(|edge| self.active(edge.source))
            .collect()
    }

    /// The connections that bear `experience`, if this profile is not held.
    fn flows(&self, experience: Experience) -> impl Iterator<Item = &Edge> {
        let experience = experience_grant::Experience::from(experience);
        let is_active = self.row().status == LinkStatusOfRow::Active;
        self.graph
            .edges
            .iter()
            .filter(move |edge| is_active && edge.grants.iter().any(|grant| grant.experience == experience))
    }

    fn active(&self, id: Uuid) -> Option<Self> {
        Self::linked(&self.graph, id).filter(|profile| profile.row().status == LinkStatusOfRow::Active)
    }

    /// The connections that begin or end here; only those for which `experience` is on, if one is given.
    pub(super) fn own_connections(&self, experience: Option<Experience>) -> Vec<ProfileConnection> {
        let mut connections = ProfileConnection::all(&self.graph, experience);
        connections.retain(|connection| connection.touches(self.row().id));
        connections
    }

    /// The profiles of its account.
    pub(super) fn siblings(&self) -> &[linked_profile::Model] {
        &self.graph.profiles
    }

    /// Whether it is neither unlinked nor about to be.
    pub(super) fn is_staying(&self) -> bool {
        !matches!(self.row().status, LinkStatusOfRow::Unlinking | LinkStatusOfRow::Unlinked)
    }

    pub fn row(&self) -> &linked_profile::Model {
        match &self.place {
            Place::Node(index) => &self.graph.profiles[*index],
            Place::Tombstone(row) => row,
        }
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
        Ok(Platform::stored(app(ctx), &self.row().platform)?)
    }

    /// The key of the platform, for federation.
    async fn platform_key(&self) -> Result<PlatformKey, GraphError> {
        Ok(PlatformKey::stored(&self.row().platform)?)
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
        match &self.place {
            Place::Node(_) => &self.row().display_name,
            Place::Tombstone(_) => REMOVED,
        }
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

    /// When an unlinking profile is gone for good; `keepProfile` keeps it until then.
    async fn unlinks_at(&self) -> Option<DateTime> {
        self.row().unlinks_at.map(DateTime::from)
    }

    /// Those that begin or end here: at most 38.
    #[graphql(complexity = "1 + 6 * child_complexity")]
    async fn connections(
        &self,
        #[graphql(desc = "Only those for which it is on.")] experience: Option<Experience>,
    ) -> Vec<ProfileConnection> {
        self.own_connections(experience)
    }

    /// Whether a proof of it signs in to the account.
    async fn sign_in_enabled(&self) -> bool {
        self.row().sign_in_enabled
    }

    /// The profiles that this one can sign in to now, by SHARED_LOGIN: at most 19.
    #[graphql(complexity = "1 + 6 * child_complexity")]
    async fn shared_login_targets(&self) -> Vec<LinkedProfile> {
        self.targets(Experience::SharedLogin)
    }

    /// What unlinking this profile would end, and what stands in the way, without unlinking it.
    async fn unlink_preview(&self) -> UnlinkPreview {
        UnlinkPreview(self.clone())
    }

    /// How far someone who stole this profile would get.
    async fn exposure(&self) -> ProfileExposure {
        ProfileExposure(self.clone())
    }
}
