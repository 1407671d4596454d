//! The whole graph: ours, and what other subgraphs add to it. What ours cannot answer alone goes to the federation engine,
//! which asks ours in this process.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use accounts_center_entity::linked_profile::LinkStatus;
use async_graphql::{Request, Response, ServerError};
use axum::http::{HeaderMap, HeaderValue};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use serde_json::{Map, Value as Json};
use tokio_util::task::AbortOnDropHandle;

use super::documents::Prepared;
use super::outcome::Outcome;
use super::{Answered, Asked, Operations, Shared, Told, size};
use crate::app::App;
use crate::config;
use crate::error::{Code, Error};
use crate::gateway::caller::Caller;
use crate::gateway::guard::Rights;
use crate::gateway::settings::Subgraph;
use crate::gateway::{self, Gateway};
use crate::limits::waiting::Room;
use crate::link_graph::LinkGraph;
use crate::session::{Audience, Viewer};

/// The engine, and our graph as it asks it.
pub struct Whole {
    gateway: Gateway,
    ours: Operations,
    limits: config::Graph,
    goes_directly: bool,
}

impl Whole {
    /// `ours` is the graph for routers.
    pub fn new(gateway: Gateway, ours: Operations) -> Self {
        let config = &ours.0.app.config;
        let (limits, goes_directly) = (config.graph.clone(), config.gateway.direct);
        Self { gateway, ours, limits, goes_directly }
    }

    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Whether our graph can answer an operation alone, and as the engine would.
    pub fn is_ours(&self, prepared: &Prepared) -> bool {
        if !self.goes_directly {
            return false;
        }
        let supergraph = &self.gateway.serving().supergraph;
        prepared.is_covered(supergraph.id, |document| supergraph.alone.covers(document))
    }

    /// Why an operation is not even planned: it is over the limits of ours.
    pub fn excess(&self, prepared: &Prepared) -> Option<Error> {
        // What was executed once was within them.
        prepared.unknown.as_ref()?;
        let what = size::excess(&prepared.document, &self.limits)?;
        Some(Error::client(Code::QueryTooComplex, what))
    }

    /// Answers a query or a mutation; what our graph refuses to begin with is no query to answer in parts.
    ///
    /// # Errors
    /// What it says of that: an operation that is over a limit only ours knows.
    pub async fn answer(&self, prepared: &Prepared, asked: Asked) -> Result<Answered, Response> {
        let by_get = asked.by_get;
        let headers = asked.headers.clone();
        let asking = Arc::new(Asking::new(self.ours.clone(), asked));
        let asked = gateway::Asked { headers, by_get, caller: Some(asking.clone()) };
        let answer = self.gateway.answer(request(prepared), asked).await;
        let headers = std::mem::take(&mut *asking.headers.lock().unwrap_or_else(PoisonError::into_inner));
        match asking.refusal.get().filter(|_| !prepared.may_change()) {
            Some(refusal) => Err(Response::from_errors(refusal.clone())),
            None => Ok(Answered { body: answer.body, outcome: answer.outcome.into(), tag: None, headers }),
        }
    }

    /// Follows a subscription that `operations` are asked for.
    pub fn subscribe(
        self: Arc<Self>,
        operations: Operations,
        mut prepared: Prepared,
        asked: Asked,
        room: Option<Room>,
    ) -> impl Stream<Item = (Told, Outcome)> + Send {
        let unknown = prepared.unknown.take();
        let request = request(&prepared);
        let opening = async move {
            let headers = asked.headers.clone();
            let asking: Arc<dyn Caller> = Arc::new(Asking::new(self.ours.clone(), asked));
            let asked = gateway::Asked { headers, by_get: false, caller: Some(asking) };
            let opened = self.gateway.subscribe(request, asked, room).await;
            if let (Ok(_), Some(unknown)) = (&opened, unknown) {
                operations.0.documents.keep(unknown);
            }
            opened
        };
        // In a task of its own, as that of our own graph.
        let opening = AbortOnDropHandle::new(tokio::spawn(opening));
        let answers = stream::once(opening).flat_map(|opened| match opened {
            Ok(Ok(answers)) => answers,
            Ok(Err(refused)) => stream::iter([refused]).boxed(),
            Err(error) => {
                tracing::error!(%error, "a subscription was not opened");
                stream::iter([gateway::broken()]).boxed()
            }
        });
        answers.map(|answer| (Told::Written(answer.body), answer.outcome.into()))
    }
}

