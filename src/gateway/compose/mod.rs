//! Composition: the schemas of subgraphs become one supergraph, or it is said what is in the way.
//!
//! A library composes. Around it is what it does not do: what one subgraph owns is protected from the others
//! ([`protect`], [`owned`]), its output is completed for the planner ([`complete`]), and every field that clients see is
//! planned once ([`reach`]). It knows subgraphs, never accounts.

mod complete;
mod depth;
pub mod field_set;
mod guards;
mod joins;
mod library;
mod limits;
mod order;
mod owned;
mod problem;
mod protect;
mod reach;
mod references;
mod sdl;
mod shapes;
mod supplement;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::plant;
use super::supergraph::Supergraph;
use guards::Guards;
use owned::Owned;
pub use problem::{Problem, Problems};
use protect::Protection;
use reach::Looking;
use sdl::Sdl;
use supplement::Supplement;

/// Everybody who reads a schema recurses.
const STACK: usize = 16 * 1024 * 1024;

/// How long the planner may be asked about all fields, and about some at once.
const LOOKING: Looking = Looking { all: Duration::from_secs(60), one: Duration::from_secs(5) };

/// How long one composition may take.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Compositions under way, with those that nobody waits for any more: nothing stops a library that does not come to an end.
static ROOM: Semaphore = Semaphore::const_new(4);

/// A subgraph with its schema (Apollo Federation, version 1 or 2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubgraphSdl {
    pub name: String,
    /// Empty where it is not called over HTTP, or the configuration says where it is.
    pub url: String,
    pub sdl: String,
}

/// What is to be composed.
#[derive(Clone, Debug, Default)]
pub struct Composing {
    /// The one that is protected from the others.
    pub owner: Option<SubgraphSdl>,
    pub others: Vec<Other>,
}

/// A subgraph beside the owner.
#[derive(Clone, Debug, Default)]
pub struct Other {
    pub subgraph: SubgraphSdl,
    /// What of the owner's it may share, override or redefine all the same: `Type` or `Type.field`.
    pub may_change: BTreeSet<String>,
}

/// A supergraph that can be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composed {
    /// The same for the same subgraphs, in whatever order they are given.
    pub supergraph: String,
    /// What is not as it may have been meant.
    pub hints: Vec<Problem>,
}

/// Composes on a thread with room to recurse, where it holds up nobody.
///
/// # Errors
/// All problems that were found; at least one. That it takes longer than 90 seconds is one.
pub async fn compose(composing: Composing) -> Result<Composed, Problems> {
    compose_within(composing, PATIENCE).await
}

/// The same with so much time.
pub async fn compose_within(composing: Composing, patience: Duration) -> Result<Composed, Problems> {
    // Of the time half is for looking at what was composed, which says how far it came.
    let looking = Looking { all: LOOKING.all.min(patience / 2), ..LOOKING };
    within(patience, move || compose_here(composing, looking)).await
}

async fn within(
    patience: Duration,
    work: impl FnOnce() -> Result<Composed, Problems> + Send + 'static,
) -> Result<Composed, Problems> {
    let failed = |message: &str| Problems::from(Problem::new(message));
    let done = async {
        let permit = ROOM.acquire().await;
        let (answer, outcome) = oneshot::channel();
        let thread = std::thread::Builder::new().name("composer".to_owned()).stack_size(STACK);
        let started = thread.spawn(move || {
            drop(answer.send(work()));
            drop(permit);
        });
        match started {
            Ok(_) => outcome.await.unwrap_or_else(|_| Err(failed("composing has ended without an outcome"))),
            Err(error) => Err(failed(&format!("no thread to compose on: {error}"))),
        }
    };
    let late = || Err(failed(&format!("composing takes longer than {patience:?}")));
    timeout(patience, done).await.unwrap_or_else(|_| late())
}

/// The same on this thread, which needs a stack of 16 MiB.
fn compose_here(composing: Composing, looking: Looking) -> Result<Composed, Problems> {
    let trusted = composing.clone();
    // The libraries unwrap what they take for granted.
    let composed = catch_unwind(AssertUnwindSafe(|| compose_trusting(trusted, looking)));
    composed.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word");
        let message = format!("the composition library panicked: {words}. {}", limits::WAY_OUT);
        Err(Problem { subgraphs: panicking(composing), ..Problem::new(message) }.into())
    })
}

/// The subgraphs that the library panics over when they are alone.
fn panicking(Composing { owner, others }: Composing) -> Vec<String> {
    let all = owner.into_iter().chain(others.into_iter().map(|other| other.subgraph));
    let panics = all.filter_map(|subgraph| {
        let name = subgraph.name.clone();
        let alone = Composing { owner: None, others: vec![Other { subgraph, ..Other::default() }] };
        catch_unwind(AssertUnwindSafe(|| compose_trusting(alone, LOOKING))).is_err().then_some(name)
    });
    panics.collect()
}

fn compose_trusting(
    Composing { owner, mut others }: Composing,
    looking: Looking,
) -> Result<Composed, Problems> {
    others.sort_by(|one, other| one.subgraph.name.cmp(&other.subgraph.name));
    // The owner first: of several descriptions the first one stays.
    let all: Vec<&SubgraphSdl> = owner.iter().chain(others.iter().map(|other| &other.subgraph)).collect();
    let read = all.iter().map(|subgraph| Sdl::read(subgraph));
    let (sdls, unread): (Vec<_>, Vec<_>) = read.partition(Result::is_ok);
    Problems::none_of(unread.into_iter().filter_map(Result::err))?;
    let sdls: Vec<Sdl> = sdls.into_iter().flatten().collect();
    Problems::none_of(sdls.iter().flat_map(references::missing))?;
    Problems::none_of(Guards::of(&sdls).1.into_iter())?;
    Problems::none_of(shapes::conflicts(&sdls).into_iter())?;
    let mut hints = Vec::new();
    if let (Some(_), [owner, rest @ ..]) = (&owner, sdls.as_slice())
        && !plant::is_out(plant::PROTECTION)
    {
        let protection = Protection::of(owner);
        let found =
            rest.iter().zip(&others).flat_map(|(sdl, other)| protection.broken_by(sdl, &other.may_change));
        Problems::none_of(found)?;
        hints.extend(rest.iter().flat_map(|sdl| protection.required_by(sdl)));
    }
    let (text, told) = library::compose(&all, &sdls)?;
    hints.extend(told);
    let supplement = Supplement::of(&sdls);
    hints.extend(supplement.hints());
    let document = complete::complete(&text, &supplement)?;
    if let Some(owner) = &owner {
        let (alone, _) = library::compose(&[owner], &sdls[..1])?;
        let alone = complete::complete(&alone, &Supplement::of(&sdls[..1]))?;
        let may_change =
            others.iter().map(|other| (other.subgraph.name.as_str(), &other.may_change)).collect();
        let owned = Owned { name: &owner.name, alone: &alone, composed: &document, may_change };
        Problems::none_of(owned.broken().into_iter())?;
    }
    let supergraph = document.to_string();
    let served = Supergraph::parse(&supergraph)
        .map_err(|error| Problem::new(format!("the supergraph cannot be served: {error}")))?;
    let reached = reach::look(&served, &document, looking);
    Problems::none_of(reached.unreachable.into_iter())?;
    hints.extend(reached.hints);
    Ok(Composed { supergraph, hints })
}
