//! Subscriptions, which cost little while nothing happens.
//!
//! The library keeps for a running subscription a copy of its document, its environment, and futures as large as
//! resolving its fields takes. So none of them runs between events. To open one, it is executed once: it is
//! validated, its resolver checks who asks for what and leaves what to wait for, and there is no answer. For each
//! event it is executed anew, and its resolver finds the event and answers with exactly that.

use std::sync::{Arc, Mutex, PoisonError};

use accounts_center_entity::verification;
use async_graphql::futures_util::stream::{self, Stream, StreamExt};
use async_graphql::parser::types::ExecutableDocument;
use async_graphql::{Context, Request, Response, Variables};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::consistency::Consistency;
use super::context::{app, require_viewer};
use super::documents::{Prepared, Unknown};
use super::event_stream::Reader;
use super::loaders::Loaders;
use super::outcome::Outcome;
use super::{Asked, Operations, asked_by, panicked};
use crate::account::event::Happened;
use crate::error::Error;
use crate::session::Viewer;
use crate::store::{Event, Kinds, bounded};
use crate::verification::graphql::Verification;
use crate::verification::{Caller, Follower};

type Answer = (Response, Outcome);

/// The answers of a subscription's field in one execution: none when it is opened, and one for an event.
pub type Answers<T> = stream::Iter<std::option::IntoIter<Result<T, Error>>>;

/// What a subscription waits for.
enum Source {
    Account(Reader),
    Verification(Follower),
}

/// What has happened there.
#[derive(Clone)]
enum News {
    Event(Event<Happened>),
    Verification(Box<verification::Model>),
}

impl Source {
    /// What happens next; `None` once nothing more will.
    async fn next(&mut self) -> Option<Result<News, Error>> {
        match self {
            Self::Account(reader) => Some(reader.next().await.map(News::Event)),
            Self::Verification(follower) => {
                follower.next().await.map(|row| Ok(News::Verification(Box::new(row))))
            }
        }
    }
}

/// What an execution is for.
#[derive(Clone)]
enum Turn {
    /// To open the subscription: the reader belongs in here.
    Open(Arc<Mutex<Option<Source>>>),
    /// To show what happened, or why nothing more is shown.
    Show(Result<News, Error>),
}

/// The resolver of a subscription to the viewer's account: its events of `kinds` behind the cursor `after`, or from
/// now on. `show` makes of an event what the graph shows of it, for the account.
///
/// # Errors
/// UNAUTHENTICATED; BAD_USER_INPUT or CURSOR_EXPIRED for the cursor.
pub async fn follow<T>(
    ctx: &Context<'_>,
    kinds: Kinds,
    after: Option<String>,
    show: fn(Uuid, Event<Happened>) -> Option<T>,
) -> Result<Answers<T>, Error> {
    let account = require_viewer(ctx)?.account;
    match ctx.data_opt::<Turn>() {
        Some(Turn::Show(Ok(News::Event(event)))) => Ok(stream::iter(show(account, event.clone()).map(Ok))),
        Some(Turn::Show(Err(error))) => Err(error.clone()),
        Some(Turn::Open(slot)) => {
            let open = Reader::open(app(ctx).store.clone(), account, kinds, after.as_deref());
            Ok(wait_for(slot, Source::Account(bounded(open).await?)))
        }
        Some(Turn::Show(Ok(_))) | None => Err(misused()),
    }
}

/// The resolver of a subscription to a verification that the caller started: how it is, and how it becomes.
///
/// # Errors
/// BAD_USER_INPUT if there is none.
pub async fn follow_verification(
    ctx: &Context<'_>,
    caller: Caller<'_>,
    id: Option<Uuid>,
) -> Result<Answers<Verification>, Error> {
    match ctx.data_opt::<Turn>() {
        Some(Turn::Show(Ok(News::Verification(row)))) => {
            Ok(stream::iter(Some(Ok(Verification((**row).clone())))))
        }
        Some(Turn::Show(Err(error))) => Err(error.clone()),
        Some(Turn::Open(slot)) => {
            let follower = crate::verification::follow(app(ctx), caller, id).await?;
            Ok(wait_for(slot, Source::Verification(follower)))
        }
        Some(Turn::Show(Ok(_))) | None => Err(misused()),
    }
}

fn wait_for<T>(slot: &Mutex<Option<Source>>, source: Source) -> Answers<T> {
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(source);
    stream::iter(None)
}

fn misused() -> Error {
    Error::internal(anyhow::anyhow!("a subscription is executed by `Operations` only"))
}

