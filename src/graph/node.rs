//! Objects by their global id.

use async_graphql::futures_util::future::try_join_all;
use async_graphql::{Context, ID, Interface, Object};

use super::consistency::own_graph;
use super::context::{app, viewer};
use super::loaders;
use crate::account::graphql::Account;
use crate::activity::graphql::AccountActivity;
use crate::error::{Code, Error};
use crate::ids::{ActivityId, NodeId, NodeKind};
use crate::link_graph::graphql::ProfileConnection;
use crate::passkey::graphql::Passkey;
use crate::platform::graphql::Platform;
use crate::profile::graphql::LinkedProfile;
use crate::security::graphql::SecurityAlert;
use crate::session::graphql::AccountSession;
use crate::verification::graphql::Verification;

/// An object that `node` finds by its global id.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "The global id."))]
pub enum Node {
    Account(Account),
    AccountActivity(AccountActivity),
    AccountSession(AccountSession),
    LinkedProfile(LinkedProfile),
    Passkey(Passkey),
    Platform(Platform),
    ProfileConnection(ProfileConnection),
    SecurityAlert(SecurityAlert),
    // By far the largest.
    Verification(Box<Verification>),
}

/// How many objects one field gives.
const MAX_IDS: usize = 100;

#[derive(Default)]
pub struct NodeQuery;

#[Object]
impl NodeQuery {
    /// The object of this global id; null where there is none, or none of the caller's.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "A global id.")] id: ID,
    ) -> Option<Result<Node, Error>> {
        find(ctx, &id).await.transpose()
    }

    /// At most 100 ids; null in the place of what is not found.
    #[graphql(complexity = "1 + ids.len() * child_complexity")]
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Global ids.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>, Error> {
        if ids.len() > MAX_IDS {
            let message = format!("`nodes` takes at most {MAX_IDS} ids; ask again for the others.");
            return Err(Error::client(Code::BadUserInput, message));
        }
        try_join_all(ids.iter().map(|id| find(ctx, id))).await
    }
}

async fn find(ctx: &Context<'_>, id: &ID) -> Result<Option<Node>, Error> {
    if let Some(key) = id.strip_prefix(Platform::ID_PREFIX) {
        return Ok(Platform::configured(app(ctx), key).map(Node::Platform));
    }
    let Some(viewer) = viewer(ctx) else { return Ok(None) };
    // Each of these begins with its owner: what is somebody else's is not found.
    if let Ok(id) = id.parse::<ActivityId>() {
        return Ok(AccountActivity::find(ctx, viewer.account, id).await?.map(Node::AccountActivity));
    }
    let Ok(id) = id.parse::<NodeId>() else { return Ok(None) };
    match id.kind {
        NodeKind::Account if id.uuid != viewer.account => Ok(None),
        NodeKind::Account => Ok(own_graph(ctx).await?.map(|graph| Node::Account(Account(graph)))),
        NodeKind::LinkedProfile => {
            let profile = LinkedProfile::of_account(ctx, viewer.account, 0, id.uuid).await?;
            Ok(profile.map(Node::LinkedProfile))
        }
        NodeKind::ProfileConnection => {
            let graph = own_graph(ctx).await?;
            Ok(graph.and_then(|g| ProfileConnection::find(&g, id.uuid)).map(Node::ProfileConnection))
        }
        NodeKind::AccountSession => {
            let row = loaders::session(ctx, viewer.account, id.uuid).await?;
            Ok(row.map(|row| Node::AccountSession(AccountSession(row.as_ref().clone()))))
        }
        NodeKind::SecurityAlert => {
            let alert = SecurityAlert::find(ctx, viewer.account, id.uuid).await?;
            Ok(alert.map(Node::SecurityAlert))
        }
        NodeKind::Passkey => Ok(Passkey::find(ctx, viewer.account, id.uuid).await?.map(Node::Passkey)),
        NodeKind::SignInMethod | NodeKind::PasskeyRegistration => Ok(None),
        NodeKind::Verification => {
            let row = loaders::verification(ctx, viewer.account, id.uuid).await?;
            Ok(row.map(|row| Node::Verification(Box::new(Verification(row.as_ref().clone())))))
        }
    }
}
