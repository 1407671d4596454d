//! What platforms tell us: whom we believe, and what comes of it.

use accounts_center::link_graph::graphql::{LinkStatus as Status, LinkStatusReason as Reason};
use accounts_center_entity::experience_grant::Experience;
use accounts_center_entity::job;
use accounts_center_entity::linked_profile::LinkStatus;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use serde_json::json;

use crate::support::links::{LinkEvent, connect, link_events, profile_row, until_status};
use crate::support::webhooks::{Sender, about, idle, looks};
use crate::support::{Place, START, ServerProcess, Stack, eventually, on_both_stacks};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";

on_both_stacks! {
    async fn s34_only_what_the_platform_has_signed_just_now_is_believed(place: Place) {
        let app = place.app().await;
        app.client().sign_in(&place, ADA).await;
        let body = about("profile.updated", "wa_ada");
        let send = Sender::new(&app);
        assert_eq!(send.to("myspace", &send.signed("m1", 0, &body), &body).await, 404);
        let mut forged = send.signed("m1", 0, &body);
        forged[2].1 = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned();
        assert_eq!(send.to("whatsapp", &forged, &body).await, 401);
        assert_eq!(send.to("whatsapp", &send.signed("m1", 0, &body), &about("profile.deleted", "wa_ada")).await, 401);
        for missing in 0..3 {
            let mut headers = send.signed("m1", 0, &body).to_vec();
            headers.remove(missing);
            assert_eq!(send.to("whatsapp", &headers, &body).await, 401);
        }
        for seconds in [301, -301] {
            assert_eq!(send.to("whatsapp", &send.signed("m1", seconds, &body), &body).await, 401);
        }
        let of_another = json!({ "type": "profile.updated", "platform": "facebook", "data": { "external_id": "wa_ada" } });
        for (wrong, status) in [
            (of_another.to_string(), 401),
            ("{}".to_owned(), 400),
            ("nonsense".to_owned(), 400),
            (json!({ "type": "profile.updated", "platform": "whatsapp" }).to_string(), 400),
            (about("profile.updated", "wa\u{0}ada"), 400),
            (about("profile.updated", &"x".repeat(256)), 400),
            (" ".repeat(70_000), 413),
        ] {
            assert_eq!(send.to("whatsapp", &send.signed("m1", 0, &wrong), &wrong).await, status, "{wrong:.40}");
        }
        let db = place.database().await;
        assert_eq!(looks(&db).await, (0, 0));
        // What is none of our business is acknowledged: it must not be sent again and again.
        for nothing in [about("publication.removed", "wa_ada"), about("profile.updated", "wa_nobody"),
            json!({ "type": "x", "platform": "whatsapp" }).to_string()]
        {
            assert_eq!(send.to("whatsapp", &send.signed("m2", 0, &nothing), &nothing).await, 204);
        }
        assert_eq!(looks(&db).await, (0, 0));
        for (id, seconds) in [("m3", 300), ("m4", -300)] {
            assert_eq!(send.to("whatsapp", &send.signed(id, seconds, &body), &body).await, 204);
        }
        assert_eq!(looks(&db).await, (2, 2));
    }

    async fn s34_a_replayed_id_is_acknowledged_and_ignored(place: Place) {
        let app = place.app().await;
        app.client().sign_in(&place, ADA).await;
        let (send, body) = (Sender::new(&app), about("profile.updated", "wa_ada"));
        let headers = send.signed("m1", 0, &body);
        let tries = (0..8).map(|_| send.to("whatsapp", &headers, &body));
        assert_eq!(futures_util::future::join_all(tries).await, [204; 8]);
        let db = place.database().await;
        assert_eq!(looks(&db).await, (1, 1));
        app.advance(&place, 290).await;
        assert_eq!(send.to("whatsapp", &headers, &body).await, 204);
        assert_eq!(looks(&db).await, (1, 1));
        idle(&db).await;
    }

    async fn s34_the_sandbox_delivers_twice_and_it_counts_once(place: Place) {
        let app = place.app().await;
        app.client().sign_in(&place, ADA).await;
        place.sandbox.faults(json!({ "duplicate_webhooks": true })).await;
        place.sandbox.set_state("wa_ada", "active").await;
        eventually("both were taken", async || {
            (place.sandbox.requests("webhook").await.1 == 2).then_some(())
        }).await;
        assert_eq!(looks(&place.database().await).await, (1, 1));
    }

    async fn a_deactivated_profile_is_suspended_until_it_is_reactivated(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let grace = ada.client.linked(&place, GRACE).await;
        let by_grace = app.client().sign_in(&place, GRACE).await.client;
        let db = place.database().await;
        let connection = connect(&db, &own, &grace, &[Experience::Messaging]).await;
        let mut tab = ada.client.socket().await;
        tab.follow_links(None).await;

        place.sandbox.set_state("wa_grace", "deactivated").await;
        let heard = tab.link_event().await;
        assert_eq!(heard["linkStatus"], "SUSPENDED");
        assert_eq!(heard["reason"], "PLATFORM_DEACTIVATED");
        assert_eq!(heard["profile"]["status"], "SUSPENDED");
        assert_eq!(by_grace.start_link(ADA).await.error_code(), "UNAUTHENTICATED", "its sessions have ended");
        // The other end is held as well, and comes back: nothing flows, so nothing is resumed.
        place.sandbox.set_state("wa_ada", "credentials_expired").await;
        assert_eq!(tab.link_event().await["linkStatus"], "ATTENTION_REQUIRED");
        place.sandbox.set_state("wa_ada", "active").await;
        assert_eq!(tab.link_event().await["reason"], "PLATFORM_REACTIVATED");
        place.sandbox.set_state("wa_grace", "active").await;
        assert_eq!(tab.link_event().await["linkStatus"], "ACTIVE");
        let status = |before, after, reason| LinkEvent::Status(Some(before), after, reason);
        assert_eq!(link_events(&db, &ada.account, 6).await, [
            status(Status::Active, Status::Suspended, Reason::PlatformDeactivated),
            LinkEvent::Connection(connection, true),
            status(Status::Active, Status::AttentionRequired, Reason::CredentialsExpired),
            status(Status::AttentionRequired, Status::Active, Reason::PlatformReactivated),
            status(Status::Suspended, Status::Active, Reason::PlatformReactivated),
            LinkEvent::Connection(connection, true),
        ]);
        app.client().sign_in(&place, GRACE).await;
    }

    async fn a_deleted_profile_is_unlinked_at_once(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let grace = ada.client.linked(&place, GRACE).await;
        let db = place.database().await;
        let connection = connect(&db, &own, &grace, &[Experience::Messaging]).await;
        place.sandbox.set_state("wa_grace", "deleted").await;
        until_status(&db, &grace, LinkStatus::Unlinked).await;
        assert_eq!(link_events(&db, &ada.account, 4).await, [
            LinkEvent::Status(Some(Status::Active), Status::Unlinked, Reason::PlatformDeleted),
            LinkEvent::Connection(connection, false),
        ]);
        assert_eq!(profile_row(&db, &grace).await.external_id, "");
        assert_eq!(ada.client.keep(&grace).await.user_errors(), ["PROFILE_NOT_ACTIVE"]);
    }

    async fn what_happens_while_it_is_unlinked_shows_once_it_is_kept(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let grace = ada.client.linked(&place, GRACE).await;
        ada.client.unlink(&grace).await.field();
        let db = place.database().await;
        place.sandbox.set_state("wa_grace", "deactivated").await;
        eventually("the hold is set", async || profile_row(&db, &grace).await.suspended.then_some(())).await;
        assert_eq!(ada.client.profile(&grace).await["status"], "UNLINKING");
        let kept = ada.client.keep(&grace).await;
        let expected = json!({ "id": grace, "status": "SUSPENDED", "statusReason": "PLATFORM_DEACTIVATED", "unlinksAt": null });
        assert_eq!(kept.field()["profile"], expected);
        let status = LinkEvent::Status(Some(Status::Unlinking), Status::Suspended, Reason::UnlinkCancelled);
        assert_eq!(link_events(&db, &ada.account, 6).await, [status]);
    }

    /// Webhooks come in any order; what counts is what the platform says when it is asked.
    async fn the_order_of_webhooks_does_not_matter(place: Place) {
        let mut place = place;
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        app.stop().await;
        place.set("ACCOUNTS__JOBS__CONCURRENCY", 0);
        let app = place.app().await;
        place.sandbox.set_state("wa_ada", "deactivated").await;
        place.sandbox.set_state("wa_ada", "active").await;
        let db = place.database().await;
        eventually("both are stored", async || (looks(&db).await == (2, 2)).then_some(())).await;
        app.stop().await;
        place.set("ACCOUNTS__JOBS__CONCURRENCY", 4);
        let app = place.app().await;
        idle(&db).await;
        assert_eq!(link_events(&db, &ada.account, 1).await, [], "it is what it was");
        // One that says the opposite of what is so.
        place.sandbox.set_state("wa_ada", "deactivated").await;
        until_status(&db, &own, LinkStatus::Suspended).await;
        let (send, body) = (Sender::new(&app), about("profile.reactivated", "wa_ada"));
        assert_eq!(send.to("whatsapp", &send.signed("late", 0, &body), &body).await, 204);
        idle(&db).await;
        assert_eq!(profile_row(&db, &own).await.status, LinkStatus::Suspended);
    }

    async fn a_profile_that_the_platform_does_not_find_is_not_taken_for_deleted(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        let db = place.database().await;
        let mut row = profile_row(&db, &own).await.into_active_model();
        row.external_id = Set("wa_ghost".to_owned());
        row.update(&db).await.unwrap();
        let (send, body) = (Sender::new(&app), about("profile.deleted", "wa_ghost"));
        assert_eq!(send.to("whatsapp", &send.signed("m1", 0, &body), &body).await, 204);
        let waiting = eventually("a try has failed", async || {
            let job = job::Entity::find().filter(job::Column::Kind.eq("refresh_profile")).one(&db).await.unwrap();
            job.filter(|job| job.last_error.is_some())
        }).await;
        assert_eq!(waiting.dead_at, None, "it is tried again");
        assert_eq!(profile_row(&db, &own).await.status, LinkStatus::Active);
    }

    async fn a_webhook_waits_for_a_server(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let own = ada.client.profiles().await[0].clone();
        app.stop().await;
        place.sandbox.set_state("wa_ada", "deactivated").await;
        let _app = place.app().await;
        until_status(&place.database().await, &own, LinkStatus::Suspended).await;
    }
}

