//! The link graph and its cache: near, Redis, database, over one and two replicas.

use std::time::Duration;

use accounts_center::store::{Command, Outcome, StreamEvent};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    Fault, Place, Proxy, ServerProcess, SocketMessage, Stack, TestApp, eventually, on_both_stacks,
};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const HUB: &str = "{ viewer { id version displayName profiles { handle status } linkGraph { version } } }";

/// Something that happens to an account and leaves its graph as it is.
#[derive(Serialize, Deserialize)]
struct SomethingElse {}

impl StreamEvent for SomethingElse {
    const KIND: &'static str = "something_else";
    const CHANGES_GRAPH: bool = false;
    const RECORDED: bool = false;
}

fn uuid(account: &str) -> Uuid {
    account.split_once('_').unwrap().1.parse().unwrap()
}

/// How often near, a check, Redis and the database gave the answer.
fn counts(app: &TestApp) -> [u64; 4] {
    app.app().graphs.counts().by_layer().map(|(_, count)| count)
}

async fn happen(app: &TestApp, account: Uuid) -> i64 {
    let done = app.app().store.command(account, async |command: &mut Command| {
        Ok(Outcome::Commit(command.emit(account, &SomethingElse {})?))
    });
    done.await.unwrap().unwrap()
}

/// Two replicas, one behind a proxy to Redis, and somebody who is signed in at both.
async fn two_replicas(place: &mut Place) -> (TestApp, TestApp, Proxy, crate::support::Person) {
    let first = place.app().await;
    let redis = Proxy::before(place.setting("ACCOUNTS__REDIS__URL")).await;
    let through = redis.instead_of(place.setting("ACCOUNTS__REDIS__URL"));
    place.set("ACCOUNTS__REDIS__URL", through);
    let second = place.replica().await;
    let ada = first.client().sign_in(place, ADA).await;
    for app in [&first, &second] {
        app.hears().await;
    }
    (first, second, redis, ada)
}

async fn readiness(app: &TestApp) -> String {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer: serde_json::Value =
        http.get(format!("{}/ready", app.url)).send().await.unwrap().json().await.unwrap();
    answer["status"].as_str().unwrap().to_owned()
}

