//! Subscriptions over both.

use std::time::Duration;

use serde_json::{Value, json};

use super::{join, one_graph};
use crate::support::{Client, Socket, SocketMessage, TestApp, on_both_stacks};

const ADA: &str = "+4917139200042";
/// A root of the subgraph, completed by the accounts graph.
const FOLLOWED: &str = "subscription { followed { externalId followers status unlinksAt } }";

pub async fn follow(client: &Client, query: &str) -> Socket {
    let mut socket = client.socket().await;
    socket.subscribe("s", query, json!({})).await;
    socket
}

/// The next answer of the only subscription; what ends it is `None`.
pub async fn answer(socket: &mut Socket) -> Option<Value> {
    match socket.next().await {
        SocketMessage::Json(message) if message["type"] == "next" => Some(message["payload"].clone()),
        SocketMessage::Json(message) if message["type"] == "complete" => None,
        other => panic!("{other:?}"),
    }
}

pub fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
}

on_both_stacks! {
    async fn an_event_of_the_accounts_graph_is_completed_by_a_subgraph(place: Place) {
        let mut place = place;
        let (app, subgraph) = one_graph(&mut place).await;
        let ada = app.client().sign_in(&place, ADA).await;
        let mut socket = ada.client.socket().await;
        let cursor = socket.ask("{ viewer { eventCursor } }").await["viewer"]["eventCursor"].clone();
        let query = "subscription($after: String) { linkStatusChanged(after: $after) {
            linkStatus profile { externalId followers handle } } }";
        socket.subscribe("s", query, json!({ "after": cursor })).await;
        place.sandbox.add_profile("wa_second", "+4917139200077").await;
        ada.client.link(&place, "+4917139200077").await;
        let event = answer(&mut socket).await.unwrap();
        let profile = json!({ "externalId": "wa_second", "followers": 9, "handle": "+49 ··· ·· 77" });
        let wanted = json!({ "linkStatus": "ACTIVE", "profile": profile });
        assert_eq!(event["data"]["linkStatusChanged"], wanted, "{event:#}");
        assert_eq!(subgraph.calls().len(), 1);
    }

    async fn an_event_of_a_subgraph_is_completed_by_the_accounts_graph(place: Place) {
        let mut place = place;
        let (app, subgraph) = one_graph(&mut place).await;
        let ada = app.client().sign_in(&place, ADA).await;
        let mut socket = follow(&ada.client, FOLLOWED).await;
        subgraph.until_followed_by(1).await;
        for id in ["wa_ada", "wa_ada"] {
            subgraph.tell(id);
            let event = answer(&mut socket).await.unwrap();
            let wanted = json!({ "externalId": id, "followers": 6, "status": "ACTIVE", "unlinksAt": null });
            assert_eq!(event, json!({ "data": { "followed": wanted },
                "extensions": event["extensions"] }), "{event:#}");
        }
        subgraph.complete();
        assert_eq!(answer(&mut socket).await, None);
        subgraph.until_followed_by(0).await;
        // A token of its own says who follows, and not the client's.
        let calls = subgraph.calls();
        let (shown, own) = (&calls[0].headers["authorization"], ada.client.token.as_ref().unwrap());
        assert!(shown.to_str().unwrap().starts_with("Bearer ") && !shown.to_str().unwrap().contains(own.as_str()));
        assert_eq!(shown, &calls[0].headers["x-of-the-payload"]);
    }

    /// The subgraph was told that the profile is hers, and goes on telling of it.
    async fn s17_nothing_of_a_subgraph_flows_once_its_profile_is_being_unlinked(place: Place) {
        let mut place = place;
        let (app, subgraph) = one_graph(&mut place).await;
        let ada = app.client().sign_in(&place, ADA).await;
        place.sandbox.add_profile("wa_second", "+4917139200077").await;
        let mut socket = follow(&ada.client, FOLLOWED).await;
        subgraph.until_followed_by(1).await;
        // One more is no reason to begin anew.
        let linked = ada.client.link(&place, "+4917139200077").await;
        let second = linked.field()["outcome"]["profile"]["id"].as_str().unwrap().to_owned();
        subgraph.tell("wa_second");
        assert_eq!(answer(&mut socket).await.unwrap()["data"]["followed"]["externalId"], "wa_second");
        let mut again = follow(&ada.client, FOLLOWED).await;
        subgraph.until_followed_by(2).await;
        ada.client.unlink(&second).await.field();
        subgraph.tell("wa_second");
        for socket in [&mut socket, &mut again] {
            let last = answer(socket).await.unwrap();
            assert_eq!((code(&last), &last["data"]), ("CALLER_CHANGED", &Value::Null), "{last:#}");
            assert_eq!(answer(socket).await, None);
        }
        subgraph.until_followed_by(0).await;
        // What is still hers goes on.
        let mut rest = follow(&ada.client, FOLLOWED).await;
        subgraph.until_followed_by(1).await;
        subgraph.tell("wa_ada");
        assert_eq!(answer(&mut rest).await.unwrap()["data"]["followed"]["externalId"], "wa_ada");
    }

    async fn s40_what_breaks_upstream_ends_a_subscription_clearly(place: Place) {
        let mut place = place;
        let (app, subgraph) = one_graph(&mut place).await;
        let ada = app.client().sign_in(&place, ADA).await;
        let mut socket = follow(&ada.client, FOLLOWED).await;
        subgraph.until_followed_by(1).await;
        subgraph.cut();
        let last = answer(&mut socket).await.unwrap();
        assert_eq!((code(&last), &last["data"]), ("SUBGRAPH_SUBSCRIPTION_INTERRUPTED", &Value::Null), "{last:#}");
        assert_eq!(answer(&mut socket).await, None);
        subgraph.until_followed_by(0).await;
        // Garbage is none of GraphQL's answers.
        for garbage in ["garbage", "{\"type\":\"next\",\"id\":\"1\"}", "{\"type\":\"nothing\"}", "[]"] {
            let mut socket = follow(&ada.client, FOLLOWED).await;
            subgraph.until_followed_by(1).await;
            subgraph.tell_raw(garbage);
            let last = answer(&mut socket).await.unwrap();
            assert_eq!(code(&last), "SUBGRAPH_MALFORMED_RESPONSE", "{garbage}: {last:#}");
            assert_eq!(answer(&mut socket).await, None);
            subgraph.until_followed_by(0).await;
        }
        // An answer that is no GraphQL is an error, and the next one comes.
        let mut socket = follow(&ada.client, FOLLOWED).await;
        subgraph.until_followed_by(1).await;
        subgraph.tell_answer(json!({ "data": { "followed": 7 } }));
        assert_eq!(answer(&mut socket).await.unwrap()["data"], Value::Null);
        subgraph.tell("wa_ada");
        assert_eq!(answer(&mut socket).await.unwrap()["data"]["followed"]["followers"], 6);
    }

    async fn whoever_leaves_is_not_followed_for_any_longer(place: Place) {
        let mut place = place;
        let (app, subgraph) = one_graph(&mut place).await;
        let ada = app.client().sign_in(&place, ADA).await;
        let mut socket = follow(&ada.client, FOLLOWED).await;
        subgraph.until_followed_by(1).await;
        socket.send(json!({ "type": "complete", "id": "s" })).await;
        subgraph.until_followed_by(0).await;
        let socket = follow(&ada.client, FOLLOWED).await;
        subgraph.until_followed_by(1).await;
        drop(socket);
        subgraph.until_followed_by(0).await;
    }

    async fn events_of_server_sent_events_go_on_where_they_stopped(place: Place) {
        let mut place = place;
        let subgraph = join(&mut place).await;
        place.set("ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__SUBSCRIPTIONS", "sse");
        place.set("ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__SUBSCRIPTIONS_URL", format!("{}/sse", subgraph.url));
        let app: TestApp = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let mut socket = follow(&ada.client, FOLLOWED).await;
        subgraph.until_followed_by(1).await;
        subgraph.tell("wa_ada");
        assert_eq!(answer(&mut socket).await.unwrap()["data"]["followed"]["status"], "ACTIVE");
        subgraph.set_away(true);
        subgraph.cut();
        subgraph.until_followed_by(0).await;
        // What is told while nobody is there comes once it is followed again.
        subgraph.tell("wa_ada");
        subgraph.tell("wa_ada");
        subgraph.set_away(false);
        for _ in 0..2 {
            assert_eq!(answer(&mut socket).await.unwrap()["data"]["followed"]["followers"], 6);
        }
        assert!(socket.next_within(Duration::from_millis(300)).await.is_none(), "each one once");
        let last = subgraph.calls().last().unwrap().headers["last-event-id"].clone();
        assert_eq!(last, "1");
        subgraph.complete();
        assert_eq!(answer(&mut socket).await, None);
    }
}
