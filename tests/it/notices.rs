//! What platforms are told of accounts, and that logins there are over.

use accounts_center_entity::job;
use accounts_center_entity::linked_profile::LinkStatus;
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter};
use serde_json::{Value, json};

use crate::command_line::printed;
use crate::support::authenticator::Authenticator;
use crate::support::links::until_status;
use crate::support::{Place, ServerProcess, TestApp, eventually, on_both_stacks};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const EVE: &str = "+4917139200050";
const NOTICE: &str = "POST /profiles/{external_id}/notices";
const REVOKE: &str = "POST /profiles/{external_id}/sessions/revoke";
const DAY: i64 = 24 * 3600;

/// Waits until no job is left that tells platforms something.
async fn told(db: &DatabaseConnection) {
    eventually("all is told", async || jobs(db).await.is_empty().then_some(())).await;
}

async fn jobs(db: &DatabaseConnection) -> Vec<job::Model> {
    let kinds = job::Column::Kind.is_in(["send_notice", "revoke_logins"]);
    job::Entity::find().filter(kinds).all(db).await.unwrap()
}

/// Waits until a job of a kind has been put back for a reason.
async fn until_put_back(db: &DatabaseConnection, reason: &str) -> job::Model {
    eventually("a job is put back", async || {
        let jobs = jobs(db).await;
        jobs.into_iter().find(|job| job.last_error.as_ref().is_some_and(|error| error.contains(reason)))
    })
    .await
}

