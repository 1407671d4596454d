//! Jobs: what a command wants done after its commit, and the runner that does it.
//!
//! **Streams take turns.** `job_stream` has a row for every stream with jobs, which says when it is that stream's
//! turn. A claim takes the streams whose turn has come, some jobs from each, and sends each one to the end of the
//! queue. So it costs the same however many rows wait, and a stream with a million jobs holds up nobody.
//!
//! **No job is forgotten**, because a stream's turn is never later than what its jobs need:
//! - Whoever makes a job due (a command, a failed try, an operator) says so by [`call`], in the same transaction,
//!   and holds the lock of the stream's row from then until its commit.
//! - A claim locks the rows of the streams it visits, takes jobs, and only then, in a later statement that sees all
//!   that is committed by now, decides on their next turns. A transaction that called the stream before the lock
//!   has committed, or the claim would have passed that stream by; so its jobs are seen. One that calls it later
//!   waits for the claim's commit, and then brings the turn forward again, or the row back if it was deleted.
//!
//! **A claim is a lease:** it raises `attempts` and sets `leased_until`. Whoever finishes does so only if `attempts`
//! is still its own, so a worker that was taken for dead changes nothing any more.

mod backlog;
mod claim;
mod dead;
mod postgres;
mod queue;
mod runner;
mod settle;
mod sqlite;

use std::time::Duration;

use chrono::TimeDelta;
use serde::{Serialize, de::DeserializeOwned};

use crate::error::Error;

pub use backlog::{Backlog, BacklogWatch};
pub use dead::{dead_jobs, replay, replay_all};
pub(super) use queue::call;
pub use runner::Runner;

/// Something to do after a commit; serialised without personal data and without secrets.
pub trait Job: Serialize + DeserializeOwned {
    /// What it is called in the database; never changes.
    const KIND: &'static str;
}

/// Why a try did not finish its job. Its text is stored, and names neither persons nor secrets.
#[derive(Debug)]
pub enum JobError {
    /// Try again later.
    Retry(String),
    /// What it needs is not there: try again later, however often; its tries do not run out.
    Wait(String),
    /// Not now: try again after so long at least. No try is used up.
    Later(String, TimeDelta),
    /// No further try can help.
    GiveUp(String),
    /// This process stops; the job goes on elsewhere, at once.
    Interrupted,
    /// Its payload is of another release: it waits for a worker of that one, and no try is used up.
    Unreadable,
}

impl From<Error> for JobError {
    fn from(error: Error) -> Self {
        error.log();
        Self::Retry(format!("{}: {error}", error.code().as_str()))
    }
}

/// A worker takes longer than this for one try only if it died.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// A try ends before its lease does.
const TRY: Duration = Duration::from_secs(30);
const MAX_ATTEMPTS: i32 = 8;