on_both_stacks! {
    async fn a_warm_hub_needs_no_statement_and_a_cold_one_needs_one(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        app.stop().await;
        let app = TestApp::start_quiet(&place, 2).await;
        let ada = app.renewed(&ada);
        // Redis may hold it already; the database is asked once at most.
        let before = app.app().store.db().statements();
        ada.query(HUB).await.field();
        assert!(app.app().store.db().statements() - before <= 1);
        let (_, statements) = app.statements_of(async || ada.query(HUB).await.field().clone()).await;
        assert_eq!(statements, 0);
    }

    async fn a_thousand_misses_make_one_load(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        app.hears().await;
        let account = uuid(&ada.account);
        for _ in 0..3 {
            app.app().graphs.forget();
            let [.., redis, database] = counts(&app);
            let graphs = app.app().graphs.clone();
            let reads = (0..1000).map(|_| {
                let graphs = graphs.clone();
                tokio::spawn(async move { graphs.get(account, 0).await.unwrap().unwrap().version })
            });
            for read in reads.collect::<Vec<_>>() {
                assert_eq!(read.await.unwrap(), 2);
            }
            let [.., redis_then, database_then] = counts(&app);
            assert_eq!(redis_then - redis + database_then - database, 1);
        }
    }

    async fn what_leaves_the_graph_as_it_is_loads_nothing(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let other_layers = app.while_heard(async || {
            ada.client.query(HUB).await.field();
            let before = counts(&app);
            for _ in 0..3 {
                let version = happen(&app, uuid(&ada.account)).await;
                let hub = ada.client.query(HUB).await;
                assert_eq!(hub.field()["version"], version);
                assert_eq!(hub.field()["linkGraph"]["version"], 1);
                assert_eq!(hub.body["extensions"]["accountsCenter"]["version"], version);
            }
            counts(&app).iter().zip(before).map(|(after, before)| after - before).skip(1).sum::<u64>()
        }).await;
        assert_eq!(other_layers, 0, "near only");
    }

    async fn a_minimum_version_is_a_number(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        for (version, status) in [("1", 200), ("0", 200), ("999999999999", 200), ("x", 400), ("-1", 400), ("", 400)] {
            let ask = http.post(format!("{}/graphql", app.url)).bearer_auth(ada.token.as_ref().unwrap());
            let ask = ask.header("Accounts-Center-Min-Version", version).json(&json!({ "query": HUB }));
            let answer = ask.send().await.unwrap();
            assert_eq!(answer.status(), status, "{version:?}");
            let body: serde_json::Value = answer.json().await.unwrap();
            match status {
                // One that the database does not have is answered with what it has.
                200 => assert_eq!(body["data"]["viewer"]["version"], 2, "{version:?}"),
                _ => assert_eq!(body["errors"][0]["extensions"]["code"], "BAD_USER_INPUT"),
            }
        }
    }

    /// The same in an operation's extensions, by HTTP and over a socket.
    async fn an_operation_may_ask_for_a_minimum_version(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        for (extensions, good) in [
            (json!({ "accountsCenter": { "minVersion": 1 } }), true),
            (json!({ "accountsCenter": { "minVersion": 999_999_999_999_i64 } }), true),
            (json!({ "accountsCenter": { "minVersion": null } }), true),
            (json!({ "accountsCenter": {}, "another": 7 }), true),
            (json!(null), true),
            (json!({ "accountsCenter": { "minVersion": "1" } }), false),
            (json!({ "accountsCenter": { "minVersion": -1 } }), false),
            (json!({ "accountsCenter": { "minVersion": 1.5 } }), false),
            (json!({ "accountsCenter": 1 }), false),
        ] {
            let operation = json!({ "query": HUB, "extensions": extensions });
            let ask = http.post(format!("{}/graphql", app.url)).bearer_auth(ada.token.as_ref().unwrap());
            let answer = ask.json(&operation).send().await.unwrap();
            assert_eq!(answer.status(), if good { 200 } else { 400 }, "{extensions}");
            let body: Value = answer.json().await.unwrap();
            let mut socket = ada.socket().await;
            socket.send(json!({ "type": "subscribe", "id": "1", "payload": operation })).await;
            let SocketMessage::Json(told) = socket.next().await else { panic!("closed") };
            let follow = json!({ "query": "subscription { linkStatusChanged { cursor } }", "extensions": extensions });
            socket.send(json!({ "type": "subscribe", "id": "2", "payload": follow })).await;
            if good {
                assert_eq!(body["data"]["viewer"]["version"], 2, "{extensions}");
                assert_eq!(told["payload"], body);
                socket.next().await;
                assert_eq!(socket.next_within(Duration::from_millis(200)).await, None, "it follows");
            } else {
                assert_eq!(body["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{extensions}");
                assert_eq!((&told["type"], &told["payload"]), (&json!("error"), &body["errors"]));
                let SocketMessage::Json(told) = socket.next().await else { panic!("closed") };
                assert_eq!((&told["type"], &told["id"]), (&json!("error"), &json!("2")));
            }
        }
    }

    async fn a_deleted_account_is_gone_and_stays_gone(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let account = uuid(&ada.account);
        let db = place.database().await;
        if place.stack == Stack::Embedded {
            db.execute_unprepared("PRAGMA foreign_keys = ON").await.unwrap();
        }
        let gone = "DELETE FROM stream WHERE id = $1";
        db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), gone, [account.into()])).await.unwrap();
        app.app().graphs.forget();
        eventually("Redis forgets or hears of it", async || {
            app.app().graphs.forget();
            app.app().graphs.get(account, i64::MAX).await.unwrap().is_none().then_some(())
        }).await;
        assert_eq!(ada.client.query("{ viewer { id } }").await.body["data"]["viewer"], json!(null));
        // And the tombstone is found by whoever comes next.
        if place.stack == Stack::Production {
            eventually("the tombstone is there", async || {
                app.app().graphs.forget();
                let [.., redis, database] = counts(&app);
                assert!(app.app().graphs.get(account, 0).await.unwrap().is_none());
                let [.., redis_then, database_then] = counts(&app);
                (redis_then > redis && database_then == database).then_some(())
            }).await;
        }
    }
}

/// The replica that commits leaves the new graph in Redis before the others hear of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replica_finds_the_new_graph_in_redis() {
    let mut place = Place::new(Stack::Production).await;
    let (first, second, _redis, ada) = two_replicas(&mut place).await;
    let there = ada.client.at(&second.url);
    there.query(HUB).await.field();
    let [_, _, redis, database] = counts(&second);
    ada.client.link(&place, GRACE).await.field();
    let mut tab = there.socket().await;
    tab.follow_links(None).await;
    eventually("the second replica shows it", async || {
        (there.query(HUB).await.field()["version"] == 4).then_some(())
    })
    .await;
    let [_, _, redis_then, database_then] = counts(&second);
    assert_eq!((redis_then - redis, database_then - database), (1, 0));
    drop(first);
}

