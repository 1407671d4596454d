//! Unlinking a profile, keeping it, and what may come between.

use std::time::{Duration, Instant};

use accounts_center::link_graph::graphql::{LinkStatus as Status, LinkStatusReason as Reason};
use accounts_center_entity::experience_grant::{self, Experience};
use accounts_center_entity::linked_profile::{self, LinkStatus};
use accounts_center_entity::{event, profile_connection, session};
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, PaginatorTrait};
use serde_json::{Value, json};

use crate::support::links::{LinkEvent, connect, link_events, profile_row, until_status};
use crate::support::{ServerProcess, Stack, on_both_stacks};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const EVE: &str = "+4917139200050";
const DAY: i64 = 24 * 3600;

on_both_stacks! {
    async fn s17_unlinking_ends_sessions_and_pauses_connections_and_keeping_resumes_them(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let grace = ada.client.linked(&place, GRACE).await;
        place.sandbox.add_profile("wa_third", EVE).await;
        let third = ada.client.linked(&place, EVE).await;
        let by_grace = app.client().sign_in(&place, GRACE).await.client;
        let db = place.database().await;
        let out = connect(&db, &grace, &own, &[Experience::CrossPosting, Experience::Messaging]).await;
        let back = connect(&db, &own, &grace, &[Experience::SharedLogin]).await;
        connect(&db, &own, &third, &[Experience::Messaging]).await;
        let mut tab = ada.client.socket().await;
        tab.follow_links(None).await;

        let unlinked = ada.client.unlink(&grace).await;
        let unlinked = unlinked.field();
        let profile = json!({ "id": grace, "status": "UNLINKING", "statusReason": "USER_REQUEST",
            "statusChangedAt": "2027-01-15T08:00:00.000Z", "unlinksAt": "2027-01-16T08:00:00.000Z",
            "displayName": "Grace" });
        assert_eq!(unlinked["profile"], profile);
        assert_eq!(unlinked["account"]["version"], 14,
            "one event for the link, one for the alert, one for the session, one for each grant");
        let listed = unlinked["account"]["profiles"].as_array().unwrap();
        assert!(listed.contains(&json!({ "id": grace, "status": "UNLINKING" })));
        let mut connections = vec![
            LinkEvent::Connection(out, true),
            LinkEvent::Connection(out, true),
            LinkEvent::Connection(back, true),
        ];
        if back < out {
            connections.rotate_right(1);
        }
        let mut events = link_events(&db, &ada.account, 8).await;
        let status = LinkEvent::Status(Some(Status::Active), Status::Unlinking, Reason::UserRequest);
        assert_eq!(events.remove(0), status);
        assert_eq!(events, connections);
        let heard = tab.link_event().await;
        assert_eq!(heard["previousLinkStatus"], "ACTIVE");
        assert_eq!(heard["linkStatus"], "UNLINKING");
        assert_eq!(heard["reason"], "USER_REQUEST");
        assert_eq!(heard["profile"]["status"], "UNLINKING");

        // What the profile opened has ended, and it opens nothing any more.
        assert_eq!(by_grace.start_link(EVE).await.error_code(), "UNAUTHENTICATED");
        assert_eq!(sign_in_errors(&place, app.client(), GRACE, 3).await, ["SIGN_IN_DISABLED"]);
        // Unlinking it again changes nothing, and prolongs nothing.
        app.advance(&place, 60).await;
        let again = ada.client.unlink(&grace).await;
        assert_eq!(again.field()["profile"], profile);
        assert_eq!(again.field()["account"]["version"], 14);

        let kept = ada.client.keep(&grace).await;
        let profile = json!({ "id": grace, "status": "ACTIVE", "statusReason": "UNLINK_CANCELLED", "unlinksAt": null });
        assert_eq!(kept.field()["profile"], profile);
        assert_eq!(kept.field()["account"]["version"], 18);
        let mut events = link_events(&db, &ada.account, 14).await;
        let status = LinkEvent::Status(Some(Status::Unlinking), Status::Active, Reason::UnlinkCancelled);
        assert_eq!(events.remove(0), status);
        assert_eq!(events, connections);
        assert_eq!(profile_connection::Entity::find().count(&db).await.unwrap(), 3);
        assert_eq!(ada.client.keep(&grace).await.field()["account"]["version"], 18);
        assert_eq!(by_grace.start_link(EVE).await.error_code(), "UNAUTHENTICATED", "ended is ended");
        app.client().sign_in(&place, GRACE).await;
    }

    async fn s17_after_24_hours_connections_end_and_what_is_personal_is_erased(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let grace = ada.client.linked(&place, GRACE).await;
        let db = place.database().await;
        let connection = connect(&db, &own, &grace, &[Experience::Messaging]).await;
        ada.client.unlink(&grace).await.field();
        app.advance(&place, DAY - 1).await;
        assert_eq!(profile_row(&db, &grace).await.status, LinkStatus::Unlinking);
        app.advance(&place, 1).await;
        until_status(&db, &grace, LinkStatus::Unlinked).await;
        let events = link_events(&db, &ada.account, 7).await;
        assert_eq!(events, [
            LinkEvent::Status(Some(Status::Unlinking), Status::Unlinked, Reason::GracePeriodEnded),
            LinkEvent::Connection(connection, false),
        ]);
        assert_eq!(profile_connection::Entity::find().count(&db).await.unwrap(), 0);
        assert_eq!(experience_grant::Entity::find().count(&db).await.unwrap(), 0);
        let row = profile_row(&db, &grace).await;
        let texts = [&row.external_id, &row.handle, &row.display_name];
        assert_eq!((texts, row.avatar_url, row.unlinks_at), ([""; 3].map(String::from).each_ref(), None, None));
        let stored = event::Entity::find().all(&db).await.unwrap();
        assert!(stored.iter().all(|event| !event.payload.to_string().contains("wa_grace")));
        // It is late to keep it, and nothing to unlink it again; but it can be linked anew.
        let ada = app.client().sign_in(&place, ADA).await.client;
        assert_eq!(ada.keep(&grace).await.user_errors(), ["PROFILE_NOT_ACTIVE"]);
        assert_eq!(ada.unlink(&grace).await.field()["profile"]["status"], "UNLINKED");
        assert_ne!(ada.linked(&place, GRACE).await, grace);
    }

    async fn a_profile_can_be_kept_to_the_last_moment_and_not_beyond(place: Place) {
        let mut place = place;
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let grace = ada.client.linked(&place, GRACE).await;
        ada.client.unlink(&grace).await.field();
        app.advance(&place, DAY - 1).await;
        assert_eq!(app.renewed(&ada).keep(&grace).await.field()["profile"]["status"], "ACTIVE");
        let fresh = app.client().sign_in(&place, ADA).await;
        fresh.client.unlink(&grace).await.field();
        app.stop().await;
        // Nobody runs jobs: it is late all the same.
        place.set("ACCOUNTS__JOBS__CONCURRENCY", 0);
        let app = place.app().await;
        app.advance(&place, DAY).await;
        assert_eq!(app.renewed(&fresh).keep(&grace).await.user_errors(), ["PROFILE_NOT_ACTIVE"]);
        assert_eq!(profile_row(&place.database().await, &grace).await.status, LinkStatus::Unlinking);
    }

    async fn one_that_was_kept_and_is_unlinked_anew_has_its_24_hours(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let grace = ada.linked(&place, GRACE).await;
        ada.unlink(&grace).await.field();
        app.advance(&place, DAY / 2).await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        ada.keep(&grace).await.field();
        ada.unlink(&grace).await.field();
        app.advance(&place, DAY / 2).await;
        let db = place.database().await;
        crate::support::eventually("the first job has run", async || {
            use accounts_center_entity::job;
            use sea_orm::{ColumnTrait, QueryFilter};
            let left = job::Entity::find().filter(job::Column::Kind.eq("end_grace")).count(&db).await.unwrap();
            (left == 1).then_some(())
        }).await;
        assert_eq!(profile_row(&db, &grace).await.status, LinkStatus::Unlinking);
        app.advance(&place, DAY / 2).await;
        until_status(&db, &grace, LinkStatus::Unlinked).await;
    }

    async fn unknown_profiles_and_those_of_others_are_not_found(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        place.sandbox.add_profile("wa_eve", EVE).await;
        let eve = app.client().sign_in(&place, EVE).await.client;
        let of_ada = ada.profiles().await[0].clone();
        let nobodys = "profile_0193f000000070008000000000000001";
        for answers in [
            [eve.unlink(&of_ada).await, eve.unlink(nobodys).await, eve.unlink("profile_x").await],
            [eve.keep(&of_ada).await, eve.keep(nobodys).await, eve.keep("").await],
        ] {
            assert_eq!(answers[0].user_errors(), ["NOT_FOUND"]);
            assert_eq!(answers[0].field()["userErrors"][0]["path"], json!(["profileId"]));
            assert_eq!(answers[0].body, answers[1].body);
            assert_eq!(answers[0].body, answers[2].body);
        }
        assert_eq!(app.client().unlink(&of_ada).await.error_code(), "UNAUTHENTICATED");
        assert_eq!(app.client().keep(&of_ada).await.error_code(), "UNAUTHENTICATED");
    }

    async fn s16_unlinking_needs_a_step_up_however_new_the_account_is(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let grace = ada.client.linked(&place, GRACE).await;
        app.advance(&place, 599).await;
        ada.client.unlink(&grace).await.field();
        app.advance(&place, 1).await;
        let stale = app.renewed(&ada);
        // Keeping needs none.
        stale.keep(&grace).await.field();
        assert_eq!(stale.unlink(&grace).await.error_code(), "STEP_UP_REQUIRED");
        assert_eq!(stale.unlink("profile_x").await.error_code(), "STEP_UP_REQUIRED");
        assert_eq!(profile_row(&place.database().await, &grace).await.status, LinkStatus::Active);
    }

    async fn s12_the_last_way_to_sign_in_stays(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let own = ada.profiles().await[0].clone();
        let refused = ada.unlink(&own).await;
        assert_eq!(refused.user_errors(), ["LAST_SIGN_IN_METHOD"]);
        assert_eq!(refused.field()["userErrors"][0]["path"], json!(["profileId"]));
        assert_eq!(refused.field()["profile"], Value::Null);
        assert_eq!(refused.field()["account"], Value::Null);
        // One that is held does not count.
        let grace = ada.linked(&place, GRACE).await;
        place.sandbox.set_state("wa_grace", "deactivated").await;
        until_status(&place.database().await, &grace, LinkStatus::Suspended).await;
        assert_eq!(ada.unlink(&own).await.user_errors(), ["LAST_SIGN_IN_METHOD"]);
        assert_eq!(ada.unlink(&grace).await.user_errors(), [""; 0]);
    }

    /// Each tab pauses between its look at what else can sign in and what it does: without the lock of the stream
    /// both would have looked before either has done it.
    async fn s12_two_tabs_that_unlink_the_last_two_at_once(place: Place) {
        let slow = [("FAILPOINTS", "profile::unlink-checked=return(400)".to_owned())];
        let server = ServerProcess::start_with(&place, &slow).await;
        let other = match place.stack {
            Stack::Embedded => None,
            Stack::Production => Some(ServerProcess::start_with(&place, &slow).await),
        };
        let first = server.client().sign_in(&place, ADA).await.client;
        let profiles = [first.profiles().await[0].clone(), first.linked(&place, GRACE).await];
        let second = server.client().sign_in(&place, GRACE).await.client;
        let second = second.at(&other.as_ref().unwrap_or(&server).url);
        // As if both tabs had been opened by something else: else one would sign the other out.
        let by_nobody = session::ActiveModel { opened_by_profile_id: Set(None), ..Default::default() };
        let db = place.database().await;
        session::Entity::update_many().set(by_nobody).exec(&db).await.unwrap();
        for _ in 0..3 {
            let begin = Instant::now();
            let (one, other) = tokio::join!(first.unlink(&profiles[0]), second.unlink(&profiles[1]));
            assert!(begin.elapsed() >= Duration::from_millis(800), "they did not take turns: nothing paused");
            let mut errors = [one.user_errors().concat(), other.user_errors().concat()];
            errors.sort();
            assert_eq!(errors, ["", "LAST_SIGN_IN_METHOD"]);
            for profile in &profiles {
                first.keep(profile).await.field();
            }
        }
    }

    async fn a_proof_by_another_account_ends_an_unlinking(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let grace = ada.client.linked(&place, GRACE).await;
        place.sandbox.add_profile("wa_eve", EVE).await;
        let eve = app.client().sign_in(&place, EVE).await;
        assert_eq!(eve.client.link(&place, GRACE).await.user_errors(), ["PROFILE_LINKED_ELSEWHERE"]);
        ada.client.unlink(&grace).await.field();
        let taken = eve.client.link(&place, GRACE).await;
        assert_eq!(taken.field()["outcome"]["profile"]["status"], "ACTIVE");
        assert_ne!(taken.field()["outcome"]["profile"]["id"], grace);
        let left = ada.client.profile(&grace).await;
        assert_eq!(left["status"], "UNLINKED");
        assert_eq!(left["statusReason"], "CLAIMED_BY_NEW_OWNER");
        assert_eq!(ada.client.keep(&grace).await.user_errors(), ["PROFILE_NOT_ACTIVE"]);
        let db = place.database().await;
        let events = link_events(&db, &ada.account, 6).await;
        let status = LinkEvent::Status(Some(Status::Unlinking), Status::Unlinked, Reason::ClaimedByNewOwner);
        assert_eq!(events, [status]);
    }

    async fn a_claim_and_a_change_of_mind_at_once_have_one_winner(place: Place) {
        let app = place.app().await;
        place.sandbox.add_profile("wa_eve", EVE).await;
        let eve = app.client().sign_in(&place, EVE).await.client;
        for round in 0..6 {
            let handles = [format!("+49171392004{round:02}"), format!("+49171392005{round:02}")];
            for (n, handle) in handles.iter().enumerate() {
                place.sandbox.add_profile(&format!("wa_{round}_{n}"), handle).await;
            }
            let ada = app.client().sign_in(&place, &handles[0]).await.client;
            let prize = ada.linked(&place, &handles[1]).await;
            ada.unlink(&prize).await.field();
            let verification = eve.start_link(&handles[1]).await.field()["verification"]["id"].clone();
            let code = place.sandbox.nth_code(&handles[1], 2).await;
            let (kept, taken) = tokio::join!(ada.keep(&prize), eve.submit(&verification, &Value::Null, &code));
            let outcome = (kept.user_errors().concat(), taken.user_errors().concat());
            let ada_has_it = ("".to_owned(), "PROFILE_LINKED_ELSEWHERE".to_owned());
            let eve_has_it = ("PROFILE_NOT_ACTIVE".to_owned(), "".to_owned());
            assert!(outcome == ada_has_it || outcome == eve_has_it, "{outcome:?}");
            let status = if outcome == ada_has_it { "ACTIVE" } else { "UNLINKED" };
            assert_eq!(ada.profile(&prize).await["status"], status);
        }
    }

    async fn a_proof_by_its_owner_keeps_it(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let grace = ada.linked(&place, GRACE).await;
        ada.unlink(&grace).await.field();
        assert_eq!(ada.linked(&place, GRACE).await, grace);
        let kept = ada.profile(&grace).await;
        assert_eq!((&kept["status"], &kept["statusReason"]), (&json!("ACTIVE"), &json!("UNLINK_CANCELLED")));
        // And it is what a platform asks for whose credentials have expired.
        place.sandbox.set_state("wa_grace", "credentials_expired").await;
        until_status(&place.database().await, &grace, LinkStatus::AttentionRequired).await;
        assert_eq!(ada.linked(&place, GRACE).await, grace);
        let proved = ada.profile(&grace).await;
        assert_eq!((&proved["status"], &proved["statusReason"]), (&json!("ACTIVE"), &json!("REVERIFIED")));
    }

    async fn a_full_account_can_still_prove_what_it_has(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let grace = ada.client.linked(&place, GRACE).await;
        let db = place.database().await;
        let model = profile_row(&db, &grace).await;
        let more = (0..18).map(|n| {
            let id = app.app().ids.uuid(crate::support::START);
            let external_id = format!("wa_more_{n}");
            linked_profile::Model { id, external_id, ..model.clone() }.into_active_model().reset_all()
        });
        linked_profile::Entity::insert_many(more).exec_without_returning(&db).await.unwrap();
        assert_eq!(ada.client.start_link(GRACE).await.user_errors(), ["LIMIT_REACHED"]);
        ada.client.unlink(&grace).await.field();
        place.sandbox.add_profile("wa_eve", EVE).await;
        let new = ada.client.link(&place, EVE).await;
        assert_eq!(new.user_errors(), ["LIMIT_REACHED"]);
        assert_eq!(new.field()["verification"]["failure"], "LIMIT_REACHED");
        assert_eq!(ada.client.linked(&place, GRACE).await, grace);
        assert_eq!(ada.client.profile(&grace).await["status"], "ACTIVE");
    }

    async fn a_proof_by_its_owner_that_comes_too_late_links_it_anew(place: Place) {
        let mut place = place;
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let grace = ada.client.linked(&place, GRACE).await;
        ada.client.unlink(&grace).await.field();
        app.advance(&place, DAY - 300).await;
        let ada = app.client().sign_in(&place, ADA).await;
        let verification = ada.client.start_link(GRACE).await.field()["verification"]["id"].clone();
        let code = place.sandbox.nth_code(GRACE, 2).await;
        app.stop().await;
        place.set("ACCOUNTS__JOBS__CONCURRENCY", 0);
        let app = place.app().await;
        app.advance(&place, 300).await;
        let done = app.renewed(&ada).submit(&verification, &Value::Null, &code).await;
        let anew = done.field()["outcome"]["profile"]["id"].as_str().unwrap();
        assert_ne!(anew, grace);
        let db = place.database().await;
        assert_eq!(profile_row(&db, &grace).await.status, LinkStatus::Unlinked);
        assert_eq!(profile_row(&db, anew).await.external_id, "wa_grace");
    }
}

/// The user errors of a sign-in by the `nth` code that the phone of `handle` gets.
async fn sign_in_errors(
    place: &crate::support::Place,
    client: crate::support::Client,
    handle: &str,
    nth: usize,
) -> Vec<String> {
    let started = client.start_sign_in(handle).await;
    let code = place.sandbox.nth_code(handle, nth).await;
    let (id, secret) = (&started.field()["verification"]["id"], &started.field()["clientSecret"]);
    let done = client.submit(id, secret, &code).await;
    done.user_errors().into_iter().map(str::to_owned).collect()
}
