//! Subscriptions of subgraphs that are slow, silent or broken: each one has an end, and its client hears of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::following::{answer, code, follow};
use super::{join, join_as, subgraph};
use crate::one_graph::subgraph::Subgraph;
use crate::support::{Person, Place, Socket, SocketMessage, TestApp, on_both_stacks};

const ADA: &str = "+4917139200042";
const FOLLOWED: &str = "subscription { followed { externalId followers } }";

/// A server, a subgraph with these settings, and Ada.
async fn with(place: &mut Place, settings: &[(&'static str, &str)]) -> (TestApp, Subgraph, Person) {
    let subgraph = join(place).await;
    for (setting, value) in settings {
        place.set(setting, value);
    }
    let app = place.app().await;
    let ada = app.client().sign_in(place, ADA).await;
    (app, subgraph, ada)
}

/// The same, followed by Server-Sent Events.
async fn by_events(place: &mut Place, silence: u64) -> (TestApp, Subgraph, Person) {
    let subgraph = join(place).await;
    place.set("ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__SUBSCRIPTIONS", "sse");
    place.set("ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__SUBSCRIPTIONS_URL", format!("{}/sse", subgraph.url));
    place.set("ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__SILENCE_SECONDS", silence);
    let app = place.app().await;
    let ada = app.client().sign_in(place, ADA).await;
    (app, subgraph, ada)
}

async fn ends_with(socket: &mut Socket, wanted: &str) {
    let last = answer(socket).await.unwrap();
    assert_eq!((code(&last), &last["data"]), (wanted, &Value::Null), "{last:#}");
    assert_eq!(answer(socket).await, None);
}

async fn hears(socket: &mut Socket) {
    assert_eq!(answer(socket).await.unwrap()["data"]["followed"]["followers"], 6);
}

const SILENCE: &str = "ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__SILENCE_SECONDS";
const EVENT_BYTES: &str = "ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__EVENT_BYTES";

on_both_stacks! {
    async fn who_never_acknowledges_is_given_up(place: Place) {
        let mut place = place;
        let patience = ("ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__ANSWER_MILLISECONDS", "500");
        let (_app, subgraph, ada) = with(&mut place, &[patience]).await;
        subgraph.set_mute();
        ends_with(&mut follow(&ada.client, FOLLOWED).await, "SUBGRAPH_TIMEOUT").await;
    }

    async fn who_answers_no_ping_is_given_up(place: Place) {
        let mut place = place;
        let (_app, subgraph, ada) = with(&mut place, &[(SILENCE, "1")]).await;
        let mut socket = follow(&ada.client, FOLLOWED).await;
        subgraph.until_followed_by(1).await;
        // One that has nothing to tell is none of them.
        assert_eq!(socket.next_within(Duration::from_secs(3)).await, None);
        subgraph.tell("wa_ada");
        hears(&mut socket).await;
        subgraph.fall_silent();
        ends_with(&mut socket, "SUBGRAPH_TIMEOUT").await;
    }

    async fn a_connection_that_is_reset_is_interrupted(place: Place) {
        let mut place = place;
        let subgraph = join_as(&mut place, subgraph::SDL, Subgraph::start_resetting().await);
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let mut socket = follow(&ada.client, FOLLOWED).await;
        subgraph.until_followed_by(1).await;
        subgraph.cut();
        ends_with(&mut socket, "SUBGRAPH_SUBSCRIPTION_INTERRUPTED").await;
    }

    async fn an_event_stream_without_a_word_is_interrupted(place: Place) {
        let mut place = place;
        let (_app, subgraph, ada) = by_events(&mut place, 1).await;
        let mut socket = follow(&ada.client, FOLLOWED).await;
        ends_with(&mut socket, "SUBGRAPH_SUBSCRIPTION_INTERRUPTED").await;
        // Comments are words enough.
        subgraph.set_chatty(true);
        subgraph.calls();
        let mut socket = follow(&ada.client, FOLLOWED).await;
        assert_eq!(socket.next_within(Duration::from_secs(3)).await, None);
        subgraph.tell("wa_ada");
        hears(&mut socket).await;
        assert_eq!(subgraph.calls().len(), 1);
        // And one that numbers its events goes on behind the last one.
        subgraph.set_chatty(false);
        subgraph.cut();
        for _ in 0..2 {
            let gone_on = crate::support::eventually("it is asked again", async || subgraph.calls().pop()).await;
            assert_eq!(gone_on.headers["last-event-id"], "1");
        }
        subgraph.tell("wa_ada");
        hears(&mut socket).await;
    }

    /// A stream that ends with its beginning is none: whoever has it is asked ever more seldom, and then no more.
    async fn a_stream_that_ends_at_once_is_not_asked_on_and_on(place: Place) {
        let mut place = place;
        let (_app, subgraph, ada) = by_events(&mut place, 60).await;
        let mut socket = follow(&ada.client, FOLLOWED).await;
        subgraph.until_followed_by(1).await;
        subgraph.tell("wa_ada");
        hears(&mut socket).await;
        subgraph.calls();
        subgraph.set_ending();
        subgraph.cut();
        assert_eq!(socket.next_within(Duration::from_secs(4)).await, None, "it is tried again");
        let early = subgraph.calls().len();
        assert!((2..=4).contains(&early), "{early} calls in 4 s");
        ends_with(&mut socket, "SUBGRAPH_SUBSCRIPTION_INTERRUPTED").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let late = subgraph.calls().len();
        assert!(early + late <= 5, "{early} and {late} calls");
    }

    async fn a_subgraph_that_asks_to_be_left_alone_is(place: Place) {
        let mut place = place;
        let (_app, subgraph, ada) = by_events(&mut place, 60).await;
        subgraph.ask_for_pause(Duration::from_secs(3));
        let mut socket = follow(&ada.client, FOLLOWED).await;
        subgraph.until_followed_by(1).await;
        subgraph.tell("wa_ada");
        hears(&mut socket).await;
        subgraph.calls();
        subgraph.cut();
        tokio::time::sleep(Duration::from_millis(2500)).await;
        assert!(subgraph.calls().is_empty());
        subgraph.until_followed_by(1).await;
        subgraph.tell("wa_ada");
        hears(&mut socket).await;
    }

    async fn an_event_that_is_too_large_ends_its_subscription(place: Place) {
        let mut place = place;
        let (app, subgraph, ada) = with(&mut place, &[(EVENT_BYTES, "2000")]).await;
        let (large, small) = ("x".repeat(4000), "x".repeat(1000));
        let follow_large = async || {
            let mut socket = follow(&ada.client, FOLLOWED).await;
            subgraph.until_followed_by(1).await;
            subgraph.tell(&small);
            assert_eq!(answer(&mut socket).await.unwrap()["data"]["followed"]["followers"], 1000);
            subgraph.tell(&large);
            ends_with(&mut socket, "SUBGRAPH_RESPONSE_TOO_LARGE").await;
            subgraph.until_followed_by(0).await;
        };
        follow_large().await;
        app.stop().await;
        place.set("ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__SUBSCRIPTIONS", "sse");
        place.set("ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__SUBSCRIPTIONS_URL", format!("{}/sse", subgraph.url));
        let app = TestApp::start(&place, 2).await;
        let ada = Person { client: ada.client.at(&app.url), ..ada };
        let mut socket = follow(&ada.client, FOLLOWED).await;
        subgraph.until_followed_by(1).await;
        subgraph.tell(&small);
        assert_eq!(answer(&mut socket).await.unwrap()["data"]["followed"]["followers"], 1000);
        subgraph.tell(&large);
        ends_with(&mut socket, "SUBGRAPH_RESPONSE_TOO_LARGE").await;
    }

    /// More than a socket takes: that operation ends, and the others on the socket go on.
    async fn an_answer_that_is_too_large_ends_its_operation_alone(place: Place) {
        let mut place = place;
        let (_app, subgraph, ada) = with(&mut place, &[(EVENT_BYTES, "16777216")]).await;
        let mut socket = follow(&ada.client, FOLLOWED).await;
        socket.subscribe("small", "subscription { followed { followers } }", json!({})).await;
        subgraph.until_followed_by(2).await;
        subgraph.tell(&"x".repeat(5 << 20));
        let mut told = Vec::new();
        for _ in 0..2 {
            let SocketMessage::Json(message) = socket.next().await else { panic!("the socket is closed") };
            told.push((message["type"].as_str().unwrap().to_owned(), message["id"].as_str().unwrap().to_owned(), message));
        }
        told.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        let [(error, s, refusal), (next, small, event)] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!([error.as_str(), s, next, small], ["error", "s", "next", "small"]);
        assert_eq!(refusal["payload"][0]["extensions"]["code"], "ANSWER_TOO_LARGE", "{refusal:#}");
        assert_eq!(event["payload"]["data"]["followed"]["followers"], 5 << 20);
        // That one is followed no more, its name is free, and the other one goes on.
        subgraph.until_followed_by(1).await;
        assert_eq!(socket.ask("{ viewer { id } }").await["viewer"]["id"], ada.account.as_str());
        subgraph.tell("wa_ada");
        let SocketMessage::Json(event) = socket.next().await else { panic!("the socket is closed") };
        assert_eq!((&event["id"], &event["payload"]["data"]["followed"]["followers"]), (&json!("small"), &json!(6)));
    }
}
