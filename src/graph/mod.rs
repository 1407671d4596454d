//! The graph, and what surrounds the execution of operations on it.

mod answers;
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
mod schemas;
mod secrets;
mod size;
mod subgraph;
pub mod subscription;
pub mod user_error;
pub(crate) mod whole;

use std::sync::Arc;

use async_graphql::futures_util::stream::{self, BoxStream, StreamExt};
use async_graphql::{Request, Response};
use axum::body::Bytes;
use axum::http::HeaderMap;
use tokio_util::task::AbortOnDropHandle;

use crate::app::App;
use crate::error::Error;
use crate::gateway::{Gateway, fit_for_socket};
use crate::limits::waiting::Room;
use crate::session::{Cookies, Viewer};
use crate::verification::Client;
use crate::verification::finishing::OneSubmission;

use answers::{Answers, Question, Remembered};
use consistency::Consistency;
use documents::{Documents, Prepared, Unknown};
use loaders::Loaders;
use outcome::Outcome;
use schemas::Schemas;
use whole::Whole;

pub use answers::Tag;
pub use schemas::{
    AccountsSchema, AccountsSubgraph, Mutation, Query, RouterQuery, Subscription, api_sdl, as_subgraph,
    subgraph, subgraph_sdl,
};

/// An operation under way.
pub struct Execution {
    /// A query or a mutation has one answer, a subscription any number.
    pub is_subscription: bool,
    pub answers: BoxStream<'static, (Told, Outcome)>,
}

/// One answer of an operation.
pub enum Told {
    Response(Box<Response>),
    /// As the engine has written it.
    Written(Bytes),
}

impl Told {
    fn into_response(self) -> Option<Box<Response>> {
        match self {
            Self::Response(response) => Some(response),
            Self::Written(_) => None,
        }
    }
}

impl From<Response> for Told {
    fn from(response: Response) -> Self {
        Self::Response(Box::new(response))
    }
}

impl Execution {
    /// One that was not executed.
    pub fn refused(refusal: Response) -> Self {
        let answers = stream::once(async { (refusal.into(), Outcome::Refused) }).boxed();
        Self { is_subscription: false, answers }
    }
}

/// How an operation is asked, beside what it says.
#[derive(Clone)]
pub struct Asked {
    pub viewer: Option<Viewer>,
    /// The device that asks.
    pub client: Client,
    /// The viewer's account is seen at this version or later.
    pub at_least: i64,
    /// By GET: what changes something, or bears a secret, is not executed.
    pub by_get: bool,
    pub cookies: Cookies,
    /// As they came, for those subgraphs that get some of them.
    pub headers: Arc<HeaderMap>,
}

/// What all parts of one request share.
#[derive(Clone)]
struct Shared {
    consistency: Arc<Consistency>,
    loaders: Arc<Loaders>,
    submission: Arc<OneSubmission>,
}

impl Shared {
    fn new(operations: &Operations, at_least: i64) -> Self {
        Self {
            consistency: Arc::new(Consistency::new(at_least)),
            loaders: Arc::new(Loaders::new(operations.0.app.store.db().clone())),
            submission: Arc::default(),
        }
    }
}

/// What goes to the client for one operation.
pub struct Answered {
    pub body: Bytes,
    pub outcome: Outcome,
    /// Of what is remembered; else whoever needs it makes it of the bytes.
    pub tag: Option<Tag>,
    /// What goes beside it: cookies.
    pub headers: HeaderMap,
}

impl Answered {
    fn fresh(body: Bytes, outcome: Outcome) -> Self {
        Self { body, outcome, tag: None, headers: HeaderMap::new() }
    }
}

/// The graph, and the documents that it has been asked: what a transport executes with. Cheap to clone.
#[derive(Clone)]
pub struct Operations(Arc<Inner>);

struct Inner {
    schemas: Schemas,
    documents: Documents,
    answers: Option<Answers>,
    app: Arc<App>,
    /// Absent where there is no graph but ours.
    whole: Option<Arc<Whole>>,
}

impl Operations {
    /// For everybody; where there is a `gateway`, as a part of what it serves, which asks `for_routers`.
    pub fn new(app: Arc<App>, gateway: Option<Gateway>, for_routers: &Self) -> anyhow::Result<Self> {
        let documents = Documents::new(app.config.graph.document_bytes, &api_sdl())?;
        let answers = Answers::new(app.config.graph.answer_bytes);
        let whole = gateway.map(|gateway| Arc::new(Whole::new(gateway, for_routers.clone())));
        Ok(Self(Arc::new(Inner { schemas: Schemas::public(&app), documents, answers, app, whole })))
    }

