//! Following a verification: its present state first, then each change, until it has ended.
//!
//! A verification of a signed-out device changes from its own stream or from that of the account that it signs in to,
//! and few are followed, each for some minutes. So there are no events: one statement a second asks for all that are
//! followed in this process, and a change made here is looked for at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use accounts_center_entity::verification::{Column, Entity, Model, Status};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::{Caller, find};
use crate::app::App;
use crate::clock::Clock;
use crate::error::{Code, Error};
use crate::store::{Database, bounded};

const PERIOD: Duration = Duration::from_secs(1);
/// However many changes there are, it is looked no more often than that.
const PAUSE: Duration = Duration::from_millis(50);
/// How many may follow one verification: a person has some tabs.
const MAX_FOLLOWERS: usize = 20;
/// As many as one statement takes in parameters.
const CHUNK: usize = 10_000;

/// The verifications that are followed in this process. Cheap to clone.
#[derive(Clone)]
pub struct Followers(Arc<Inner>);

struct Inner {
    db: Database,
    clock: Clock,
    followed: Mutex<HashMap<Uuid, watch::Sender<Seen>>>,
    /// Somebody follows, or something has changed.
    woken: Notify,
}

/// How a verification was seen last.
#[derive(Clone)]
struct Seen {
    /// `None` once its row is gone.
    row: Option<Model>,
    has_expired: bool,
}

impl Seen {
    fn of(row: Option<Model>, clock: &Clock) -> Self {
        let has_expired = row.as_ref().is_some_and(|row| row.expires_at <= clock.now());
        Self { row, has_expired }
    }

    fn has_ended(&self) -> bool {
        self.has_expired || self.row.as_ref().is_none_or(|row| row.status != Status::Pending)
    }

    /// Whether a person sees no difference.
    fn looks_like(&self, other: &Self) -> bool {
        let shown = |seen: &Self| {
            seen.row.as_ref().map(|row| {
                let of_code = (row.code_number, row.attempts_left, row.resend_available_at);
                (row.status, row.failure.clone(), row.profile_id, of_code)
            })
        };
        self.has_expired == other.has_expired && shown(self) == shown(other)
    }
}

/// Somebody who follows a verification.
pub struct Follower {
    seen: watch::Receiver<Seen>,
    has_begun: bool,
    has_ended: bool,
}

impl Followers {
    pub fn new(db: Database, clock: Clock) -> Self {
        Self(Arc::new(Inner { db, clock, followed: Mutex::default(), woken: Notify::new() }))
    }

    /// Asks for all that are followed, again and again, for ever.
    pub async fn run(self) {
        loop {
            if self.forget_unfollowed() == 0 {
                self.0.woken.notified().await;
            } else {
                let _ = tokio::time::timeout(PERIOD, self.0.woken.notified()).await;
            }
            tokio::time::sleep(PAUSE).await;
            if let Err(error) = bounded(self.look()).await {
                error.log();
                tokio::time::sleep(PERIOD).await;
            }
        }
    }

    /// Has what changed looked for now.
    pub fn wake(&self) {
        self.0.woken.notify_one();
    }

    fn followed(&self) -> MutexGuard<'_, HashMap<Uuid, watch::Sender<Seen>>> {
        self.0.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are followed.
    fn forget_unfollowed(&self) -> usize {
        let mut followed = self.followed();
        followed.retain(|_, sender| sender.receiver_count() > 0);
        followed.len()
    }

    async fn look(&self) -> Result<(), Error> {
        let ids: Vec<Uuid> = self.followed().keys().copied().collect();
        for chunk in ids.chunks(CHUNK) {
            let rows = Entity::find().filter(Column::Id.is_in(chunk.iter().copied()));
            self.show(chunk, rows.all(self.0.db.read()).await?);
        }
        Ok(())
    }

    /// Shows what the rows of `ids` are now.
    fn show(&self, ids: &[Uuid], rows: Vec<Model>) {
        let mut rows: HashMap<Uuid, Model> = rows.into_iter().map(|row| (row.id, row)).collect();
        let followed = self.followed();
        for id in ids {
            if let Some(sender) = followed.get(id) {
                show(sender, Seen::of(rows.remove(id), &self.0.clock));
            }
        }
    }

    /// `None` if too many follow it.
    fn follow(&self, row: Model) -> Option<Follower> {
        let mut followed = self.followed();
        let id = row.id;
        // Where others follow it, what they were shown last may be later than this row. A look comes at once.
        let sender =
            followed.entry(id).or_insert_with(|| watch::Sender::new(Seen::of(Some(row), &self.0.clock)));
        let has_room = sender.receiver_count() < MAX_FOLLOWERS;
        let seen = sender.subscribe();
        drop(followed);
        self.wake();
        has_room.then_some(Follower { seen, has_begun: false, has_ended: false })
    }
}

fn show(sender: &watch::Sender<Seen>, seen: Seen) {
    sender.send_if_modified(|last| {
        let has_changed = !last.looks_like(&seen);
        if has_changed {
            *last = seen;
        }
        has_changed
    });
}

/// Follows a verification that `caller` started.
///
/// # Errors
/// BAD_USER_INPUT if there is none.
pub async fn follow(app: &App, caller: Caller<'_>, id: Option<Uuid>) -> Result<Follower, Error> {
    let found = match id {
        Some(id) => find(app, caller, id).await?,
        None => None,
    };
    let row = found.ok_or_else(|| {
        Error::client(Code::BadUserInput, "There is no such verification that this caller started.")
    })?;
    app.verifications.follow(row).ok_or_else(|| {
        let message =
            format!("This verification is followed {MAX_FOLLOWERS} times already; close some of them.");
        Error::client(Code::BadUserInput, message)
    })
}

impl Follower {
    /// The present state, then the next one; `None` behind the one that it ended with.
    pub async fn next(&mut self) -> Option<Model> {
        if self.has_ended {
            return None;
        }
        // `changed` only fails without a sender, and that stays as long as there is a receiver.
        if self.has_begun && self.seen.changed().await.is_err() {
            return None;
        }
        self.has_begun = true;
        let seen = self.seen.borrow_and_update().clone();
        self.has_ended = seen.has_ended();
        seen.row
    }
}
