//! Subscriptions: each event once and in order, through restarts, replicas and lost hints.

mod reading;

use std::time::Duration;

use accounts_center::account::event::AccountChanged;
use accounts_center::store::StreamEvent;
use accounts_center_entity::deployment;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ConnectionTrait, EntityTrait, IntoActiveModel};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use reading::{
    Follower, cursor, expires, kind_and_version, link_some, make_mixed_events, purge, read_from, refusal,
    status, versions,
};

use crate::support::{
    Fault, Person, Place, Proxy, ServerProcess, SocketMessage, Stack, TestApp, on_both_stacks,
};

const ADA: &str = "+4917139200042";

on_both_stacks! {
    async fn a_cursor_continues_right_behind_its_event(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let begin = cursor(&ada).await;
        link_some(&place, &ada, 0..3).await;
        let events = read_from(&ada, &begin, 3).await;
        assert_eq!(versions(&events), [3, 5, 7]);
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
        db.execute_unprepared("DELETE FROM event WHERE number > 2").await.unwrap();
        db.execute_unprepared("UPDATE stream SET version = 2, graph_version = 1 WHERE version = 4").await.unwrap();
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
        assert_eq!(seen["graphVersion"], 3);
        server.kill().await;
        assert!(matches!(tab.next().await, SocketMessage::Closed(1006)));
        let server = ServerProcess::start(&place).await;
        let ada = ada.at(&server.url);
        link_some(&place, &ada, 1..3).await;
        let rest = read_from(&ada, seen["cursor"].as_str().unwrap(), 2).await;
        assert_eq!(versions(&rest), [5, 7]);
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

    async fn all_events_of_an_account_come_once_and_in_order(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let begin = cursor(&ada.client).await;
        let mut live = Follower::open(&ada.client, "accountEvents", Some(&begin)).await;
        let mixed = make_mixed_events(&place, &app, &ada).await;
        let kinds: Vec<_> = live.events(mixed.len()).await.iter().map(kind_and_version).collect();
        assert_eq!(kinds, mixed);
        // The same for one who comes late, from wherever.
        let mut late = Follower::open(&ada.client, "accountEvents", Some(&begin)).await;
        let all = late.events(mixed.len()).await;
        assert_eq!(all.iter().map(kind_and_version).collect::<Vec<_>>(), mixed);
        for (n, event) in all.iter().enumerate() {
            let mut rest = Follower::open(&ada.client, "accountEvents", event["cursor"].as_str()).await;
            let rest = rest.events(mixed.len() - n - 1).await;
            assert_eq!(rest.iter().map(kind_and_version).collect::<Vec<_>>(), mixed[n + 1..]);
        }
        // One kind by itself is the same without the others, and takes the cursors of the others.
        for (field, kind) in [
            ("linkStatusChanged", "LinkStatusChange"),
            ("connectionChanged", "ConnectionChange"),
            ("securityAlertRaised", "SecurityAlertRaised"),
        ] {
            for (n, event) in all.iter().enumerate() {
                let mut some = Follower::open(&ada.client, field, event["cursor"].as_str()).await;
                let of_kind = mixed[n + 1..].iter().filter(|event| event.starts_with(kind));
                let expected: Vec<_> = of_kind.cloned().collect();
                let seen = some.events(expected.len()).await;
                assert_eq!(seen.iter().map(kind_and_version).collect::<Vec<_>>(), expected);
            }
        }
    }

    async fn what_is_far_behind_is_read_in_batches_without_a_gap(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let begin = cursor(&ada.client).await;
        for _ in 0..5 {
            // More of one kind than are read at once, and one of another.
            app.happen(ada.account_id(), &(0..130).map(|_| AccountChanged {}).collect::<Vec<_>>()).await;
            app.happen(ada.account_id(), &[status(&ada.client).await]).await;
        }
        let mut all = Follower::open(&ada.client, "accountEvents", Some(&begin)).await;
        let seen = all.events(5 * 131).await;
        let changes = seen.iter().filter(|event| event["__typename"] == "AccountChange").count();
        assert_eq!(changes, 5 * 130);
        let mut links = Follower::open(&ada.client, "linkStatusChanged", Some(&begin)).await;
        assert_eq!(versions(&links.events(5).await), [133, 264, 395, 526, 657]);
    }

    async fn an_event_of_another_release_is_passed_over(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let begin = cursor(&ada.client).await;
        let mut live = Follower::open(&ada.client, "accountEvents", Some(&begin)).await;
        app.happen(ada.account_id(), &[Strange {}]).await;
        app.happen(ada.account_id(), &[StrangeStatus {}]).await;
        app.happen(ada.account_id(), &[status(&ada.client).await]).await;
        app.happen(ada.account_id(), &[Strange {}]).await;
        assert_eq!(versions(&live.events(1).await), [5]);
        let mut links = Follower::open(&ada.client, "linkStatusChanged", Some(&begin)).await;
        assert_eq!(versions(&links.events(1).await), [5]);
        app.happen(ada.account_id(), &[status(&ada.client).await]).await;
        assert_eq!(versions(&live.events(1).await), [7]);
    }

    async fn an_event_shows_the_present_at_its_version_or_later(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__GRAPH__NEAR_SECONDS", 3600);
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let mut tab = ada.client.socket().await;
        let begin = cursor(&ada.client).await;
        let query = "subscription($after: String) { accountEvents(after: $after) { cursor occurredAt
            ... on AccountChange { account { displayName version } } } }";
        tab.subscribe("account", query, json!({ "after": begin })).await;
        for version in 3..6 {
            let name = format!("Ada {version}");
            let db = place.database().await;
            db.execute_unprepared(&format!("UPDATE account SET display_name = '{name}'")).await.unwrap();
            app.happen(ada.account_id(), &[AccountChanged {}]).await;
            let event = tab.event("account", "accountEvents").await;
            assert_eq!(event["account"], json!({ "displayName": name, "version": version }));
        }
    }

    async fn an_event_that_cannot_be_shown_ends_nothing(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let query = "subscription($after: String) { linkStatusChanged(after: $after) {
            graphVersion profile { platform { key } } } }";
        let mut tab = ada.client.socket().await;
        tab.subscribe("links", query, json!({ "after": cursor(&ada.client).await })).await;
        let db = place.database().await;
        for (platform, good) in [("whatsapp", true), ("No key", false), ("whatsapp", true)] {
            db.execute_unprepared(&format!("UPDATE linked_profile SET platform = '{platform}'")).await.unwrap();
            app.happen(ada.account_id(), &[status(&ada.client).await]).await;
            let SocketMessage::Json(message) = tab.next().await else { panic!("closed") };
            assert_eq!(message["type"], "next", "{message}");
            if good {
                let profile = &message["payload"]["data"]["linkStatusChanged"]["profile"];
                assert_eq!(profile, &json!({ "platform": { "key": "whatsapp" } }));
            } else {
                assert_eq!(message["payload"]["errors"][0]["extensions"]["code"], "INTERNAL");
            }
        }
    }

    async fn a_subscription_has_one_root_field(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let mut tab = ada.client.socket().await;
        for query in [
            "subscription { linkStatusChanged { cursor } accountEvents { cursor } }",
            "subscription { linkStatusChanged { cursor } again: linkStatusChanged { cursor } }",
            "subscription { linkStatusChanged { cursor } __typename }",
            "subscription { __typename }",
            "subscription { ...f linkStatusChanged { cursor } } fragment f on Subscription { accountEvents { cursor } }",
            "subscription { linkStatusChanged @include(if: true) { cursor } }",
            // And what the library has to say comes first where it is of the fragment itself.
            "subscription { ...f } fragment f on Subscription { linkStatusChanged { nope } }",
            "subscription { ...f }",
            "subscription { ...f } fragment f on Query { viewer { id } }",
            "subscription { linkStatusChanged { cursor } linkStatusChanged(after: \"x\") { cursor } }",
        ] {
            tab.subscribe("bad", query, json!({})).await;
            let SocketMessage::Json(message) = tab.next().await else { panic!("closed") };
            assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!("bad")), "{query}: {message}");
            let code = &message["payload"][0]["extensions"]["code"];
            assert_eq!(code, "GRAPHQL_VALIDATION_FAILED", "{query}: {message}");
        }
        let begin = cursor(&ada.client).await;
        link_some(&place, &ada.client, 0..1).await;
        // It may stand in fragments and in parts.
        for (n, query) in [
            "subscription($after: String) { ...f }
             fragment f on Subscription { linkStatusChanged(after: $after) { cursor ...g } }
             fragment g on LinkStatusChange { graphVersion }",
            "subscription($after: String) { ... on Subscription { linkStatusChanged(after: $after) { graphVersion } } }",
            "subscription($after: String) { linkStatusChanged(after: $after) { cursor } ...f }
             fragment f on Subscription { linkStatusChanged(after: $after) { graphVersion } }",
            "query Other { ...q } fragment q on Query { platforms { id } }
             subscription Named($after: String) { ...f }
             fragment f on Subscription { linkStatusChanged(after: $after) { graphVersion } }",
        ].iter().enumerate() {
            let id = n.to_string();
            let name = query.contains("Named").then_some("Named");
            let payload = json!({ "query": query, "variables": { "after": begin }, "operationName": name });
            tab.send(json!({ "type": "subscribe", "id": id, "payload": payload })).await;
            assert_eq!(tab.event(&id, "linkStatusChanged").await["graphVersion"], 3, "{query}");
            tab.send(json!({ "type": "complete", "id": id })).await;
        }
        assert_eq!(tab.next_within(Duration::from_millis(300)).await, None, "an event came twice");
    }

    async fn a_subscription_under_an_alias_keeps_its_name(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let begin = cursor(&ada.client).await;
        app.happen(ada.account_id(), &[AccountChanged {}]).await;
        let mut tab = ada.client.socket().await;
        let query = "subscription S($c: String!) { news: accountEvents(after: $c) { kind: __typename } }";
        tab.subscribe("s", query, json!({ "c": begin })).await;
        assert_eq!(tab.event("s", "news").await, json!({ "kind": "AccountChange" }));
    }

    async fn a_cursor_expires_with_what_was_purged_behind_it(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let begin = cursor(&ada.client).await;
        // 3 and 6 are of the account, 4 and 5 of links.
        app.happen(ada.account_id(), &[AccountChanged {}]).await;
        app.happen(ada.account_id(), &[status(&ada.client).await, status(&ada.client).await]).await;
        app.happen(ada.account_id(), &[AccountChanged {}]).await;
        let mut all = Follower::open(&ada.client, "accountEvents", Some(&begin)).await;
        let cursors: Vec<_> = all.events(4).await.iter().map(|event| event["cursor"].clone()).collect();
        let behind = |number: usize| cursors[number - 3].as_str().unwrap();

        purge(&place, &ada, "account_changed", 3).await;
        for (field, after, expired) in [
            ("accountEvents", &*begin, true),
            ("accountEvents", behind(3), false),
            // What was purged is nothing that this one follows.
            ("linkStatusChanged", &*begin, false),
            ("connectionChanged", &*begin, false),
        ] {
            expires(&ada.client, (field, after), expired).await;
        }
        purge(&place, &ada, "link_status_changed", 5).await;
        for (field, after, expired) in [
            ("accountEvents", behind(4), true),
            ("accountEvents", behind(5), false),
            ("linkStatusChanged", &*begin, true),
            ("linkStatusChanged", behind(4), true),
            ("linkStatusChanged", behind(5), false),
            ("connectionChanged", &*begin, false),
        ] {
            expires(&ada.client, (field, after), expired).await;
        }
        let mut rest = Follower::open(&ada.client, "accountEvents", Some(behind(5))).await;
        assert_eq!(rest.events(1).await[0]["__typename"], "AccountChange");
    }

    async fn a_reader_that_falls_behind_the_purge_is_told(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__EVENTS__POLL_SECONDS", 3600);
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let begin = cursor(&ada.client).await;
        let mut all = Follower::open(&ada.client, "accountEvents", Some(&begin)).await;
        let mut links = Follower::open(&ada.client, "linkStatusChanged", Some(&begin)).await;
        app.happen(ada.account_id(), &[AccountChanged {}]).await;
        all.events(1).await;
        // While they wait, something is written and purged of which nobody was told, as if this replica had slept.
        let db = place.database().await;
        db.execute_unprepared("UPDATE stream SET version = version + 1").await.unwrap();
        purge(&place, &ada, "account_changed", 4).await;
        app.happen(ada.account_id(), &[AccountChanged {}]).await;
        let SocketMessage::Json(message) = all.socket.next().await else { panic!("closed") };
        assert_eq!(message["type"], "next");
        assert_eq!(message["payload"]["errors"][0]["extensions"]["code"], "CURSOR_EXPIRED");
        assert_eq!(message["payload"]["errors"][0]["path"], json!(["accountEvents"]));
        let complete = json!({ "type": "complete", "id": "follow" });
        assert_eq!(all.socket.next().await, SocketMessage::Json(complete));
        // The other one has missed nothing.
        app.happen(ada.account_id(), &[status(&ada.client).await]).await;
        assert_eq!(versions(&links.events(1).await), [6]);
    }

    async fn following_costs_few_statements_and_waiting_none(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        app.stop().await;
        let app = TestApp::start_quiet(&place, 2).await;
        let ada = Person { client: ada.client.at(&app.url), ..ada };
        let begin = cursor(&ada.client).await;
        app.happen(ada.account_id(), &[AccountChanged {}]).await;
        let follow = async || {
            ada.client.query("{ viewer { version } }").await.field();
            let mut tab = Follower::open(&ada.client, "accountEvents", Some(&begin)).await;
            tab.events(1).await;
            tab
        };
        let (mut tab, statements) = app.statements_of(follow).await;
        assert_eq!(statements, 4, "open: version and marks; read on: events and marks");
        let wait = async || assert_eq!(tab.socket.next_within(Duration::from_millis(500)).await, None);
        let ((), statements) = app.statements_of(wait).await;
        assert_eq!(statements, 0, "waiting is free");
    }

    async fn a_subscription_over_http_is_refused_and_a_query_over_a_socket_is_answered(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let refused = ada.query("subscription { linkStatusChanged { cursor } }").await;
        assert!(refused.body["errors"][0]["message"].as_str().unwrap().contains("not supported"));
        let mut socket = ada.socket().await;
        socket.subscribe("q", "{ viewer { version } }", json!({})).await;
        let payload = json!({ "data": { "viewer": { "version": 2 } },
            "extensions": { "accountsCenter": { "version": 2 } } });
        let answer = json!({ "type": "next", "id": "q", "payload": payload });
        assert_eq!(socket.next().await, SocketMessage::Json(answer));
        assert_eq!(socket.next().await, SocketMessage::Json(json!({ "type": "complete", "id": "q" })));
    }
}

