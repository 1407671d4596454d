//! What a run tells: counts, the weather, and the story of what was broken.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::checks::{Account, Broken};
use super::wire::Lost;

/// Faults that are kept for a story.
const REMEMBERED: usize = 400;
/// Broken rules that are told; one often breaks others.
const TOLD: usize = 5;

/// An operation, for the story of its account.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Since the run began: when it was sent, and when its answer was there.
    pub sent: Duration,
    pub answered: Duration,
    pub who: Who,
    /// The replica, and which of its lives.
    pub at: (usize, u32),
    pub did: Did,
    /// The version that it had to see, if it said so.
    pub min: Option<i64>,
    pub got: Got,
}

#[derive(Clone, Copy, Debug)]
pub enum Who {
    Client(usize),
    Subscriber(usize),
    House,
}

#[derive(Clone, Debug)]
pub enum Did {
    Read,
    ReadWhole,
    Rename(String),
    Unlink(usize),
    Keep(usize),
    Grant(String),
    Subscribe(i64),
    Event(&'static str),
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match self {
            Self::Read | Self::ReadWhole => Ok(()),
            Self::Rename(name) => write!(f, " to {name:?}"),
            Self::Unlink(profile) | Self::Keep(profile) => write!(f, " profile {profile}"),
            Self::Grant(grant) => write!(f, " {grant}"),
            Self::Subscribe(position) => write!(f, " behind {position}"),
            Self::Event(name) => write!(f, " {name}"),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(number) => write!(f, "client {number}"),
            Self::Subscriber(number) => write!(f, "subscriber {number}"),
            Self::House => f.write_str("the house"),
        }
    }
}

impl Did {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::ReadWhole => "read whole",
            Self::Rename(_) => "rename",
            Self::Unlink(_) => "unlink",
            Self::Keep(_) => "keep",
            Self::Grant(_) => "grant",
            Self::Subscribe(_) => "subscribe",
            Self::Event(_) => "event",
        }
    }
}

#[derive(Clone, Debug)]
pub enum Got {
    Version(i64),
    Rejected(String),
    Lost(Lost),
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sent, answered) = (self.sent.as_secs_f64(), self.answered.as_secs_f64());
        write!(f, "{sent:>8.3} to {answered:>8.3} s  {:<14}", self.who.to_string())?;
        write!(f, " at replica {} life {}  {}", self.at.0, self.at.1, self.did)?;
        if let Some(min) = self.min {
            write!(f, ", not below {min}")?;
        }
        match &self.got {
            Got::Version(version) => write!(f, " → version {version}"),
            Got::Rejected(code) => write!(f, " → rejected: {code}"),
            Got::Lost(lost) => write!(f, " → {}", lost.name()),
        }
    }
}

/// Counts by group and name. What the operations are, is under `operations`.
#[derive(Default)]
pub struct Tally(Mutex<BTreeMap<(&'static str, &'static str), u64>>);

impl Tally {
    pub fn count(&self, group: &'static str, name: &'static str) {
        self.add(group, name, 1);
    }

    pub fn add(&self, group: &'static str, name: &'static str, number: u64) {
        *self.0.lock().unwrap().entry((group, name)).or_default() += number;
    }

    pub fn get(&self, group: &str, name: &str) -> u64 {
        let counts = self.0.lock().unwrap();
        let found = counts.iter().find(|(key, _)| **key == (group, name));
        found.map_or(0, |(_, count)| *count)
    }

    pub fn sum(&self, group: &str) -> u64 {
        let counts = self.0.lock().unwrap();
        counts.iter().filter(|((of, _), _)| *of == group).map(|(_, count)| count).sum()
    }

    fn line(&self, group: &str) -> String {
        let counts = self.0.lock().unwrap();
        let of_group = counts.iter().filter(|((of, _), _)| *of == group);
        let parts: Vec<String> = of_group.map(|((_, name), count)| format!("{name} {count}")).collect();
        if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
    }
}

/// Which faults are there at the moment, since when there is none, and which there were.
pub struct Weather {
    began: Instant,
    state: Mutex<Sky>,
}

struct Sky {
    active: usize,
    calm_since: Instant,
    /// When Redis last was in a state in which its content may have gone back.
    redis_disturbed: Instant,
    past: Vec<(Duration, String)>,
}