/// S38: a replica that hears nothing asks the database for versions, all that are wanted in one statement, and
/// trusts nothing from before once it hears again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s38_a_deaf_replica_serves_nothing_that_the_database_has_not_confirmed() {
    let mut place = Place::new(Stack::Production).await;
    // Whole answers ask for the version as well.
    place.set("ACCOUNTS__GRAPH__ANSWER_BYTES", 0);
    let (first, second, redis, ada) = two_replicas(&mut place).await;
    let there = ada.client.at(&second.url);
    there.query(HUB).await.field();
    for fault in [Fault::Cut, Fault::Drop] {
        redis.set(fault);
        eventually("the replica notices", async || (readiness(&second).await == "degraded").then_some(()))
            .await;
        let [_, checked, in_redis, database] = counts(&second);
        assert_eq!(there.query(HUB).await.field()["displayName"], "Ada");
        assert_eq!(counts(&second)[1..], [checked + 1, in_redis, database], "checked, and not loaded");
        // What is committed meanwhile, it shows: it asks.
        let version = happen(&first, uuid(&ada.account)).await;
        assert_eq!(there.query(HUB).await.field()["version"], version);
        // A thousand at once are few statements.
        let statements = second.app().store.db().statements();
        let account = uuid(&ada.account);
        let reads = (0..1000).map(|_| {
            let graphs = second.app().graphs.clone();
            tokio::spawn(async move { graphs.get(account, 0).await.unwrap().unwrap().version })
        });
        for read in reads.collect::<Vec<_>>() {
            assert_eq!(read.await.unwrap(), version);
        }
        let used = second.app().store.db().statements() - statements;
        assert!(used < 200, "{used} statements for a thousand requests");
        redis.set(Fault::None);
        eventually("the replica has healed", async || (readiness(&second).await == "ready").then_some(()))
            .await;
    }
}

/// S38: Redis flushed: the next reads come from the database, and Redis is filled again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s38_a_flushed_redis_is_filled_again() {
    let mut place = Place::new(Stack::Production).await;
    let (_first, second, _redis, ada) = two_replicas(&mut place).await;
    let redis = redis::Client::open(place.setting("ACCOUNTS__REDIS__URL")).unwrap();
    let mut redis = redis.get_multiplexed_async_connection().await.unwrap();
    let pattern = format!("{}:graph:*", place.setting("ACCOUNTS__REDIS__PREFIX"));
    let there = ada.client.at(&second.url);
    for _ in 0..3 {
        eventually("the entry is in Redis", async || {
            there.query(HUB).await.field();
            let keys: Vec<String> = redis::cmd("KEYS").arg(&pattern).query_async(&mut redis).await.unwrap();
            second.app().graphs.forget();
            keys.first().cloned()
        })
        .await;
        // Only what is ours: other tests share this Redis.
        let keys: Vec<String> = redis::cmd("KEYS").arg(&pattern).query_async(&mut redis).await.unwrap();
        redis::cmd("DEL").arg(keys).query_async::<u64>(&mut redis).await.unwrap();
    }
}

/// S27: what somebody plants in Redis is believed by nobody who changes anything, and garbage by nobody at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s27_a_poisoned_entry_authorises_nothing() {
    let mut place = Place::new(Stack::Production).await;
    let (first, second, _redis, ada) = two_replicas(&mut place).await;
    let redis = redis::Client::open(place.setting("ACCOUNTS__REDIS__URL")).unwrap();
    let mut redis = redis.get_multiplexed_async_connection().await.unwrap();
    let pattern = format!("{}:graph:*", place.setting("ACCOUNTS__REDIS__PREFIX"));
    ada.client.query(HUB).await.field();
    let key = eventually("the entry is in Redis", async || {
        let keys: Vec<String> = redis::cmd("KEYS").arg(&pattern).query_async(&mut redis).await.unwrap();
        keys.first().cloned()
    })
    .await;
    // Garbage, and an entry of a far version with nothing in it.
    for poison in ["garbage", "", "0000000000000000009rubbish", "9223372036854775806"] {
        redis::cmd("SET").arg(&key).arg(poison).query_async::<()>(&mut redis).await.unwrap();
        second.app().graphs.forget();
        let there = ada.client.at(&second.url).query(HUB).await;
        assert_eq!(there.field()["displayName"], "Ada", "{poison}");
        redis::cmd("DEL").arg(&key).query_async::<u64>(&mut redis).await.unwrap();
    }
    // Somebody else's graph under Ada's key: what she may change is decided by the database.
    place.sandbox.add_profile("wa_eve", "+4917139200050").await;
    let eve = first.client().sign_in(&place, "+4917139200050").await;
    eve.client.query(HUB).await.field();
    let eves =
        key.replace(&uuid(&ada.account).simple().to_string(), &uuid(&eve.account).simple().to_string());
    let graph = eventually("Eve's entry is in Redis", async || {
        let found: Option<Vec<u8>> = redis::cmd("GET").arg(&eves).query_async(&mut redis).await.unwrap();
        // A version alone is the mark of a commit.
        found.filter(|entry| entry.len() > 19)
    })
    .await;
    redis::cmd("SET").arg(&key).arg(graph).query_async::<()>(&mut redis).await.unwrap();
    second.app().graphs.forget();
    let there = ada.client.at(&second.url);
    there.link(&place, GRACE).await.field();
    // The first replica may not have heard of it yet.
    eventually("the first replica shows both", async || {
        let hub = ada.client.query("{ viewer { profiles { externalId } } }").await;
        let profiles = hub.field()["profiles"].as_array().unwrap();
        let mut profiles: Vec<_> =
            profiles.iter().map(|profile| profile["externalId"].as_str().unwrap()).collect();
        profiles.sort_unstable();
        assert!(!profiles.contains(&"wa_eve"), "{profiles:?}");
        (profiles == ["wa_ada", "wa_grace"]).then_some(())
    })
    .await;
}

