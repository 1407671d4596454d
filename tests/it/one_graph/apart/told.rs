//! What replicas tell routers, and nobody else.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error;

use super::super::hostile::claims as token_claims;
use super::ADA;
use super::sockets::{REVOKE, init};
use crate::routers::mint;
use crate::support::{Socket, SocketMessage, eventually, on_both_stacks};

on_both_stacks! {
    async fn tokens_of_subgraphs_are_made_for_routers(place: Place) {
        let app = place.app().await;
        let (ada, router) = (app.client().sign_in(&place, ADA).await, mint(&place).await);
        let token = format!("Bearer {}", ada.client.token.as_ref().unwrap());
        let ask = async |headers: &[(&'static str, &str)], query: &str| {
            let mut request = reqwest::Client::new().get(format!("{}/subgraph-token?{query}", app.url));
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.json::<Value>().await.unwrap())
        };
        let (shows, hers) = (("accounts-center-router", &*router), ("authorization", &*token));
        let forged = ("authorization", "Bearer x.y.z");
        for (headers, query, status, code) in [
            (&[hers][..], "subgraph=a", 401, "UNAUTHENTICATED"),
            (&[("accounts-center-router", "x"), hers], "subgraph=a", 401, "UNAUTHENTICATED"),
            (&[shows, forged], "subgraph=a", 401, "UNAUTHENTICATED"),
            (&[shows, hers], "", 400, "BAD_USER_INPUT"),
            (&[shows, hers], "subgraph=a&platform=whatsapp", 400, "BAD_USER_INPUT"),
            (&[shows, hers, ("accounts-center-min-version", "x")], "subgraph=a", 400, "BAD_USER_INPUT"),
        ] {
            let (told, answer) = ask(headers, query).await;
            assert_eq!((told, &answer["errors"][0]["extensions"]["code"]), (status, &json!(code)), "{query}: {answer}");
            assert!(answer.get("authorization").is_none());
        }
        let claims = |answer: &Value| {
            let (_, claims) = token_claims(&answer["authorization"].as_str().unwrap().parse().unwrap());
            claims
        };
        // What is told of one is not told of the next, though they are called the same.
        for (platforms, profiles, named) in [
            ("&platforms=whatsapp,instagram", json!({ "whatsapp": ["wa_ada"], "instagram": [] }), json!(["whatsapp wa_ada"])),
            ("&platforms=instagram", json!({ "instagram": [] }), json!([])),
            ("", Value::Null, json!([])),
        ] {
            let (status, answer) = ask(&[shows, hers], &format!("subgraph=a{platforms}")).await;
            let told = claims(&answer);
            assert_eq!((status, &told["aud"], &told["sub"]), (200, &json!("a"), &json!(ada.account)), "{answer}");
            assert_eq!((&told["profiles"], &answer["named"]), (&profiles, &named), "{told}");
        }
        let (_, nobodys) = ask(&[shows], "subgraph=a&platforms=whatsapp").await;
        assert!(claims(&nobodys).get("sub").is_none() && nobodys["named"] == json!([]), "{nobodys}");
    }

    async fn which_sessions_have_ended_is_for_routers(place: Place) {
        let app = place.app().await;
        let (ada, router) = (app.client().sign_in(&place, ADA).await, mint(&place).await);
        let ask = async |name: &'static str, value: &str| {
            let request = reqwest::Client::new().get(format!("{}/sessions/ended", app.url));
            let response = request.header(name, value).send().await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        };
        let token = ada.client.token.as_ref().unwrap();
        for (name, value) in [
            ("accept", "*/*"),
            ("authorization", &*format!("Bearer {token}")),
            ("authorization", &*format!("Bearer {router}")),
            ("accounts-center-router", token),
            ("accounts-center-router", "x"),
        ] {
            let (status, body) = ask(name, value).await;
            assert!(status == 401 && body.contains("UNAUTHENTICATED") && !body.contains("sessions\""), "{name}: {body}");
        }
        let told = json!({ "sessions": [] }).to_string();
        eventually("it is known", async || {
            (ask("accounts-center-router", &router).await == (200, told.clone())).then_some(())
        })
        .await;
        ada.client.mutate(REVOKE, json!({ "sessionId": ada.session })).await.field();
        let ended = json!({ "sessions": [ada.session] }).to_string();
        eventually("it is told", async || {
            (ask("accounts-center-router", &router).await == (200, ended.clone())).then_some(())
        })
        .await;
    }

    async fn a_router_may_ask_for_entities_over_a_socket_as_well(place: Place) {
        place.sandbox.add_profile("wa_eve", "+4917139200050").await;
        let app = place.app().await;
        let router = mint(&place).await;
        let sdl = "{ _service { sdl } }";
        let mut plain = Socket::open(&app.url, None).await;
        plain.subscribe("1", sdl, json!({})).await;
        let SocketMessage::Json(error) = plain.next().await else { panic!("closed") };
        assert_eq!(error["payload"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
        let shows = |token: &str| [("accounts-center-router", token.to_owned())];
        let mut routers = Socket::connect_with(&app.url, &shows(&router)).await.unwrap();
        routers.send(json!({ "type": "connection_init" })).await;
        assert_eq!(routers.next().await, SocketMessage::Json(json!({ "type": "connection_ack" })));
        assert!(routers.ask(sdl).await["_service"]["sdl"].as_str().unwrap().contains("@key"));
        // S23: what it asks for is answered as the socket's speaker may see it.
        let eve = app.client().sign_in(&place, "+4917139200050").await;
        let ada = app.client().sign_in(&place, ADA).await;
        for (person, handle) in [(&ada, json!({ "handle": "+49 ··· ·· 42" })), (&eve, Value::Null)] {
            let mut routers = Socket::connect_with(&app.url, &shows(&router)).await.unwrap();
            routers.send(init(person.client.token.as_ref().unwrap())).await;
            assert_eq!(routers.next().await, SocketMessage::Json(json!({ "type": "connection_ack" })));
            let entities = "{ _entities(representations: [{ __typename: \"LinkedProfile\",
                platformKey: \"whatsapp\", externalId: \"wa_ada\" }]) { ... on LinkedProfile { handle } } }";
            assert_eq!(routers.ask(entities).await["_entities"], json!([handle]));
        }
        match Socket::connect_with(&app.url, &shows("x")).await {
            Err(Error::Http(response)) => assert_eq!(response.status(), 401),
            _ => panic!("it was let in"),
        }
    }
}
