//! The link graph in the graph: profiles of one account at one version, and its changes as they happen.

use std::sync::Arc;

use accounts_center_entity::{experience_grant, linked_profile};
use async_graphql::{Context, Description, Enum, Interface, Object, Subscription};
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::LinkGraph as Graph;
use super::event::LinkStatusChanged;
use crate::error::Error;
use crate::graph::context::{app, require_viewer};
use crate::graph::event_stream;
use crate::graph::scalars::{DateTime, version_number};
use crate::profile::graphql::LinkedProfile;
use crate::store::Event;

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
    async fn profiles(&self) -> Vec<LinkedProfile> {
        LinkedProfile::all(&self.0)
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

/// An event of the signed-in account.
#[derive(Interface)]
#[graphql(
    field(name = "cursor", ty = "String", desc = "Pass it as `after` to continue right behind this event."),
    field(name = "occurred_at", ty = "DateTime", desc = "When it happened.")
)]
pub enum AccountEvent {
    LinkStatusChange(LinkStatusChange),
}

/// A profile was linked, or its status changed.
#[derive(Description)]
pub struct LinkStatusChange {
    account: Uuid,
    event: Event<LinkStatusChanged>,
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

#[derive(Default)]
pub struct LinkGraphSubscription;

#[Subscription]
impl LinkGraphSubscription {
    /// The heart of it: each change of a linked profile's status.
    async fn link_status_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Continue right behind this cursor. Absent: from now on.")] after: Option<String>,
    ) -> Result<impl Stream<Item = Result<LinkStatusChange, Error>> + use<>, Error> {
        let account = require_viewer(ctx)?.account;
        let events = event_stream::follow(app(ctx).store.clone(), account, after).await?;
        Ok(event_stream::map(events, move |event| LinkStatusChange { account, event }))
    }
}
