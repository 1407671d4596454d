//! The model: for each account, which content each version has.
//!
//! Whoever sees an account at a version tells it here. Two who see the same version must have seen the same; what
//! is left is compared with the events of the database at the end (`replay.rs`).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use accounts_center::link_graph::graphql::{Experience, LinkStatus};
use hyper::header::HeaderValue;
use uuid::Uuid;

use super::report::Entry;
use super::wire::{AccountShown, GraphShown, ProfileShown};

/// Profiles of each account. The first one opened the sessions and stays as it is.
pub const PROFILES: usize = 4;
/// Operations of an account that are kept for a story.
const LOG: usize = 120;
/// Acknowledged writes of an account that are kept, for what is late.
const ACKNOWLEDGED: usize = 4096;

/// All ways in which profiles work together.
pub const EXPERIENCES: [Experience; 4] =
    [Experience::CrossPosting, Experience::SharedLogin, Experience::BusinessTools, Experience::Messaging];

/// How each profile stands; absent if it is not shown.
pub type Statuses = [Option<LinkStatus>; PROFILES];

/// A rule of the product that was broken, and how.
#[derive(Debug)]
pub struct Broken {
    pub rule: &'static str,
    pub how: String,
}

pub fn broken<T>(rule: &'static str, how: impl Into<String>) -> Result<T, Broken> {
    Err(Broken { rule, how: how.into() })
}

/// What was seen of an account at one version, as far as it was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sight<'a> {
    pub version: i64,
    pub name: Option<&'a str>,
    pub statuses: Option<Statuses>,
    /// One profile alone, as an event shows it.
    pub profile: Option<(usize, LinkStatus)>,
    pub edges: Option<Edges>,
    pub graph_version: Option<i64>,
}

/// What a version is known to hold.
#[derive(Clone, Debug, Default)]
pub struct Content {
    pub name: Option<Arc<str>>,
    pub statuses: Option<Statuses>,
    pub profiles: Vec<(usize, LinkStatus)>,
    pub edges: Option<Edges>,
    pub graph_version: Option<i64>,
}

/// What became of a name that a client gave the account.
#[derive(Clone, Copy, Debug)]
pub enum Rename {
    /// No answer, or none yet: it may happen, and once. Sent by somebody who had seen version `after`.
    Unknown { after: i64 },
    /// It has happened, behind `after` and at `by` or before.
    Acknowledged { after: i64, by: i64 },
    /// It has not happened and never will.
    Rejected,
}

/// One account of the run.
pub struct Account {
    pub number: usize,
    pub id: Uuid,
    pub token: String,
    /// The same as a header.
    pub bearer: HeaderValue,
    /// Ids of the profiles, as they are stored and as the graph has them.
    pub profiles: [(Uuid, String); PROFILES],
    state: Mutex<State>,
}

pub struct State {
    /// Where the model begins: what the database had before the run, or after a restore.
    pub base: i64,
    pub contents: BTreeMap<i64, Content>,
    pub renames: HashMap<String, Rename>,
    log: VecDeque<Entry>,
    acknowledged: VecDeque<(Instant, i64)>,
    /// The highest version that a rename was acknowledged at, and by which replica in which life.
    renamed: (i64, (usize, u32)),
}

