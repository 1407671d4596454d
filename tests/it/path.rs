//! The whole path: sign in, link WhatsApp by the code on the phone, and hear it in a second tab.

use serde_json::{Value, json};

use crate::support::{TestApp, on_both_stacks};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";

on_both_stacks! {
    async fn a_link_is_made_and_heard(place: Place) {
        let mut place = place;
        // So that it is the hint that is heard, and not the poll that makes up for a lost one.
        place.set("ACCOUNTS__EVENTS__POLL_SECONDS", 3600);
        let app = place.app().await;
        let anonymous = app.client();
        assert_eq!(anonymous.query("{ viewer { id } }").await.field(), &Value::Null);

        // The first sign-in with a profile makes the account.
        let ada = anonymous.sign_in(&place, ADA).await;
        let hub = ada.client.query(
            "{ viewer { id displayName createdAt version eventCursor linkGraph { version profiles { id } }
               profiles { id account { id } platform { id key displayName verificationMethods endToEndEncrypted }
                 platformKey externalId handle displayName avatarUrl status statusReason linkedAt
                 statusChangedAt signInEnabled } } }",
        ).await;
        let hub = hub.field();
        assert_eq!(hub["id"], ada.account);
        assert_eq!(hub["version"], 2);
        assert_eq!(hub["linkGraph"]["version"], 1);
        assert_eq!(hub["createdAt"], "2027-01-15T08:00:00.000Z");
        let profile = &hub["profiles"][0];
        assert_eq!(profile["handle"], "+49 ··· ·· 42");
        assert_eq!(profile["externalId"], "wa_ada");
        assert_eq!(profile["status"], "ACTIVE");
        assert_eq!(profile["statusReason"], "VERIFIED");
        assert_eq!(profile["platformKey"], "whatsapp");
        assert_eq!(profile["account"]["id"], ada.account);
        assert_eq!(profile["platform"]["verificationMethods"], json!(["ONE_TIME_CODE"]));

        // A second tab follows, behind the snapshot that it shows.
        let mut tab = ada.client.socket().await;
        tab.follow_links(hub["eventCursor"].as_str()).await;

        let started = ada.client.start_link(GRACE).await;
        let verification = &started.field()["verification"];
        assert_eq!(verification["status"], "PENDING");
        assert_eq!(verification["purpose"], "LINK");
        assert_eq!(verification["challenge"]["destination"], "+49 ··· ·· 43");
        assert_eq!(verification["challenge"]["codeLength"], 6);
        assert_eq!(verification["expiresAt"], "2027-01-15T08:10:00.000Z");
        let code = place.sandbox.nth_code(GRACE, 1).await;
        let done = ada.client.submit(&verification["id"], &Value::Null, &code).await;
        let payload = done.field();
        assert_eq!(payload["outcome"]["__typename"], "ProfileLinked");
        assert_eq!(payload["outcome"]["profile"]["handle"], "+49 ··· ·· 43");
        assert_eq!(payload["verification"]["status"], "SUCCEEDED");
        assert_eq!(payload["verification"]["profile"]["id"], payload["outcome"]["profile"]["id"]);
        assert_eq!(payload["verification"]["challenge"], Value::Null);
        // One's own write is seen at once.
        assert_eq!(payload["account"]["version"], 4);
        assert_eq!(payload["account"]["profiles"].as_array().unwrap().len(), 2);

        let event = tab.link_event().await;
        assert_eq!(event["previousLinkStatus"], Value::Null);
        assert_eq!(event["linkStatus"], "ACTIVE");
        assert_eq!(event["reason"], "VERIFIED");
        assert_eq!(event["graphVersion"], 3);
        assert_eq!(event["profile"]["id"], payload["outcome"]["profile"]["id"]);
        assert_eq!(event["profile"]["handle"], "+49 ··· ·· 43");
        // It warns of the link as well. The cursor of the newest event is that of the account as it stands.
        let mut all = ada.client.socket().await;
        let query = "subscription($after: String) { accountEvents(after: $after) { __typename cursor } }";
        all.subscribe("all", query, json!({ "after": hub["eventCursor"] })).await;
        for (kind, cursor) in [
            ("LinkStatusChange", &event["cursor"]),
            ("SecurityAlertRaised", &payload["account"]["eventCursor"]),
        ] {
            let told = all.event("all", "accountEvents").await;
            assert_eq!(told, json!({ "__typename": kind, "cursor": cursor }));
        }

        let node = ada.client.run(
            "query($id: ID!) { node(id: $id) { __typename id ... on LinkedProfile { handle } } }",
            json!({ "id": event["profile"]["id"] }),
        ).await;
        assert_eq!(node.field()["__typename"], "LinkedProfile");
        let looked_at = ada.client.run(
            "query($id: ID!) { verification(id: $id) { status purpose method platform { key } failure } }",
            json!({ "id": verification["id"] }),
        ).await;
        assert_eq!(
            looked_at.field(),
            &json!({ "status": "SUCCEEDED", "purpose": "LINK", "method": "ONE_TIME_CODE",
                     "platform": { "key": "whatsapp" }, "failure": null }),
        );
        let platforms = ada.client.query("{ platforms { id key displayName capabilities verificationMethods } }").await;
        assert_eq!(
            platforms.field(),
            &json!([{ "id": "platform_whatsapp", "key": "whatsapp", "displayName": "WhatsApp",
                      "capabilities": ["SIGN_IN"], "verificationMethods": ["ONE_TIME_CODE"] },
                    { "id": "platform_facebook", "key": "facebook", "displayName": "Facebook",
                      "capabilities": ["SIGN_IN"], "verificationMethods": ["OAUTH"] },
                    { "id": "platform_instagram", "key": "instagram", "displayName": "Instagram",
                      "capabilities": ["SIGN_IN"], "verificationMethods": ["OAUTH"] }]),
        );
        app.stop().await;
    }

    async fn signing_in_with_a_second_profile_leads_to_the_same_account(place: Place) {
        let app = place.app().await;
        let first = app.client().sign_in(&place, ADA).await;
        first.client.link(&place, GRACE).await.field();
        let second = app.client().sign_in(&place, GRACE).await;
        assert_eq!(second.account, first.account);
        assert_ne!(second.session, first.session);
    }

    async fn a_hub_query_from_a_warm_graph_runs_no_statement(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        app.stop().await;
        let app = TestApp::start_quiet(&place, 2).await;
        let ada = app.renewed(&ada);
        let hub = "{ viewer { id version eventCursor profiles { id platform { key } } linkGraph { version } } }";
        let (_, statements) = app.statements_of(async || ada.query(hub).await.field().clone()).await;
        assert_eq!(statements, 0);
    }
}