impl From<gateway::Outcome> for Outcome {
    fn from(outcome: gateway::Outcome) -> Self {
        match outcome {
            gateway::Outcome::Executed => Self::Executed,
            gateway::Outcome::Refused => Self::Refused,
            gateway::Outcome::NotByGet => Self::NotByGet,
            gateway::Outcome::Overloaded => Self::Overloaded,
        }
    }
}

/// A request as the engine takes it.
fn request(Prepared { request, text, .. }: &Prepared) -> gateway::Request {
    gateway::Request::new(text.clone(), request)
}

/// Adds headers to those of their names, which `extend` would put in their place: each part may set cookies.
fn append(all: &mut HeaderMap, more: HeaderMap) {
    let mut last = None;
    for (name, value) in more {
        // The next values of a name come without it.
        last = name.or(last);
        if let Some(name) = &last {
            all.append(name, value);
        }
    }
}

/// One request of a client, as our graph is asked for its parts.
struct Asking {
    ours: Operations,
    asked: Asked,
    /// Made with the first part: one who only follows a subscription has none.
    shared: OnceLock<Shared>,
    /// What goes beside the answer: cookies.
    headers: Mutex<HeaderMap>,
    /// Why our graph has not even begun with its part.
    refusal: OnceLock<Vec<ServerError>>,
}

impl Asking {
    fn new(ours: Operations, asked: Asked) -> Self {
        Self { ours, asked, shared: OnceLock::new(), headers: Mutex::default(), refusal: OnceLock::new() }
    }

    fn shared(&self) -> &Shared {
        self.shared.get_or_init(|| Shared::new(&self.ours, self.asked.at_least))
    }

    /// Executes a part that our graph is asked for, and says how that ended.
    async fn part(&self, request: Request) -> (Response, Outcome) {
        let prepared = match self.ours.0.documents.prepare(request) {
            Ok(prepared) => prepared,
            Err(refusal) => return (*refusal, Outcome::Executed),
        };
        let (mut response, outcome) =
            self.ours.run(prepared, self.asked.clone(), self.shared().clone()).await;
        let headers = std::mem::take(&mut response.http_headers);
        if !headers.is_empty() {
            append(&mut self.headers.lock().unwrap_or_else(PoisonError::into_inner), headers);
        }
        (response, outcome)
    }
}