    /// The same for federation routers, who may ask for entities and for the subgraph's schema as well.
    pub fn for_routers(app: Arc<App>) -> anyhow::Result<Self> {
        let documents = Documents::new(app.config.graph.document_bytes, &subgraph_sdl())?;
        let (schemas, answers, whole) = (Schemas::subgraph(&app), None, None);
        Ok(Self(Arc::new(Inner { schemas, documents, answers, app, whole })))
    }

    /// The engine that serves the whole graph, if it is not ours alone.
    pub fn gateway(&self) -> Option<&Gateway> {
        self.0.whole.as_ref().map(|whole| whole.gateway())
    }

    /// The whole graph, for an operation that needs more of it than ours.
    fn whole_for(&self, prepared: &Prepared) -> Option<&Whole> {
        self.0.whole.as_deref().filter(|whole| !whole.is_ours(prepared))
    }

    /// Answers a query or a mutation. `write` makes of a response what goes to the client; it may be remembered and
    /// given again.
    pub async fn answer(
        &self,
        request: Request,
        asked: Asked,
        write: impl Fn(&Response, Outcome) -> Bytes,
    ) -> Answered {
        let refuse = |refusal, outcome| Answered::fresh(write(refusal, outcome), outcome);
        let by_get = asked.by_get;
        let (prepared, asked) = match self.prepare(request, asked) {
            Ok(prepared) => prepared,
            Err(refusal) => return refuse(&refusal, Outcome::Refused),
        };
        if let Some(error) = by_get.then(|| self.0.documents.needs_post(&prepared)).flatten() {
            return refuse(&outcome::refuse(&error), Outcome::NotByGet);
        }
        if let Some(whole) = self.whole_for(&prepared) {
            return match self.answer_whole(whole, prepared, asked).await {
                Ok(answered) => answered,
                Err(refusal) => refuse(&refusal, Outcome::Refused),
            };
        }
        let Some((answers, mut question)) = self.question(&prepared, asked.viewer) else {
            let shared = Shared::new(self, asked.at_least);
            let (response, outcome) = self.run_telling(prepared, asked, shared).await;
            let answered = Answered::fresh(write(&response, outcome), outcome);
            return Answered { headers: response.http_headers, ..answered };
        };
        // Where the version is not to be had, executing the operation says why.
        if let Ok(Some(graph)) = self.0.app.graphs.get(question.account, asked.at_least).await {
            question.version = graph.version;
            if let Some(Remembered { body, tag }) = answers.get(&question) {
                return Answered { tag: Some(tag), ..Answered::fresh(body, Outcome::Executed) };
            }
        }
        let shared = Shared::new(self, asked.at_least);
        let (response, outcome) = self.run_telling(prepared, asked, shared.clone()).await;
        let body = write(&response, outcome);
        let tag = match (outcome, shared.consistency.one_version()) {
            (Outcome::Executed, Some(version)) if response.errors.is_empty() => {
                Some(answers.keep(Question { version, ..question }, body.clone()))
            }
            _ => None,
        };
        Answered { tag, ..Answered::fresh(body, outcome) }
    }

    /// What is asked for, and how, with what the operation itself says of that.
    fn prepare(&self, request: Request, asked: Asked) -> Result<(Prepared, Asked), Box<Response>> {
        let at_least = consistency::asked_in(&request).map_err(|error| Box::new(outcome::refuse(&error)))?;
        let prepared = self.0.documents.prepare(request)?;
        Ok((prepared, Asked { at_least: at_least.max(asked.at_least), ..asked }))
    }

    /// What an answer depends on, if answers are remembered and this one can be; its version is not known yet.
    fn question(&self, prepared: &Prepared, viewer: Option<Viewer>) -> Option<(&Answers, Question)> {
        let (answers, viewer) = (self.0.answers.as_ref()?, viewer?);
        let request = &prepared.request;
        // What the document does not declare has no bearing on the answer, and would fill the memory.
        let given = prepared.declared(&request.variables);
        let variables = if given.is_empty() { String::new() } else { serde_json::to_string(&given).ok()? };
        let question = Question {
            document: prepared.number?,
            operation: request.operation_name.clone(),
            variables,
            account: viewer.account,
            version: 0,
        };
        Some((answers, question))
    }

