//! Who has been told of an event is not shown what was before it, whatever Redis still has.

use serde_json::json;

use crate::support::{Place, Stack, eventually};

const ADA: &str = "+4917139200042";
const NAME: &str = "{ viewer { version displayName } }";
const RENAME: &str =
    "mutation($input: UpdateAccountInput!) { updateAccount(input: $input) { account { version } } }";

/// A replica that has read nothing of an account yet, or had to make room for others, follows it for somebody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s38_who_has_heard_of_an_event_is_not_shown_what_was_before_it() {
    let place = Place::new(Stack::Production).await;
    let (first, second) = (place.app().await, place.replica().await);
    let ada = first.client().sign_in(&place, ADA).await;
    // Else nobody asks Redis.
    second.hears().await;
    let there = ada.client.at(&second.url);
    let redis = redis::Client::open(place.setting("ACCOUNTS__REDIS__URL")).unwrap();
    let mut redis = redis.get_multiplexed_async_connection().await.unwrap();
    let pattern = format!("{}:graph:*", place.setting("ACCOUNTS__REDIS__PREFIX"));
    let mut socket = there.socket().await;
    let begin = ada.client.query("{ viewer { eventCursor } }").await.field()["eventCursor"].clone();
    let follow = "subscription($after: String) { accountEvents(after: $after) { cursor } }";
    socket.subscribe("account", follow, json!({ "after": begin })).await;
    for (round, makes_room) in [false, true].into_iter().enumerate() {
        second.app().graphs.forget();
        let (key, outdated) = eventually("the entry is in Redis", async || {
            first.app().graphs.forget();
            ada.client.query(NAME).await.field();
            let keys: Vec<String> = redis::cmd("KEYS").arg(&pattern).query_async(&mut redis).await.unwrap();
            let key = keys.first()?.clone();
            let entry: Vec<u8> = redis::cmd("GET").arg(&key).query_async(&mut redis).await.unwrap();
            // A version alone is the mark of a commit.
            (entry.len() > 19).then_some((key, entry))
        })
        .await;
        let name = format!("Ada {round}");
        ada.client.mutate(RENAME, json!({ "displayName": name })).await.field();
        socket.event("account", "accountEvents").await;
        eventually("the new entry is in Redis", async || {
            let entry: Vec<u8> = redis::cmd("GET").arg(&key).query_async(&mut redis).await.unwrap();
            (entry.len() > 19 && entry != outdated).then_some(())
        })
        .await;
        // As if the commit had not come to Redis yet.
        redis::cmd("SET").arg(&key).arg(&outdated).query_async::<()>(&mut redis).await.unwrap();
        if makes_room {
            second.app().graphs.forget();
        }
        assert_eq!(there.query(NAME).await.field()["displayName"], name.as_str());
        redis::cmd("DEL").arg(&key).query_async::<u64>(&mut redis).await.unwrap();
    }
}
