//! Subscriptions: the root lives in one subgraph, and each of its events is completed over the others by the plan.
//!
//! What is open holds no plan: each event is planned anew, which is a look into the cache as long as the supergraph stays
//! the same. One that a new supergraph answers otherwise ends with SUPERGRAPH_CHANGED, and its client subscribes again. So
//! does one whose subgraph was told of something that is not the caller's any more, as a profile that is being unlinked (S17),
//! with CALLER_CHANGED.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use serde_json::{Map, Value};
use tokio_util::task::AbortOnDropHandle;

use super::execute::errors::GraphqlError;
use super::execute::{self, Executed};
use super::plan::steps::Step;
use super::plan::{Kind, Plan};
use super::ready::Ready;
use super::subgraph::{Event, Failure, Subgraphs};
use crate::limits::waiting::Room;

use super::{Answer, Asked, Gateway, Outcome, Request, refused};

/// How often, and after how long, it is asked again what is the caller's, where nobody can say so.
const NAMED_TRIES: usize = 5;
const NAMED_PAUSE: Duration = Duration::from_secs(2);

/// What a client is told of a subscription.
pub type Answers = BoxStream<'static, Answer>;

/// A subscription that is open.
struct Following {
    gateway: Gateway,
    request: Request,
    asked: Asked,
    /// Where chance has put it, once for all of its events.
    drawn: u64,
    source: Source,
    /// What its subgraph may have been told to be the caller's.
    named: BTreeSet<String>,
    /// Where what is told waits to be taken.
    room: Option<Room>,
    events: BoxStream<'static, Event>,
}

/// What is followed, and where.
#[derive(PartialEq)]
struct Source {
    subgraph: String,
    operation: Arc<str>,
}

impl Source {
    fn of(step: &Step) -> Self {
        Self { subgraph: step.subgraph.clone(), operation: step.operation.clone() }
    }
}

impl Gateway {
    /// Follows a subscription for a socket that has this room for answers.
    ///
    /// # Errors
    /// The answer to one that is not followed.
    pub async fn subscribe(
        &self,
        request: Request,
        asked: Asked,
        room: Option<Room>,
    ) -> Result<Answers, Answer> {
        let opened = self.open(request, asked, room).await;
        self.0
            .with
            .metrics
            .answered(opened.as_ref().map_or_else(|answer| answer.outcome, |_| Outcome::Executed).name());
        opened
    }

    /// Executes whatever it is: it has one answer, or as many as a subscription brings.
    pub async fn execute(&self, request: Request, asked: Asked, room: Room) -> Answers {
        let drawn = self.draw();
        let opened = match self.ready(request.clone(), &asked, drawn).await {
            Ok(ready) if ready.plan.kind == Kind::Subscription => {
                self.begin(ready, (request, asked), drawn, Some(room)).await
            }
            Ok(ready) => {
                let room = (ready.plan.kind != Kind::Mutation).then_some(&room);
                Err(self.finish(ready, asked).await.for_socket(room))
            }
            Err(refused) => Err(refused),
        };
        self.0
            .with
            .metrics
            .answered(opened.as_ref().map_or_else(|answer| answer.outcome, |_| Outcome::Executed).name());
        opened.unwrap_or_else(|answer| stream::iter([answer]).boxed())
    }

    async fn open(&self, request: Request, asked: Asked, room: Option<Room>) -> Result<Answers, Answer> {
        let drawn = self.draw();
        let ready = self.ready(request.clone(), &asked, drawn).await?;
        self.begin(ready, (request, asked), drawn, room).await
    }

    async fn begin(
        &self,
        Ready { serving, plan, variables, .. }: Ready,
        (request, asked): (Request, Asked),
        drawn: u64,
        room: Option<Room>,
    ) -> Result<Answers, Answer> {
        let Some(step) = plan.source() else {
            let message = "The operation is no subscription.";
            return Err(refused(Outcome::Refused, &[GraphqlError::new("BAD_USER_INPUT", message)]));
        };
        let written = written(&variables, &step.variables);
        let subgraphs = Subgraphs::new(&serving.calls, &asked, Kind::Subscription);
        // Before its token is made: what goes away in between shows at the first event.
        let Some(named) = subgraphs.named_for(step).await else {
            return Ok(stream::iter([unknown()]).boxed());
        };
        let events = match subgraphs.follow(step, &written).await {
            Ok(events) => events,
            // It was executed as far as that goes: a client that can wait may try again.
            Err(failure) => return Ok(stream::iter([failed(&subgraphs, step, failure)]).boxed()),
        };
        let source = Source::of(step);
        let following =
            Following { gateway: self.clone(), request, asked, drawn, source, named, room, events };
        Ok(stream::unfold(Some(Box::new(following)), |following| async move {
            let mut following = following?;
            let event = following.events.next().await?;
            let is_last = event.is_err();
            // In a task of its own: whoever does not ask for the answer must not let it stand still with what it holds.
            let completed = AbortOnDropHandle::new(tokio::spawn(async move {
                let (answer, is_over) = following.complete(event).await;
                (answer.for_socket(following.room.as_ref()), is_over, following)
            }));
            match completed.await {
                Ok((answer, is_over, following)) => {
                    Some((answer, (!is_over && !is_last).then_some(following)))
                }
                Err(error) => {
                    tracing::error!(%error, "an event was not completed");
                    Some((broken(), None))
                }
            }
        })
        .boxed())
    }
}