    /// Executes any operation of `viewer`. It goes on also while nobody asks for the answer: an operation that stands
    /// still could hold a lock or a connection. What the engine has written waits in `room`, which no part of another operation has.
    pub fn execute_stream(&self, request: Request, asked: Asked, room: Option<Room>) -> Execution {
        let (prepared, asked) = match self.prepare(request, asked) {
            Ok(prepared) => prepared,
            Err(refusal) => return Execution::refused(*refusal),
        };
        if let Some(subscription) = prepared.subscription() {
            let whole = self.0.whole.as_ref().filter(|whole| !whole.is_ours(&prepared));
            if let Some(error) = whole.and_then(|whole| whole.excess(&prepared)) {
                return Execution::refused(outcome::refuse(&error));
            }
            return match (root_field::flatten(&prepared.document, subscription), whole) {
                (Ok(_), Some(whole)) => {
                    let answers = whole.clone().subscribe(self.clone(), prepared, asked, room).boxed();
                    Execution { is_subscription: true, answers }
                }
                (Ok(flat), None) => {
                    let answers = subscription::open(self.clone(), prepared, flat, asked);
                    let answers = answers.map(|(response, outcome)| (response.into(), outcome)).boxed();
                    Execution { is_subscription: true, answers }
                }
                (Err(error), _) => Execution::refused(outcome::refuse(&error)),
            };
        }
        let operations = self.clone();
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            if let Some(whole) = operations.whole_for(&prepared) {
                let room = room.filter(|_| !prepared.may_change());
                return match operations.answer_whole(whole, prepared, asked).await {
                    Ok(Answered { body, outcome, .. }) => match fit_for_socket(body, room.as_ref()) {
                        Ok(body) => (Told::Written(body), outcome),
                        Err(refusal) => (Told::Written(refusal), Outcome::Refused),
                    },
                    Err(refusal) => (refusal.into(), Outcome::Refused),
                };
            }
            let shared = Shared::new(&operations, asked.at_least);
            let (response, outcome) = operations.run_telling(prepared, asked, shared).await;
            (response.into(), outcome)
        }));
        let answers = stream::once(async move {
            task.await.unwrap_or_else(|error| {
                let (response, outcome) = panicked(&error);
                (response.into(), outcome)
            })
        });
        Execution { is_subscription: false, answers: answers.boxed() }
    }

    async fn answer_whole(
        &self,
        whole: &Whole,
        mut prepared: Prepared,
        asked: Asked,
    ) -> Result<Answered, Response> {
        if let Some(error) = whole.excess(&prepared) {
            return Err(outcome::refuse(&error));
        }
        let unknown = prepared.unknown.take();
        let answered = whole.answer(&prepared, asked).await?;
        if let (Outcome::Executed, Some(unknown)) = (answered.outcome, unknown) {
            self.0.documents.keep(unknown);
        }
        Ok(answered)
    }

    /// The response, which tells the version of the viewer's account that it shows.
    async fn run_telling(&self, prepared: Prepared, asked: Asked, shared: Shared) -> (Response, Outcome) {
        let consistency = shared.consistency.clone();
        let (mut response, outcome) = self.run(prepared, asked, shared).await;
        consistency.tell(&mut response);
        (response, outcome)
    }

    async fn run(&self, mut prepared: Prepared, asked: Asked, shared: Shared) -> (Response, Outcome) {
        let unknown = prepared.unknown.take();
        let schema =
            if prepared.is_validated { &self.0.schemas.trusting } else { &self.0.schemas.validating };
        let request = if unknown.is_some() { prepared.request } else { prepared.into_request() };
        let request = asked_by(asked.viewer, request).data(asked.client).data(asked.cookies);
        let Shared { consistency, loaders, submission } = shared;
        let request = request.data(consistency).data(loaders).data(submission);
        let response = schema.execute(request).await;
        self.settle(response, unknown)
    }

    fn settle(&self, mut response: Response, unknown: Option<Unknown>) -> (Response, Outcome) {
        let outcome = outcome::settle(&mut response);
        if let (Outcome::Executed, Some(unknown)) = (outcome, unknown) {
            self.0.documents.keep(unknown);
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