/// Opens a subscription and gives its answers, for a viewer who wants to see its account at a version or later. `flat`
/// is its document with the one root field as itself, where it is not so.
pub(super) fn open(
    operations: Operations,
    prepared: Prepared,
    flat: Option<ExecutableDocument>,
    asked: Asked,
) -> impl Stream<Item = Answer> + Send {
    let Prepared { request, document, unknown, .. } = prepared;
    let followed = Followed {
        operations,
        document: flat.map_or_else(|| document.clone(), Arc::new),
        operation_name: request.operation_name,
        variables: request.variables,
        viewer: asked.viewer,
        at_least: asked.at_least,
    };
    // In tasks of their own, here and for each event: a socket that nobody reads is not polled, and what is under
    // way must not stand still with a connection.
    let opening = tokio::spawn(Arc::new(followed).open(document, unknown));
    stream::unfold(State::Opening(AbortOnDropHandle::new(opening)), step)
}

/// What is kept of a subscription between events, beside what it waits for.
struct Followed {
    operations: Operations,
    document: Arc<ExecutableDocument>,
    operation_name: Option<String>,
    variables: Variables,
    viewer: Option<Viewer>,
    at_least: i64,
}

/// A subscription that is open.
struct Following {
    source: Source,
    followed: Arc<Followed>,
}

enum State {
    /// On its way to being open, or to the answer that it ends with.
    Opening(AbortOnDropHandle<Result<Box<Following>, Option<Answer>>>),
    Open(Box<Following>),
    Over,
}

/// The next answer.
async fn step(state: State) -> Option<(Answer, State)> {
    let mut following = match state {
        State::Opening(opening) => match opening.await {
            Ok(Ok(following)) => following,
            Ok(Err(answer)) => return answer.map(|answer| (answer, State::Over)),
            Err(error) => return Some((panicked(&error), State::Over)),
        },
        State::Open(following) => following,
        State::Over => return None,
    };
    loop {
        let news = following.source.next().await?;
        let is_last = news.is_err();
        let shown = AbortOnDropHandle::new(tokio::spawn(following.followed.clone().show(news)));
        match shown.await {
            Ok(answer) if is_last => return answer.map(|answer| (answer, State::Over)),
            Ok(Some(answer)) => return Some((answer, State::Open(following))),
            // Not what this subscription shows.
            Ok(None) => {}
            Err(error) => return Some((panicked(&error), State::Over)),
        }
    }
}

impl Followed {
    /// The subscription, open; or the answer that it is refused with.
    async fn open(
        self: Arc<Self>,
        original: Arc<ExecutableDocument>,
        unknown: Option<Unknown>,
    ) -> Result<Box<Following>, Option<Answer>> {
        let slot = Arc::new(Mutex::new(None));
        // What the client has sent is what has to be valid.
        let mut refusal = self.execute(&original, Turn::Open(slot.clone())).await;
        if refusal.is_none() && !Arc::ptr_eq(&self.document, &original) {
            refusal = self.execute(&self.document, Turn::Open(slot.clone())).await;
        }
        if let Some(response) = refusal {
            return Err(Some(self.operations.settle(response, unknown)));
        }
        if let Some(unknown) = unknown {
            self.operations.0.documents.keep(unknown);
        }
        let source = slot.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(None)?;
        Ok(Box::new(Following { source, followed: self }))
    }

    async fn show(self: Arc<Self>, news: Result<News, Error>) -> Option<Answer> {
        let response = self.execute(&self.document, Turn::Show(news)).await?;
        Some(self.operations.settle(response, None))
    }

    /// Executes the subscription for one turn, which has one answer at most.
    async fn execute(&self, document: &ExecutableDocument, turn: Turn) -> Option<Response> {
        let schemas = &self.operations.0.schemas;
        // What is shown was valid when it was opened, and has the same variables since.
        let schema = match turn {
            Turn::Open(_) => &schemas.validating,
            Turn::Show(_) => &schemas.trusting,
        };
        let mut request = Request::new("").variables(self.variables.clone()).data(turn);
        request = request.data(Arc::new(Loaders::new(self.operations.0.app.store.db().clone())));
        request.operation_name.clone_from(&self.operation_name);
        request.set_parsed_query(document.clone());
        // What an event itself asks for is often more.
        let request = request.data(Arc::new(Consistency::new(self.at_least)));
        schema.execute_stream(asked_by(self.viewer, request)).next().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket may have a hundred of them, and a server tens of thousands of sockets.
    #[test]
    fn a_subscription_that_waits_is_small() {
        let waiting = size_of_val(&step(State::Over));
        assert!(waiting <= 1024, "the future that waits has {waiting} bytes");
        let kept = size_of::<Following>() + size_of::<Followed>();
        assert!(kept <= 512, "what is kept has {kept} bytes");
    }
}