impl Following {
    /// The answer to an event, and whether it is the last one.
    /// `&mut self` because streams are not `Sync`.
    async fn complete(&mut self, event: Event) -> (Answer, bool) {
        let asked =
            Asked { caller: self.asked.caller.as_ref().map(|caller| caller.anew()), ..self.asked.clone() };
        let ready = self.gateway.ready(self.request.clone(), &asked, self.drawn).await;
        let Ready { serving, plan, variables, .. } = match ready {
            Ok(ready) => ready,
            // It may be answered as before, and nobody can say how now.
            Err(Answer { outcome: Outcome::Overloaded, .. }) => return (overloaded(), true),
            Err(_) => return (changed(), true),
        };
        let Some(step) = plan.source().filter(|step| Source::of(step) == self.source) else {
            return (changed(), true);
        };
        let subgraphs = Subgraphs::new(&serving.calls, &asked, Kind::Subscription);
        let brought = match event {
            Ok(brought) => brought,
            Err(failure) => return (failed(&subgraphs, step, failure), true),
        };
        let mut named = subgraphs.named_for(step).await;
        // The accounts graph may just be starting anew: nothing is lost as long as the event waits.
        for _ in 0..NAMED_TRIES {
            if named.is_some() {
                break;
            }
            tokio::time::sleep(NAMED_PAUSE).await;
            named = subgraphs.named_for(step).await;
        }
        match named {
            // A stream that goes on elsewhere shows a new token, so what is new counts as told.
            Some(named) if named.is_superset(&self.named) => self.named = named,
            Some(_) => return (renamed(), true),
            None => return (unknown(), true),
        }
        let executed = execute::complete(&serving.supergraph, (&plan, &variables), &subgraphs, brought).await;
        let extensions = asked.caller.map(|caller| caller.extensions()).unwrap_or_default();
        (executed.into_answer(&extensions), false)
    }
}

impl Plan {
    /// What is followed, if it is a subscription.
    pub fn source(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.is_subscription)
    }
}

/// Variables as a request has them, without the braces around them.
fn written(variables: &Map<String, Value>, names: &[String]) -> Vec<u8> {
    let used: Map<String, Value> =
        names.iter().filter_map(|name| Some((name.clone(), variables.get(name)?.clone()))).collect();
    let text = serde_json::to_string(&used).unwrap_or_default();
    text.get(1..text.len().saturating_sub(1)).unwrap_or_default().as_bytes().to_vec()
}

fn failed(subgraphs: &Subgraphs<'_>, step: &Step, failure: Failure) -> Answer {
    last(failure.error(subgraphs.shown_name(&step.subgraph)))
}

fn changed() -> Answer {
    let message = "What this subscription asks for has changed; subscribe again.";
    last(GraphqlError::new("SUPERGRAPH_CHANGED", message))
}

fn renamed() -> Answer {
    let message = "What this subscription may tell of has changed; subscribe again.";
    last(GraphqlError::new("CALLER_CHANGED", message))
}

fn unknown() -> Answer {
    let message = "What this subscription may tell of cannot be known just now; subscribe again in a moment.";
    last(GraphqlError::new("SERVICE_UNAVAILABLE", message))
}

fn overloaded() -> Answer {
    let message = "Too much is to be planned at once; subscribe again in a moment.";
    last(GraphqlError::new("SERVICE_UNAVAILABLE", message))
}

/// The last answer of a subscription that something is wrong with on our side.
pub fn broken() -> Answer {
    last(GraphqlError::new("INTERNAL", "Something went wrong on our side; subscribe again."))
}

/// The last answer of a subscription, of which nothing more comes.
fn last(error: GraphqlError) -> Answer {
    Executed { data: b"{\"data\":null".to_vec(), errors: vec![error] }.into_answer(&Map::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket may have a hundred of them, and a server tens of thousands of sockets.
    #[test]
    fn what_is_kept_of_a_subscription_is_small() {
        let kept = size_of::<Following>();
        assert!(kept <= 320, "what is kept has {kept} bytes");
    }
}