impl Account {
    pub fn new(number: usize, id: Uuid, token: String, profiles: [(Uuid, String); PROFILES]) -> Self {
        let bearer = format!("Bearer {token}").parse().expect("a token is a header");
        let state = State {
            base: 0,
            contents: BTreeMap::new(),
            renames: HashMap::new(),
            log: VecDeque::new(),
            acknowledged: VecDeque::new(),
            renamed: (0, (0, 0)),
        };
        Self { number, id, token, bearer, profiles, state: Mutex::new(state) }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The model begins anew from what the database has.
    pub fn begin(&self, sight: &Sight<'_>) {
        let mut state = self.state();
        state.base = sight.version;
        state.contents.clear();
        state.renames.clear();
        state.acknowledged.clear();
        state.renamed = (0, (0, 0));
        state.contents.insert(sight.version, Content::default());
        let content = state.contents.get_mut(&sight.version).expect("it was just put there");
        content.take(sight).expect("nothing contradicts it");
    }

    /// Takes note of what somebody saw.
    pub fn see(&self, sight: &Sight<'_>) -> Result<(), Broken> {
        let mut state = self.state();
        if sight.version < state.base {
            let base = state.base;
            return broken(
                "nothing is from before the restore",
                format!("version {} was shown; the database begins at {base}", sight.version),
            );
        }
        if let Some(name) = sight.name {
            state.check_name(name)?;
        }
        state.contents.entry(sight.version).or_default().take(sight).map_err(|(part, known)| Broken {
            rule: "one version has one content",
            how: format!(
                "version {} was seen with {part} {known}, and now with {sight:?} ({part} differs)",
                sight.version
            ),
        })
    }

    pub fn log(&self, entry: Entry) {
        let mut state = self.state();
        if state.log.len() == LOG {
            state.log.pop_front();
        }
        state.log.push_back(entry);
    }

    pub fn last_entries(&self) -> Vec<Entry> {
        self.state().log.iter().cloned().collect()
    }

    /// A write was answered at `version`.
    pub fn acknowledge(&self, version: i64) {
        let mut state = self.state();
        if state.acknowledged.len() == ACKNOWLEDGED {
            state.acknowledged.pop_front();
        }
        let highest = state.acknowledged.back().map_or(0, |(_, highest)| *highest);
        state.acknowledged.push_back((Instant::now(), highest.max(version)));
    }

    /// A rename was answered at `version` by a replica in one of its lives. No two names are the same, so it is that
    /// replica which committed the version; other writes may have found things as they want them.
    pub fn renamed(&self, version: i64, by: (usize, u32)) {
        let mut state = self.state();
        if version > state.renamed.0 {
            state.renamed = (version, by);
        }
    }

    /// Who committed `version`, if that is known.
    pub fn committed_by(&self, version: i64) -> Option<(usize, u32)> {
        let (renamed, by) = self.state().renamed;
        (renamed == version).then_some(by)
    }

    /// The highest version that was acknowledged at `moment` or before.
    pub fn acknowledged_at(&self, moment: Instant) -> i64 {
        let state = self.state();
        let before = state.acknowledged.partition_point(|(at, _)| *at <= moment);
        before.checked_sub(1).map_or(0, |last| state.acknowledged[last].1)
    }

    /// Which profile a global id names.
    pub fn profile(&self, id: &str) -> Result<usize, Broken> {
        match self.profiles.iter().position(|(_, known)| known == id) {
            Some(index) => Ok(index),
            None => broken("only one's own is shown", format!("{id} is no profile of this account")),
        }
    }

    /// What an answer shows, checked within itself.
    pub fn read<'a>(&self, shown: &AccountShown<'a>) -> Result<Sight<'a>, Broken> {
        let mut sight = Sight { version: shown.version, name: shown.display_name, ..Sight::default() };
        if let Some(profiles) = &shown.profiles {
            sight.statuses = Some(self.statuses(profiles)?);
        }
        if let Some(graph) = &shown.link_graph {
            if Some(self.statuses(&graph.profiles)?) != sight.statuses || graph.version > shown.version {
                return broken(
                    "one version has one content",
                    format!("`linkGraph` and `profiles` of one answer differ at version {}", shown.version),
                );
            }
            sight.graph_version = Some(graph.version);
            sight.edges = Some(self.edges(graph, &sight.statuses.unwrap_or_default())?);
        }
        if let Some(cursor) = shown.event_cursor
            && super::wire::position_of(cursor) != Some(shown.version)
        {
            let how = format!("`eventCursor` does not stand at version {}", shown.version);
            return broken("one version has one content", how);
        }
        Ok(sight)
    }

    fn statuses(&self, shown: &[ProfileShown<'_>]) -> Result<Statuses, Broken> {
        let mut statuses = Statuses::default();
        for profile in shown {
            statuses[self.profile(profile.id)?] = Some(profile.status);
        }
        Ok(statuses)
    }

    fn edges(&self, graph: &GraphShown<'_>, statuses: &Statuses) -> Result<Edges, Broken> {
        let mut edges = Edges::default();
        for connection in &graph.connections {
            let (source, target) = (self.profile(connection.source.id)?, self.profile(connection.target.id)?);
            let ends = [statuses[source], statuses[target]];
            let paused = ends.iter().any(|status| *status != Some(LinkStatus::Active));
            for grant in &connection.grants {
                edges.set(source, target, grant.experience, true);
                if grant.paused != paused {
                    let how = format!("a grant says paused={} between {ends:?}", grant.paused);
                    return broken("one version has one content", how);
                }
            }
        }
        Ok(edges)
    }
}

