//! What replicas share in Redis: entries that only become newer, in whatever order they come.

use std::time::{Duration, Instant};

use accounts_center::cache::{Age, Found, Keyspace, Put};
use uuid::Uuid;

use crate::support::needed;

const ID: Uuid = Uuid::from_u128(1);

/// A kind of entries of its own, and a connection.
async fn entries(kind: &str) -> (Keyspace, redis::aio::MultiplexedConnection) {
    let client = redis::Client::open(needed("ACCOUNTS_TEST_REDIS_URL")).unwrap();
    let redis = client.get_multiplexed_async_connection().await.unwrap();
    (Keyspace::new("cache-test", kind, u64::from(std::process::id()), 1), redis)
}

fn put(keys: &Keyspace, version: i64) -> Put {
    let age = Age { read_at: Instant::now(), lifetime: Duration::from_secs(60) };
    keys.put(ID, version, format!("of {version}").into_bytes(), age)
}

/// The version that is there, whose payload is its own.
async fn version(keys: &Keyspace, redis: &mut redis::aio::MultiplexedConnection) -> Option<i64> {
    match keys.get(redis, ID).await.unwrap()? {
        Found::Entry { version, payload, .. } => {
            assert_eq!(payload, format!("of {version}").into_bytes());
            Some(version)
        }
        Found::Gone => Some(i64::MAX),
    }
}

#[tokio::test]
async fn an_older_entry_replaces_nothing() {
    let (keys, mut redis) = entries("older").await;
    put(&keys, 10).write(&mut redis).await.unwrap();
    put(&keys, 9).write(&mut redis).await.unwrap();
    assert_eq!(version(&keys, &mut redis).await, Some(10));
    keys.outdated(ID, 10).mark(&mut redis).await.unwrap();
    assert_eq!(version(&keys, &mut redis).await, Some(10), "it is what the commit made");
    put(&keys, 11).write(&mut redis).await.unwrap();
    assert_eq!(version(&keys, &mut redis).await, Some(11));
    keys.tombstone(ID, Duration::from_secs(60)).write(&mut redis).await.unwrap();
    put(&keys, 12).write(&mut redis).await.unwrap();
    assert_eq!(version(&keys, &mut redis).await, Some(i64::MAX));
}

/// A filler that was slow comes after the commit of somebody who had nothing newer to leave.
#[tokio::test]
async fn what_a_commit_outdates_does_not_come_back() {
    let (keys, mut redis) = entries("outdated").await;
    put(&keys, 10).write(&mut redis).await.unwrap();
    keys.outdated(ID, 12).mark(&mut redis).await.unwrap();
    assert_eq!(version(&keys, &mut redis).await, None);
    put(&keys, 11).write(&mut redis).await.unwrap();
    assert_eq!(version(&keys, &mut redis).await, None);
    put(&keys, 12).write(&mut redis).await.unwrap();
    assert_eq!(version(&keys, &mut redis).await, Some(12));
}

#[tokio::test]
async fn a_mark_is_there_without_an_entry_too() {
    let (keys, mut redis) = entries("empty").await;
    keys.outdated(ID, 12).mark(&mut redis).await.unwrap();
    put(&keys, 11).write(&mut redis).await.unwrap();
    assert_eq!(version(&keys, &mut redis).await, None);
    keys.outdated(ID, 14).mark(&mut redis).await.unwrap();
    put(&keys, 13).write(&mut redis).await.unwrap();
    assert_eq!(version(&keys, &mut redis).await, None);
}
