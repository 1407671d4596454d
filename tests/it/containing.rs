//! Cutting a stolen profile off, and taking it back.

use accounts_center::link_graph::graphql::{LinkStatus as Status, LinkStatusReason as Reason};
use accounts_center_entity::experience_grant::Experience;
use accounts_center_entity::linked_profile::LinkStatus;
use accounts_center_entity::{job, profile_connection, profile_containment, verification};
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::{Value, json};

use crate::support::links::{CONTAIN, LinkEvent, connect, link_events, profile_row, until_status};
use crate::support::webhooks::idle;
use crate::support::{ServerProcess, on_both_stacks, uuid_of};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const EVE: &str = "+4917139200050";

on_both_stacks! {
    async fn s17_containing_ends_sessions_and_pauses_connections_and_a_proof_brings_it_back(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let grace = ada.client.linked(&place, GRACE).await;
        place.sandbox.add_profile("wa_third", EVE).await;
        let third = ada.client.linked(&place, EVE).await;
        let by_grace = app.client().sign_in(&place, GRACE).await.client;
        let db = place.database().await;
        let connection = connect(&db, &grace, &own, &[Experience::CrossPosting]).await;
        connect(&db, &own, &third, &[Experience::Messaging]).await;
        // Whoever stole it has begun to link another one, and to prove this one.
        let begun = by_grace.start_link("+4917139200060").await.field()["verification"]["id"].clone();
        let proving = ada.client.start_reverification(&grace).await.field()["verification"]["id"].clone();
        let unrelated = ada.client.start_link("+4917139200061").await.field()["verification"]["id"].clone();
        // No recent proof is needed: there is no time to lose.
        app.advance(&place, 599).await;
        let mut tab = ada.client.socket().await;
        tab.follow_links(None).await;
        let contained = ada.client.contain(&grace).await;
        let profile = json!({ "id": grace, "status": "CONTAINED", "statusReason": "REPORTED_STOLEN" });
        assert_eq!(contained.field()["profile"], profile);
        assert_eq!(contained.field()["account"]["version"], 12,
            "one event for the link, one for the alert, one for the session, one for the grant");
        assert_eq!(link_events(&db, &ada.account, 8).await, [
            LinkEvent::Status(Some(Status::Active), Status::Contained, Reason::ReportedStolen),
            LinkEvent::Connection(connection, true),
        ]);
        let heard = tab.link_event().await;
        assert_eq!((&heard["linkStatus"], &heard["reason"]), (&json!("CONTAINED"), &json!("REPORTED_STOLEN")));
        assert_eq!(by_grace.start_link(EVE).await.error_code(), "UNAUTHENTICATED");
        let status = async |id: &Value| {
            let row = verification::Entity::find_by_id(uuid_of(id.as_str().unwrap())).one(&db).await.unwrap();
            (row.as_ref().unwrap().status, row.unwrap().failure)
        };
        let failed = (verification::Status::Failed, Some("VERIFICATION_FAILED".to_owned()));
        assert_eq!((status(&begun).await, status(&proving).await), (failed.clone(), failed));
        assert_eq!(status(&unrelated).await, (verification::Status::Pending, None));
        // Its siblings stay, and so does what flows between them.
        let hub = ada.client.query("{ viewer { profiles { id status }
            linkGraph { connections { source { id } grants { paused } } } } }").await;
        for profile in hub.field()["profiles"].as_array().unwrap() {
            let expected = if profile["id"] == grace.as_str() { "CONTAINED" } else { "ACTIVE" };
            assert_eq!(profile["status"], expected, "{profile}");
        }
        for connection in hub.field()["linkGraph"]["connections"].as_array().unwrap() {
            assert_eq!(connection["grants"][0]["paused"], connection["source"]["id"] == grace.as_str());
        }

        app.advance(&place, 1).await;
        let ada_again = app.renewed(&ada);
        let refused = ada_again.release(&grace).await;
        assert_eq!(refused.user_errors(), ["PROFILE_NOT_ACTIVE"]);
        assert_eq!(refused.field()["userErrors"][0]["path"], json!(["profileId"]));
        let message = refused.field()["userErrors"][0]["message"].as_str().unwrap();
        assert!(message.contains("startProfileReverification"), "it says what to do: {message}");
        let proved = ada_again.reverify(&place, &grace, GRACE).await;
        assert_eq!(proved.field()["outcome"]["profile"]["status"], "CONTAINED", "the proof alone does not");
        let released = ada_again.release(&grace).await;
        let profile = json!({ "id": grace, "status": "ACTIVE", "statusReason": "RELEASED" });
        assert_eq!(released.field()["profile"], profile);
        assert_eq!(link_events(&db, &ada.account, 12).await, [
            LinkEvent::Status(Some(Status::Contained), Status::Active, Reason::Released),
            LinkEvent::Connection(connection, true),
        ]);
        assert_eq!(ada_again.release(&grace).await.field()["account"]["version"], 14, "it is so already");
        assert_eq!(by_grace.start_link(EVE).await.error_code(), "UNAUTHENTICATED", "ended is ended");
        assert_eq!(profile_connection::Entity::find().count(&db).await.unwrap(), 2);
        assert_eq!(profile_containment::Entity::find().count(&db).await.unwrap(), 0);
        app.client().sign_in(&place, GRACE).await;
    }

    /// Only one that was started for just that, and since: the thief may have had one before, and can have any other.
    async fn which_proof_releases_a_profile(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let own = ada.profiles().await[0].clone();
        let grace = ada.linked(&place, GRACE).await;
        ada.reverify(&place, &grace, GRACE).await.field();
        ada.contain(&grace).await.field();
        assert_eq!(ada.release(&grace).await.user_errors(), ["PROFILE_NOT_ACTIVE"], "a proof of before");
        assert_eq!(ada.linked(&place, GRACE).await, grace);
        assert_eq!(ada.release(&grace).await.user_errors(), ["PROFILE_NOT_ACTIVE"], "a proof that links");
        ada.reverify(&place, &own, ADA).await.field();
        assert_eq!(ada.release(&grace).await.user_errors(), ["PROFILE_NOT_ACTIVE"], "a proof of another one");
        assert_eq!(ada.start_step_up(&grace).await.user_errors(), ["PROFILE_NOT_ACTIVE"]);
        ada.reverify(&place, &grace, GRACE).await.field();
        // Whoever contains it once more is not content with the proof.
        let again = ada.contain(&grace).await;
        assert_eq!(again.field()["profile"]["status"], "CONTAINED");
        assert_eq!(again.field()["account"]["version"], 6, "nothing else changed");
        assert_eq!(ada.release(&grace).await.user_errors(), ["PROFILE_NOT_ACTIVE"]);
        ada.reverify(&place, &grace, GRACE).await.field();
        ada.release(&grace).await.field();
        // The next time a proof is needed again.
        ada.contain(&grace).await.field();
        assert_eq!(ada.release(&grace).await.user_errors(), ["PROFILE_NOT_ACTIVE"]);
    }

    /// One may contain by the very profile: the session that asks ends with the answer.
    async fn the_last_sign_in_method_can_be_contained_by_its_own_session(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        app.advance(&place, 3600).await;
        let stale = app.renewed(&ada);
        let contained = stale.contain(&own).await;
        assert_eq!(contained.field()["profile"]["status"], "CONTAINED", "no step-up, and it is shown");
        assert_eq!(contained.field()["account"]["id"], ada.account);
        assert_eq!(stale.contain(&own).await.error_code(), "UNAUTHENTICATED");
        assert_eq!(stale.release(&own).await.error_code(), "UNAUTHENTICATED");
        let started = app.client().start_sign_in(ADA).await;
        let code = place.sandbox.nth_code(ADA, 2).await;
        let (id, secret) = (&started.field()["verification"]["id"], &started.field()["clientSecret"]);
        assert_eq!(app.client().submit(id, secret, &code).await.user_errors(), ["SIGN_IN_DISABLED"]);
        let started = app.client().start_sign_in(ADA).await;
        assert_eq!(started.user_errors(), [""; 0], "nor does the start of a sign-in tell");
    }

    async fn what_else_holds_a_profile_is_shown_when_it_is_released(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let grace = ada.client.linked(&place, GRACE).await;
        let db = place.database().await;
        idle(&db).await;
        ada.client.contain(&grace).await.field();
        ada.client.reverify(&place, &grace, GRACE).await.field();
        idle(&db).await;
        place.sandbox.set_state("wa_grace", "deactivated").await;
        crate::support::eventually("it is known", async || profile_row(&db, &grace).await.suspended.then_some(())).await;
        assert_eq!(profile_row(&db, &grace).await.status, LinkStatus::Contained);
        let released = ada.client.release(&grace).await;
        let profile = json!({ "id": grace, "status": "SUSPENDED", "statusReason": "PLATFORM_DEACTIVATED" });
        assert_eq!(released.field()["profile"], profile);
        // And while it is being unlinked.
        ada.client.unlink(&grace).await.field();
        assert_eq!(ada.client.contain(&grace).await.field()["profile"]["status"], "UNLINKING");
        assert_eq!(ada.client.keep(&grace).await.field()["profile"]["status"], "CONTAINED");
        ada.client.unlink(&grace).await.field();
        app.advance(&place, 24 * 3600).await;
        until_status(&db, &grace, LinkStatus::Unlinked).await;
        assert_eq!(profile_containment::Entity::find().count(&db).await.unwrap(), 0);
        let ada = app.client().sign_in(&place, ADA).await.client;
        assert_eq!(ada.contain(&grace).await.user_errors(), ["PROFILE_NOT_ACTIVE"]);
        assert_eq!(ada.release(&grace).await.user_errors(), ["PROFILE_NOT_ACTIVE"]);
    }

    async fn unknown_profiles_and_those_of_others_are_neither_contained_nor_released(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        place.sandbox.add_profile("wa_eve", EVE).await;
        let eve = app.client().sign_in(&place, EVE).await.client;
        let of_ada = ada.profiles().await[0].clone();
        let nobodys = "profile_0193f000000070008000000000000001";
        for answers in [
            [eve.contain(&of_ada).await, eve.contain(nobodys).await, eve.contain("profile_x").await],
            [eve.release(&of_ada).await, eve.release(nobodys).await, eve.release("").await],
            [eve.set_sign_in(&of_ada, true).await, eve.set_sign_in(nobodys, true).await, eve.set_sign_in("", true).await],
        ] {
            assert_eq!(answers[0].user_errors(), ["NOT_FOUND"]);
            assert_eq!(answers[0].body, answers[1].body);
            assert_eq!(answers[0].body, answers[2].body);
        }
        for anonymous in [app.client().contain(&of_ada).await, app.client().release(&of_ada).await] {
            assert_eq!(anonymous.error_code(), "UNAUTHENTICATED");
        }
        assert_eq!(profile_row(&place.database().await, &of_ada).await.status, LinkStatus::Active);
    }

    /// It is there as a whole, or not at all.
    async fn s37_kill_9_while_a_profile_is_contained(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__KEYS__SECRET", "a secret of the tests, 32 characters");
        for (nth, point) in ["applied", "written", "committed"].into_iter().enumerate() {
            let handles = [0, 1].map(|n| format!("+4917139250{nth}{n}0"));
            for handle in &handles {
                place.sandbox.add_profile(&format!("wa_{handle}"), handle).await;
            }
            let mut server = ServerProcess::start(&place).await;
            let ada = server.client().sign_in(&place, &handles[0]).await;
            let own = ada.client.profiles().await[0].clone();
            let stolen = ada.client.linked(&place, &handles[1]).await;
            let by_stolen = server.client().sign_in(&place, &handles[1]).await.client;
            let db = place.database().await;
            let connection = connect(&db, &stolen, &own, &[Experience::CrossPosting]).await;
            idle(&db).await;
            server.kill().await;
            // So that nothing else is on the way to the failpoint.
            job::Entity::delete_many().exec(&db).await.unwrap();
            let dying = [("FAILPOINTS", format!("store::command-{point}=return"))];
            let mut server = ServerProcess::start_with(&place, &dying).await;
            let input = json!({ "input": { "profileId": stolen } });
            assert!(ada.client.at(&server.url).try_run(CONTAIN, input).await.is_err(), "{point}: it lived");
            server.ended().await;
            let server = ServerProcess::start(&place).await;
            let committed = point == "committed";
            let expected = if committed { LinkStatus::Contained } else { LinkStatus::Active };
            assert_eq!(profile_row(&db, &stolen).await.status, expected, "{point}");
            let noted = profile_containment::Entity::find_by_id(uuid_of(&stolen)).one(&db).await.unwrap();
            assert_eq!(noted.is_some(), committed, "{point}");
            let wanted = [
                LinkEvent::Status(Some(Status::Active), Status::Contained, Reason::ReportedStolen),
                LinkEvent::Connection(connection, true),
            ];
            let events = link_events(&db, &ada.account, 6).await;
            assert_eq!(events, if committed { &wanted[..] } else { &[] }, "{point}");
            let answer = by_stolen.at(&server.url).start_link(EVE).await;
            assert_eq!(answer.body["errors"].is_array(), committed, "{point}: {:#}", answer.body);
        }
    }
}
