//! By what a person signs in to an account.

use std::sync::Arc;

use async_graphql::{Context, Description, Enum, ID, Object};
use uuid::Uuid;

use crate::error::Error;
use crate::graph::context::app;
use crate::ids::{NodeId, NodeKind};
use crate::link_graph::LinkGraph;
use crate::passkey::graphql::Passkey;
use crate::profile::graphql::LinkedProfile;
use crate::profile::signs_in;

/// A way to sign in to the account.
#[derive(Clone, Description)]
pub struct SignInMethod {
    id: Uuid,
    kind: SignInMethodKind,
    profile: Option<LinkedProfile>,
    passkey: Option<Passkey>,
}

impl SignInMethod {
    /// A proof of the profile `id`, whether it signs in now or once did; `None` if there is no trace of it any more.
    pub fn of_profile(id: Uuid, profile: Option<LinkedProfile>) -> Self {
        Self { id, kind: SignInMethodKind::LinkedProfile, profile, passkey: None }
    }

    /// The same of a passkey.
    pub fn of_passkey(id: Uuid, passkey: Option<Passkey>) -> Self {
        Self { id, kind: SignInMethodKind::Passkey, profile: None, passkey }
    }

    /// Those that sign in to the account of a graph now, and that `startStepUp` takes: passkeys, then profiles, each from
    /// the one that came first.
    pub async fn usable(ctx: &Context<'_>, graph: &Arc<LinkGraph>) -> Result<Vec<Self>, Error> {
        let app = app(ctx);
        let passkeys = match &app.passkeys {
            Some(_) => Passkey::all(ctx, graph.account.id).await?,
            None => Vec::new(),
        };
        let passkeys = passkeys.into_iter().map(|passkey| Self::of_passkey(passkey.uuid(), Some(passkey)));
        let profiles = LinkedProfile::all(graph).into_iter();
        let profiles = profiles.filter(|profile| signs_in(&app.platforms, profile.row()));
        let profiles = profiles.map(|profile| Self::of_profile(profile.row().id, Some(profile)));
        Ok(passkeys.chain(profiles).collect())
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
        self.kind
    }

    /// The profile whose proof signs in.
    async fn profile(&self) -> Option<LinkedProfile> {
        self.profile.clone()
    }

    /// The profile whose login was used, for SHARED_LOGIN.
    async fn source(&self) -> Option<LinkedProfile> {
        None
    }

    /// The passkey that signs in.
    async fn passkey(&self) -> Option<Passkey> {
        self.passkey.clone()
    }
}

/// The kinds of ways to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum SignInMethodKind {
    /// A proof of a linked profile.
    LinkedProfile,
    /// A WebAuthn credential of the account.
    Passkey,
}
