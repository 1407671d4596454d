//! The link graph in the graph: profiles of one account at one version, and its changes as they happen.

use std::sync::Arc;

use accounts_center_entity::{experience_grant, linked_profile};
use async_graphql::{Context, Description, Enum, ID, Object, Subscription};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::event::{ConnectionChanged, LinkStatusChanged};
use super::{Edge, Grant, LinkGraph as Graph};
use crate::account::event::Happened;
use crate::error::Error;
use crate::graph::consistency::graph_at;
use crate::graph::context::app;
use crate::graph::scalars::{DateTime, version_number};
use crate::graph::subscription::{self, Answers};
use crate::ids::{NodeId, NodeKind};
use crate::profile::graphql::LinkedProfile;
use crate::store::{Event, StreamEvent};

/// The profiles of one account and the directed connections between them, at one version.
#[derive(Description)]
pub struct LinkGraph(pub Arc<Graph>);

#[Object(use_type_description)]
impl LinkGraph {
    /// The account's version at which the graph last changed; `graphVersion` in events.
    async fn version(&self) -> i32 {
        version_number(self.0.graph_version)
    }

    /// At most 20.
    #[graphql(complexity = "1 + 6 * child_complexity")]
    async fn profiles(&self) -> Vec<LinkedProfile> {
        LinkedProfile::all(&self.0)
    }

    /// One for each ordered pair of profiles between which an experience is on: at most 380.
    #[graphql(complexity = "1 + 6 * child_complexity")]
    async fn connections(
        &self,
        #[graphql(desc = "Only those for which it is on.")] experience: Option<Experience>,
    ) -> Vec<ProfileConnection> {
        ProfileConnection::all(&self.0, experience)
    }
}

/// What flows from one profile to another.
#[derive(Clone, Description)]
pub struct ProfileConnection {
    edge: Edge,
    source: LinkedProfile,
    target: LinkedProfile,
}

impl ProfileConnection {
    /// The connections of a graph; only those for which `experience` is on, if one is given.
    pub fn all(graph: &Arc<Graph>, experience: Option<Experience>) -> Vec<Self> {
        let experience = experience.map(experience_grant::Experience::from);
        let bears = |edge: &Edge| {
            let mut grants = edge.grants.iter();
            experience.is_none_or(|experience| grants.any(|grant| grant.experience == experience))
        };
        let edges = graph.edges.iter().filter(|edge| bears(edge));
        edges.filter_map(|edge| Self::of(graph, edge)).collect()
    }

    /// The connection of this id, if it is in the graph.
    pub fn find(graph: &Arc<Graph>, id: Uuid) -> Option<Self> {
        graph.edges.iter().find(|edge| edge.id == id).and_then(|edge| Self::of(graph, edge))
    }

    /// Whether it begins or ends at this profile.
    pub fn touches(&self, profile: Uuid) -> bool {
        [self.edge.source, self.edge.target].contains(&profile)
    }

    fn of(graph: &Arc<Graph>, edge: &Edge) -> Option<Self> {
        let source = LinkedProfile::linked(graph, edge.source)?;
        let target = LinkedProfile::linked(graph, edge.target)?;
        Some(Self { edge: edge.clone(), source, target })
    }
}

#[Object(use_type_description)]
impl ProfileConnection {
    /// The global id.
    pub async fn id(&self) -> ID {
        NodeId::new(NodeKind::ProfileConnection, self.edge.id).into()
    }

    /// Where it comes from.
    async fn source(&self) -> &LinkedProfile {
        &self.source
    }

    /// Where it goes.
    async fn target(&self) -> &LinkedProfile {
        &self.target
    }

    /// The experiences that are on: one at least, one of each kind at most.
    async fn grants(&self) -> Vec<ExperienceGrant> {
        let active = linked_profile::LinkStatus::Active;
        let paused = [&self.source, &self.target].iter().any(|profile| profile.row().status != active);
        self.edge.grants.iter().map(|grant| ExperienceGrant { grant: grant.clone(), paused }).collect()
    }
}

/// One experience that is on, from one profile to another.
#[derive(Description)]
pub struct ExperienceGrant {
    grant: Grant,
    paused: bool,
}

#[Object(use_type_description)]
impl ExperienceGrant {
    /// What it is.
    async fn experience(&self) -> Experience {
        self.grant.experience.into()
    }

    /// Since when it is on.
    async fn granted_at(&self) -> DateTime {
        self.grant.granted_at.into()
    }

    /// True while a profile at either end is not ACTIVE: nothing flows.
    async fn paused(&self) -> bool {
        self.paused
    }
}

/// How a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[graphql(remote = "linked_profile::LinkStatus")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LinkStatus {
    /// It works.
    Active,
    /// The platform wants its owner to prove the profile again.
    AttentionRequired,
    /// The platform has deactivated the profile.
    Suspended,
    /// Its owner has cut it off as stolen; `releaseProfile` after proving it again.
    Contained,
    /// Being unlinked; nothing is shared any more, and for 24 hours it can still be kept.
    Unlinking,
    /// It is gone.
    Unlinked,
}

/// Why a link stands as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[graphql(remote = "linked_profile::LinkStatusReason")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LinkStatusReason {
    /// Its owner proved it.
    Verified,
    /// Its owner proved it again.
    Reverified,
    /// Its owner asked for it.
    UserRequest,
    /// Its owner kept it.
    UnlinkCancelled,
    /// Nobody kept it.
    GracePeriodEnded,
    /// The platform asks for a new proof.
    CredentialsExpired,
    /// The platform deactivated it.
    PlatformDeactivated,
    /// The platform reactivated it.
    PlatformReactivated,
    /// It was deleted at the platform.
    PlatformDeleted,
    /// Its owner reported it stolen.
    ReportedStolen,
    /// Its owner took it back.
    Released,
    /// Somebody else proved that it is theirs.
    ClaimedByNewOwner,
}

