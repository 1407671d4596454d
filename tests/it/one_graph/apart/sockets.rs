//! Subscriptions over a gateway of its own, and how its sockets end.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::following::{answer, code};
use super::super::guards::{GUARDED, told};
use super::super::subgraph;
use super::{ADA, Apart, front_at, refused, socket};
use crate::node_client::NodeClient;
use crate::routers::mint;
use crate::support::{Client, Socket, SocketMessage, eventually, on_both_stacks};

/// Named, as clients name theirs, though there is no other.
pub const FOLLOWED: &str = "subscription Followed { followed { externalId followers status unlinksAt } }";
pub const REVOKE: &str =
    "mutation($input: RevokeSessionInput!) { revokeSession(input: $input) { revokedSessionId } }";

pub async fn closed(socket: &mut Socket) -> u16 {
    match socket.next().await {
        SocketMessage::Closed(code) => code,
        SocketMessage::Json(message) => panic!("{message}"),
    }
}

/// The answer that ends an operation.
async fn last_of(socket: &mut Socket, id: &str) -> Value {
    let SocketMessage::Json(last) = socket.next().await else { panic!("closed") };
    assert_eq!((&last["type"], &last["id"]), (&json!("next"), &json!(id)), "{last:#}");
    assert_eq!(socket.next().await, SocketMessage::Json(json!({ "type": "complete", "id": id })));
    last["payload"].clone()
}

pub fn init(token: &str) -> Value {
    json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {token}") } })
}

/// How a socket that shows `token` goes on.
pub async fn welcome(url: &str, token: &str) -> SocketMessage {
    let mut socket = Socket::connect(url, None).await.unwrap();
    socket.send(init(token)).await;
    socket.next().await
}