/// Each of two replicas takes one, and both show what came of it; with one of them gone the other one goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_replica_takes_a_webhook() {
    let place = Place::new(Stack::Production).await;
    let first = place.app().await;
    let second = place.replica().await;
    let ada = first.client().sign_in(&place, ADA).await;
    let grace = ada.client.linked(&place, GRACE).await;
    // The sandbox would choose for itself whom it tells.
    place.sandbox.faults(json!({ "lose_webhooks": true })).await;
    let db = place.database().await;
    let steps = [
        (&first, "deactivated", "profile.deactivated", "SUSPENDED"),
        (&second, "active", "profile.reactivated", "ACTIVE"),
    ];
    for (number, (replica, state, kind, status)) in steps.into_iter().enumerate() {
        let mut tabs = Vec::new();
        for url in [&first.url, &second.url] {
            let mut tab = ada.client.at(url).socket().await;
            tab.follow_links(None).await;
            tabs.push((url, tab));
        }
        place.sandbox.set_state("wa_grace", state).await;
        let (send, body) = (Sender::new(replica), about(kind, "wa_grace"));
        assert_eq!(send.to("whatsapp", &send.signed(kind, 0, &body), &body).await, 204);
        assert_eq!(looks(&db).await, (number as u64 + 1, number as i64 + 1));
        for (url, mut tab) in tabs {
            let heard = tab.link_event().await;
            assert_eq!((&heard["profile"]["id"], &heard["linkStatus"]), (&json!(grace), &json!(status)));
            assert_eq!(ada.client.at(url).profile(&grace).await["status"], status, "at {url}");
        }
    }
    let mut tab = ada.client.at(&second.url).socket().await;
    tab.follow_links(None).await;
    first.stop().await;
    place.sandbox.faults(json!({})).await;
    place.sandbox.set_state("wa_grace", "deactivated").await;
    assert_eq!(tab.link_event().await["linkStatus"], "SUSPENDED");
}

/// The sandbox in the same process speaks to its server as any other one does: over HTTP.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_in_the_same_process_tells_as_well() {
    let mut place = Place::new(Stack::Embedded).await;
    place.set("ACCOUNTS__SANDBOX__URL", "");
    let server = ServerProcess::start(&place).await;
    place.sandbox.url.clone_from(&server.url);
    let ada = server.client().sign_in(&place, ADA).await.client;
    let own = ada.profiles().await[0].clone();
    place.sandbox.set_state("wa_ada", "deactivated").await;
    until_status(&place.database().await, &own, LinkStatus::Suspended).await;
}

/// A sandbox tells nobody but servers on its own machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_of_the_sandbox_stay_on_this_machine() {
    let place = Place::new(Stack::Embedded).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for (url, status) in [
        ("http://127.0.0.1:1/webhooks", 204),
        ("http://192.0.2.1/webhooks", 400),
        ("http://127.0.0.1.example/webhooks", 400),
        ("https://127.0.0.1/webhooks", 400),
        ("file:///webhooks", 400),
    ] {
        let request = http.put(format!("{}/sandbox/webhooks", place.sandbox.url));
        let answer = request.json(&json!({ "url": url, "now": START })).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{url}");
    }
}
