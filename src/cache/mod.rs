//! What replicas share in Redis and can do without: entries under a key that bears the database's epoch and the
//! layout of what is in them.
//!
//! **Invariants.** An entry is never replaced by one of a lower version, nor followed by one: where it had to go
//! because a commit outdates it, a mark stays until no older one can be on its way any more. Nothing here is the truth: an entry may be
//! missing or old, and whoever reads one knows from hints what is too old.

use std::time::{Duration, Instant};

use redis::AsyncCommands;
use redis::aio::ConnectionLike;
use uuid::Uuid;

/// How long an entry may take from the reading of the database to Redis. A slower one could come after the newer
/// one that it must not replace has been forgotten.
const SLOW: Duration = Duration::from_secs(2);
/// How long it is remembered that older entries are outdated: longer than one may be on its way.
const MARKED: Duration = Duration::from_secs(5);
/// Decimal digits of a version, so that versions compare as texts.
const DIGITS: usize = 19;
/// The version of what is gone for good: nothing replaces it.
const GONE: i64 = i64::MAX;

/// Sets KEYS[1] to the version ARGV[1] and the payload ARGV[2] for ARGV[3] ms, unless that version or a higher one is
/// there. A mark, which is a version without a payload, keeps out what is below its version only.
const SET_IF_NEWER: &str = "\
local present = redis.call('GETRANGE', KEYS[1], 0, 18) \
local marked = present == ARGV[1] and redis.call('STRLEN', KEYS[1]) == 19 \
if present == '' or present < ARGV[1] or marked then \
  redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'PX', ARGV[3]) \
  return 1 \
end \
return 0";

/// The same without its point, for tests that have to see what it is good for.
const SET_ANYWAY: &str = "redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'PX', ARGV[3]) return 1";

/// Puts a mark of the version ARGV[1] in the place of KEYS[1] for ARGV[2] ms, unless that version or a higher one is
/// there.
const MARK_IF_OLDER: &str = "\
local present = redis.call('GETRANGE', KEYS[1], 0, 18) \
if present == '' or present < ARGV[1] then \
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) \
  return 1 \
end \
return 0";

/// Names the entries of one kind in one database.
#[derive(Clone, Debug)]
pub struct Keyspace(String);

/// An entry on its way to Redis.
#[derive(Clone, Debug)]
pub struct Put {
    key: String,
    version: i64,
    payload: Vec<u8>,
    age: Age,
}

/// How old an entry is, and may become.
#[derive(Clone, Copy, Debug)]
pub struct Age {
    /// When the database was asked for it.
    pub read_at: Instant,
    pub lifetime: Duration,
}

/// Says that an entry is older than what was committed.
#[derive(Clone, Debug)]
pub struct Outdated {
    key: String,
    version: i64,
}

/// An entry that was found.
#[derive(Debug)]
pub enum Found {
    Entry {
        version: i64,
        payload: Vec<u8>,
        /// How long it would stay.
        remaining: Duration,
    },
    /// There is no such thing any more.
    Gone,
}

impl Keyspace {
    /// `layout` changes whenever the payload is written in another way, so that releases side by side do not read
    /// each other's.
    pub fn new(prefix: &str, kind: &str, epoch: u64, layout: u32) -> Self {
        Self(format!("{prefix}:{kind}:{epoch:016x}:{layout}"))
    }

    /// The entry of `id`.
    pub fn put(&self, id: Uuid, version: i64, payload: Vec<u8>, age: Age) -> Put {
        Put { key: self.key(id), version, payload, age }
    }

    /// The tombstone of `id`.
    pub fn tombstone(&self, id: Uuid, lifetime: Duration) -> Put {
        self.put(id, GONE, Vec::new(), Age { read_at: Instant::now(), lifetime })
    }

    /// That whatever is below `version` of `id` is outdated.
    pub fn outdated(&self, id: Uuid, version: i64) -> Outdated {
        Outdated { key: self.key(id), version }
    }

    /// What is there of `id`.
    pub async fn get(
        &self,
        redis: &mut (impl ConnectionLike + Send),
        id: Uuid,
    ) -> redis::RedisResult<Option<Found>> {
        let key = self.key(id);
        let (value, millis): (Option<Vec<u8>>, i64) =
            redis::pipe().get(&key).pttl(&key).query_async(redis).await?;
        let Some(mut value) = value else { return Ok(None) };
        let digits = value.get(..DIGITS).and_then(|digits| std::str::from_utf8(digits).ok());
        let Some(version) = digits.and_then(|digits| digits.parse::<i64>().ok()) else { return Ok(None) };
        if version == GONE {
            return Ok(Some(Found::Gone));
        }
        if value.len() == DIGITS {
            return Ok(None);
        }
        let remaining = Duration::from_millis(u64::try_from(millis).unwrap_or_default());
        value.drain(..DIGITS);
        Ok(Some(Found::Entry { version, payload: value, remaining }))
    }

    fn key(&self, id: Uuid) -> String {
        format!("{}:{}", self.0, id.simple())
    }
}

impl Outdated {
    /// Removes what is older, and keeps out what is older and still comes.
    pub async fn mark(&self, redis: &mut impl AsyncCommands) -> redis::RedisResult<()> {
        let script = redis::Script::new(MARK_IF_OLDER);
        let millis = u64::try_from(MARKED.as_millis()).unwrap_or(1);
        let mut invocation = script.key(&self.key);
        invocation.arg(format!("{:0DIGITS$}", self.version)).arg(millis).invoke_async::<i64>(redis).await?;
        Ok(())
    }
}

impl Put {
    /// Writes it, unless a higher version is there or it took too long to get here.
    pub async fn write(self, redis: &mut impl AsyncCommands) -> redis::RedisResult<()> {
        if self.age.read_at.elapsed() > SLOW {
            return Ok(());
        }
        let compares = !crate::store::failpoint::is_off("plant::compare");
        let script = redis::Script::new(if compares { SET_IF_NEWER } else { SET_ANYWAY });
        let version = format!("{:0DIGITS$}", self.version);
        let millis = u64::try_from(self.age.lifetime.as_millis()).unwrap_or(1).max(1);
        let mut invocation = script.prepare_invoke();
        invocation.key(self.key).arg(version).arg(self.payload).arg(millis);
        invocation.invoke_async::<i64>(redis).await?;
        Ok(())
    }
}