/// Something that only a later release knows.
#[derive(Serialize, Deserialize)]
struct Strange {}

impl StreamEvent for Strange {
    const KIND: &'static str = "something_strange";
    const CHANGES_GRAPH: bool = false;
    const RECORDED: bool = false;
}

/// A status in a form that only a later release knows.
#[derive(Serialize, Deserialize)]
struct StrangeStatus {}

impl StreamEvent for StrangeStatus {
    const KIND: &'static str = "link_status_changed";
    const CHANGES_GRAPH: bool = true;
    const RECORDED: bool = false;
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
        assert_eq!(tab.link_event().await["graphVersion"], 3 + 2 * n);
        // And its cache has heard it too.
        assert_eq!(reader.query("{ viewer { version } }").await.field()["version"], 4 + 2 * n);
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
    assert_eq!(version(tab.link_event().await), 3);
    // The reader's replica knows of the commit, and does not show what was before.
    assert_eq!(reader.query("{ viewer { version } }").await.field()["version"], 4);
    // Half-open: Redis takes hints and loses them. Then cut. Then back.
    for (fault, n) in
        [(Fault::Drop, 1), (Fault::Cut, 2), (Fault::None, 3), (Fault::Delay(Duration::from_secs(1)), 4)]
    {
        redis.set(fault);
        link_some(&place, &ada, n..n + 1).await;
        assert_eq!(version(tab.link_event().await), 3 + 2 * i64::from(n), "with {fault:?}");
    }
    redis.set(Fault::None);
    // Each one once.
    assert_eq!(tab.next_within(Duration::from_secs(3)).await, None);
}
