//! The sessions that ended lately, in memory: reads and sockets ask here, and not the database, whether a session is
//! still good (S15). Commands ask its row.
//!
//! Every replica looks for them every few seconds. A session that ended longer ago than an access token lives needs no
//! place here: no token speaks for it any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use accounts_center_entity::session;
use arc_swap::ArcSwap;
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QuerySelect};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Viewer;
use crate::clock::Clock;
use crate::config;
use crate::endings::{Awaited, Endings};
use crate::error::Error;
use crate::store::{Database, bounded, failpoint};

/// How often it is looked which sessions have ended, and how old what was seen may be: together they are within the 5
/// seconds of S15.
const PERIOD: Duration = Duration::from_secs(2);
const MAX_AGE: Duration = Duration::from_secs(5);
/// The same of what routers are told, who look every few seconds themselves.
const FRESH: Duration = Duration::from_secs(3);
/// Clocks of replicas differ, and a commit is seen later than the instant that it bears: a command may take 40 s.
const OVERLAP: TimeDelta = TimeDelta::minutes(3);

/// The sessions that ended lately. Cheap to clone.
#[derive(Clone)]
pub struct EndedSessions(Arc<Inner>);

struct Inner {
    db: Database,
    clock: Clock,
    /// How long one is kept here: as long as an access token lives, and a minute.
    kept: TimeDelta,
    /// When each of them ended.
    ended: ArcSwap<HashMap<Uuid, DateTime<Utc>>>,
    /// Held by whoever changes `ended`; the last look at the database.
    looked: Mutex<Option<Look>>,
    /// Sockets wait for the end of their session.
    sockets: Endings<Uuid>,
}

#[derive(Clone, Copy)]
struct Look {
    began: Instant,
    /// The same by the clock that sessions end by.
    at: DateTime<Utc>,
}

impl EndedSessions {
    pub fn new(db: Database, clock: Clock, config: &config::Sessions) -> Self {
        Self(Arc::new(Inner {
            // It looks by itself, whatever is asked.
            db: db.uncounted(),
            clock,
            kept: TimeDelta::minutes(i64::from(config.access_token_minutes) + 1),
            ended: ArcSwap::default(),
            looked: Mutex::new(None),
            sockets: Endings::default(),
        }))
    }

    /// Looks again and again, for ever.
    pub async fn follow(self) {
        loop {
            tokio::time::sleep(PERIOD).await;
            if let Err(error) = self.look().await {
                error.log();
            }
        }
    }

    /// Looks which sessions have ended.
    pub async fn look(&self) -> Result<(), Error> {
        if failpoint::fault("session::look").is_some() {
            return Err(Error::internal(anyhow::anyhow!("a test does not let it look")));
        }
        let look = Look { began: Instant::now(), at: self.0.clock.now() };
        let last = *self.0.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let since = last.map_or(look.at - self.0.kept, |last| last.at) - OVERLAP;
        let has_expired = session::Column::ExpiresAt.gt(since).and(session::Column::ExpiresAt.lte(look.at));
        let ended = session::Entity::find()
            .select_only()
            .column(session::Column::Id)
            .column(session::Column::RevokedAt)
            .column(session::Column::ExpiresAt)
            .filter(session::Column::RevokedAt.gt(since).or(has_expired))
            .into_tuple::<(Uuid, Option<DateTime<Utc>>, DateTime<Utc>)>();
        let ended = bounded(async { Ok(ended.all(self.0.db.read()).await?) }).await?;
        let ended =
            ended.into_iter().map(|(id, revoked_at, expired_at)| (id, revoked_at.unwrap_or(expired_at)));
        self.take_in(ended.collect(), Some(look));
        Ok(())
    }

    /// Sessions that this process has just ended: it knows at once.
    pub fn note(&self, sessions: &[Uuid]) {
        let now = self.0.clock.now();
        self.take_in(sessions.iter().map(|session| (*session, now)).collect(), None);
    }

    fn take_in(&self, ended: Vec<(Uuid, DateTime<Utc>)>, look: Option<Look>) {
        let mut looked = self.0.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.0.ended.load();
        let oldest = self.0.clock.now() - self.0.kept;
        let new: Vec<_> = ended.into_iter().filter(|(session, _)| !known.contains_key(session)).collect();
        if !new.is_empty() || known.values().any(|at| *at < oldest) {
            let kept = known.iter().map(|(session, at)| (*session, *at)).filter(|(_, at)| *at >= oldest);
            self.0.ended.store(Arc::new(kept.chain(new.iter().copied()).collect()));
        }
        if look.is_some() {
            *looked = look;
        }
        drop(looked);
        self.0.sockets.tell(new.iter().map(|(session, _)| session));
    }

    /// Those that ended lately; `None` if the last look is too long ago to say.
    pub fn lately(&self) -> Option<Vec<Uuid>> {
        self.is_known_since(FRESH).then(|| self.0.ended.load().keys().copied().collect())
    }

    fn is_known_since(&self, age: Duration) -> bool {
        let last = *self.0.looked.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.began.elapsed() < age)
    }

    /// Whether the session that `viewer` speaks for has ended. Asks the row if the last look is too long ago.
    pub async fn has_ended(&self, viewer: Viewer) -> Result<bool, Error> {
        if self.0.ended.load().contains_key(&viewer.session) {
            return Ok(true);
        }
        if self.is_known_since(MAX_AGE) {
            return Ok(false);
        }
        let row = session::Entity::find_by_id(viewer.session)
            .select_only()
            .column(session::Column::RevokedAt)
            .column(session::Column::ExpiresAt)
            .into_tuple::<(Option<DateTime<Utc>>, DateTime<Utc>)>();
        let row = bounded(async { Ok(row.one(self.0.db.read()).await?) }).await?;
        let now = self.0.clock.now();
        Ok(row.is_none_or(|(revoked_at, expires_at)| revoked_at.is_some() || expires_at <= now))
    }

    /// What a socket of a session waits on: cancelled once the session has ended, or `stop` is.
    pub fn watch(&self, session: Uuid, stop: &CancellationToken) -> Awaited<Uuid> {
        let awaited = self.0.sockets.wait_for(session, stop);
        // It may have ended before anybody could be told.
        if self.0.ended.load().contains_key(&session) {
            awaited.token().cancel();
        }
        awaited
    }
}
