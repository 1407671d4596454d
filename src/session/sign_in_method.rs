//! By what a person signs in to an account.

use async_graphql::{Description, Enum, ID, Object};

use crate::ids::{NodeId, NodeKind};
use crate::link_graph::LinkGraph;
use crate::platform::Platforms;
use crate::profile::graphql::LinkedProfile;
use crate::profile::signs_in;
use std::sync::Arc;

/// A way to sign in to the account.
#[derive(Clone, Description)]
pub struct SignInMethod(LinkedProfile);

impl SignInMethod {
    /// A proof of this profile, whether it signs in now or once did.
    pub fn of_profile(profile: LinkedProfile) -> Self {
        Self(profile)
    }

    /// Those that sign in to the account of a graph now, and that `startStepUp` takes; the profile that was linked
    /// first comes first.
    pub fn usable(platforms: &Platforms, graph: &Arc<LinkGraph>) -> Vec<Self> {
        let profiles = LinkedProfile::all(graph).into_iter();
        profiles.filter(|profile| signs_in(platforms, profile.row())).map(Self).collect()
    }
}

#[Object(use_type_description)]
impl SignInMethod {
    /// What `startStepUp` takes as `methodId`.
    async fn id(&self) -> ID {
        NodeId::new(NodeKind::SignInMethod, self.0.row().id).into()
    }

    /// What it is.
    async fn kind(&self) -> SignInMethodKind {
        SignInMethodKind::LinkedProfile
    }

    /// The profile whose proof signs in.
    async fn profile(&self) -> Option<LinkedProfile> {
        Some(self.0.clone())
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
