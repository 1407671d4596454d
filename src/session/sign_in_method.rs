//! By what a person signs in to an account.

use std::sync::Arc;

use async_graphql::{Description, Enum, ID, Object};
use uuid::Uuid;

use crate::ids::{NodeId, NodeKind};
use crate::link_graph::LinkGraph;
use crate::platform::Platforms;
use crate::profile::graphql::LinkedProfile;
use crate::profile::signs_in;

/// A way to sign in to the account.
#[derive(Clone, Description)]
pub struct SignInMethod {
    id: Uuid,
    profile: Option<LinkedProfile>,
}

impl SignInMethod {
    /// A proof of the profile `id`, whether it signs in now or once did; `None` if there is no trace of it any more.
    pub fn of_profile(id: Uuid, profile: Option<LinkedProfile>) -> Self {
        Self { id, profile }
    }

    /// Those that sign in to the account of a graph now, and that `startStepUp` takes; the profile that was linked
    /// first comes first.
    pub fn usable(platforms: &Platforms, graph: &Arc<LinkGraph>) -> Vec<Self> {
        let profiles = LinkedProfile::all(graph).into_iter();
        let usable = profiles.filter(|profile| signs_in(platforms, profile.row()));
        usable.map(|profile| Self { id: profile.row().id, profile: Some(profile) }).collect()
    }
}

#[Object(use_type_description)]
impl SignInMethod {
    /// What `startStepUp` takes as `methodId`.
    async fn id(&self) -> ID {
        NodeId::new(NodeKind::SignInMethod, self.id).into()
    }

    /// What it is.
    async fn kind(&self) -> SignInMethodKind {
        SignInMethodKind::LinkedProfile
    }

    /// The profile whose proof signs in.
    async fn profile(&self) -> Option<LinkedProfile> {
        self.profile.clone()
    }

    /// The profile whose login was used, for SHARED_LOGIN.
    async fn source(&self) -> Option<LinkedProfile> {
        None
    }
}

/// The kinds of ways to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum SignInMethodKind {
    /// A proof of a linked profile.
    LinkedProfile,
}
