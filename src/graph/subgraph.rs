//! Entities for a federation router, by their keys (Apollo Federation subgraph specification).
//!
//! They check as the public graph does: a router sees through them only what its caller may see.

use async_graphql::{Context, ID, Object};

use super::consistency::own_graph;
use super::context::{app, viewer};
use crate::account::graphql::Account;
use crate::error::Error;
use crate::ids::{NodeId, NodeKind};
use crate::link_graph::graphql::ProfileConnection;
use crate::platform::PlatformKey;
use crate::platform::graphql::Platform;
use crate::profile::graphql::LinkedProfile;

#[derive(Default)]
pub struct SubgraphQuery;

#[Object]
impl SubgraphQuery {
    #[graphql(entity)]
    async fn account_by_id(
        &self,
        ctx: &Context<'_>,
        #[graphql(key)] id: ID,
    ) -> Result<Option<Account>, Error> {
        let wanted = NodeId::parse_as(NodeKind::Account, &id);
        Ok(own_graph(ctx).await?.filter(|graph| Some(graph.account.id) == wanted).map(Account))
    }

    #[graphql(entity)]
    async fn linked_profile_by_id(
        &self,
        ctx: &Context<'_>,
        #[graphql(key)] id: ID,
    ) -> Result<Option<LinkedProfile>, Error> {
        let Some(wanted) = NodeId::parse_as(NodeKind::LinkedProfile, &id) else { return Ok(None) };
        match viewer(ctx) {
            Some(viewer) => LinkedProfile::of_account(ctx, viewer.account, 0, wanted).await,
            None => Ok(None),
        }
    }

    #[graphql(entity)]
    async fn linked_profile_by_key(
        &self,
        ctx: &Context<'_>,
        #[graphql(key)] platform_key: PlatformKey,
        #[graphql(key)] external_id: String,
    ) -> Result<Option<LinkedProfile>, Error> {
        let graph = own_graph(ctx).await?;
        Ok(graph.and_then(|graph| LinkedProfile::find_by_key(&graph, platform_key.as_str(), &external_id)))
    }

    #[graphql(entity)]
    async fn profile_connection_by_id(
        &self,
        ctx: &Context<'_>,
        #[graphql(key)] id: ID,
    ) -> Result<Option<ProfileConnection>, Error> {
        let Some(wanted) = NodeId::parse_as(NodeKind::ProfileConnection, &id) else { return Ok(None) };
        Ok(own_graph(ctx).await?.and_then(|graph| ProfileConnection::find(&graph, wanted)))
    }

    #[graphql(entity)]
    async fn platform_by_id(&self, ctx: &Context<'_>, #[graphql(key)] id: ID) -> Option<Platform> {
        Platform::configured(app(ctx), id.strip_prefix(Platform::ID_PREFIX)?)
    }

    #[graphql(entity)]
    async fn platform_by_key(&self, ctx: &Context<'_>, #[graphql(key)] key: PlatformKey) -> Option<Platform> {
        Platform::configured(app(ctx), key.as_str())
    }
}
