//! What the owner of an account is warned of, and advised.

use accounts_center_entity::{job, verification};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter,
};
use serde_json::{Value, json};

use crate::support::{Client, on_both_stacks, uuid_of};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const EVE: &str = "+4917139200050";

const ALERTS: &str =
    "query($first: Int, $after: String) { viewer { security { alerts(first: $first, after: $after) {
    nodes { id kind occurredAt acknowledgedAt description profile { handle } session { id } }
    pageInfo { endCursor hasNextPage } } } } }";
const ACKNOWLEDGE: &str = "mutation($input: AcknowledgeAlertInput!) { acknowledgeAlert(input: $input) {
    alert { id kind acknowledgedAt } userErrors { code path } } }";

async fn alerts(client: &Client) -> Vec<Value> {
    let answer = client.run(ALERTS, json!({})).await;
    answer.field()["security"]["alerts"]["nodes"].as_array().unwrap().clone()
}

async fn advice(client: &Client) -> Vec<String> {
    let answer = client.query("{ viewer { security { checkup { kind title description } } } }").await;
    let advice = answer.field()["security"]["checkup"].as_array().unwrap().clone();
    advice.iter().map(|advice| advice["kind"].as_str().unwrap().to_owned()).collect()
}

on_both_stacks! {
    async fn the_owner_is_warned_of_what_may_not_be_their_own_doing(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        assert_eq!(alerts(&ada.client).await, Vec::<Value>::new(), "not of what made the account");
        let mut events = ada.client.socket().await;
        events.subscribe("alerts", "subscription { securityAlertRaised { cursor occurredAt alert {
            id kind session { id } profile { handle } } } }", json!({})).await;
        events.ask("{ viewer { id } }").await;

        let again = app.client().sign_in(&place, ADA).await;
        let told = events.event("alerts", "securityAlertRaised").await;
        assert_eq!(told["alert"]["kind"], "NEW_SIGN_IN");
        assert_eq!(told["alert"]["session"]["id"], again.session);
        assert_eq!(told["alert"]["profile"]["handle"], "+49 ··· ·· 42");

        // Those of one millisecond have no order.
        app.advance(&place, 1).await;
        let linked = ada.client.link(&place, GRACE).await;
        let grace = linked.field()["outcome"]["profile"]["id"].as_str().unwrap().to_owned();
        let told = events.event("alerts", "securityAlertRaised").await;
        assert_eq!((&told["alert"]["kind"], &told["alert"]["profile"]["handle"]), (&json!("PROFILE_LINKED"), &json!("+49 ··· ·· 43")));
        app.advance(&place, 1).await;
        ada.client.unlink(&grace).await.field();
        let told = events.event("alerts", "securityAlertRaised").await;
        assert_eq!(told["alert"]["kind"], "PROFILE_UNLINKED");
        // Once, and not again when its 24 hours are over.
        app.advance(&place, 24 * 3600).await;
        crate::support::eventually("the profile is gone", async || {
            let fresh = app.renewed(&ada);
            let hub = fresh.query("{ viewer { profiles { id } } }").await;
            (hub.field()["profiles"].as_array().unwrap().len() == 1).then_some(())
        }).await;
        let kinds: Vec<_> = alerts(&app.renewed(&ada)).await.iter().map(|alert| alert["kind"].clone()).collect();
        assert_eq!(kinds, ["PROFILE_UNLINKED", "PROFILE_LINKED", "NEW_SIGN_IN"], "newest first");
    }

    async fn an_alert_is_acknowledged_by_its_owner(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        for _ in 0..2 {
            app.advance(&place, 1).await;
            app.client().sign_in(&place, ADA).await;
        }
        place.sandbox.add_profile("wa_eve", EVE).await;
        let eve = app.client().sign_in(&place, EVE).await;
        let raised = alerts(&ada.client).await;
        assert_eq!(raised.len(), 2);
        assert_eq!(alerts(&eve.client).await.len(), 0);
        let acknowledge = async |client: &Client, id: &Value| client.mutate(ACKNOWLEDGE, json!({ "alertId": id })).await;
        for id in [&raised[0]["id"], &json!("alert_00000000000070008000000000000000"), &json!(eve.session), &json!("🦀")] {
            assert_eq!(acknowledge(&eve.client, id).await.user_errors(), ["NOT_FOUND"], "{id}");
        }
        let seen = acknowledge(&ada.client, &raised[0]["id"]).await;
        assert_eq!(seen.field()["alert"]["acknowledgedAt"], "2027-01-15T08:00:02.000Z");
        app.advance(&place, 60).await;
        let again = acknowledge(&ada.client, &raised[0]["id"]).await;
        assert_eq!(again.body, seen.body, "it was seen when it was seen first");
        assert_eq!(acknowledge(&app.client(), &raised[1]["id"]).await.error_code(), "UNAUTHENTICATED");
        // By pages.
        let first = ada.client.run(ALERTS, json!({ "first": 1 })).await;
        let page = &first.field()["security"]["alerts"];
        assert_eq!((&page["nodes"][0]["id"], &page["pageInfo"]["hasNextPage"]), (&raised[0]["id"], &json!(true)));
        let rest = ada.client.run(ALERTS, json!({ "after": page["pageInfo"]["endCursor"] })).await;
        assert_eq!(rest.field()["security"]["alerts"]["nodes"].as_array().unwrap().len(), 1);
        assert_eq!(rest.field()["security"]["alerts"]["nodes"][0]["id"], raised[1]["id"]);
    }

    async fn advice_is_given_as_long_as_it_is_not_taken(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        assert_eq!(advice(&ada.client).await, ["ADD_SECOND_PROFILE", "ADD_PASSKEY"]);
        let linked = ada.client.link(&place, GRACE).await;
        let external = linked.field()["outcome"]["profile"]["id"].clone();
        assert!(external.is_string());
        assert_eq!(advice(&ada.client).await, ["ADD_PASSKEY"]);
        app.client().sign_in(&place, ADA).await;
        assert_eq!(advice(&ada.client).await, ["REVIEW_SESSIONS", "ADD_PASSKEY"]);
        place.sandbox.set_state("wa_grace", "credentials_expired").await;
        crate::support::eventually("the platform is heard", async || {
            (advice(&ada.client).await == ["REVIEW_SESSIONS", "REVERIFY_PROFILE", "ADD_SECOND_PROFILE", "ADD_PASSKEY"]).then_some(())
        }).await;
        for alert in alerts(&ada.client).await {
            ada.client.mutate(ACKNOWLEDGE, json!({ "alertId": alert["id"] })).await.field();
        }
        assert_eq!(advice(&ada.client).await, ["REVERIFY_PROFILE", "ADD_SECOND_PROFILE", "ADD_PASSKEY"]);
    }

    async fn s11_a_used_up_sign_in_warns_the_owner_and_tells_the_guesser_nothing(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let mut events = ada.client.socket().await;
        events.subscribe("alerts", "subscription { securityAlertRaised { alert {
            kind session { id } profile { handle } } } }", json!({})).await;
        events.ask("{ viewer { id } }").await;
        let db = place.database().await;
        let mut answers = Vec::new();
        // Nobody has the second one.
        for handle in [ADA, "+4917139200099"] {
            let started = app.client().start_sign_in(handle).await;
            let (id, secret) = (&started.field()["verification"]["id"], &started.field()["clientSecret"]);
            if handle == ADA {
                let row = async || verification::Entity::find_by_id(uuid_of(id.as_str().unwrap())).one(&db).await.unwrap().unwrap();
                crate::support::eventually("it is known who it is", async || row().await.external_id).await;
            }
            for _ in 0..5 {
                let mut body = app.client().submit(id, secret, "nonsense").await.body;
                let verification = &mut body["data"]["submitVerification"]["verification"];
                if verification.is_object() {
                    verification["id"] = Value::Null;
                }
                answers.push(body);
            }
            // It is once, however often somebody goes on.
            assert_eq!(app.client().submit(id, secret, "nonsense").await.user_errors(), ["TOO_MANY_ATTEMPTS"]);
        }
        assert_eq!(answers[..5], answers[5..]);
        assert_eq!(answers[4]["data"]["submitVerification"]["userErrors"][0]["code"], "TOO_MANY_ATTEMPTS");
        let told = events.event("alerts", "securityAlertRaised").await;
        let expected = json!({ "kind": "TOO_MANY_ATTEMPTS", "session": null, "profile": { "handle": "+49 ··· ·· 42" } });
        assert_eq!(told["alert"], expected);
        crate::support::eventually("the jobs are done", async || {
            let left = job::Entity::find().filter(job::Column::Kind.eq("warn_of_attempts"));
            (left.count(&db).await.unwrap() == 0).then_some(())
        }).await;
        assert_eq!(alerts(&ada.client).await.len(), 1);
        let known = verification::Entity::find().filter(verification::Column::ExternalId.is_not_null());
        assert_eq!(known.count(&db).await.unwrap(), 0, "who it was is forgotten");
    }

    /// By the statements: what is done before the answer is the same for who is known and who is not.
    async fn s11_a_used_up_sign_in_costs_the_same_for_everybody(place: Place) {
        let app = crate::support::TestApp::start_quiet(&place, 1).await;
        let db = place.database().await;
        let mut costs = Vec::new();
        for known in [None, Some("wa_ada".to_owned())] {
            let started = app.client().start_sign_in(ADA).await;
            let (id, secret) = (&started.field()["verification"]["id"], &started.field()["clientSecret"]);
            let row = verification::Entity::find_by_id(uuid_of(id.as_str().unwrap())).one(&db).await.unwrap().unwrap();
            let mut planted = row.into_active_model();
            planted.external_id = Set(known);
            planted.update(&db).await.unwrap();
            for _ in 0..4 {
                app.client().submit(id, secret, "nonsense").await.field();
            }
            let before = app.app().store.db().statements();
            assert_eq!(app.client().submit(id, secret, "nonsense").await.user_errors(), ["TOO_MANY_ATTEMPTS"]);
            costs.push(app.app().store.db().statements() - before);
        }
        assert_eq!(costs[0], costs[1]);
        let left = job::Entity::find().filter(job::Column::Kind.eq("warn_of_attempts"));
        assert_eq!(left.count(&db).await.unwrap(), 2);
    }
}
