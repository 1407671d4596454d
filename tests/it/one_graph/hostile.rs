//! A subgraph that writes down all it gets, and uses it elsewhere (S43).

use axum::http::HeaderValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use super::one_graph;
use crate::support::{Socket, SocketMessage, on_both_stacks};

const ADA: &str = "+4917139200042";
const QUERY: &str = "{ viewer { id profiles { externalId followers } } greeting }";

/// The token in an `Authorization`, and what it says.
pub fn claims(authorization: &HeaderValue) -> (String, Value) {
    let token = authorization.to_str().unwrap().strip_prefix("Bearer ").expect("a bearer token").to_owned();
    let part = token.split('.').nth(1).expect("a JWT");
    let claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    (token, claims)
}

/// Whether a subgraph of this name would take a token: by our published keys, as its team would write it.
async fn takes(url: &str, name: &str, token: &str) -> bool {
    let keys = reqwest::get(format!("{url}/.well-known/jwks.json")).await.unwrap();
    let keys: JwkSet = keys.json().await.unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    let key = DecodingKey::from_jwk(keys.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&[name]);
    validation.set_issuer(&["accounts-center"]);
    // The test's clock is not the system's.
    validation.validate_exp = false;
    jsonwebtoken::decode::<Value>(token, &key, &validation).is_ok()
}

