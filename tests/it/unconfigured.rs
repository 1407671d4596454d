//! A platform that the operator has taken out of the configuration, while profiles are linked to it.

use accounts_center_entity::linked_profile::LinkStatus;
use accounts_center_entity::{job, verification};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DatabaseConnection, EntityTrait, IntoActiveModel,
    QueryFilter,
};
use serde_json::{Value, json};

use crate::support::links::{profile_row, until_status};
use crate::support::webhooks::{Sender, about, looks};
use crate::support::{TestApp, eventually, on_both_stacks, uuid_of};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const ENABLED: &str = "ACCOUNTS__PLATFORMS__WHATSAPP__ENABLED";

on_both_stacks! {
    async fn its_profiles_are_shown_by_its_key_and_it_does_nothing(place: Place) {
        let mut place = place;
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let verification = ada.client.start_link(GRACE).await.field()["verification"]["id"].clone();
        let code = place.sandbox.nth_code(GRACE, 1).await;
        let signing_in = app.client().start_sign_in(ADA).await;
        let sign_in_code = place.sandbox.nth_code(ADA, 2).await;
        app.stop().await;
        place.set(ENABLED, false);
        let app = place.app().await;
        let ada = app.renewed(&ada);

        let hub = ada.query("{ viewer { profiles(platform: \"whatsapp\") { id platformKey handle platform { id key
            displayName capabilities verificationMethods endToEndEncrypted } }
            activity { nodes { description } } } }").await;
        assert_eq!(hub.field(), &json!({
            "profiles": [{ "id": own, "platformKey": "whatsapp", "handle": "+49 ··· ·· 42",
                "platform": { "id": "platform_whatsapp", "key": "whatsapp", "displayName": "whatsapp",
                    "capabilities": [], "verificationMethods": [], "endToEndEncrypted": false } }],
            "activity": { "nodes": [{ "description": "A device was signed in." },
                { "description": "Whatsapp +49 ··· ·· 42 was linked." }] } }));
        assert_eq!(ada.query("{ platforms { key } }").await.field(), &json!([{ "key": "facebook" }, { "key": "instagram" }]));
        assert_eq!(ada.query("{ platform(key: \"whatsapp\") { key } }").await.field(), &Value::Null);
        assert_eq!(app.client().start_sign_in(ADA).await.user_errors(), ["UNKNOWN_PLATFORM"]);
        assert_eq!(ada.start_link(GRACE).await.user_errors(), ["UNKNOWN_PLATFORM"]);
        let (send, body) = (Sender::new(&app), about("profile.deactivated", "wa_ada"));
        assert_eq!(send.to("whatsapp", &send.signed("m1", 0, &body), &body).await, 404);

        // A proof that was under way stays so, and no try is counted.
        let proof = "query($id: ID!) { verification(id: $id) { status platform { key }
            challenge { ... on OneTimeCodeChallenge { attemptsLeft } } } }";
        for typed in [&code, "nonsense"] {
            assert_eq!(ada.submit(&verification, &Value::Null, typed).await.user_errors(), ["PLATFORM_UNAVAILABLE"]);
            let (id, secret) = (&signing_in.field()["verification"]["id"], &signing_in.field()["clientSecret"]);
            assert_eq!(app.client().submit(id, secret, typed).await.user_errors(), ["PLATFORM_UNAVAILABLE"]);
        }
        let seen = ada.run(proof, json!({ "id": verification })).await;
        let pending = json!({ "status": "PENDING", "platform": { "key": "whatsapp" }, "challenge": { "attemptsLeft": 5 } });
        assert_eq!(seen.field(), &pending);
        app.stop().await;
        place.set(ENABLED, true);
        let app = place.app().await;
        assert_eq!(ada.at(&app.url).submit(&verification, &Value::Null, &code).await.user_errors(), [""; 0]);
        let (id, secret) = (&signing_in.field()["verification"]["id"], &signing_in.field()["clientSecret"]);
        assert_eq!(app.client().submit(id, secret, &sign_in_code).await.user_errors(), [""; 0]);
    }

    async fn s12_its_profiles_are_no_way_to_sign_in(place: Place) {
        let mut place = place;
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let grace = ada.client.linked(&place, GRACE).await;
        let db = place.database().await;
        let mut row = profile_row(&db, &grace).await.into_active_model();
        row.platform = Set("myspace".to_owned());
        row.update(&db).await.unwrap();
        assert_eq!(ada.client.unlink(&own).await.user_errors(), ["LAST_SIGN_IN_METHOD"]);
        assert_eq!(ada.client.unlink(&grace).await.user_errors(), [""; 0]);
        ada.client.keep(&grace).await.field();
        // Nor are those of one that is there, and signs nobody in.
        let mut row = profile_row(&db, &grace).await.into_active_model();
        row.platform = Set("whatsapp".to_owned());
        row.update(&db).await.unwrap();
        let started = app.client().start_sign_in(ADA).await;
        let code = place.sandbox.nth_code(ADA, 2).await;
        app.stop().await;
        place.set("ACCOUNTS__PLATFORMS__WHATSAPP__SIGN_IN", false);
        let app = place.app().await;
        assert_eq!(app.renewed(&ada).unlink(&own).await.user_errors(), ["LAST_SIGN_IN_METHOD"]);
        let (id, secret) = (&started.field()["verification"]["id"], &started.field()["clientSecret"]);
        assert_eq!(app.client().submit(id, secret, &code).await.user_errors(), ["SIGN_IN_DISABLED"]);
    }

    /// What was heard of a profile is not forgotten: it is looked at once its platform is back.
    async fn a_look_waits_until_it_is_back(place: Place) {
        let mut place = place;
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let db = place.database().await;
        crate::support::webhooks::idle(&db).await;
        app.stop().await;
        place.set("ACCOUNTS__JOBS__CONCURRENCY", 0);
        let app = place.app().await;
        place.sandbox.set_state("wa_ada", "deactivated").await;
        eventually("it is stored", async || (looks(&db).await == (1, 1)).then_some(())).await;
        app.stop().await;
        place.set("ACCOUNTS__JOBS__CONCURRENCY", 4);
        place.set(ENABLED, false);
        let app = place.app().await;
        // Longer than the tries of a job that fails.
        for _ in 0..12 {
            let waits = waiting_look(&app, &db).await;
            assert_eq!((waits.dead_at, waits.last_error.as_deref()), (None, Some("its platform is not configured")));
            app.advance(&place, 3600).await;
        }
        assert_eq!(profile_row(&db, &own).await.status, LinkStatus::Active);
        app.stop().await;
        place.set(ENABLED, true);
        let app = place.app().await;
        app.advance(&place, 3600).await;
        until_status(&db, &own, LinkStatus::Suspended).await;
    }

    /// Nor is it lost while the platform is away for half a day, or knows our credential no more.
    async fn a_look_waits_until_its_platform_answers(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let db = place.database().await;
        crate::support::webhooks::idle(&db).await;
        place.sandbox.faults(json!({ "status": 503 })).await;
        place.sandbox.set_state("wa_ada", "deactivated").await;
        for hour in 0..12 {
            let waits = waiting_look(&app, &db).await;
            assert!(waits.dead_at.is_none() && waits.last_error.is_some_and(|error| error.contains("platform")));
            place.sandbox.faults(json!({ "status": if hour < 6 { 503 } else { 401 } })).await;
            app.advance(&place, 3600).await;
        }
        waiting_look(&app, &db).await;
        assert_eq!(profile_row(&db, &own).await.status, LinkStatus::Active);
        place.sandbox.faults(json!({})).await;
        app.advance(&place, 3600).await;
        until_status(&db, &own, LinkStatus::Suspended).await;
    }

    /// While a new configuration is rolled out, a worker that does not have the platform yet may get the job.
    async fn a_code_for_it_is_tried_again(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__JOBS__CONCURRENCY", 0);
        let app = place.app().await;
        let started = app.client().start_sign_in(ADA).await;
        app.stop().await;
        place.set("ACCOUNTS__JOBS__CONCURRENCY", 4);
        place.set(ENABLED, false);
        let app = place.app().await;
        let db = place.database().await;
        let tried = eventually("a try has failed", async || {
            let codes = job::Entity::find().filter(job::Column::Kind.eq("deliver_code"));
            codes.one(&db).await.unwrap().filter(|job| job.last_error.is_some())
        }).await;
        assert_eq!(tried.dead_at, None);
        app.stop().await;
        place.set(ENABLED, true);
        let app = place.app().await;
        app.advance(&place, 10).await;
        place.sandbox.nth_code(ADA, 1).await;
        let id = uuid_of(started.field()["verification"]["id"].as_str().unwrap());
        assert!(verification::Entity::find_by_id(id).one(&db).await.unwrap().is_some());
    }
}

/// The look at a profile, once it has been tried and waits for a later time.
async fn waiting_look(app: &TestApp, db: &DatabaseConnection) -> job::Model {
    let now = app.app().clock.now();
    eventually("the look waits for a later time", async || {
        let looks =
            job::Entity::find().filter(job::Column::Kind.eq("refresh_profile")).all(db).await.unwrap();
        assert!(looks.len() <= 1, "{looks:?}");
        looks.into_iter().find(|look| look.run_at > now && look.leased_until.is_none())
    })
    .await
}
