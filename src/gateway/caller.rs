//! Who asks, as far as the engine has to know: what answers for the subgraph of this process.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_graphql::{Request, Response};
use axum::http::HeaderValue;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use serde_json::{Map, Value};

use super::guard::Rights;

/// One request of a client, where a subgraph runs in this process. All that this subgraph is asked for it shares what is
/// loaded, and is told who asks without a header.
pub trait Caller: Send + Sync {
    /// Executes an operation in that subgraph. Its errors have their codes.
    fn execute(self: Arc<Self>, request: Request) -> BoxFuture<'static, Response>;

    /// Looks an entity up: what is wrong with one is nothing to the rest of the answer.
    fn look_up(self: Arc<Self>, request: Request) -> BoxFuture<'static, Response>;

    /// Follows a subscription of that subgraph.
    fn subscribe(self: Arc<Self>, request: Request) -> BoxStream<'static, Box<Response>>;

    /// The same one who asks, with nothing loaded yet: for the next event of a subscription.
    fn anew(&self) -> Arc<dyn Caller>;

    /// What a subgraph elsewhere gets as `Authorization` instead of the client's own.
    fn token_for(self: Arc<Self>, subgraph: &str) -> BoxFuture<'static, Option<HeaderValue>>;

    /// What the token for a subgraph elsewhere names beside whom it speaks for. `None` if that cannot be known just now.
    fn named_for(self: Arc<Self>, subgraph: &str) -> BoxFuture<'static, Option<BTreeSet<String>>>;

    /// What guards go by.
    fn rights(&self) -> Rights;

    /// What an answer tells beside its data, once it is complete: its `extensions`.
    fn extensions(&self) -> Map<String, Value>;
}