on_both_stacks! {
    async fn s43_a_subgraphs_token_is_good_for_itself_alone(place: Place) {
        let mut place = place;
        let (app, subgraph) = one_graph(&mut place).await;
        let ada = app.client().sign_in(&place, ADA).await;
        let clients = ada.client.token.clone().unwrap();
        let http = reqwest::Client::new();
        let graphql = format!("{}/graphql", app.url);
        let ask = |token: &str, header: &'static str| {
            let request = http.post(&graphql).json(&json!({ "query": "{ viewer { id } }" }));
            request.header(header, if header == "authorization" { format!("Bearer {token}") } else { token.to_owned() })
        };
        let secrets = ["cookie-secret", clients.as_str()];
        let request = http.post(&graphql).json(&json!({ "query": QUERY })).bearer_auth(&clients);
        let request = request.header("cookie", "refresh=cookie-secret").header("x-own", "1");
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["data"]["viewer"]["profiles"][0]["followers"], 6, "{answer:#}");
        let calls = subgraph.calls();
        assert_eq!(calls.len(), 2);
        for call in &calls {
            let seen = format!("{:?} {}", call.headers, call.body);
            assert!(secrets.iter().all(|secret| !seen.contains(secret)), "{seen}");
            assert!(!call.headers.contains_key("cookie") && !call.headers.contains_key("x-own"));
        }
        // It says whom it speaks for, to whom, and for a minute.
        let (token, told) = claims(&calls[0].headers["authorization"]);
        assert_eq!((&told["sub"], &told["aud"], &told["iss"]), (&json!(ada.account), &json!("extra"), &json!("accounts-center")));
        assert!(told["exp"].as_i64().unwrap() - told["iat"].as_i64().unwrap() <= 60, "{told}");
        assert!(told.get("sid").is_none() && told.get("scope").is_none(), "{told}");
        assert_eq!(told["profiles"], json!({ "whatsapp": ["wa_ada"] }), "what it may be told of");
        assert_eq!(calls[1].headers["authorization"], calls[0].headers["authorization"], "it is kept for a while");
        // Played back it is nothing: not here, not as a router's, not at another subgraph.
        for header in ["authorization", "accounts-center-router"] {
            let refused = ask(&token, header).send().await.unwrap();
            assert_eq!(refused.status(), 401, "{header}");
            let refused: Value = refused.json().await.unwrap();
            assert_eq!(refused["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
            assert_eq!(refused.get("data"), None);
        }
        let mut socket = Socket::connect(&app.url, None).await.unwrap();
        let payload = json!({ "Authorization": format!("Bearer {token}") });
        socket.send(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.next().await, SocketMessage::Closed(4403));
        assert!(takes(&app.url, "extra", &token).await);
        for other in ["other", "accounts-center", "accounts-center-services"] {
            assert!(!takes(&app.url, other, &token).await, "{other}");
        }
        // Who is not signed in is nobody to it.
        app.client().query("{ greeting }").await;
        let (nobodys, told) = claims(&subgraph.calls()[0].headers["authorization"]);
        assert!(told.get("sub").is_none() && told.get("profiles").is_none() && nobodys != token, "{told}");
        // After a minute it has run out, and there is another one.
        app.advance(&place, 61).await;
        let (_, before) = claims(&calls[0].headers["authorization"]);
        assert!(before["exp"].as_i64().unwrap() < app.app().clock.now().timestamp());
        app.renewed(&ada).query("{ greeting }").await;
        let (renewed, told) = claims(&subgraph.calls()[0].headers["authorization"]);
        assert!(renewed != token && told["exp"].as_i64().unwrap() > app.app().clock.now().timestamp(), "{told}");
    }

    /// A subgraph need not believe a key that anybody may have made up.
    async fn s17_a_subgraphs_token_names_the_profiles_that_are_linked(place: Place) {
        let mut place = place;
        let (app, subgraph) = one_graph(&mut place).await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let profiles = async || {
            assert_eq!(ada.query("{ greeting }").await.body["data"]["greeting"], "hello");
            claims(&subgraph.calls()[0].headers["authorization"]).1["profiles"].clone()
        };
        assert_eq!(profiles().await, json!({ "whatsapp": ["wa_ada"] }));
        place.sandbox.add_profile("wa_second", "+4917139200077").await;
        let second = ada.linked(&place, "+4917139200077").await;
        ada.oauth_link("facebook", "fb_ada").await.field();
        assert_eq!(profiles().await, json!({ "whatsapp": ["wa_ada", "wa_second"] }), "from the next call on");
        ada.contain(&second).await.field();
        assert_eq!(profiles().await, json!({ "whatsapp": ["wa_ada"] }), "and what is cut off is not shown");
        place.sandbox.add_profile("wa_third", "+4917139200078").await;
        let third = ada.linked(&place, "+4917139200078").await;
        assert_eq!(profiles().await, json!({ "whatsapp": ["wa_ada", "wa_third"] }));
        ada.unlink(&third).await.field();
        assert_eq!(profiles().await, json!({ "whatsapp": ["wa_ada"] }));
    }

    async fn s43_a_subgraph_gets_no_profile_of_another_platform(place: Place) {
        let mut place = place;
        let (app, subgraph) = one_graph(&mut place).await;
        let ada = app.client().sign_in(&place, ADA).await;
        let answer = ada.client.query(QUERY).await.body;
        assert_eq!(answer["data"]["viewer"]["profiles"][0]["followers"], 6);
        assert!(subgraph.calls().iter().any(|call| call.body.to_string().contains("wa_ada")));
        app.stop().await;
        // What belongs to another one is null, without an error, and nothing is sent; of its own root it answers.
        for platforms in ["instagram", "instagram,facebook", ""] {
            place.set("ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__PLATFORMS", platforms);
            let app = crate::support::TestApp::start(&place, 2).await;
            let answer = ada.client.at(&app.url).query(QUERY).await.body;
            let profile = json!([{ "externalId": "wa_ada", "followers": null }]);
            assert_eq!((&answer["data"]["viewer"]["profiles"], answer.get("errors")), (&profile, None), "{answer:#}");
            assert_eq!(answer["data"]["greeting"], "hello");
            let calls = subgraph.calls();
            assert_eq!(calls.len(), 1, "{platforms:?}: {calls:#?}");
            assert!(!format!("{calls:?}").contains("wa_ada"));
            app.stop().await;
        }
    }
}
