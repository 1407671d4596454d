//! The schema in its two forms, and what of it is printed: Query, Mutation and Subscription merged from the slices.

use std::sync::Arc;

use async_graphql::futures_util::stream::{BoxStream, StreamExt};
use async_graphql::{
    MergedObject, MergedSubscription, ObjectType, Request, Response, Schema, SchemaBuilder, ValidationMode,
};

use super::export;
use super::node::NodeQuery;
use super::subgraph::SubgraphQuery;
use crate::account::graphql::{AccountMutation, AccountQuery};
use crate::account::subscription::AccountSubscription;
use crate::account::suggestion::SuggestionMutation;
use crate::app::App;
use crate::config;
use crate::gateway;
use crate::gateway::compose::SubgraphSdl;
use crate::link_graph::graphql::LinkGraphSubscription;
use crate::passkey::graphql::PasskeyMutation;
use crate::platform::graphql::PlatformQuery;
use crate::profile::graphql::ProfileCard;
use crate::profile::mutation::ProfileMutation;
use crate::security::graphql::SecurityMutation;
use crate::security::subscription::SecuritySubscription;
use crate::session::graphql::SessionMutation;
use crate::verification::claiming::ClaimMutation;
use crate::verification::finishing::FinishMutation;
use crate::verification::graphql::VerificationQuery;
use crate::verification::starting::StartMutation;
use crate::verification::subscription::VerificationSubscription;

/// Everything that can be asked.
#[derive(MergedObject, Default)]
pub struct Query(AccountQuery, NodeQuery, PlatformQuery, VerificationQuery);

/// Everything that can be changed.
#[derive(MergedObject, Default)]
pub struct Mutation(
    AccountMutation,
    ClaimMutation,
    PasskeyMutation,
    ProfileMutation,
    SecurityMutation,
    SessionMutation,
    SuggestionMutation,
    FinishMutation,
    StartMutation,
);

/// Everything that can be followed.
#[derive(MergedSubscription, Default)]
pub struct Subscription(
    AccountSubscription,
    LinkGraphSubscription,
    SecuritySubscription,
    VerificationSubscription,
);

/// Everything that can be asked.
// With the entity resolvers that a federation router calls. They are a root type of their own so that the public graph has
// no `_entities` and no `_service` at all. It is described as the other one: clients see it in the supergraph.
#[derive(MergedObject, Default)]
#[graphql(name = "Query")]
pub struct RouterQuery(AccountQuery, NodeQuery, PlatformQuery, VerificationQuery, SubgraphQuery);

/// The public graph.
pub type AccountsSchema = Schema<Query, Mutation, Subscription>;

/// The graph as a subgraph for a federation router.
pub type AccountsSubgraph = Schema<RouterQuery, Mutation, Subscription>;

/// The graph as people get it, or as a federation router does.
#[derive(Clone)]
pub(super) enum Graph {
    Public(AccountsSchema),
    Subgraph(AccountsSubgraph),
}

impl Graph {
    pub(super) async fn execute(&self, request: Request) -> Response {
        match self {
            Self::Public(schema) => schema.execute(request).await,
            Self::Subgraph(schema) => schema.execute(request).await,
        }
    }

    pub(super) fn execute_stream(&self, request: Request) -> BoxStream<'static, Response> {
        match self {
            Self::Public(schema) => schema.execute_stream(request).boxed(),
            Self::Subgraph(schema) => schema.execute_stream(request).boxed(),
        }
    }
}

/// A graph in two ways of execution. To validate a small query costs a third of resolving it.
#[derive(Clone)]
pub(super) struct Schemas {
    /// For what it has not seen before.
    pub(super) validating: Graph,
    /// For operations that are known to be valid. The limits count here too.
    pub(super) trusting: Graph,
}

impl Schemas {
    pub(super) fn public(app: &Arc<App>) -> Self {
        let limits = &app.config.graph;
        let schema = |mode| {
            let schema = limited(builder(Query::default()), limits).validation_mode(mode);
            Graph::Public(schema.data(app.clone()).finish())
        };
        Self { validating: schema(ValidationMode::Strict), trusting: schema(ValidationMode::Fast) }
    }

    pub(super) fn subgraph(app: &Arc<App>) -> Self {
        let limits = &app.config.graph;
        let schema = |mode| {
            let schema = limited(subgraph_builder(), limits).validation_mode(mode);
            Graph::Subgraph(schema.data(app.clone()).finish())
        };
        Self { validating: schema(ValidationMode::Strict), trusting: schema(ValidationMode::Fast) }
    }
}

/// The graph that a federation router gets.
pub fn subgraph(app: Arc<App>) -> AccountsSubgraph {
    let limits = app.config.graph.clone();
    limited(subgraph_builder(), &limits).data(app).finish()
}

/// The public graph as SDL. It is the same whatever the configuration.
pub fn api_sdl() -> String {
    export::api(&builder(Query::default()).finish())
}

/// The subgraph as SDL. It is the same whatever the configuration.
pub fn subgraph_sdl() -> String {
    export::subgraph(&subgraph_builder().finish())
}

/// The accounts graph as a part of what `settings` compose: where it is, if it is in another process.
pub fn as_subgraph(settings: &gateway::settings::Gateway) -> SubgraphSdl {
    let name = settings.local_subgraph.clone();
    let url = settings.subgraphs.get(&name).and_then(|own| own.url.clone()).unwrap_or_default();
    SubgraphSdl { name, url, sdl: subgraph_sdl() }
}

fn builder<Q: ObjectType + 'static>(query: Q) -> SchemaBuilder<Q, Mutation, Subscription> {
    Schema::build(query, Mutation::default(), Subscription::default()).register_output_type::<ProfileCard>()
}

fn subgraph_builder() -> SchemaBuilder<RouterQuery, Mutation, Subscription> {
    builder(RouterQuery::default()).enable_federation().enable_subscription_in_federation()
}

fn limited<Q: ObjectType + 'static>(
    builder: SchemaBuilder<Q, Mutation, Subscription>,
    limits: &config::Graph,
) -> SchemaBuilder<Q, Mutation, Subscription> {
    builder
        .limit_depth(limits.max_depth)
        .limit_complexity(limits.max_complexity)
        .limit_aliases(limits.max_aliases)
        .limit_directives(limits.max_directives)
}