impl Weather {
    pub fn new(began: Instant) -> Self {
        let sky = Sky { active: 0, calm_since: began, redis_disturbed: began, past: Vec::new() };
        Self { began, state: Mutex::new(sky) }
    }

    pub fn begin(&self, what: &str) {
        self.state.lock().unwrap().active += 1;
        self.note(what);
    }

    pub fn end(&self, what: &str) {
        {
            let mut sky = self.state.lock().unwrap();
            sky.active -= 1;
            sky.calm_since = Instant::now();
        }
        self.note(&format!("{what}: over"));
    }

    /// Something that takes no time.
    pub fn note(&self, what: &str) {
        let mut sky = self.state.lock().unwrap();
        if sky.past.len() == REMEMBERED {
            sky.past.remove(0);
        }
        sky.past.push((self.began.elapsed(), what.to_owned()));
    }

    /// Since when there is no fault; `None` while there is one.
    pub fn calm_since(&self) -> Option<Instant> {
        let sky = self.state.lock().unwrap();
        (sky.active == 0).then_some(sky.calm_since)
    }

    /// What Redis holds may be older after `moment` than before.
    pub fn disturb_redis(&self, moment: Instant) {
        let mut sky = self.state.lock().unwrap();
        sky.redis_disturbed = sky.redis_disturbed.max(moment);
    }

    /// Redis was emptied a moment ago, and nothing else is wrong with it.
    pub fn flushed(&self, before: Instant) {
        let mut sky = self.state.lock().unwrap();
        sky.redis_disturbed = Instant::now().max(before);
    }

    pub fn redis_disturbed(&self) -> Instant {
        self.state.lock().unwrap().redis_disturbed
    }

    fn story(&self) -> String {
        let sky = self.state.lock().unwrap();
        let recent = &sky.past[sky.past.len().saturating_sub(40)..];
        recent.iter().fold(String::new(), |mut story, (at, what)| {
            let _ = writeln!(story, "    {:>8.3} s  {what}", at.as_secs_f64());
            story
        })
    }
}

/// What was broken, as it was found.
#[derive(Default)]
pub struct Verdict(Mutex<Vec<String>>);

impl Verdict {
    /// The first one is told with all that was before it; the others rarely say more.
    pub fn blame(&self, account: Option<&Account>, broken: &Broken, weather: &Weather) {
        let mut stories = self.0.lock().unwrap();
        if stories.len() < TOLD {
            let story = story(account, broken, weather, stories.is_empty());
            stories.push(story);
        }
    }

    pub fn stories(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

fn story(account: Option<&Account>, broken: &Broken, weather: &Weather, whole: bool) -> String {
    let at = weather.began.elapsed().as_secs_f64();
    let mut story = format!("  rule broken: {}\n  at {at:.3} s: {}\n", broken.rule, broken.how);
    if !whole {
        return story;
    }
    if let Some(account) = account {
        let _ = writeln!(story, "  the last operations of account {} ({}):", account.number, account.id);
        for entry in account.last_entries() {
            let _ = writeln!(story, "    {entry}");
        }
    }
    let _ = write!(story, "  the weather up to then:\n{}", weather.story());
    story
}

/// How a run ended.
pub struct Report {
    pub operations: u64,
    pub stories: Vec<String>,
    text: String,
}

impl Report {
    pub fn new(seed: u64, plan: &str, took: Duration, tally: &Tally, stories: Vec<String>) -> Self {
        let operations = tally.sum("operations");
        let rate = (operations as f64 / took.as_secs_f64()).round();
        let verdict = if stories.is_empty() { "clean" } else { "FAILED" };
        let mut text = format!(
            "seed {seed}: {verdict}, {operations} operations in {:.1} s ({rate}/s)\n",
            took.as_secs_f64()
        );
        for (title, group) in [
            ("operations", "operations"),
            ("rejected", "rejected"),
            ("without answer", "lost"),
            ("faults", "faults"),
            ("subscribers", "subscribers"),
            ("looked at", "looked at"),
        ] {
            let _ = writeln!(text, "  {title}: {}", tally.line(group));
        }
        let _ = writeln!(text, "  plan: {plan}");
        Self { operations, stories, text }
    }

    pub fn is_clean(&self) -> bool {
        self.stories.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        self.stories.iter().try_for_each(|story| f.write_str(story))
    }
}