impl Caller for Asking {
    fn execute(self: Arc<Self>, request: Request) -> BoxFuture<'static, Response> {
        async move {
            let (response, outcome) = self.part(request).await;
            if outcome != Outcome::Executed {
                self.refusal.get_or_init(|| response.errors.clone());
            }
            response
        }
        .boxed()
    }

    fn look_up(self: Arc<Self>, request: Request) -> BoxFuture<'static, Response> {
        async move { self.part(request).await.0 }.boxed()
    }

    fn subscribe(self: Arc<Self>, request: Request) -> BoxStream<'static, Box<Response>> {
        let execution = self.ours.execute_stream(request, self.asked.clone(), None);
        execution.answers.filter_map(|(told, _)| ready(told.into_response())).boxed()
    }

    fn anew(&self) -> Arc<dyn Caller> {
        Arc::new(Self::new(self.ours.clone(), self.asked.clone()))
    }

    fn token_for(self: Arc<Self>, subgraph: &str) -> BoxFuture<'static, Option<HeaderValue>> {
        let name = subgraph.to_owned();
        async move {
            let app = &self.ours.0.app;
            let Subgraph { scopes, platforms, .. } = app.config.gateway.of(&name);
            // Without a token it is as if nobody asked. One that names no profiles because they cannot be read just now would
            // say something else: that the subgraph is of no platform.
            let asked = (self.asked.viewer, self.asked.at_least);
            let profiles = profiles_on(app, asked, &platforms).await.ok()?;
            let audience = Audience { subgraph: &name, scopes: &scopes, profiles };
            app.tokens
                .for_subgraph(self.asked.viewer, audience, &app.ids)
                .inspect_err(|error| tracing::error!(error = format!("{error:#}"), "no token can be signed"))
                .ok()
        }
        .boxed()
    }

    fn named_for(self: Arc<Self>, subgraph: &str) -> BoxFuture<'static, Option<BTreeSet<String>>> {
        let platforms = self.ours.0.app.config.gateway.of(subgraph).platforms;
        async move {
            let asked = (self.asked.viewer, self.asked.at_least);
            let profiles = profiles_on(&self.ours.0.app, asked, &platforms).await.ok()?;
            Some(named(profiles.as_ref()))
        }
        .boxed()
    }

    fn rights(&self) -> Rights {
        let viewer = self.asked.viewer;
        Rights {
            is_signed_in: viewer.is_some(),
            scopes: self.ours.0.app.tokens.scopes_of(viewer),
            // Random enough, and the same for a person everywhere and for ever.
            part: viewer.map(|viewer| viewer.account.as_u128() as u64),
        }
    }

    fn extensions(&self) -> Map<String, Json> {
        let mut told = Response::default();
        self.shared().consistency.tell(&mut told);
        match serde_json::to_value(told.extensions) {
            Ok(Json::Object(extensions)) => extensions,
            _ => Map::new(),
        }
    }
}

/// External ids by platform, with the version of the link graph that they are of.
pub type Profiles = (i64, BTreeMap<String, Vec<String>>);

/// The viewer's profiles on these platforms, as their account is at least at a version; `None` where nobody is signed in, or
/// there are no platforms.
///
/// # Errors
/// That it cannot be read just now.
pub async fn profiles_on(
    app: &App,
    (viewer, at_least): (Option<Viewer>, i64),
    platforms: &[String],
) -> Result<Option<Profiles>, Error> {
    let Some(viewer) = viewer.filter(|_| !platforms.is_empty()) else { return Ok(None) };
    let graph = app.graphs.get(viewer.account, at_least).await.inspect_err(Error::log)?;
    Ok(graph.map(|graph| (graph.graph_version, ids_by_platform(&graph, platforms))))
}

/// The same as a list of names.
pub fn named(profiles: Option<&Profiles>) -> BTreeSet<String> {
    let ids = profiles.into_iter().flat_map(|(_, ids)| ids);
    ids.flat_map(|(platform, ids)| ids.iter().map(move |id| format!("{platform} {id}"))).collect()
}

/// The external ids of the profiles by their platforms, but of those that are cut off or leave the account.
fn ids_by_platform(graph: &LinkGraph, platforms: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut ids: BTreeMap<_, Vec<_>> = platforms.iter().map(|key| (key.clone(), Vec::new())).collect();
    let stays =
        |status| !matches!(status, LinkStatus::Contained | LinkStatus::Unlinking | LinkStatus::Unlinked);
    for profile in graph.profiles.iter().filter(|profile| stays(profile.status)) {
        if let Some(ids) = ids.get_mut(&profile.platform) {
            ids.push(profile.external_id.clone());
        }
    }
    ids.values_mut().for_each(|ids| ids.sort_unstable());
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each subscription that is planned keeps one, to make others of it for its events.
    #[test]
    fn who_asks_is_small() {
        let kept = size_of::<Asking>();
        assert!(kept <= 300, "who asks has {kept} bytes");
    }
}