/// Lets time go by until `done`: jobs that were put back become due.
async fn in_time<T>(app: &TestApp, place: &Place, mut done: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..40 {
        if let Some(value) = done().await {
            return value;
        }
        app.advance(place, 120).await;
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    panic!("it never happened");
}

on_both_stacks! {
    async fn a_new_sign_in_is_told_to_the_other_profiles(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__NOTICES__ACTION_URL", "https://www.example.com/account");
        let app = place.app().await;
        let db = place.database().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let grace = ada.client.linked(&place, GRACE).await;
        ada.client.oauth_link("facebook", "fb_ada").await.field();
        // Somebody else's profile hears nothing of it.
        place.sandbox.add_profile("wa_eve", EVE).await;
        let eve = app.client().sign_in(&place, EVE).await;
        told(&db).await;
        assert_eq!(place.sandbox.notices("whatsapp", "wa_ada").await, [""; 0], "the first one makes the account");
        app.client().sign_in(&place, GRACE).await;
        told(&db).await;
        assert_eq!(place.sandbox.notices("whatsapp", "wa_ada").await, ["new_sign_in"]);
        assert_eq!(place.sandbox.notices("facebook", "fb_ada").await, ["new_sign_in"]);
        assert_eq!(place.sandbox.notices("whatsapp", "wa_grace").await, [""; 0], "it has just signed in");
        assert_eq!(place.sandbox.notices("whatsapp", "wa_eve").await, [""; 0]);
        let notice = place.sandbox.state_of("whatsapp").await["notices"][0].clone();
        assert_eq!((&notice["locale"], &notice["action_url"]), (&json!("en"), &json!("https://www.example.com/account")));
        assert!(notice["text"].as_str().unwrap().contains("15 January 2027, 08:00 UTC"), "{notice}");

        // A passkey is nobody's profile.
        let mut device = Authenticator::new(&app.url, 1);
        ada.client.add_passkey(&mut device, "Phone").await;
        app.client().passkey_sign_in(&mut device).await.field();
        told(&db).await;
        for id in ["wa_ada", "wa_grace"] {
            assert_eq!(place.sandbox.notices("whatsapp", id).await.last().unwrap(), "new_sign_in", "{id}");
        }
        // One that is held is told nothing: whoever has it may be the one to be told of.
        place.sandbox.set_state("wa_grace", "deactivated").await;
        until_status(&db, &grace, LinkStatus::Suspended).await;
        let before = place.sandbox.requests(NOTICE).await.1;
        app.client().sign_in(&place, ADA).await;
        told(&db).await;
        assert_eq!(place.sandbox.requests(NOTICE).await.1, before);
        assert_eq!(place.sandbox.notices("facebook", "fb_ada").await.len(), 3);
        drop(eve);
    }

    async fn s24_a_notice_has_no_handle_no_name_and_nothing_of_another_profile(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let grace = ada.client.linked(&place, GRACE).await;
        ada.client.oauth_link("facebook", "fb_ada").await.field();
        app.client().sign_in(&place, GRACE).await;
        ada.client.unlink(&grace).await.field();
        told(&db).await;
        for platform in ["whatsapp", "facebook"] {
            for notice in place.sandbox.state_of(platform).await["notices"].as_array().unwrap() {
                let text = notice["text"].as_str().unwrap();
                for hidden in ["WhatsApp", "Facebook", "Ada", "Grace", "ada", "grace", "+49", "42", "43", "127.0.0.1", &ada.account] {
                    assert!(!text.contains(hidden), "{hidden}: {text}");
                }
                assert_eq!(notice["action_url"], Value::Null);
            }
        }
    }

    async fn s17_what_leaves_an_account_is_told_so_and_its_logins_end(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let grace = ada.client.linked(&place, GRACE).await;
        let linked = ada.client.oauth_link("facebook", "fb_ada").await;
        let facebook = linked.field()["outcome"]["profile"]["id"].as_str().unwrap().to_owned();
        ada.client.unlink(&grace).await.field();
        ada.client.contain(&facebook).await.field();
        told(&db).await;
        assert_eq!(place.sandbox.notices("whatsapp", "wa_grace").await, ["unlinked"]);
        assert_eq!(place.sandbox.revocations("whatsapp", "wa_grace").await, 1);
        assert_eq!(place.sandbox.notices("facebook", "fb_ada").await, ["unlinked"]);
        assert_eq!(place.sandbox.revocations("facebook", "fb_ada").await, 1);
        assert_eq!(place.sandbox.notices("whatsapp", "wa_ada").await, [""; 0], "it stays");
        // It was told when its 24 hours began.
        app.advance(&place, DAY).await;
        until_status(&db, &grace, LinkStatus::Unlinked).await;
        told(&db).await;
        assert_eq!(place.sandbox.requests(NOTICE).await, (1, 1));
        assert_eq!(place.sandbox.requests(REVOKE).await, (1, 1));
        // What is deleted at the platform has nobody to be told.
        place.sandbox.set_state_at("facebook", "fb_ada", "deleted").await;
        until_status(&db, &facebook, LinkStatus::Unlinked).await;
        told(&db).await;
        assert_eq!(place.sandbox.requests_of("facebook", NOTICE).await, (1, 1));
    }

    async fn what_is_claimed_away_is_told_so_and_its_logins_end(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let grace = ada.client.linked(&place, GRACE).await;
        place.sandbox.add_profile("wa_eve", EVE).await;
        let eve = app.client().sign_in(&place, EVE).await;
        let proved = eve.client.link(&place, GRACE).await.field()["verification"]["id"].clone();
        let claim = "mutation($input: ClaimProfileInput!) { claimProfile(input: $input) {
            verification { id } userErrors { code } } }";
        assert_eq!(eve.client.mutate(claim, json!({ "verificationId": proved })).await.user_errors(), [""; 0]);
        eventually("the owner's time has begun", async || {
            let left = job::Entity::find().filter(job::Column::Kind.eq("tell_claimed_owner")).all(&db).await.unwrap();
            left.is_empty().then_some(())
        }).await;
        app.advance(&place, 3 * DAY).await;
        until_status(&db, &grace, LinkStatus::Unlinked).await;
        told(&db).await;
        assert_eq!(place.sandbox.notices("whatsapp", "wa_grace").await, ["unlinked"]);
        assert_eq!(place.sandbox.revocations("whatsapp", "wa_grace").await, 1);
        // Its new owner's account is told of its own sign-ins, and its old owner's no more.
        app.client().sign_in(&place, ADA).await;
        told(&db).await;
        assert_eq!(place.sandbox.notices("whatsapp", "wa_grace").await, ["unlinked"]);
    }

    async fn what_waited_is_not_told_to_whom_the_profile_belongs_by_then(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let grace = ada.client.linked(&place, GRACE).await;
        place.sandbox.faults(json!({ "status": 503, "only": "/notices" })).await;
        app.client().sign_in(&place, ADA).await;
        until_put_back(&db, "503").await;
        ada.client.contain(&grace).await.field();
        place.sandbox.faults(json!({})).await;
        in_time(&app, &place, async || jobs(&db).await.is_empty().then_some(())).await;
        assert_eq!(place.sandbox.notices("whatsapp", "wa_grace").await, ["unlinked"], "and no sign-in of another account");
    }

    async fn an_erased_account_ends_the_logins_that_came_from_it(place: Place) {
        let mut server = ServerProcess::start(&place).await;
        let db = place.database().await;
        let ada = server.client().sign_in(&place, ADA).await;
        ada.client.linked(&place, GRACE).await;
        // The one that is unlinked for good while its platform is away is not forgotten with the account's other jobs.
        let linked = ada.client.oauth_link("facebook", "fb_ada").await;
        let facebook = linked.field()["outcome"]["profile"]["id"].as_str().unwrap().to_owned();
        place.sandbox.faults_of("facebook", json!({ "status": 500, "only": "/sessions/revoke" })).await;
        ada.client.unlink(&facebook).await.field();
        until_put_back(&db, "500").await;
        place.sandbox.advance(DAY).await;
        until_status(&db, &facebook, LinkStatus::Unlinked).await;
        assert!(server.interrupt().await.success());
        printed(&place, &["account", "erase", &ada.account, "--yes", &ada.account, "--operator", "root"]).await;
        place.sandbox.faults_of("facebook", json!({})).await;
        let _server = ServerProcess::start(&place).await;
        for _ in 0..40 {
            place.sandbox.advance(120).await;
            tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        }
        told(&db).await;
        for (platform, id) in [("whatsapp", "wa_ada"), ("whatsapp", "wa_grace"), ("facebook", "fb_ada")] {
            assert_eq!(place.sandbox.revocations(platform, id).await, 1, "{id}");
            assert_eq!(place.sandbox.notices(platform, id).await, ["unlinked"], "{id}");
        }
    }

    async fn s40_a_notice_and_a_revocation_whose_answer_is_lost_happen_once(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let grace = ada.client.linked(&place, GRACE).await;
        told(&db).await;
        place.sandbox.faults(json!({ "drop_after_effect": true })).await;
        ada.client.unlink(&grace).await.field();
        for endpoint in [NOTICE, REVOKE] {
            in_time(&app, &place, async || (place.sandbox.requests(endpoint).await.0 > 1).then_some(())).await;
        }
        place.sandbox.faults(json!({})).await;
        in_time(&app, &place, async || jobs(&db).await.is_empty().then_some(())).await;
        assert_eq!(place.sandbox.requests(NOTICE).await.1, 1);
        assert_eq!(place.sandbox.requests(REVOKE).await.1, 1);
    }

    async fn s40_a_platform_that_fails_is_told_later_and_none_that_is_told_nothing(place: Place) {
        let mut place = place;
        // Time goes on until jobs are tried again, by so much as they were put off.
        place.set("ACCOUNTS__SESSIONS__STEP_UP_MINUTES", 24 * 60);
        let app = place.app().await;
        let db = place.database().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let grace = ada.client.linked(&place, GRACE).await;
        for faults in [json!({ "status": 500 }), json!({ "drop_before": true }), json!({ "status": 401 })] {
            place.sandbox.faults(faults.clone()).await;
            let before = place.sandbox.requests(NOTICE).await.1;
            app.renewed(&ada).unlink(&grace).await.field();
            until_put_back(&db, "not available").await;
            assert_eq!(place.sandbox.requests(NOTICE).await.1, before, "{faults}");
            place.sandbox.faults(json!({})).await;
            in_time(&app, &place, async || jobs(&db).await.is_empty().then_some(())).await;
            assert_eq!(place.sandbox.requests(NOTICE).await.1, before + 1, "{faults}");
            let ada = app.renewed(&ada);
            ada.keep(&grace).await.field();
        }
        // What it refuses for good ends the notice.
        place.sandbox.faults(json!({ "status": 422, "only": "/notices" })).await;
        app.renewed(&ada).contain(&grace).await.field();
        told(&db).await;
    }

    async fn a_notice_that_cannot_be_told_in_a_day_is_not_told(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let grace = ada.client.linked(&place, GRACE).await;
        place.sandbox.faults(json!({ "status": 500 })).await;
        ada.client.contain(&grace).await.field();
        until_put_back(&db, "500").await;
        app.advance(&place, DAY + 1).await;
        eventually("it is given up", async || {
            jobs(&db).await.iter().all(|job| job.kind != "send_notice").then_some(())
        }).await;
        // The logins are what matters: a week.
        assert_eq!(jobs(&db).await.len(), 1);
        place.sandbox.faults(json!({})).await;
        in_time(&app, &place, async || jobs(&db).await.is_empty().then_some(())).await;
        assert_eq!(place.sandbox.revocations("whatsapp", "wa_grace").await, 1);
        assert_eq!(place.sandbox.notices("whatsapp", "wa_grace").await, [""; 0]);
    }

    async fn a_platform_that_has_neither_is_asked_for_neither(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__PLATFORMS__WHATSAPP__OFFERS", "publications");
        let app = place.app().await;
        let db = place.database().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let grace = ada.client.linked(&place, GRACE).await;
        app.client().sign_in(&place, ADA).await;
        ada.client.unlink(&grace).await.field();
        told(&db).await;
        let calls = async |endpoint| place.sandbox.requests(endpoint).await.0;
        assert_eq!((calls(NOTICE).await, calls(REVOKE).await), (0, 0));
        assert_eq!(calls("GET /profiles/{external_id}/privacy").await, 0);
    }

    async fn a_platform_that_is_off_is_told_once_it_is_on(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let grace = ada.client.linked(&place, GRACE).await;
        told(&db).await;
        printed(&place, &["switch", "off", "whatsapp", "--operator", "root"]).await;
        eventually("it is off", async || {
            (app.client().start_sign_in(EVE).await.user_errors() == ["PLATFORM_UNAVAILABLE"]).then_some(())
        }).await;
        ada.client.unlink(&grace).await.field();
        until_put_back(&db, "switched it off").await;
        assert_eq!((place.sandbox.requests(NOTICE).await.0, place.sandbox.requests(REVOKE).await.0), (0, 0));
        printed(&place, &["switch", "on", "whatsapp", "--operator", "root"]).await;
        in_time(&app, &place, async || jobs(&db).await.is_empty().then_some(())).await;
        assert_eq!(place.sandbox.notices("whatsapp", "wa_grace").await, ["unlinked"]);
        assert_eq!(place.sandbox.revocations("whatsapp", "wa_grace").await, 1);
    }
}
