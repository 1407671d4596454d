//! Changing the account.

use serde_json::{Value, json};

use crate::support::{Client, Place, ServerProcess, Stack, on_both_stacks};

const ADA: &str = "+4917139200042";
const UPDATE: &str = "mutation($input: UpdateAccountInput!) { updateAccount(input: $input) {
    account { displayName avatarUrl version } userErrors { code message path } } }";

async fn update(client: &Client, input: Value) -> Value {
    client.mutate(UPDATE, input).await.field().clone()
}

on_both_stacks! {
    async fn an_account_has_a_name_and_a_picture(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let picture = "https://pictures.example/ada.png";
        let changed = update(&ada, json!({ "displayName": "  Ada L. ", "avatarUrl": picture })).await;
        let expected = json!({ "displayName": "Ada L.", "avatarUrl": picture, "version": 3 });
        assert_eq!(changed, json!({ "account": expected, "userErrors": [] }));
        // What is absent stays, and what changes nothing is no event.
        for input in [json!({}), json!({ "displayName": "Ada L." }), json!({ "avatarUrl": picture })] {
            assert_eq!(update(&ada, input).await["account"], expected);
        }
        let cleared = update(&ada, json!({ "avatarUrl": null })).await;
        assert_eq!(cleared["account"], json!({ "displayName": "Ada L.", "avatarUrl": null, "version": 4 }));
        let hub = ada.query("{ viewer { displayName avatarUrl version } }").await;
        assert_eq!(hub.field(), &cleared["account"]);
    }

    async fn what_cannot_be_a_name_or_a_picture_is_a_user_error(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let long = format!("https://pictures.example/{}", "x".repeat(2000));
        for (input, code, path) in [
            (json!({ "displayName": null }), "INVALID", "displayName"),
            (json!({ "displayName": " " }), "INVALID", "displayName"),
            (json!({ "displayName": "a\u{0}b" }), "INVALID", "displayName"),
            (json!({ "displayName": "ä".repeat(81) }), "TOO_LONG", "displayName"),
            (json!({ "avatarUrl": long, "displayName": "Other" }), "TOO_LONG", "avatarUrl"),
        ] {
            let refused = update(&ada, input).await;
            assert_eq!(refused["userErrors"][0]["code"], code);
            assert_eq!(refused["userErrors"][0]["path"], json!([path]));
            assert_eq!(refused["account"], Value::Null);
        }
        let both = update(&ada, json!({ "displayName": "", "avatarUrl": long })).await;
        assert_eq!(both["userErrors"].as_array().unwrap().len(), 2);
        let no_url = ada.mutate(UPDATE, json!({ "avatarUrl": "javascript:alert(1)" })).await;
        assert_eq!(no_url.error_code(), "BAD_USER_INPUT");
        let anonymous = app.client().mutate(UPDATE, json!({ "displayName": "Eve" })).await;
        assert_eq!(anonymous.error_code(), "UNAUTHENTICATED");
        let hub = ada.query("{ viewer { displayName version } }").await;
        assert_eq!(hub.field(), &json!({ "displayName": "Ada", "version": 2 }));
    }

    async fn two_tabs_that_change_one_thing_each_lose_nothing(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let picture = "https://pictures.example/ada.png";
        tokio::join!(
            update(&ada, json!({ "displayName": "Countess" })),
            update(&ada, json!({ "avatarUrl": picture })),
        );
        let hub = ada.query("{ viewer { displayName avatarUrl version } }").await;
        let expected = json!({ "displayName": "Countess", "avatarUrl": picture, "version": 4 });
        assert_eq!(hub.field(), &expected);
    }
}

/// In development a picture may come from this machine, in production it may not come in clear.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_in_clear_is_for_development() {
    let mut place = Place::new(Stack::Production).await;
    place.set("ACCOUNTS__KEYS__SECRET", "a secret of the tests, 32 characters");
    let picture = json!({ "avatarUrl": "http://127.0.0.1:4000/ada.png" });
    let mut development = ServerProcess::start(&place).await;
    let ada = development.client().sign_in(&place, ADA).await.client;
    assert_eq!(update(&ada, picture.clone()).await["userErrors"], json!([]));
    development.kill().await;
    for (key, value) in [
        ("ACCOUNTS__MODE", "production"),
        ("ACCOUNTS__SANDBOX__URL", ""),
        ("ACCOUNTS__PLATFORMS__FACEBOOK__ENABLED", "false"),
        ("ACCOUNTS__PLATFORMS__INSTAGRAM__ENABLED", "false"),
        ("ACCOUNTS__PLATFORMS__WHATSAPP__BASE_URL", "https://whatsapp.invalid"),
        ("ACCOUNTS__PLATFORMS__WHATSAPP__CREDENTIAL", "from the platform"),
        ("ACCOUNTS__PLATFORMS__WHATSAPP__WEBHOOK_SECRET", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
    ] {
        place.set(key, value);
    }
    let production = ServerProcess::start(&place).await;
    let refused = update(&ada.at(&production.url), picture).await;
    assert_eq!(refused["userErrors"][0]["code"], "INVALID");
    assert_eq!(refused["userErrors"][0]["path"], json!(["avatarUrl"]));
}
