//! Proving a linked profile again, and stepping a session up by one.

use accounts_center::link_graph::graphql::{LinkStatus as Status, LinkStatusReason as Reason};
use accounts_center_entity::linked_profile::{LinkStatus, LinkStatusReason};
use accounts_center_entity::verification;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel};
use serde_json::{Value, json};

use crate::support::links::{LinkEvent, link_events, method_of, profile_row, until_status};
use crate::support::webhooks::idle;
use crate::support::{on_both_stacks, uuid_of};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const EVE: &str = "+4917139200050";
const MOVED: &str = "+4917139200051";

on_both_stacks! {
    async fn a_profile_that_needs_attention_is_proved_again(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let grace = ada.client.linked(&place, GRACE).await;
        let db = place.database().await;
        place.sandbox.set_state("wa_grace", "credentials_expired").await;
        until_status(&db, &grace, LinkStatus::AttentionRequired).await;
        idle(&db).await;
        // The platform has given the person another number meanwhile: the code goes to the profile.
        place.sandbox.change_profile("wa_grace", json!({ "handle": MOVED })).await;
        let started = ada.client.start_reverification(&grace).await;
        let started = &started.field()["verification"];
        assert_eq!((&started["purpose"], &started["method"]), (&json!("REVERIFY"), &json!("ONE_TIME_CODE")));
        assert_eq!(started["profile"], json!({ "id": grace }), "it is known from the beginning");
        let destination = started["challenge"]["destination"].as_str().unwrap();
        assert!(["+49 ··· ·· 43", "+49 ··· ·· 51"].contains(&destination), "masked as stored: {destination}");
        let code = place.sandbox.nth_code(MOVED, 2).await;
        let row = verification::Entity::find_by_id(uuid_of(started["id"].as_str().unwrap()));
        let row = row.one(&db).await.unwrap().unwrap();
        assert_eq!(row.sealed_handle, None, "nothing is copied of where it goes");
        let done = ada.client.submit(&started["id"], &Value::Null, &code).await;
        let outcome = &done.field()["outcome"];
        assert_eq!(outcome["__typename"], "ProfileReverified", "{:#}", done.body);
        assert_eq!((&outcome["profile"]["id"], &outcome["profile"]["status"]), (&json!(grace), &json!("ACTIVE")));
        assert_eq!(outcome["profile"]["statusReason"], "REVERIFIED");
        assert_eq!(done.field()["verification"]["status"], "SUCCEEDED");
        let events = link_events(&db, &ada.account, 4).await;
        assert_eq!(events, [
            LinkEvent::Status(Some(Status::Active), Status::AttentionRequired, Reason::CredentialsExpired),
            LinkEvent::Status(Some(Status::AttentionRequired), Status::Active, Reason::Reverified),
        ]);
        // The platform takes its time to notice that it has what it asked for.
        idle(&db).await;
        assert_eq!(profile_row(&db, &grace).await.status, LinkStatus::Active);
    }

    /// One that works can be proved again as well, and nothing happens to it; one that is going or gone cannot.
    async fn which_profiles_can_be_proved_again(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let grace = ada.client.linked(&place, GRACE).await;
        let db = place.database().await;
        let proved = ada.client.reverify(&place, &own, ADA).await;
        assert_eq!(proved.field()["outcome"]["profile"]["status"], "ACTIVE");
        assert_eq!(proved.field()["account"]["version"], 4, "nothing happened");
        idle(&db).await;
        place.sandbox.set_state("wa_grace", "deactivated").await;
        until_status(&db, &grace, LinkStatus::Suspended).await;
        let refused = ada.client.start_reverification(&grace).await;
        assert_eq!(refused.user_errors(), ["PROFILE_NOT_ACTIVE"]);
        assert_eq!(refused.field()["userErrors"][0]["path"], json!(["profileId"]));
        assert_eq!(refused.field()["verification"], Value::Null);
        place.sandbox.set_state("wa_grace", "active").await;
        until_status(&db, &grace, LinkStatus::Active).await;
        idle(&db).await;
        let started = ada.client.start_reverification(&grace).await.field()["verification"]["id"].clone();
        let code = place.sandbox.nth_code(GRACE, 2).await;
        ada.client.unlink(&grace).await.field();
        assert_eq!(ada.client.start_reverification(&grace).await.user_errors(), ["PROFILE_NOT_ACTIVE"]);
        // Nor does a proof that was started before keep it.
        let late = ada.client.submit(&started, &Value::Null, &code).await;
        assert_eq!(late.user_errors(), ["PROFILE_NOT_ACTIVE"]);
        assert_eq!(late.field()["verification"]["failure"], "PROFILE_NOT_ACTIVE");
        app.advance(&place, 24 * 3600).await;
        until_status(&db, &grace, LinkStatus::Unlinked).await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        assert_eq!(ada.start_reverification(&grace).await.user_errors(), ["PROFILE_NOT_ACTIVE"]);
        assert_eq!(place.sandbox.codes(GRACE).await.len(), 2, "nothing was sent for what is refused");
    }

    async fn a_step_up_makes_the_session_fresh(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let grace = ada.client.linked(&place, GRACE).await;
        let other = app.client().sign_in(&place, ADA).await;
        app.advance(&place, 3600).await;
        let stale = app.renewed(&ada);
        assert_eq!(stale.start_link(EVE).await.error_code(), "STEP_UP_REQUIRED");
        let done = stale.step_up(&place, &grace, GRACE).await;
        let outcome = &done.field()["outcome"];
        assert_eq!(outcome["__typename"], "SteppedUp", "{:#}", done.body);
        let session = json!({ "id": ada.session, "current": true, "freshUntil": "2027-01-15T09:10:00.000Z" });
        assert_eq!(outcome["session"], session);
        assert_eq!(outcome["tokens"]["refreshToken"], Value::Null, "the refresh token stays as it is");
        assert_eq!(outcome["tokens"]["accessTokenExpiresAt"], "2027-01-15T09:10:00.000Z");
        let fresh = stale.with_token(outcome["tokens"]["accessToken"].as_str().unwrap());
        fresh.start_link(EVE).await.field();
        fresh.unlink(&grace).await.field();
        fresh.keep(&grace).await.field();
        // By the session and not by the token; and no other session is any fresher.
        stale.unlink(&grace).await.field();
        assert_eq!(app.renewed(&other).start_link(EVE).await.error_code(), "STEP_UP_REQUIRED");
        app.advance(&place, 599).await;
        app.renewed(&ada).start_link(EVE).await.field();
        app.advance(&place, 1).await;
        assert_eq!(app.renewed(&ada).start_link(EVE).await.error_code(), "STEP_UP_REQUIRED");
    }

    async fn only_a_profile_that_signs_in_steps_up(place: Place) {
        let mut place = place;
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let grace = ada.client.linked(&place, GRACE).await;
        let db = place.database().await;
        let started = ada.client.start_step_up(&grace).await.field()["verification"]["id"].clone();
        let code = place.sandbox.nth_code(GRACE, 2).await;
        place.sandbox.set_state("wa_grace", "credentials_expired").await;
        until_status(&db, &grace, LinkStatus::AttentionRequired).await;
        let refused = ada.client.start_step_up(&grace).await;
        assert_eq!(refused.user_errors(), ["PROFILE_NOT_ACTIVE"]);
        assert_eq!(refused.field()["userErrors"][0]["path"], json!(["methodId"]));
        let late = ada.client.submit(&started, &Value::Null, &code).await;
        assert_eq!(late.user_errors(), ["PROFILE_NOT_ACTIVE"], "one that was started before is of no use either");
        let mut row = profile_row(&db, &own).await.into_active_model();
        row.sign_in_enabled = Set(false);
        row.update(&db).await.unwrap();
        assert_eq!(ada.client.start_step_up(&own).await.user_errors(), ["SIGN_IN_DISABLED"]);
        let mut row = profile_row(&db, &own).await.into_active_model();
        row.sign_in_enabled = Set(true);
        row.update(&db).await.unwrap();
        app.stop().await;
        place.set("ACCOUNTS__PLATFORMS__WHATSAPP__SIGN_IN", false);
        let app = place.app().await;
        let ada = app.renewed(&ada);
        assert_eq!(ada.start_step_up(&own).await.user_errors(), ["UNSUPPORTED_BY_PLATFORM"]);
    }

    async fn unknown_profiles_and_those_of_others_cannot_be_proved_again(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        place.sandbox.add_profile("wa_eve", EVE).await;
        let eve = app.client().sign_in(&place, EVE).await.client;
        let of_ada = ada.profiles().await[0].clone();
        let nobodys = "profile_0193f000000070008000000000000001";
        for answers in [
            [&of_ada, nobodys, "x"].map(|id| (id.to_owned(), true)),
            [&of_ada, nobodys, "x"].map(|id| (id.to_owned(), false)),
        ] {
            let mut bodies = Vec::new();
            for (id, reverify) in &answers {
                let answer = if *reverify { eve.start_reverification(id).await } else { eve.start_step_up(id).await };
                assert_eq!(answer.user_errors(), ["NOT_FOUND"], "{id}");
                bodies.push(answer.body);
            }
            assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:#?}");
        }
        let step_up = "mutation($input: StartStepUpInput!) { startStepUp(input: $input) { userErrors { code } } }";
        let by_profile_id = ada.mutate(step_up, json!({ "methodId": of_ada })).await;
        assert_eq!(by_profile_id.user_errors(), ["NOT_FOUND"], "a profile's id is no method's");
        assert_eq!(app.client().start_reverification(&of_ada).await.error_code(), "UNAUTHENTICATED");
        assert_eq!(app.client().start_step_up(&of_ada).await.error_code(), "UNAUTHENTICATED");
        let node = "query($id: ID!) { node(id: $id) { id } }";
        assert_eq!(ada.run(node, json!({ "id": method_of(&of_ada) })).await.field(), &Value::Null);
        assert_eq!(place.sandbox.codes(ADA).await.len(), 1);
    }

    async fn s06_a_new_proof_is_finished_where_it_was_started(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let other = app.client().sign_in(&place, ADA).await.client;
        place.sandbox.add_profile("wa_eve", EVE).await;
        let eve = app.client().sign_in(&place, EVE).await.client;
        let own = ada.client.profiles().await[0].clone();
        app.advance(&place, 700).await;
        let (ada, nth) = (app.renewed(&ada), 3);
        for (round, reverify) in [true, false].into_iter().enumerate() {
            let started = if reverify { ada.start_reverification(&own).await } else { ada.start_step_up(&own).await };
            let id = started.field()["verification"]["id"].clone();
            let code = place.sandbox.nth_code(ADA, nth + round).await;
            let eve = renewed(&app, &eve);
            assert_eq!(eve.submit(&id, &Value::Null, &code).await.user_errors(), ["NOT_FOUND"]);
            assert_eq!(app.client().submit(&id, &Value::Null, &code).await.user_errors(), ["NOT_FOUND"]);
            let foreign = renewed(&app, &other).submit(&id, &Value::Null, &code).await;
            assert_eq!(foreign.user_errors(), ["VERIFICATION_FAILED"]);
            assert_eq!(foreign.field()["verification"]["failure"], "VERIFICATION_FAILED");
            assert_eq!(ada.submit(&id, &Value::Null, &code).await.user_errors(), ["VERIFICATION_CLOSED"]);
        }
    }

    /// A proof does what it was started for, and nothing that another one would have done.
    async fn s07_no_purpose_proves_another(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let grace = ada.client.linked(&place, GRACE).await;
        let db = place.database().await;
        idle(&db).await;
        app.advance(&place, 3600).await;
        let stale = app.renewed(&ada);
        // Neither a new proof of a profile nor one that links it again is a step-up.
        assert_eq!(stale.reverify(&place, &own, ADA).await.field()["outcome"]["__typename"], "ProfileReverified");
        assert_eq!(stale.unlink(&grace).await.error_code(), "STEP_UP_REQUIRED");
        // A step-up gives no proof that a platform asks for: here it is asked, and not heard of yet.
        place.sandbox.faults(json!({ "lose_webhooks": true })).await;
        place.sandbox.set_state("wa_grace", "credentials_expired").await;
        assert_eq!(stale.step_up(&place, &grace, GRACE).await.field()["outcome"]["__typename"], "SteppedUp");
        assert_eq!(profile_row(&db, &grace).await.status_reason, LinkStatusReason::Verified);
        place.sandbox.faults(json!({})).await;
        place.sandbox.set_state("wa_grace", "credentials_expired").await;
        until_status(&db, &grace, LinkStatus::AttentionRequired).await;
        // Which the other one does.
        let ada = app.renewed(&ada);
        assert_eq!(ada.reverify(&place, &grace, GRACE).await.field()["outcome"]["profile"]["status"], "ACTIVE");
    }

    /// The platform says that it delivered to another profile than the one that was asked for.
    async fn s07_a_proof_of_another_profile_is_worth_nothing(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let db = place.database().await;
        for (nth, reverify) in [(2, true), (3, false)] {
            let client = &ada.client;
            let started = if reverify { client.start_reverification(&own).await } else { client.start_step_up(&own).await };
            let id = started.field()["verification"]["id"].clone();
            let code = place.sandbox.nth_code(ADA, nth).await;
            crate::support::eventually("the platform has said whose it is", async || {
                let row = verification::Entity::find_by_id(uuid_of(id.as_str().unwrap())).one(&db).await.unwrap();
                row.unwrap().sealed_claim
            }).await;
            let mut row = profile_row(&db, &own).await.into_active_model();
            row.external_id = Set("wa_another".to_owned());
            row.update(&db).await.unwrap();
            let done = client.submit(&id, &Value::Null, &code).await;
            assert_eq!(done.user_errors(), ["VERIFICATION_FAILED"]);
            assert_eq!(done.field()["verification"]["failure"], "VERIFICATION_FAILED");
            let mut row = profile_row(&db, &own).await.into_active_model();
            row.external_id = Set("wa_ada".to_owned());
            row.update(&db).await.unwrap();
            assert_eq!(client.submit(&id, &Value::Null, &code).await.user_errors(), ["VERIFICATION_CLOSED"]);
        }
    }

    async fn s08_a_step_up_is_good_once_and_its_codes_are_counted(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let own = ada.profiles().await[0].clone();
        let id = ada.start_step_up(&own).await.field()["verification"]["id"].clone();
        let first = place.sandbox.nth_code(ADA, 2).await;
        assert_eq!(ada.resend(&id, &Value::Null).await.user_errors(), ["RESEND_TOO_EARLY"]);
        app.advance(&place, 60).await;
        ada.resend(&id, &Value::Null).await.field();
        let code = place.sandbox.nth_code(ADA, 3).await;
        assert_eq!(ada.submit(&id, &Value::Null, &first).await.user_errors(), ["CODE_INCORRECT"]);
        let tries = (0..4).map(|_| ada.submit(&id, &Value::Null, &code));
        let answers = futures_util::future::join_all(tries).await;
        let mut errors: Vec<_> = answers.iter().map(|answer| answer.user_errors().concat()).collect();
        errors.sort();
        assert_eq!(errors, ["", "VERIFICATION_CLOSED", "VERIFICATION_CLOSED", "VERIFICATION_CLOSED"]);
    }
}

/// The same session with a new access token.
fn renewed(app: &crate::support::TestApp, client: &crate::support::Client) -> crate::support::Client {
    let access = app.app().tokens.sign(crate::linking::viewer(client), &app.app().ids).unwrap();
    client.with_token(&access.token)
}
