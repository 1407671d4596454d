//! The core: streams that change by commands, their numbered events, and the jobs that commands leave.
//!
//! **Invariants.** Every change of the database is a command on exactly one stream, through
//! [`Store::command`]. State, events and jobs commit together. Nothing here knows what an account is, and
//! nothing here reads a cache.

mod command;
mod cursor;
mod database;
mod event;
pub mod failpoint;
mod idempotency;
mod job;
mod migrate;
mod watch;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use crate::bus::{Bus, Hint};
use crate::clock::Clock;
use crate::error::Error;
use crate::ids::Ids;
use crate::keys::Keys;

pub use command::{Command, Outcome, StreamKind};
pub use database::Database;
pub use event::{Batch, Event, Kinds, StreamEvent};
pub use idempotency::Use as IdempotencyUse;
pub use job::{Job, JobError, Runner};
pub use migrate::{MigrationState, development_secret, down, status, up};
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
    watches: Watches,
    /// Told of every hint, from here and from other replicas, before whoever committed gets an answer.
    cache: OnceLock<Box<dyn Fn(Hint) + Send + Sync>>,
    /// Wakes the job runner of this process after a commit that left jobs.
    jobs: Notify,
}

impl Store {
    pub async fn new(db: Database, bus: Bus, clock: Clock, ids: Ids, keys: Arc<Keys>) -> Result<Self, Error> {
        let epoch = migrate::epoch(&db, &ids).await?;
        Ok(Self(Arc::new(Inner {
            db,
            bus,
            clock,
            ids,
            keys,
            epoch,
            watches: Watches::default(),
            cache: OnceLock::new(),
            jobs: Notify::new(),
        })))
    }

    /// For reads outside of commands.
    pub fn db(&self) -> &Database {
        &self.0.db
    }

    /// Takes note that a stream has changed: from a commit here, or heard from another replica.
    pub fn hear(&self, hint: Hint) {
        self.0.watches.advance(hint.stream, hint.version);
        if let Some(cache) = self.0.cache.get() {
            cache(hint);
        }
    }

    /// Takes note of what another replica said, if it is a replica on this database.
    pub fn hear_remote(&self, hint: Hint) {
        if hint.epoch == self.0.epoch {
            self.hear(hint);
        }
    }

    /// Lets the one cache of this process hear every hint from now on.
    pub fn tell_cache(&self, listener: impl Fn(Hint) + Send + Sync + 'static) {
        let told = self.0.cache.set(Box::new(listener));
        debug_assert!(told.is_ok(), "a store has one cache");
    }

    /// Follows the latest version of a stream.
    pub fn watch(&self, stream: Uuid) -> Watch {
        self.0.watches.watch(stream)
    }

    /// How many streams have a reader in this process.
    pub fn watched(&self) -> usize {
        self.0.watches.streams().len()
    }

    /// Lets the readers of a stream know a version that was read from the database.
    pub fn note_version(&self, stream: Uuid, version: i64) {
        self.0.watches.advance(stream, version);
    }

    /// Asks the database for the versions of all streams that are watched here, in one statement: this
    /// heals every hint that was lost.
    pub async fn poll_watched(&self) -> Result<(), Error> {
        let watched = self.0.watches.streams();
        for (stream, version) in event::versions(&self.0.db, &watched).await? {
            // The cache as well: whoever is woken by this must not be shown what was before.
            self.hear(Hint { epoch: self.0.epoch, stream, version, graph_version: version });
        }
        Ok(())
    }
}