/// A way in which linked profiles work together. Each one is off until its owner turns it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[graphql(remote = "experience_grant::Experience")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Experience {
    /// What is posted at the source can be posted at the target too.
    CrossPosting,
    /// The source signs in to the target.
    SharedLogin,
    /// Both appear in the tools of a business.
    BusinessTools,
    /// Messages to the source can be read and answered at the target.
    Messaging,
}

/// A profile was linked, or its status changed.
#[derive(Description)]
pub struct LinkStatusChange {
    account: Uuid,
    event: Event<LinkStatusChanged>,
}

impl LinkStatusChange {
    /// Of such an event of `account`.
    pub fn of(account: Uuid, event: Event<Happened>) -> Option<Self> {
        let event = event.narrow(|happened| match happened {
            Happened::LinkStatus(changed) => Some(changed),
            _ => None,
        })?;
        Some(Self { account, event })
    }
}

#[Object(use_type_description)]
impl LinkStatusChange {
    /// Pass it as `after` to continue right behind this event.
    pub async fn cursor(&self, ctx: &Context<'_>) -> String {
        app(ctx).store.cursor(self.account, self.event.number)
    }

    /// When it happened.
    pub async fn occurred_at(&self) -> DateTime {
        self.event.occurred_at.into()
    }

    /// As it is now; null once erased.
    async fn profile(&self, ctx: &Context<'_>) -> Option<Result<LinkedProfile, Error>> {
        // At this event's version or later, or a fast reader could be shown what was before.
        let (version, profile) = (self.event.number, self.event.payload.profile);
        LinkedProfile::of_account(ctx, self.account, version, profile).await.transpose()
    }

    /// Null where the profile was just linked.
    async fn previous_link_status(&self) -> Option<LinkStatus> {
        self.event.payload.previous
    }

    /// What it was then.
    async fn link_status(&self) -> LinkStatus {
        self.event.payload.status
    }

    /// Why it changed.
    async fn reason(&self) -> LinkStatusReason {
        self.event.payload.reason
    }

    /// A link graph of this version or later shows the change.
    async fn graph_version(&self) -> i32 {
        version_number(self.event.number)
    }
}

/// An experience was turned on or off, paused or resumed.
#[derive(Description)]
pub struct ConnectionChange {
    account: Uuid,
    event: Event<ConnectionChanged>,
}

impl ConnectionChange {
    /// Of such an event of `account`.
    pub fn of(account: Uuid, event: Event<Happened>) -> Option<Self> {
        let event = event.narrow(|happened| match happened {
            Happened::Connection(changed) => Some(changed),
            _ => None,
        })?;
        Some(Self { account, event })
    }

    /// The graph at this event's version or later: a fast reader is not shown what was before.
    async fn graph(&self, ctx: &Context<'_>) -> Result<Option<Arc<Graph>>, Error> {
        graph_at(ctx, self.account, self.event.number).await
    }

    async fn end(&self, ctx: &Context<'_>, profile: Uuid) -> Option<Result<LinkedProfile, Error>> {
        LinkedProfile::of_account(ctx, self.account, self.event.number, profile).await.transpose()
    }
}

#[Object(use_type_description)]
impl ConnectionChange {
    /// Pass it as `after` to continue right behind this event.
    pub async fn cursor(&self, ctx: &Context<'_>) -> String {
        app(ctx).store.cursor(self.account, self.event.number)
    }

    /// When it happened.
    pub async fn occurred_at(&self) -> DateTime {
        self.event.occurred_at.into()
    }

    /// As it is now; null once its last grant has ended.
    async fn connection(&self, ctx: &Context<'_>) -> Option<Result<ProfileConnection, Error>> {
        let (graph, id) = (self.graph(ctx).await, self.event.payload.connection);
        graph.map(|graph| graph.and_then(|graph| ProfileConnection::find(&graph, id))).transpose()
    }

    /// Where it comes from, as it is now; null once erased.
    async fn source(&self, ctx: &Context<'_>) -> Option<Result<LinkedProfile, Error>> {
        self.end(ctx, self.event.payload.source).await
    }

    /// Where it goes, as it is now; null once erased.
    async fn target(&self, ctx: &Context<'_>) -> Option<Result<LinkedProfile, Error>> {
        self.end(ctx, self.event.payload.target).await
    }

    /// The experience that changed.
    async fn experience(&self) -> Experience {
        self.event.payload.experience
    }

    /// Whether it was on then; a paused one is.
    async fn enabled(&self) -> bool {
        self.event.payload.enabled
    }

    /// A link graph of this version or later shows the change.
    async fn graph_version(&self) -> i32 {
        version_number(self.event.number)
    }
}

#[derive(Default)]
pub struct LinkGraphSubscription;

#[Subscription]
impl LinkGraphSubscription {
    /// The heart of it: each change of a linked profile's status.
    async fn link_status_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Continue right behind this cursor. Absent: from now on.")] after: Option<String>,
    ) -> Result<Answers<LinkStatusChange>, Error> {
        subscription::follow(ctx, Some(&[LinkStatusChanged::KIND]), after, LinkStatusChange::of).await
    }

    /// Each change of what flows between two linked profiles.
    async fn connection_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Continue right behind this cursor. Absent: from now on.")] after: Option<String>,
    ) -> Result<Answers<ConnectionChange>, Error> {
        subscription::follow(ctx, Some(&[ConnectionChanged::KIND]), after, ConnectionChange::of).await
    }
}
