//! The core: streams that change by commands, their numbered events, and the jobs that commands leave.
//!
//! **Invariants.** Every change of the database is a command on exactly one stream, through
//! [`Store::command`]. State, events and jobs commit together. Nothing here knows what an account is, and
//! nothing here reads a cache. Purging alone changes rows past the commands: those that nobody asks for any more.

mod command;
mod cursor;
mod database;
mod event;
pub mod failpoint;
mod forgetting;
mod housekeeping;
mod idempotency;
mod job;
mod migrate;
mod pool;
mod watch;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_graphql::dataloader::Loader;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::bus::{Bus, Health, Hint};
use crate::clock::Clock;
use crate::error::Error;
use crate::ids::Ids;
use crate::keys::Keys;

pub use command::{Command, Outcome, StreamKind};
pub use database::Database;
pub use event::{Batch, Event, Kinds, StreamEvent};
pub use housekeeping::has_live_job;
pub use idempotency::{KEPT as IDEMPOTENCY_KEPT, Use as IdempotencyUse};
pub use job::{Backlog, BacklogWatch, Job, JobError, Runner, dead_jobs, replay, replay_all};
pub use migrate::{
    MigrationState, Obstacle, Standing, development_secret, down, obstacle, renew_epoch, status, up,
};
pub use watch::{Watch, Watches};

/// The longest that anybody waits for the database: a connection whose other end has vanished says nothing.
const PATIENCE: Duration = Duration::from_secs(20);

/// Work on the database that ends in time, one way or the other.
pub async fn bounded<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let out_of_time =
        |_| Error::Unavailable(Arc::new(anyhow::anyhow!("no answer within {} s", PATIENCE.as_secs())));
    tokio::time::timeout(PATIENCE, work).await.map_err(out_of_time)?
}

/// The database with what surrounds it. Cheap to clone; one for each process.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    db: Database,
    bus: Bus,
    clock: Clock,
    ids: Ids,
    keys: Arc<Keys>,
    /// Bound into every cursor; renewed when a backup is restored.
    epoch: u64,
    /// Cancelled once the database is found to have another epoch.
    replaced: CancellationToken,
    watches: Watches,
    health: Health,
    /// Told before whoever committed gets an answer.
    cache: OnceLock<Box<dyn Fn(News) + Send + Sync>>,
    /// Wakes the job runner of this process after a commit that left jobs.
    jobs: Notify,
}

/// What the cache of this process is told of streams.
#[derive(Clone, Copy, Debug)]
pub enum News {
    /// A stream has come to a version, says a commit here, another replica or the database.
    Heard(Hint),
    /// A commit here may or may not have happened.
    Doubted(Uuid),
    /// A commit happened here, and was heard of here; it is the cache that tells the other replicas. Whether it changed
    /// the graph is not to be seen by the versions: its last event may be one that does not.
    Committed { hint: Hint, changed_graph: bool },
}

/// Loads versions of streams, with the versions of their graphs.
pub struct Versions(pub Store);

impl Loader<Uuid> for Versions {
    type Value = (i64, i64);
    type Error = Error;

    async fn load(&self, streams: &[Uuid]) -> Result<HashMap<Uuid, (i64, i64)>, Error> {
        bounded(event::versions(self.0.db(), streams)).await
    }
}

impl Store {
    pub async fn new(db: Database, bus: Bus, clock: Clock, ids: Ids, keys: Arc<Keys>) -> Result<Self, Error> {
        let epoch = migrate::epoch(&db, &ids).await?;
        Ok(Self(Arc::new(Inner {
            db,
            health: bus.health(),
            bus,
            clock,
            ids,
            keys,
            epoch,
            replaced: CancellationToken::new(),
            watches: Watches::default(),
            cache: OnceLock::new(),
            jobs: Notify::new(),
        })))
    }

    /// For reads outside of commands.
    pub fn db(&self) -> &Database {
        &self.0.db
    }

    /// How to speak to the other replicas.
    pub fn bus(&self) -> &Bus {
        &self.0.bus
    }