on_both_stacks! {
    async fn an_event_of_the_replicas_is_completed_by_a_subgraph(place: Place) {
        let mut place = place;
        let apart = Apart::start(&mut place, subgraph::SDL, &[]).await;
        let ada = apart.client().sign_in(&place, ADA).await;
        let mut socket = socket(&ada.client).await;
        let cursor = socket.ask("{ viewer { eventCursor } }").await["viewer"]["eventCursor"].clone();
        let query = "subscription($after: String) { linkStatusChanged(after: $after) {
            linkStatus profile { externalId followers handle } } }";
        socket.subscribe("s", query, json!({ "after": cursor })).await;
        place.sandbox.add_profile("wa_second", "+4917139200077").await;
        assert_eq!(ada.client.link(&place, "+4917139200077").await.user_errors(), [""; 0]);
        let event = answer(&mut socket).await.unwrap();
        let profile = json!({ "externalId": "wa_second", "followers": 9, "handle": "+49 ··· ·· 77" });
        let wanted = json!({ "linkStatus": "ACTIVE", "profile": profile });
        assert_eq!(event["data"]["linkStatusChanged"], wanted, "{event:#}");
        // What is asked over the same socket beside that is answered, and what is refused says why.
        socket.subscribe("q", "{ greeting nope }", json!({})).await;
        let SocketMessage::Json(error) = socket.next().await else { panic!("closed") };
        assert_eq!((&error["type"], &error["id"]), (&json!("error"), &json!("q")), "{error:#}");
        assert_eq!(error["payload"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
        assert_eq!(socket.ask("{ greeting }").await, json!({ "greeting": "hello" }));
    }

    async fn an_event_of_a_subgraph_is_completed_by_the_replicas(place: Place) {
        let mut place = place;
        let apart = Apart::start(&mut place, subgraph::SDL, &[]).await;
        let (ada, subgraph) = (apart.client().sign_in(&place, ADA).await, &apart.subgraph);
        let mut socket = socket(&ada.client).await;
        socket.subscribe("s", FOLLOWED, json!({})).await;
        subgraph.until_followed_by(1).await;
        subgraph.tell("wa_ada");
        let event = answer(&mut socket).await.unwrap();
        let wanted = json!({ "externalId": "wa_ada", "followers": 6, "status": "ACTIVE", "unlinksAt": null });
        assert_eq!((&event["data"]["followed"], event.get("errors")), (&wanted, None), "{event:#}");
        // Nobody sees of it what is hers.
        let mut nobodys = Socket::open(&apart.gateway.url, None).await;
        nobodys.subscribe("s", FOLLOWED, json!({})).await;
        subgraph.until_followed_by(2).await;
        subgraph.tell("wa_ada");
        let event = answer(&mut nobodys).await.unwrap();
        assert_eq!(event["data"]["followed"]["status"], Value::Null, "{event:#}");
        assert!(event.get("errors").is_some() && answer(&mut socket).await.is_some(), "{event:#}");
        // And the subgraph has not seen who she is.
        let token = ada.client.token.as_ref().unwrap();
        for call in subgraph.calls() {
            assert!(!format!("{call:?}").contains(token.as_str()), "{call:?}");
        }
        subgraph.cut();
        assert_eq!(code(&answer(&mut socket).await.unwrap()), "SUBGRAPH_SUBSCRIPTION_INTERRUPTED");
        assert_eq!(answer(&mut socket).await, None);
        subgraph.until_followed_by(0).await;
    }

    async fn s15_a_session_that_has_ended_ends_its_sockets_at_a_gateway_as_well(place: Place) {
        let mut place = place;
        let apart = Apart::start(&mut place, GUARDED, &[]).await;
        let first = apart.client().sign_in(&place, ADA).await;
        let second = apart.client().sign_in(&place, ADA).await;
        let (mut idle, mut follows) = (socket(&first.client).await, socket(&first.client).await);
        follows.subscribe("s", "subscription { followed { externalId } }", json!({})).await;
        apart.subgraph.until_followed_by(1).await;
        let mut other = socket(&second.client).await;
        let greet = "{ greeting }";
        assert_eq!(first.client.query(greet).await.body, json!({ "data": { "greeting": "hello" } }));
        let revoked = second.client.mutate(REVOKE, json!({ "sessionId": first.session })).await;
        assert_eq!(revoked.field()["revokedSessionId"], first.session.as_str());
        assert_eq!((closed(&mut idle).await, closed(&mut follows).await), (4403, 4403));
        apart.subgraph.until_followed_by(0).await;
        let answer = first.client.query(greet).await.body;
        assert_eq!(refused(&answer), [told(json!(["greeting"]), "UNAUTHENTICATED")], "{answer:#}");
        let token = first.client.token.as_ref().unwrap();
        assert_eq!(welcome(&apart.gateway.url, token).await, SocketMessage::Closed(4403));
        // Nobody else is touched.
        assert_eq!(other.ask(greet).await, json!({ "greeting": "hello" }));
    }

    /// Each of them is a socket of the gateway's at a replica, and none of hers.
    async fn somebody_may_have_more_subscriptions_than_sockets(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__LIMITS__SOCKETS_PER_ACCOUNT", 2);
        place.set("ACCOUNTS__LIMITS__SUBSCRIPTIONS_PER_ACCOUNT", 4);
        let apart = Apart::start(&mut place, subgraph::SDL, &[]).await;
        let ada = apart.client().sign_in(&place, ADA).await;
        let mut socket = socket(&ada.client).await;
        let cursor = socket.ask("{ viewer { eventCursor } }").await["viewer"]["eventCursor"].clone();
        let query = "subscription Links($after: String) { linkStatusChanged(after: $after) { linkStatus } }";
        for id in ["1", "2", "3", "4"] {
            socket.subscribe(id, query, json!({ "after": cursor })).await;
        }
        place.sandbox.add_profile("wa_second", "+4917139200077").await;
        ada.client.link(&place, "+4917139200077").await.field();
        let mut told = Vec::new();
        for _ in 0..4 {
            let SocketMessage::Json(message) = socket.next().await else { panic!("closed") };
            assert_eq!(message["payload"]["data"]["linkStatusChanged"]["linkStatus"], "ACTIVE", "{message:#}");
            told.push(message["id"].as_str().unwrap().to_owned());
        }
        told.sort_unstable();
        assert_eq!(told, ["1", "2", "3", "4"]);
        // What the replicas do not allow her is her own matter: it is no fault of theirs.
        for _ in 0..60 {
            socket.subscribe("5", query, json!({ "after": cursor })).await;
            let last = last_of(&mut socket, "5").await;
            assert_eq!(last["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{last:#}");
        }
        assert!(ada.client.query("{ viewer { id } }").await.body.get("errors").is_none());
    }

    /// The replica ends what it brings at once, though nobody has told the gateway.
    async fn s17_nothing_of_a_subgraph_flows_behind_an_unlinking_at_a_gateway_as_well(place: Place) {
        let mut place = place;
        let apart = Apart::start(&mut place, subgraph::SDL, &[]).await;
        let (ada, subgraph) = (apart.client().sign_in(&place, ADA).await, &apart.subgraph);
        place.sandbox.add_profile("wa_second", "+4917139200077").await;
        let linked = ada.client.link(&place, "+4917139200077").await;
        let second = linked.field()["outcome"]["profile"]["id"].as_str().unwrap().to_owned();
        let mut socket = socket(&ada.client).await;
        socket.subscribe("s", FOLLOWED, json!({})).await;
        subgraph.until_followed_by(1).await;
        subgraph.tell("wa_second");
        assert_eq!(answer(&mut socket).await.unwrap()["data"]["followed"]["externalId"], "wa_second");
        ada.client.unlink(&second).await.field();
        // What was said of the caller before counts no longer, though it was said a moment ago.
        subgraph.tell("wa_second");
        let last = answer(&mut socket).await.unwrap();
        assert_eq!((code(&last), &last["data"]), ("CALLER_CHANGED", &Value::Null), "{last:#}");
        assert_eq!(answer(&mut socket).await, None);
        subgraph.until_followed_by(0).await;
    }

    /// Nobody can say just then what is the caller's, and nothing of the event is lost for it.
    async fn an_event_of_a_subgraph_waits_for_replicas_that_start_anew(place: Place) {
        let mut place = place;
        let Apart { app, subgraph, gateway } = Apart::start(&mut place, subgraph::SDL, &[]).await;
        let ada = Client::new(&gateway.url).sign_in(&place, ADA).await;
        let mut socket = socket(&ada.client).await;
        socket.subscribe("s", "subscription { followed { externalId followers } }", json!({})).await;
        subgraph.until_followed_by(1).await;
        place.set("ACCOUNTS__HTTP__LISTEN", app.url.trim_start_matches("http://"));
        app.stop().await;
        // What was said of the caller is good for some seconds, and then no more.
        tokio::time::sleep(Duration::from_secs(6)).await;
        subgraph.tell("wa_ada");
        assert_eq!(socket.next_within(Duration::from_secs(3)).await, None);
        let _app = place.app().await;
        let event = answer(&mut socket).await.unwrap();
        let wanted = json!({ "followed": { "externalId": "wa_ada", "followers": 6 } });
        assert_eq!(event["data"], wanted, "{event:#}");
    }

    async fn a_session_that_has_ended_is_refused_and_nobody_else(place: Place) {
        let mut place = place;
        // So that nobody tells it, and it knows nobody.
        let settings = [("ACCOUNTS__GATEWAY__ACCOUNTS_URL", "")];
        let apart = Apart::start(&mut place, subgraph::SDL, &settings).await;
        let first = apart.client().sign_in(&place, ADA).await;
        let second = apart.client().sign_in(&place, ADA).await;
        let mut socket = socket(&first.client).await;
        let cursor = socket.ask("{ viewer { eventCursor } }").await["viewer"]["eventCursor"].clone();
        let query = "subscription Links($after: String) { linkStatusChanged(after: $after) { linkStatus } }";
        socket.subscribe("s", query, json!({ "after": cursor })).await;
        // It is open where a second one on its heels is answered.
        eventually("the replica is followed", async || {
            let metrics = reqwest::get(format!("{}/metrics", apart.app.url)).await.unwrap().text().await.unwrap();
            metrics.contains("accounts_center_sockets 1").then_some(())
        })
        .await;
        second.client.mutate(REVOKE, json!({ "sessionId": first.session })).await.field();
        for id in std::iter::once("s").chain(std::iter::repeat_n("again", 60)) {
            if id == "again" {
                socket.subscribe(id, query, json!({ "after": cursor })).await;
            }
            let last = last_of(&mut socket, id).await;
            assert_eq!(last["errors"][0]["extensions"]["code"], "SUBGRAPH_SUBSCRIPTION_REFUSED", "{last:#}");
        }
        assert!(second.client.query("{ viewer { id } }").await.body.get("errors").is_none());
    }

    async fn graphql_ws_comes_back_to_a_gateway_that_was_started_anew(place: Place) {
        let mut place = place;
        let mut apart = Apart::start(&mut place, subgraph::SDL, &[]).await;
        let ada = apart.app.client().sign_in(&place, ADA).await.client;
        socket(&ada.at(&apart.gateway.url)).await;
        let mut node = NodeClient::follow_links(&apart.gateway.url, ada.token.as_deref().unwrap());
        assert_eq!(node.next().await, "connected");
        ada.link(&place, "+4917139200043").await.field();
        assert_eq!(node.next().await, "ACTIVE VERIFIED 3 +49 ··· ·· 43");
        assert!(apart.gateway.interrupt().await.success());
        assert_eq!(node.next().await, "closed 1012");
        let address = apart.gateway.url.strip_prefix("http://").unwrap();
        let router = mint(&place).await;
        let _again = front_at(address, &place, (&apart.app.url, &router), &apart.subgraph, &[]).await;
        assert_eq!(node.next().await, "connected");
        place.sandbox.add_profile("wa_more", "+4917139200055").await;
        ada.link(&place, "+4917139200055").await.field();
        assert_eq!(node.next().await, "ACTIVE VERIFIED 5 +49 ··· ·· 55");
    }
}