impl State {
    fn check_name(&self, name: &str) -> Result<(), Broken> {
        let is_base = || self.contents.get(&self.base).is_some_and(|base| base.name.as_deref() == Some(name));
        match self.renames.get(name) {
            Some(Rename::Unknown { .. } | Rename::Acknowledged { .. }) => Ok(()),
            Some(Rename::Rejected) => {
                broken("what was rejected has not happened", format!("the account is called {name:?}"))
            }
            None if is_base() => Ok(()),
            None => broken("nothing is made up", format!("nobody has called the account {name:?}")),
        }
    }
}

impl Content {
    /// Adds what was seen; the part that differs, and what it was known to be, if one does.
    fn take(&mut self, sight: &Sight<'_>) -> Result<(), (&'static str, String)> {
        if let Some(name) = sight.name {
            match &self.name {
                None => self.name = Some(name.into()),
                Some(known) if **known == *name => {}
                Some(known) => return Err(("displayName", format!("{known:?}"))),
            }
        }
        agree("statuses", &mut self.statuses, sight.statuses)?;
        agree("edges", &mut self.edges, sight.edges)?;
        agree("graph version", &mut self.graph_version, sight.graph_version)?;
        if let Some(profile) = sight.profile
            && !self.profiles.contains(&profile)
        {
            self.profiles.push(profile);
        }
        for (index, status) in &self.profiles {
            if let Some(statuses) = &self.statuses
                && statuses[*index] != Some(*status)
            {
                return Err(("statuses", format!("{statuses:?} beside profile {index} {status:?}")));
            }
        }
        Ok(())
    }
}

fn agree<T: PartialEq + Copy + std::fmt::Debug>(
    part: &'static str,
    known: &mut Option<T>,
    seen: Option<T>,
) -> Result<(), (&'static str, String)> {
    match (*known, seen) {
        (Some(known), Some(seen)) if known != seen => Err((part, format!("{known:?}"))),
        (None, Some(_)) => {
            *known = seen;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Which experiences are on, a bit for each one from one profile to another.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Edges(u64);

impl Edges {
    pub fn set(&mut self, source: usize, target: usize, experience: Experience, on: bool) {
        let bit = 1 << Self::place(source, target, experience);
        self.0 = if on { self.0 | bit } else { self.0 & !bit };
    }

    fn place(source: usize, target: usize, experience: Experience) -> usize {
        (source * PROFILES + target) * 4 + experience as usize
    }
}

impl fmt::Debug for Edges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = (0..PROFILES).flat_map(|source| (0..PROFILES).map(move |target| (source, target)));
        let all =
            pairs.flat_map(|(source, target)| EXPERIENCES.map(|experience| (source, target, experience)));
        let on = all.filter(|(source, target, experience)| {
            self.0 & (1 << Self::place(*source, *target, *experience)) != 0
        });
        f.debug_list().entries(on).finish()
    }
}