    /// Whether hints arrive here.
    pub fn bus_health(&self) -> &Health {
        &self.0.health
    }

    /// What tells this database from an older copy of itself.
    pub fn epoch(&self) -> u64 {
        self.0.epoch
    }

    /// Whether the database is still the one that this process began with, and no backup of it.
    pub async fn is_same(&self) -> Result<bool, Error> {
        let present = migrate::present_epoch(self.db()).await?;
        if present.is_some_and(|present| present != self.0.epoch) {
            self.0.replaced.cancel();
        }
        // None at all: a backup is just being restored, and it may yet be the same.
        Ok(present.is_none_or(|present| present == self.0.epoch))
    }

    /// Cancelled once the database is known to be another one than this process began with.
    pub fn replaced(&self) -> CancellationToken {
        self.0.replaced.clone()
    }

    /// Refuses what was begun on a database that has another epoch by now, or none: what this process knows is of a
    /// past that did not happen, and nothing of it may be written.
    fn require_epoch(&self, present: Option<&str>) -> Result<(), Error> {
        let present = present.map(migrate::parse_epoch).transpose()?;
        if present == Some(self.0.epoch) {
            return Ok(());
        }
        if present.is_some() {
            self.0.replaced.cancel();
        }
        Err(Error::Unavailable(Arc::new(anyhow::anyhow!("the database has another epoch, or none"))))
    }

    /// `N` random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        self.0.ids.bytes()
    }

    /// Takes note that a stream has changed: from a commit here, or heard from another replica.
    pub fn hear(&self, hint: Hint) {
        // The cache first: whoever is woken must not be shown what was before.
        self.tell(News::Heard(hint));
        self.0.watches.advance(hint.stream, hint.version);
    }

    /// Takes note of an event that was read, perhaps before any hint spoke of it. Not known is whether the events
    /// up to it have changed the graph, so that one from before it has to be read again.
    pub fn hear_event(&self, stream: Uuid, number: i64) {
        self.hear(Hint { epoch: self.0.epoch, stream, version: number, graph_version: number });
    }

    /// Takes note of what another replica said, if it is a replica on this database.
    pub fn hear_remote(&self, hint: Hint) {
        if hint.epoch == self.0.epoch || failpoint::is_off("plant::hint-epoch") {
            self.hear(hint);
        }
    }

    /// Lets the one cache of this process hear all news from now on.
    pub fn tell_cache(&self, listener: impl Fn(News) + Send + Sync + 'static) {
        let told = self.0.cache.set(Box::new(listener));
        debug_assert!(told.is_ok(), "a store has one cache");
    }

    fn tell(&self, news: News) {
        match (self.0.cache.get(), news) {
            (Some(cache), news) => cache(news),
            (None, News::Committed { hint, .. }) => self.0.bus.publish(hint, None),
            (None, News::Heard(_) | News::Doubted(_)) => {}
        }
    }

    /// Follows the latest version of a stream.
    pub fn watch(&self, stream: Uuid) -> Watch {
        self.0.watches.watch(stream)
    }

    /// The latest version that is known of a stream, if it has a reader here.
    pub fn followed_to(&self, stream: Uuid) -> Option<i64> {
        self.0.watches.known(stream)
    }

    /// How many streams have a reader here.
    pub fn followed(&self) -> usize {
        self.0.watches.streams().len()
    }

    /// Lets the readers of a stream know a version that was read from the database.
    pub fn note_version(&self, stream: Uuid, version: i64) {
        self.0.watches.advance(stream, version);
    }

    /// Asks the database for the versions of all streams that are watched here, in one statement: this
    /// heals every hint that was lost.
    pub async fn poll_watched(&self) -> Result<(), Error> {
        if failpoint::is_off("plant::poll") {
            return Ok(());
        }
        let watched = self.0.watches.streams();
        for (stream, (version, graph_version)) in event::versions(&self.0.db, &watched).await? {
            self.hear(Hint { epoch: self.0.epoch, stream, version, graph_version });
        }
        Ok(())
    }
}
