//! What browsers and proxies say to a gateway of its own, as far as it concerns the replicas behind it.

use reqwest::Method;
use serde_json::{Value, json};

use super::super::subgraph;
use super::{ADA, Apart};
use crate::cookies::{post, refresh, sent_back, sign_in};
use crate::support::on_both_stacks;

on_both_stacks! {
    async fn a_gateway_says_from_which_address_and_device_its_callers_are(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__LIMITS__STARTS_PER_ADDRESS", 1);
        let settings = [("ACCOUNTS__HTTP__TRUSTED_PROXIES", "127.0.0.1")];
        let apart = Apart::start(&mut place, subgraph::SDL, &settings).await;
        let client = apart.client();
        let (near, far) = (client.behind("203.0.113.1"), client.behind("203.0.113.2"));
        let ada = near.sign_in(&place, ADA).await;
        let sessions = ada.client.query("{ viewer { security { sessions { nodes { device ipAddress } } } } }").await.body;
        let told = json!([{ "device": "test phone", "ipAddress": "203.0.113.1" }]);
        assert_eq!(sessions["data"]["viewer"]["security"]["sessions"]["nodes"], told, "{sessions:#}");
        assert_eq!(near.start_sign_in(ADA).await.error_code(), "RATE_LIMITED");
        far.start_sign_in(ADA).await.field();
    }

    /// What somebody writes who is no proxy counts nothing.
    async fn nobody_says_for_themselves_from_which_address_they_are(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__LIMITS__STARTS_PER_ADDRESS", 1);
        let apart = Apart::start(&mut place, subgraph::SDL, &[]).await;
        let client = apart.client();
        client.behind("203.0.113.1").start_sign_in(ADA).await.field();
        assert_eq!(client.behind("203.0.113.2").start_sign_in(ADA).await.error_code(), "RATE_LIMITED");
    }

    async fn a_browser_keeps_its_session_in_a_cookie_of_the_gateway(place: Place) {
        let mut place = place;
        let schema = format!("{} type Mutation {{ poke: String }}", subgraph::SDL);
        let apart = Apart::start(&mut place, &schema, &[]).await;
        let url = &apart.gateway.url;
        let (outcome, cookie) = sign_in(&place, url).await;
        assert_eq!(outcome["tokens"]["refreshToken"], Value::Null, "no script sees it");
        let (answer, next) = refresh(url, &sent_back(&cookie), json!({})).await;
        assert_eq!(answer["data"]["refreshSession"]["session"]["id"], outcome["session"]["id"], "{answer:#}");
        assert_eq!(answer["data"]["refreshSession"]["tokens"]["refreshToken"], Value::Null);
        assert_ne!(sent_back(&next.expect("the next one")), sent_back(&cookie));
        // The subgraph of somebody else sees none, and what it sets goes nowhere.
        apart.subgraph.answer_instead(json!({ "data": { "poke": "ouch" } }));
        let sent = sent_back(&cookie);
        let (answer, set) = post(url, &[("cookie", &sent)], json!({ "query": "mutation { poke }" })).await;
        assert_eq!((answer, set), (json!({ "data": { "poke": "ouch" } }), None));
        let calls = apart.subgraph.calls();
        assert!(calls.len() == 1 && !calls[0].headers.contains_key("cookie"), "{calls:?}");
    }

    async fn s33_pages_of_registered_origins_may_ask_a_gateway(place: Place) {
        let mut place = place;
        let settings = [("ACCOUNTS__HTTP__ALLOWED_ORIGINS", "https://www.example.com")];
        let apart = Apart::start(&mut place, subgraph::SDL, &settings).await;
        for (origin, allowed) in [("https://www.example.com", true), ("https://evil.example", false)] {
            for method in [Method::OPTIONS, Method::POST] {
                let request = apart.gateway.http.request(method.clone(), format!("{}/graphql", apart.gateway.url));
                let request = request.header("origin", origin).header("access-control-request-method", "POST");
                let response = request.json(&json!({ "query": "{ greeting }" })).send().await.unwrap();
                let told = response.headers().get("access-control-allow-origin").map(|value| value.to_str().unwrap());
                assert_eq!(told, allowed.then_some(origin), "{method}");
                assert_eq!(response.headers()["x-content-type-options"], "nosniff");
            }
        }
    }
}