/// A client that is moved to a replica that heard nothing of its commit sees it all the same, if it says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_moves_reads_its_own_writes() {
    let place = Place::new(Stack::Production).await;
    // Never a hint from here.
    let lossy = [("FAILPOINTS", "bus::hint=return(lost)".to_owned())];
    let writer = ServerProcess::start_with(&place, &lossy).await;
    let reader = ServerProcess::start(&place).await;
    let ada = writer.client().sign_in(&place, ADA).await.client;
    let there = ada.at(&reader.url);
    // Until the other one trusts its cache.
    eventually("the reader's cache is warm", async || {
        let first = there.query(HUB).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        (first.field()["version"] == 2).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    there.query(HUB).await.field();
    let linked = ada.link(&place, GRACE).await;
    let version = linked.body["extensions"]["accountsCenter"]["version"].as_i64().unwrap();
    assert_eq!(version, 4);
    assert_eq!(there.query(HUB).await.field()["version"], 2, "it has not heard of it");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = http.post(format!("{}/graphql", there.url)).bearer_auth(there.token.as_ref().unwrap());
    let ask = ask.header("Accounts-Center-Min-Version", version).json(&json!({ "query": HUB }));
    let body: serde_json::Value = ask.send().await.unwrap().json().await.unwrap();
    assert_eq!(body["data"]["viewer"]["version"], version);
    assert_eq!(there.query(HUB).await.field()["version"], version, "and stays there");
}

/// The same over a socket, which has no headers to say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_moves_reads_its_own_writes_over_a_socket() {
    let mut place = Place::new(Stack::Production).await;
    // Neither hints nor the poll tell the other one, and it believes what it has.
    place.set("ACCOUNTS__EVENTS__POLL_SECONDS", 3600);
    place.set("ACCOUNTS__GRAPH__NEAR_SECONDS", 3600);
    let writer = TestApp::start(&place, 1).await;
    let reader = TestApp::start(&place, 2).await;
    let ada = writer.client().sign_in(&place, ADA).await;
    let there = ada.client.at(&reader.url);
    let stale = eventually("the reader believes what it has", async || {
        reader.hears().await;
        assert_eq!(there.query(HUB).await.field()["version"], 2);
        let row = "UPDATE stream SET version = version + 1, graph_version = version + 1 WHERE id = $1";
        let row = Statement::from_sql_and_values(DbBackend::Postgres, row, [uuid(&ada.account).into()]);
        let back =
            Statement::from_string(DbBackend::Postgres, "UPDATE stream SET version = 2, graph_version = 1");
        let db = place.database().await;
        db.execute_raw(row).await.unwrap();
        if there.query(HUB).await.field()["version"] == 2 {
            return Some(());
        }
        db.execute_raw(back).await.unwrap();
        None
    });
    stale.await;
    let mut tab = there.socket().await;
    for (asked, version) in [(json!(null), 2), (json!(3), 3)] {
        let extensions = json!({ "accountsCenter": { "minVersion": asked } });
        let operation = json!({ "query": HUB, "extensions": extensions });
        tab.send(json!({ "type": "subscribe", "id": "hub", "payload": operation })).await;
        let SocketMessage::Json(told) = tab.next().await else { panic!("closed") };
        assert_eq!(told["payload"]["data"]["viewer"]["version"], version, "{asked}");
        tab.next().await;
    }
}
