//! Kill switches: what an operator has switched off stops in servers that run, and goes on once it is on again.

use accounts_center_entity::job;
use accounts_center_entity::linked_profile::LinkStatus;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

use crate::command_line::{assert_says, failed, printed};
use crate::support::links::{profile_row, until_status};
use crate::support::oauth::REDIRECT;
use crate::support::{Client, Place, ServerProcess, Stack, eventually, on_both_stacks};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";

async fn switch(place: &Place, state: &str) -> String {
    printed(place, &["switch", state, "whatsapp", "--operator", "root@ops"]).await
}

/// Waits until a server refuses to sign in with WhatsApp, or takes it.
async fn until(client: &Client, is_off: bool) {
    eventually("the server knows of the switch", async || {
        let started = client.start_sign_in(GRACE).await;
        let codes = started.user_errors();
        assert!(codes.is_empty() || codes == ["PLATFORM_UNAVAILABLE"], "{codes:?}");
        (codes.is_empty() != is_off).then_some(())
    })
    .await;
}

async fn text(url: &str) -> String {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    http.get(url).send().await.unwrap().text().await.unwrap()
}

on_both_stacks! {
    async fn a_platform_that_is_off_proves_nothing_and_is_not_called(place: Place) {
        let app = place.app().await;
        let second = match place.stack {
            Stack::Embedded => None,
            Stack::Production => Some(place.replica().await),
        };
        let db = place.database().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let pending = ada.client.start_link(GRACE).await.field()["verification"]["id"].clone();
        let code = place.sandbox.nth_code(GRACE, 1).await;
        assert!(!text(&format!("{}/ready", app.url)).await.contains("switchedOff"));

        assert_says(&switch(&place, "off").await, &["whatsapp is off", "2 s"]);
        assert_says(&switch(&place, "off").await, &["off already"]);
        let list = printed(&place, &["switch", "list"]).await;
        assert_says(&list, &["off  platform  whatsapp  since 20", "by root@ops", "1 switched off"]);
        assert_says(&failed(&place, &["switch", "off", "myspace", "--operator", "x"], &[]).await, &["myspace", "whatsapp"]);

        let replicas: Vec<_> = std::iter::once(&app).chain(&second).collect();
        for replica in &replicas {
            until(&replica.client(), true).await;
        }
        let before = (place.sandbox.requests("POST /codes").await, place.sandbox.requests("GET /profiles/{external_id}").await);
        for replica in &replicas {
            let client = ada.client.at(&replica.url);
            for (answer, path) in [
                (replica.client().start_sign_in(ADA).await, "platform"),
                (client.start_link("+4917139200060").await, "platform"),
                (client.start_step_up(&own).await, "methodId"),
                (client.start_reverification(&own).await, "profileId"),
                (client.submit(&pending, &Value::Null, &code).await, "verificationId"),
                (client.resend(&pending, &Value::Null).await, "verificationId"),
            ] {
                let error = &answer.field()["userErrors"][0];
                assert_eq!((&error["code"], &error["path"]), (&json!("PLATFORM_UNAVAILABLE"), &json!([path])));
                assert!(error["message"].as_str().unwrap().contains("WhatsApp is switched off here"), "{error}");
            }
            // Nothing else is.
            let others = client.query("{ viewer { profiles { id status } } }").await;
            assert_eq!(others.field()["profiles"][0]["status"], "ACTIVE");
            assert!(text(&format!("{}/ready", replica.url)).await.contains(r#""switchedOff":["platform whatsapp"]"#));
            let metrics = text(&format!("{}/metrics", replica.url)).await;
            assert_says(&metrics, &[r#"accounts_center_switched_off{kind="platform",key="whatsapp"} 1"#]);
        }
        // A webhook is taken, and its look waits.
        place.sandbox.set_state("wa_ada", "deactivated").await;
        eventually("the look has been put off", async || {
            let waiting = job::Entity::find()
                .filter(job::Column::Kind.eq("refresh_profile"))
                .filter(job::Column::LastError.eq("an operator has switched it off"));
            (waiting.count(&db).await.unwrap() > 0).then_some(())
        }).await;
        assert_eq!(profile_row(&db, &own).await.status, LinkStatus::Active);
        let after = (place.sandbox.requests("POST /codes").await, place.sandbox.requests("GET /profiles/{external_id}").await);
        assert_eq!(after, before, "it was not called");

        assert_says(&switch(&place, "on").await, &["whatsapp is on"]);
        assert_says(&switch(&place, "on").await, &["on already"]);
        for replica in &replicas {
            until(&replica.client(), false).await;
        }
        assert_eq!(printed(&place, &["switch", "list"]).await, "0 switched off\n");
        // What waited goes on: the proof, and the look.
        let done = ada.client.submit(&pending, &Value::Null, &code).await;
        assert_eq!(done.field()["outcome"]["__typename"], "ProfileLinked");
        app.advance(&place, 3600).await;
        until_status(&db, &own, LinkStatus::Suspended).await;
        assert!(!text(&format!("{}/metrics", app.url)).await.contains("switched_off{"));
    }

    async fn a_server_that_cannot_look_keeps_what_it_knew(place: Place) {
        let more = [
            ("ACCOUNTS__EVENTS__POLL_SECONDS", "1".to_owned()),
            ("FAILPOINTS", "switches::look=1*off->return".to_owned()),
        ];
        printed(&place, &["migrate", "up"]).await;
        switch(&place, "off").await;
        let server = ServerProcess::start_with(&place, &more).await;
        let refused = server.client().start_sign_in(ADA).await;
        assert_eq!(refused.user_errors(), ["PLATFORM_UNAVAILABLE"], "off from its first moment on");
        switch(&place, "on").await;
        tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
        assert_eq!(server.client().start_sign_in(ADA).await.user_errors(), ["PLATFORM_UNAVAILABLE"]);
    }

    /// An OpenID provider is not called either, whatever is known of it already, and what it has said can wait.
    async fn a_platform_that_is_off_is_not_asked_by_oauth(place: Place) {
        let server = ServerProcess::start(&place).await;
        let ada = server.client().sign_in(&place, ADA).await.client;
        place.sandbox.add_profile_at("instagram", json!({ "external_id": "ig_x", "handle": "x.y", "display_name": "X" })).await;
        let started = ada.start_oauth_link("instagram").await;
        let response = started.approve("ig_x").await;
        let is_off = async || text(&format!("{}/ready", server.url)).await.contains("platform instagram");
        printed(&place, &["switch", "off", "instagram", "--operator", "root"]).await;
        eventually("it is off", async || is_off().await.then_some(())).await;
        let refused = ada.try_oauth_link("instagram", REDIRECT, "another").await;
        assert_eq!(refused.user_errors(), ["PLATFORM_UNAVAILABLE"]);
        let calls = place.sandbox.requests_of("instagram", "POST /token").await;
        assert_eq!(ada.submit_oauth(&started, &response).await.user_errors(), ["PLATFORM_UNAVAILABLE"]);
        assert_eq!(place.sandbox.requests_of("instagram", "POST /token").await, calls);
        // The others go on.
        ada.linked(&place, GRACE).await;
        printed(&place, &["switch", "on", "instagram", "--operator", "root"]).await;
        eventually("it is on", async || (!is_off().await).then_some(())).await;
        let done = ada.submit_oauth(&started, &response).await;
        assert_eq!(done.field()["outcome"]["__typename"], "ProfileLinked", "{:#}", done.body);
    }
}
