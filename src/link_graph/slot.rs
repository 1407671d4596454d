//! What this process knows of one account: how far its versions are known to have come, and its graph if that is
//! still right.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::LinkGraph;
use crate::error::Error;
use crate::store::failpoint;

/// One account's place in the near cache.
#[derive(Default)]
pub(super) struct Slot {
    state: Mutex<State>,
    /// Held while the graph is read, so that a thousand misses make one load.
    pub filling: tokio::sync::Mutex<()>,
    /// How often that failed: those who waited for a load that failed do not each wait for one of their own.
    pub failures: AtomicU64,
    /// How it failed the last time.
    pub failure: Mutex<Option<Error>>,
}

#[derive(Default)]
struct State {
    /// The floor: whatever is older is not served.
    heard: Heard,
    entry: Option<Entry>,
    /// A commit may or may not have happened: only the database knows.
    doubted: bool,
}

/// The latest that was heard of an account: at `version` its graph was that of `graph_version`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    pub version: i64,
    pub graph_version: i64,
}

struct Entry {
    /// Absent if there is no such account any more.
    graph: Option<Arc<LinkGraph>>,
    /// The unbroken time of the bus in which it was read; absent if there was none.
    unbroken: Option<u64>,
    expires: Instant,
}

/// When and how something was read.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    pub heard: Heard,
    pub unbroken: Option<u64>,
    pub begun: Instant,
}

/// What the slot has to say to a reader.
pub(super) enum Answer {
    /// It is this; `None` if there is no such account.
    Known(Option<Arc<LinkGraph>>),
    /// It is this unless a hint was lost or is late: ask for the version first.
    Doubtful(Arc<LinkGraph>),
    Unknown,
}

impl From<Heard> for Slot {
    /// A place for an account of which nothing is known but that.
    fn from(heard: Heard) -> Self {
        Self { state: Mutex::new(State { heard, ..State::default() }), ..Self::default() }
    }
}

impl Slot {
    /// Takes note of a commit: raises the floor, and lifts a graph that the commit left as it was.
    pub fn hear(&self, heard: Heard) {
        let mut state = self.lock();
        if heard.version <= state.heard.version {
            return;
        }
        state.heard.version = heard.version;
        state.heard.graph_version = heard.graph_version.max(state.heard.graph_version);
        match &mut state.entry {
            Some(Entry { graph: Some(graph), .. }) => lift(graph, heard),
            // Somebody who was gone is not.
            entry => *entry = None,
        }
    }

    /// Forgets the graph: a commit may or may not have happened.
    pub fn doubt(&self) {
        let mut state = self.lock();
        state.entry = None;
        state.doubted = true;
    }

    /// What to answer to who wants version `at_least`, while the bus's unbroken time is `unbroken`.
    pub fn answer(&self, at_least: i64, unbroken: Option<u64>) -> Answer {
        let state = self.lock();
        let Some(entry) = state.entry.as_ref().filter(|entry| entry.expires > Instant::now()) else {
            return Answer::Unknown;
        };
        let is_trusted = unbroken.is_some() && entry.unbroken == unbroken;
        match &entry.graph {
            None if is_trusted => Answer::Known(None),
            None => Answer::Unknown,
            Some(graph) if !state.admits(graph, 0) => Answer::Unknown,
            Some(graph) if is_trusted && graph.version >= at_least => Answer::Known(Some(graph.clone())),
            // Also where more is wanted than was heard of: whoever asks for what there never was costs a look at
            // the version, not a load each time.
            Some(graph) => Answer::Doubtful(graph.clone()),
        }
    }

    /// What a reading that begins now has to remember.
    pub fn begin(&self, unbroken: Option<u64>) -> Reading {
        Reading { heard: self.lock().heard, unbroken, begun: Instant::now() }
    }

    /// The database says that `graph` is of `graph_version` at `version`: gives it back if it is, and remembers
    /// that.
    pub fn confirm(&self, graph: &Arc<LinkGraph>, reading: Reading, now: Heard) -> Option<Arc<LinkGraph>> {
        self.hear(now);
        let mut state = self.lock();
        let admitted =
            graph.graph_version == now.graph_version && graph.graph_version >= state.heard.graph_version;
        if !admitted {
            return None;
        }
        let mut graph = graph.clone();
        lift(&mut graph, now);
        if let Some(entry) = &mut state.entry
            && entry.graph.as_ref().is_some_and(|known| known.version == graph.version)
        {
            entry.unbroken = reading.unbroken;
        }
        Some(graph)
    }

    /// Keeps what another replica left in Redis, if it is good enough.
    pub fn accept(
        &self,
        mut graph: Arc<LinkGraph>,
        at_least: i64,
        reading: Reading,
        remaining: Duration,
    ) -> Option<Arc<LinkGraph>> {
        let mut state = self.lock();
        lift(&mut graph, state.heard);
        if state.doubted || !state.admits(&graph, at_least) {
            return None;
        }
        state.keep(&graph, reading, remaining);
        Some(graph)
    }

    /// Keeps what was read from the database. `None` if a hint that came meanwhile says that it has changed since:
    /// then it has to be read again. If the hint was there before, the database does not have what it spoke of, and
    /// the database is right.
    pub fn settle(
        &self,
        mut graph: Arc<LinkGraph>,
        reading: Reading,
        lifetime: Duration,
    ) -> Option<Arc<LinkGraph>> {
        let mut state = self.lock();
        lift(&mut graph, state.heard);
        if !state.admits(&graph, 0) {
            if state.heard != reading.heard {
                return None;
            }
            state.heard = Heard { version: graph.version, graph_version: graph.graph_version };
        }
        state.doubted = false;
        state.keep(&graph, reading, lifetime);
        Some(graph)
    }

    /// Keeps that there is no such account any more.
    pub fn bury(&self, reading: Reading, lifetime: Duration) {
        let expires = reading.begun + lifetime;
        self.lock().entry = Some(Entry { graph: None, unbroken: reading.unbroken, expires });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn admits(&self, graph: &LinkGraph, at_least: i64) -> bool {
        if failpoint::is_off("plant::floor") {
            return graph.version >= at_least;
        }
        graph.graph_version >= self.heard.graph_version && graph.version >= self.heard.version.max(at_least)
    }

    fn keep(&mut self, graph: &Arc<LinkGraph>, reading: Reading, lifetime: Duration) {
        let expires = reading.begun + lifetime;
        self.entry = Some(Entry { graph: Some(graph.clone()), unbroken: reading.unbroken, expires });
    }
}

/// Says of a graph that it is right at a later version, if it is: nothing changed it in between.
fn lift(graph: &mut Arc<LinkGraph>, heard: Heard) {
    if graph.graph_version >= heard.graph_version && graph.version < heard.version {
        *graph = Arc::new(LinkGraph { version: heard.version, nodes: graph.nodes.clone() });
    }
}
