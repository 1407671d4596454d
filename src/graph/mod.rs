//! The graph: Query, Mutation and Subscription merged from the slices, and what surrounds their execution.

pub mod consistency;
pub mod context;
mod documents;
pub mod event_stream;
mod export;
mod introspection;
pub mod loaders;
mod node;
pub mod outcome;
pub mod pagination;
mod root_field;
pub mod scalars;
mod secrets;
mod subgraph;
pub mod subscription;
pub mod user_error;

use std::sync::Arc;

use async_graphql::futures_util::stream::{self, BoxStream, StreamExt};
use async_graphql::{MergedObject, MergedSubscription, ObjectType, Request, Response, Schema, SchemaBuilder};
use tokio_util::task::AbortOnDropHandle;

use crate::account::graphql::{AccountMutation, AccountQuery};
use crate::account::subscription::AccountSubscription;
use crate::app::App;
use crate::config;
use crate::error::Error;
use crate::link_graph::graphql::LinkGraphSubscription;
use crate::platform::graphql::PlatformQuery;
use crate::profile::graphql::{ProfileCard, ProfileMutation};
use crate::session::Viewer;
use crate::store::Database;
use crate::verification::graphql::{VerificationMutation, VerificationQuery};

use consistency::Consistency;
use documents::{Documents, Prepared, Unknown};
use loaders::Loaders;
use node::NodeQuery;
use outcome::Outcome;
use subgraph::SubgraphQuery;

/// Everything that can be asked.
#[derive(MergedObject, Default)]
pub struct Query(AccountQuery, NodeQuery, PlatformQuery, VerificationQuery);

/// Everything that can be changed.
#[derive(MergedObject, Default)]
pub struct Mutation(AccountMutation, ProfileMutation, VerificationMutation);

/// Everything that can be followed.
#[derive(MergedSubscription, Default)]
pub struct Subscription(AccountSubscription, LinkGraphSubscription);

/// The same with the entity resolvers that a federation router calls. They are a root type of their own so
/// that the public graph has no `_entities` and no `_service` at all.
#[derive(MergedObject, Default)]
#[graphql(name = "Query")]
pub struct RouterQuery(AccountQuery, NodeQuery, PlatformQuery, VerificationQuery, SubgraphQuery);

/// The public graph.
pub type AccountsSchema = Schema<Query, Mutation, Subscription>;

/// The graph as a subgraph for a federation router.
pub type AccountsSubgraph = Schema<RouterQuery, Mutation, Subscription>;

/// The graph that clients get.
fn schema(app: Arc<App>) -> AccountsSchema {
    let limits = app.config.graph.clone();
    limited(builder(Query::default()), &limits).data(app).finish()
}

/// An operation under way.
pub struct Execution {
    /// A query or a mutation has one answer, a subscription any number.
    pub is_subscription: bool,
    pub answers: BoxStream<'static, (Response, Outcome)>,
}

impl Execution {
    /// One that was not executed.
    pub fn refused(refusal: Response) -> Self {
        let answers = stream::once(async { (refusal, Outcome::Refused) }).boxed();
        Self { is_subscription: false, answers }
    }
}

/// The graph, and the documents that it has been asked: what a transport executes with. Cheap to clone.
#[derive(Clone)]
pub struct Operations {
    schema: AccountsSchema,
    documents: Arc<Documents>,
    db: Database,
}

impl Operations {
    pub fn new(app: Arc<App>) -> anyhow::Result<Self> {
        let documents = Arc::new(Documents::new(app.config.graph.document_bytes, &api_sdl())?);
        let db = app.store.db().clone();
        Ok(Self { schema: schema(app), documents, db })
    }

    /// Executes a query or a mutation of `viewer`, which sees its account at version `at_least` or later.
    pub async fn execute(
        &self,
        request: Request,
        viewer: Option<Viewer>,
        at_least: i64,
    ) -> (Response, Outcome) {
        match self.documents.prepare(asked_by(viewer, request)) {
            Ok(prepared) => self.run(prepared, at_least).await,
            Err(refusal) => (*refusal, Outcome::Refused),
        }
    }

    /// Executes any operation of `viewer`. It goes on also while nobody asks for the answer: an operation that stands
    /// still could hold a lock or a connection.
    pub fn execute_stream(&self, request: Request, viewer: Option<Viewer>) -> Execution {
        let prepared = match self.documents.prepare(asked_by(viewer, request)) {
            Ok(prepared) => prepared,
            Err(refusal) => return Execution::refused(*refusal),
        };
        if let Some(subscription) = prepared.subscription() {
            return match root_field::flatten(&prepared.document, subscription) {
                Ok(flat) => {
                    let answers = subscription::open(self.clone(), prepared, flat, viewer).boxed();
                    Execution { is_subscription: true, answers }
                }
                Err(error) => Execution::refused(outcome::refuse(&error)),
            };
        }
        let operations = self.clone();
        let task = AbortOnDropHandle::new(tokio::spawn(async move { operations.run(prepared, 0).await }));
        let answers = stream::once(async move { task.await.unwrap_or_else(|error| panicked(&error)) });
        Execution { is_subscription: false, answers: answers.boxed() }
    }

    async fn run(&self, prepared: Prepared, at_least: i64) -> (Response, Outcome) {
        let Prepared { request, unknown, .. } = prepared;
        let (request, consistency) = Consistency::of(request, at_least);
        let mut response = self.schema.execute(request.data(Loaders::new(self.db.clone()))).await;
        consistency.tell(&mut response);
        self.settle(response, unknown)
    }

    fn settle(&self, mut response: Response, unknown: Option<Unknown>) -> (Response, Outcome) {
        let outcome = outcome::settle(&mut response);
        if let (Outcome::Executed, Some(unknown)) = (outcome, unknown) {
            self.documents.keep(unknown);
        }
        (response, outcome)
    }
}

/// The request with who asks, which is what [`context::viewer`] finds.
fn asked_by(viewer: Option<Viewer>, request: Request) -> Request {
    match viewer {
        Some(viewer) => request.data(viewer),
        None => request,
    }
}

fn panicked(error: &tokio::task::JoinError) -> (Response, Outcome) {
    let error = Error::internal(anyhow::anyhow!("an operation ended without an answer: {error}"));
    (outcome::refuse(&error), Outcome::Refused)
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
