//! Subscriptions: each event once and in order, through restarts, replicas and lost hints.

use std::time::Duration;

use accounts_center_entity::deployment;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel};
use serde_json::{Value, json};

use crate::support::{
    Client, Fault, Place, Proxy, ServerProcess, Socket, SocketMessage, Stack, TestApp, on_both_stacks,
};

const ADA: &str = "+4917139200042";

on_both_stacks! {
    async fn a_cursor_continues_right_behind_its_event(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let begin = cursor(&ada).await;
        link_some(&place, &ada, 0..3).await;
        let events = read_from(&ada, &begin, 3).await;
        assert_eq!(versions(&events), [2, 3, 4]);
        for (n, event) in events.iter().enumerate() {
            let rest = read_from(&ada, event["cursor"].as_str().unwrap(), 2 - n).await;
            assert_eq!(versions(&rest), versions(&events)[n + 1..]);
        }
        // The first event of all made the account: one that follows from nothing does not get it.
        assert_eq!(events[0]["previousLinkStatus"], Value::Null);
    }

    async fn what_is_no_cursor_of_this_account_is_refused(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        place.sandbox.add_profile("wa_eve", "+4917139200050").await;
        let eve = app.client().sign_in(&place, "+4917139200050").await.client;
        let foreign = cursor(&eve).await;
        let good = cursor(&ada).await;
        for (bad, code) in [
            (foreign.as_str(), "BAD_USER_INPUT"),
            ("", "BAD_USER_INPUT"),
            ("1", "BAD_USER_INPUT"),
            (&good[..42], "BAD_USER_INPUT"),
            (&"A".repeat(43), "BAD_USER_INPUT"),
        ] {
            assert_eq!(refusal(&ada, Some(bad)).await, code, "{bad}");
        }
        assert_eq!(refusal(&app.client(), None).await, "UNAUTHENTICATED");
    }

    async fn s41_a_cursor_of_another_epoch_or_ahead_has_expired(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let before = cursor(&ada).await;
        link_some(&place, &ada, 0..1).await;
        let ahead = cursor(&ada).await;
        // An older state comes back, as from a backup.
        let db = place.database().await;
        use sea_orm::ConnectionTrait;
        db.execute_unprepared("DELETE FROM event WHERE number = 2").await.unwrap();
        db.execute_unprepared("UPDATE stream SET version = 1, graph_version = 1 WHERE version = 2").await.unwrap();
        assert_eq!(refusal(&ada, Some(&ahead)).await, "CURSOR_EXPIRED");
        // And with a new epoch no cursor from before is good.
        let mut epoch = deployment::Entity::find_by_id("epoch").one(&db).await.unwrap().unwrap().into_active_model();
        epoch.value = Set("00000000000000ff".to_owned());
        epoch.update(&db).await.unwrap();
        app.stop().await;
        let app = TestApp::start(&place, 3).await;
        let ada = ada.at(&app.url);
        assert_eq!(refusal(&ada, Some(&before)).await, "CURSOR_EXPIRED");
        read_from(&ada, &cursor(&ada).await, 0).await;
    }

    async fn a_reader_misses_nothing_while_the_server_restarts(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__KEYS__SECRET", "a secret of the tests, 32 characters");
        let mut server = ServerProcess::start(&place).await;
        let ada = server.client().sign_in(&place, ADA).await.client;
        let mut tab = ada.socket().await;
        tab.follow_links(None).await;
        link_some(&place, &ada, 0..1).await;
        let seen = tab.link_event().await;
        assert_eq!(seen["graphVersion"], 2);
        server.kill().await;
        assert!(matches!(tab.next().await, SocketMessage::Closed(1006)));
        let server = ServerProcess::start(&place).await;
        let ada = ada.at(&server.url);
        link_some(&place, &ada, 1..3).await;
        let rest = read_from(&ada, seen["cursor"].as_str().unwrap(), 2).await;
        assert_eq!(versions(&rest), [3, 4]);
    }

    async fn events_of_others_are_not_heard(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        place.sandbox.add_profile("wa_eve", "+4917139200050").await;
        let eve = app.client().sign_in(&place, "+4917139200050").await.client;
        let mut tab = eve.socket().await;
        tab.follow_links(None).await;
        link_some(&place, &ada, 0..2).await;
        assert_eq!(tab.next_within(Duration::from_secs(3)).await, None);
    }

    async fn a_subscription_over_http_is_refused_and_a_query_over_a_socket_is_answered(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let refused = ada.query("subscription { linkStatusChanged { cursor } }").await;
        assert!(refused.body["errors"][0]["message"].as_str().unwrap().contains("not supported"));
        let mut socket = ada.socket().await;
        socket.subscribe("q", "{ viewer { version } }", json!({})).await;
        let payload = json!({ "data": { "viewer": { "version": 1 } },
            "extensions": { "accountsCenter": { "version": 1 } } });
        let answer = json!({ "type": "next", "id": "q", "payload": payload });
        assert_eq!(socket.next().await, SocketMessage::Json(answer));
        assert_eq!(socket.next().await, SocketMessage::Json(json!({ "type": "complete", "id": "q" })));
    }
}

