//! Reading one's own writes: an answer tells the version that it showed, and a client may ask for no less.
//!
//! Replicas hear of each other's commits by hints, which may be late. A client that is moved from one replica to
//! another sends the last version that it saw as `Accounts-Center-Min-Version`, or in its operation as
//! `extensions.accountsCenter.minVersion`, and never reads backwards. Of the two the higher one counts; a socket has
//! only the latter.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_graphql::{Context, Request, Response, Value, value};
use uuid::Uuid;

use super::context::{app, viewer};
use crate::error::{Code, Error};
use crate::link_graph::LinkGraph;

/// The header by which a client asks for its account at this version or later.
pub const MIN_VERSION: &str = "accounts-center-min-version";

/// Where operations and answers have what is ours in their extensions.
const EXTENSION: &str = "accountsCenter";

/// The version that an operation asks for in its extensions; 0 if it does not.
///
/// # Errors
/// BAD_USER_INPUT if that is no version.
pub fn asked_in(request: &Request) -> Result<i64, Error> {
    let version = match request.extensions.0.get(EXTENSION) {
        None | Some(Value::Null) => return Ok(0),
        Some(Value::Object(ours)) => match ours.get("minVersion") {
            None | Some(Value::Null) => return Ok(0),
            Some(Value::Number(number)) => number.as_i64().filter(|version| *version >= 0),
            Some(_) => None,
        },
        Some(_) => None,
    };
    version.ok_or_else(|| {
        let message =
            "`extensions.accountsCenter` is {\"minVersion\": …} with a version: the number that an answer told.";
        Error::client(Code::BadUserInput, message)
    })
}

/// What one operation has to show of the viewer's account, and what it did show.
#[derive(Default)]
pub struct Consistency {
    at_least: i64,
    /// The highest and the lowest version that it showed; 0 before there is one.
    shown: AtomicI64,
    lowest: AtomicI64,
}

impl Consistency {
    /// Lets the operation that it is given to see the account at version `at_least` or later.
    pub fn new(at_least: i64) -> Self {
        Self { at_least, ..Self::default() }
    }

    /// The one version that was shown; `None` if there was none, or one here and one there.
    pub fn one_version(&self) -> Option<i64> {
        let (shown, lowest) = (self.shown.load(Ordering::Acquire), self.lowest.load(Ordering::Acquire));
        (shown > 0 && shown == lowest).then_some(shown)
    }

    /// Tells the version in the answer: `extensions.accountsCenter.version`.
    pub fn tell(&self, response: &mut Response) {
        let shown = self.shown.load(Ordering::Acquire);
        if shown > 0 {
            let version: Value = value!({ "version": shown });
            response.extensions.insert(EXTENSION.to_owned(), version);
        }
    }
}

/// Notes that this operation reads what the graph does not have, as it is now: its answer is of no one version.
pub fn beside_the_graph(ctx: &Context<'_>) {
    if let Some(consistency) = ctx.data_opt::<Arc<Consistency>>() {
        consistency.lowest.store(-1, Ordering::Release);
    }
}

/// The viewer's account with its graph, at a version that this operation may show; absent for an anonymous caller.
pub async fn own_graph(ctx: &Context<'_>) -> Result<Option<Arc<LinkGraph>>, Error> {
    match viewer(ctx) {
        Some(viewer) => graph_at(ctx, viewer.account, 0).await,
        None => Ok(None),
    }
}

/// The graph of `account`, which the caller is, at version `at_least` or later.
pub async fn graph_at(
    ctx: &Context<'_>,
    account: Uuid,
    at_least: i64,
) -> Result<Option<Arc<LinkGraph>>, Error> {
    let consistency = ctx.data_opt::<Arc<Consistency>>();
    let asked = consistency.map_or(0, |consistency| consistency.at_least);
    let graph = app(ctx).graphs.get(account, at_least.max(asked)).await?;
    if let (Some(consistency), Some(graph)) = (consistency, &graph) {
        consistency.shown.fetch_max(graph.version, Ordering::AcqRel);
        let first =
            consistency.lowest.compare_exchange(0, graph.version, Ordering::AcqRel, Ordering::Acquire);
        if first.is_err() {
            consistency.lowest.fetch_min(graph.version, Ordering::AcqRel);
        }
    }
    Ok(graph)
}
