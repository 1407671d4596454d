//! The protocol `graphql-transport-ws`, and clients that do not keep it.

use std::time::Duration;

use accounts_center::account::event::AccountChanged;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::{Socket, SocketMessage, eventually, on_both_stacks};

const ADA: &str = "+4917139200042";

on_both_stacks! {
    /// RFC 6455, section 5.5.1: who says goodbye is answered, and the connection ends in good order.
    async fn a_close_is_answered(place: Place) {
        let app = place.app().await;
        let mut socket = Socket::open(&app.url, None).await;
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        socket.send_raw(Message::Close(Some(frame))).await;
        assert_eq!(socket.next().await, SocketMessage::Closed(1000));
    }

    async fn each_breach_has_its_close_code(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__HTTP__INIT_TIMEOUT_SECONDS", 1);
        let app = place.app().await;
        let query = json!({ "type": "subscribe", "id": "1", "payload": { "query": "{ platforms { id } }" } });
        let follow = json!({ "type": "subscribe", "id": "1",
            "payload": { "query": "subscription { linkStatusChanged { cursor } }" } });
        let init = json!({ "type": "connection_init" });
        let forged = json!({ "type": "connection_init", "payload": { "authorization": "Bearer x.y.z" } });
        let basic = json!({ "type": "connection_init", "payload": { "authorization": "Basic eDp5" } });
        let text = |value: &Value| Message::text(value.to_string());
        for (messages, code) in [
            (vec![], 4408),
            (vec![text(&query)], 4401),
            (vec![text(&forged)], 4403),
            (vec![text(&basic)], 4403),
            (vec![text(&init), text(&init)], 4429),
            (vec![Message::text("no JSON")], 4400),
            (vec![Message::text("{\"type\":\"begin\"}")], 4400),
            (vec![Message::binary(vec![1, 2])], 4400),
            (vec![text(&init), Message::text("{\"type\":\"subscribe\",\"id\":1}")], 4400),
        ] {
            let mut socket = Socket::connect(&app.url, None).await.unwrap();
            for message in messages.clone() {
                socket.send_raw(message).await;
            }
            assert_eq!(closed(&mut socket).await, code, "{messages:?}");
        }
        // A second operation of one id, while the first is open.
        let ada = app.client().sign_in(&place, ADA).await.client;
        let mut socket = ada.socket().await;
        socket.send(follow.clone()).await;
        socket.send(follow).await;
        assert_eq!(closed(&mut socket).await, 4409);
    }

    async fn an_id_is_free_again_once_its_operation_has_ended(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let mut socket = ada.socket().await;
        for _ in 0..3 {
            socket.follow_links(None).await;
            socket.send(json!({ "type": "complete", "id": "links" })).await;
        }
        socket.send(json!({ "type": "ping", "payload": { "n": 1 } })).await;
        assert_eq!(socket.next().await, SocketMessage::Json(json!({ "type": "pong", "payload": { "n": 1 } })));
        socket.send(json!({ "type": "pong" })).await;
        // What is not valid ends with an error, and the socket stays.
        socket.subscribe("links", "{ nope }", json!({})).await;
        let SocketMessage::Json(error) = socket.next().await else { panic!("closed") };
        assert_eq!((&error["type"], &error["id"]), (&json!("error"), &json!("links")));
        assert_eq!(error["payload"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
        socket.subscribe("links", "{", json!({})).await;
        let SocketMessage::Json(error) = socket.next().await else { panic!("closed") };
        assert_eq!(error["payload"][0]["extensions"]["code"], "GRAPHQL_PARSE_FAILED");
        socket.follow_links(None).await;
    }

    async fn a_socket_has_a_bounded_number_of_operations(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let mut socket = ada.socket().await;
        for n in 0..101 {
            socket.subscribe(&n.to_string(), "subscription { linkStatusChanged { cursor } }", json!({})).await;
        }
        let SocketMessage::Json(refused) = socket.next().await else { panic!("closed") };
        assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!("100")));
        assert_eq!(refused["payload"][0]["extensions"]["code"], "BAD_USER_INPUT");
        // Nothing is kept of what was refused, so its id is free at once.
        for _ in 0..20 {
            socket.subscribe("100", "subscription { linkStatusChanged { cursor } }", json!({})).await;
        }
        for _ in 0..20 {
            let SocketMessage::Json(refused) = socket.next().await else { panic!("closed") };
            assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!("100")));
        }
        // What the hundred still have to say does not matter.
        socket.send_raw(Message::text("x".repeat(70_000))).await;
        assert_eq!(closed(&mut socket).await, 1009);
    }

    async fn only_our_own_pages_may_open_a_socket(place: Place) {
        let app = place.app().await;
        let own = app.url.clone();
        let localhost = own.replace("127.0.0.1", "localhost");
        for good in [None, Some(own.as_str()), Some(localhost.as_str())] {
            assert!(Socket::connect(&app.url, good).await.is_ok(), "{good:?}");
        }
        for bad in ["https://evil.example", "null", "http://127.0.0.1:1", "file://"] {
            match Socket::connect(&app.url, Some(bad)).await {
                Err(Error::Http(response)) => assert_eq!(response.status(), 403, "{bad}"),
                _ => panic!("{bad} was let in"),
            }
        }
    }

    /// While nobody reads a socket, what it has asked for goes on, and holds nothing that others need.
    async fn a_socket_that_is_not_read_holds_nobody_up(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let introspection = "{ __schema { types { name description fields { name description type { name kind } } } } }";
        let start = "mutation { startSignIn(input: { platform: \"whatsapp\",
            proof: { oneTimeCode: { handle: \"+4917139200099\" } } }) { userErrors { code } } }";
        let mut unread = Vec::new();
        for _ in 0..3 {
            let mut socket = app.client().socket().await;
            for n in 0..90 {
                let query = if n % 3 == 0 { start } else { introspection };
                socket.subscribe(&n.to_string(), query, json!({})).await;
            }
            unread.push(socket);
        }
        for _ in 0..5 {
            let writing = ada.start_link("+4917139200043");
            let answer = tokio::time::timeout(Duration::from_secs(20), writing).await.expect("a writer was held up");
            answer.field();
        }
    }

    /// A subscriber that takes nothing is let go, and with it what is kept for it.
    async fn a_subscriber_that_does_not_read_is_let_go(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__HTTP__SEND_SECONDS", 1);
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let begin = ada.client.query("{ viewer { eventCursor } }").await.field()["eventCursor"].clone();
        // A hundred events of 300 KB: more than the sockets on both ends take.
        let name = "x".repeat(100_000);
        let db = place.database().await;
        db.execute_unprepared(&format!("UPDATE account SET display_name = '{name}'")).await.unwrap();
        app.happen(ada.account_id(), &(0..100).map(|_| AccountChanged {}).collect::<Vec<_>>()).await;
        let query = "subscription($after: String) { accountEvents(after: $after) {
            ... on AccountChange { account { a: displayName b: displayName c: displayName } } } }";
        let mut unread = ada.client.socket().await;
        let mut read = ada.client.socket().await;
        for socket in [&mut unread, &mut read] {
            socket.subscribe("account", query, json!({ "after": begin })).await;
        }
        for _ in 0..100 {
            read.event("account", "accountEvents").await;
        }
        drop(read);
        eventually("nobody follows any more", async || (app.app().store.followed() == 0).then_some(())).await;
        let mut taken = 0;
        while let SocketMessage::Json(_) = unread.next().await {
            taken += 1;
        }
        assert!((1..100).contains(&taken), "{taken} events fitted into the sockets");
    }

    async fn a_stopping_server_tells_sockets_to_come_back(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let mut sockets = Vec::new();
        for _ in 0..50 {
            let mut socket = ada.socket().await;
            socket.follow_links(None).await;
            sockets.push(socket);
        }
        let (codes, ()) = tokio::join!(futures_util::future::join_all(sockets.iter_mut().map(closed)), app.stop());
        assert!(codes.iter().all(|code| *code == 1012), "{codes:?}");
    }

    async fn a_silent_peer_is_pinged_and_let_go(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__HTTP__PING_SECONDS", 1);
        let app = place.app().await;
        // This one answers pings, as the library does by itself while it reads.
        let mut alive = app.client().socket().await;
        // This one does not: nobody reads it.
        let mut silent = app.client().socket().await;
        assert_eq!(alive.next_within(Duration::from_secs(5)).await, None);
        assert!(matches!(silent.next().await, SocketMessage::Closed(_)));
        alive.send(json!({ "type": "ping" })).await;
        assert_eq!(alive.next().await, SocketMessage::Json(json!({ "type": "pong" })));
    }
}

async fn closed(socket: &mut Socket) -> u16 {
    loop {
        if let SocketMessage::Closed(code) = socket.next().await {
            return code;
        }
    }
}