/// Over the bus alone: the poll that makes up for lost hints comes once an hour here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replica_hears_by_the_bus() {
    let mut place = Place::new(Stack::Production).await;
    place.set("ACCOUNTS__EVENTS__POLL_SECONDS", 3600);
    let (first, second) = (place.app().await, place.replica().await);
    let ada = first.client().sign_in(&place, ADA).await.client;
    let reader = ada.at(&second.url);
    let mut tab = reader.socket().await;
    tab.follow_links(None).await;
    for n in 0..3 {
        link_some(&place, &ada, n..n + 1).await;
        assert_eq!(tab.link_event().await["graphVersion"], n + 2);
        // And its cache has heard it too.
        assert_eq!(reader.query("{ viewer { version } }").await.field()["version"], n + 2);
    }
}

/// Two replicas: what one commits, the other's subscribers hear, by the bus or without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replica_hears_by_hints_and_without_them() {
    let mut place = Place::new(Stack::Production).await;
    let redis = Proxy::before(place.setting("ACCOUNTS__REDIS__URL")).await;
    let straight = place.setting("ACCOUNTS__REDIS__URL").to_owned();
    let first = place.app().await;
    place.set("ACCOUNTS__REDIS__URL", redis.instead_of(&straight));
    let second = place.replica().await;
    let ada = first.client().sign_in(&place, ADA).await.client;
    let reader = ada.at(&second.url);
    let mut tab = reader.socket().await;
    tab.follow_links(None).await;

    let version = |event: Value| event["graphVersion"].as_i64().unwrap();
    link_some(&place, &ada, 0..1).await;
    assert_eq!(version(tab.link_event().await), 2);
    // The reader's replica knows of the commit, and does not show what was before.
    assert_eq!(reader.query("{ viewer { version } }").await.field()["version"], 2);
    // Half-open: Redis takes hints and loses them. Then cut. Then back.
    for (fault, n) in
        [(Fault::Drop, 1), (Fault::Cut, 2), (Fault::None, 3), (Fault::Delay(Duration::from_secs(1)), 4)]
    {
        redis.set(fault);
        link_some(&place, &ada, n..n + 1).await;
        assert_eq!(version(tab.link_event().await), 2 + i64::from(n), "with {fault:?}");
    }
    redis.set(Fault::None);
    // Each one once.
    assert_eq!(tab.next_within(Duration::from_secs(3)).await, None);
}

/// Where the account stands.
async fn cursor(client: &Client) -> String {
    let answer = client.query("{ viewer { eventCursor } }").await;
    answer.field()["eventCursor"].as_str().unwrap().to_owned()
}

/// Links new profiles, numbered by `range`.
async fn link_some(place: &Place, client: &Client, range: std::ops::Range<u32>) {
    for n in range {
        let handle = format!("+49171392002{n:02}");
        place.sandbox.add_profile(&format!("wa_more_{n}"), &handle).await;
        let linked = client.link(place, &handle).await;
        assert_eq!(linked.user_errors(), [""; 0]);
    }
}

/// Exactly `count` events behind a cursor.
async fn read_from(client: &Client, after: &str, count: usize) -> Vec<Value> {
    let mut socket = Socket::open(&client.url, client.token.as_deref()).await;
    let query = "subscription($after: String!) { linkStatusChanged(after: $after) {
        cursor previousLinkStatus graphVersion profile { id } } }";
    socket.subscribe("links", query, json!({ "after": after })).await;
    let mut events = Vec::new();
    for _ in 0..count {
        events.push(socket.link_event().await);
    }
    assert_eq!(socket.next_within(Duration::from_millis(300)).await, None, "one event too many");
    events
}

fn versions(events: &[Value]) -> Vec<i64> {
    events.iter().map(|event| event["graphVersion"].as_i64().unwrap()).collect()
}

/// The code that a subscription is refused with.
async fn refusal(client: &Client, after: Option<&str>) -> String {
    let mut socket = client.socket().await;
    let query = "subscription($after: String) { linkStatusChanged(after: $after) { cursor } }";
    socket.subscribe("links", query, json!({ "after": after })).await;
    let SocketMessage::Json(message) = socket.next().await else { panic!("closed") };
    let code =
        message["payload"]["errors"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("{message}"));
    assert_eq!(socket.next().await, SocketMessage::Json(json!({ "type": "complete", "id": "links" })));
    code.to_owned()
}
