//! Platforms that are worth linking, and those that a person does not want to hear of.

use serde_json::{Value, json};

use crate::support::{Client, TestApp, on_both_stacks};

const ADA: &str = "+4917139200042";
const SUGGESTIONS: &str =
    "{ viewer { version linkSuggestions { platform { key } benefit sharing experiences } } }";
const DISMISS: &str = "mutation($input: DismissLinkSuggestionInput!) { dismissLinkSuggestion(input: $input) {
    account { version linkSuggestions { platform { key } } } userErrors { code path } } }";

on_both_stacks! {
    async fn platforms_that_are_not_linked_are_suggested_until_they_are_dismissed(place: Place) {
        let mut place = place;
        for (key, value) in [
            ("ACCOUNTS__PLATFORMS__SIGNAL__DISPLAY_NAME", "Signal"),
            ("ACCOUNTS__PLATFORMS__SIGNAL__BASE_URL", ""),
            ("ACCOUNTS__PLATFORMS__SIGNAL__CREDENTIAL", "sandbox"),
            ("ACCOUNTS__PLATFORMS__SIGNAL__SIGN_IN", "false"),
            ("ACCOUNTS__PLATFORMS__FACEBOOK__ENABLED", "false"),
            ("ACCOUNTS__PLATFORMS__INSTAGRAM__ENABLED", "false"),
        ] {
            place.set(key, value);
        }
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let suggested = ada.client.query(SUGGESTIONS).await;
        let suggested = suggested.field()["linkSuggestions"].as_array().unwrap().clone();
        assert_eq!(suggested.len(), 1, "WhatsApp is linked: {suggested:?}");
        assert_eq!((&suggested[0]["platform"]["key"], &suggested[0]["experiences"]), (&json!("signal"), &json!([])));
        for text in ["benefit", "sharing"] {
            assert!(suggested[0][text].as_str().unwrap().contains("Signal"), "{suggested:?}");
        }
        assert!(!suggested[0]["benefit"].as_str().unwrap().contains("sign in"), "it is no way to sign in");

        let begin = ada.client.query("{ viewer { eventCursor } }").await.field()["eventCursor"].clone();
        let mut tab = ada.client.socket().await;
        let follow = "subscription($after: String) { accountEvents(after: $after) { __typename
            ... on AccountChange { account { linkSuggestions { platform { key } } } } } }";
        tab.subscribe("account", follow, json!({ "after": begin })).await;
        let dismissed = ada.client.mutate(DISMISS, json!({ "platform": "signal" })).await;
        assert_eq!(dismissed.field()["account"], json!({ "version": 3, "linkSuggestions": [] }));
        let heard = tab.event("account", "accountEvents").await;
        assert_eq!(heard, json!({ "__typename": "AccountChange", "account": { "linkSuggestions": [] } }));
        let again = ada.client.mutate(DISMISS, json!({ "platform": "signal" })).await;
        assert_eq!(again.field()["account"]["version"], 3, "it is so already");
        let unknown = ada.client.mutate(DISMISS, json!({ "platform": "myspace" })).await;
        assert_eq!(unknown.user_errors(), ["UNKNOWN_PLATFORM"]);
        assert_eq!(unknown.field()["userErrors"][0]["path"], json!(["platform"]));
        assert_eq!(unknown.field()["account"], Value::Null);
        assert_eq!(app.client().mutate(DISMISS, json!({ "platform": "signal" })).await.error_code(), "UNAUTHENTICATED");
        // It is the person's choice, and nobody else's.
        place.sandbox.add_profile("wa_eve", "+4917139200050").await;
        let eve = app.client().sign_in(&place, "+4917139200050").await.client;
        assert_eq!(keys(&eve).await, ["signal"]);
        let activity = ada.client.query("{ viewer { activity { nodes { kind } } } }").await;
        assert_eq!(activity.field()["activity"]["nodes"], json!([{ "kind": "SECURITY" }, { "kind": "LINK" }]), "it is no event for an audit");
        app.stop().await;
        let app = TestApp::start_quiet(&place, 2).await;
        let ada = app.renewed(&ada);
        let (_, statements) = app.statements_of(async || keys(&ada).await).await;
        assert_eq!(statements, 1);
    }
}

async fn keys(client: &Client) -> Vec<String> {
    let suggested = client.query(SUGGESTIONS).await.field()["linkSuggestions"].as_array().unwrap().clone();
    suggested.iter().map(|one| one["platform"]["key"].as_str().unwrap().to_owned()).collect()
}
