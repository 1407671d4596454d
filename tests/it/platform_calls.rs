//! How platforms are called: with what, how often, and what becomes of it where one is slow or away.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use accounts_center::config::Offer;
use accounts_center_entity::job;
use accounts_center_entity::linked_profile::LinkStatus;
use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use chrono::TimeDelta;
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter};
use serde_json::json;
use uuid::Uuid;

use crate::support::links::until_status;
use crate::support::webhooks::idle;
use crate::support::{Client, Place, START, ServerProcess, eventually, on_both_stacks};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
const REVOKE: &str = "POST /profiles/{external_id}/sessions/revoke";
const CODES: &str = "POST /codes";

async fn waiting(db: &DatabaseConnection, kind: &str, reason: &str) -> Vec<job::Model> {
    let jobs = job::Entity::find().filter(job::Column::Kind.eq(kind)).filter(job::Column::DeadAt.is_null());
    let jobs = jobs.all(db).await.unwrap();
    let is_so = |job: &job::Model| job.last_error.as_ref().is_some_and(|error| error.contains(reason));
    jobs.into_iter().filter(is_so).collect()
}

/// Adds people to WhatsApp, and starts to sign in as each of them.
async fn start_many(place: &Place, client: &Client, number: usize) -> Vec<String> {
    let handles: Vec<_> = (0..number).map(|nth| format!("+49171392010{nth:02}")).collect();
    for (nth, handle) in handles.iter().enumerate() {
        place.sandbox.add_profile(&format!("wa_{nth}"), handle).await;
    }
    for handle in &handles {
        assert_eq!(client.start_sign_in(handle).await.user_errors(), [""; 0]);
    }
    handles
}

on_both_stacks! {
    async fn calls_bear_our_credential_and_numbers_to_find_them_by(place: Place) {
        let heard = Arc::new(Mutex::new(Vec::<HeaderMap>::new()));
        let ear = heard.clone();
        let platform = axum::Router::new().fallback(move |headers: HeaderMap| {
            ear.lock().unwrap().push(headers);
            async { (StatusCode::ACCEPTED, Json(json!({ "external_id": "x" }))) }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut place = place;
        place.set("ACCOUNTS__PLATFORMS__WHATSAPP__BASE_URL", format!("http://{}/v1", listener.local_addr().unwrap()));
        let serving = tokio::spawn(async { axum::serve(listener, platform).await });
        let app = place.app().await;
        app.client().start_sign_in(ADA).await.field();
        let calls = eventually("the platform is called twice", async || {
            let heard = heard.lock().unwrap();
            (heard.len() >= 2).then(|| heard.clone())
        }).await;
        for (call, has_effect) in [(&calls[0], true), (&calls[1], false)] {
            assert_eq!(call["authorization"], "Bearer sandbox");
            assert_eq!(call.contains_key("idempotency-key"), has_effect);
            let id: Uuid = call["x-request-id"].to_str().unwrap().parse().unwrap();
            let trace: Vec<_> = call["traceparent"].to_str().unwrap().split('-').collect();
            assert_eq!((trace[0], trace[1], trace[3]), ("00", id.simple().to_string().as_str(), "00"));
            assert!(trace[2].len() == 16 && trace[2] != "0000000000000000", "{trace:?}");
        }
        assert_ne!(calls[0]["x-request-id"], calls[1]["x-request-id"]);
        // A platform of one's own has nothing until it is listed.
        let offers = |key| app.app().platforms.get(key).unwrap().offers(Offer::Notices);
        assert_eq!((offers("whatsapp"), offers("facebook")), (false, true));
        serving.abort();
    }

    async fn jobs_over_the_limit_are_put_back_and_none_of_their_tries_is_used_up(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__PLATFORMS__WHATSAPP__CALLS_PER_SECOND", 2);
        let server = ServerProcess::start(&place).await;
        let db = place.database().await;
        let begin = Instant::now();
        let handles = start_many(&place, &server.client(), 8).await;
        let put_back = eventually("some are put back", async || {
            let jobs = waiting(&db, "deliver_code", "called too often").await;
            jobs.into_iter().find(|job| job.leased_until.is_none())
        }).await;
        assert_eq!((put_back.attempts, put_back.dead_at), (0, None));
        for handle in &handles {
            place.sandbox.nth_code(handle, 1).await;
        }
        // Two at once, and two more each second: the clock of the limit is not exactly ours.
        let most = 2.0 + 2.0 * (begin.elapsed().as_secs_f64() + 1.0);
        let calls = place.sandbox.requests(CODES).await.0 + place.sandbox.requests("GET /profiles/{external_id}").await.0;
        assert!((calls as f64) <= most, "{calls} calls, and {most} are allowed");
        assert_eq!(place.sandbox.requests(CODES).await.1, 8);
    }

    async fn a_job_that_makes_two_calls_gets_through_at_one_a_second(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__PLATFORMS__WHATSAPP__CALLS_PER_SECOND", 1);
        let server = ServerProcess::start(&place).await;
        server.client().sign_in(&place, ADA).await;
        assert_eq!(place.sandbox.requests(CODES).await, (1, 1), "and not from its beginning");
    }

    async fn a_person_waits_a_moment_where_a_job_is_put_back(place: Place) {
        let mut place = place;
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        app.stop().await;
        place.set("ACCOUNTS__PLATFORMS__FACEBOOK__CALLS_PER_SECOND", 1);
        let app = place.app().await;
        let begin = Instant::now();
        let linked = app.renewed(&ada).oauth_link("facebook", "fb_ada").await;
        assert_eq!(linked.field()["outcome"]["__typename"], "ProfileLinked", "{:#}", linked.body);
        assert!(begin.elapsed().as_millis() > 1500, "it was not called more than once a second");
    }

    async fn s40_a_platform_that_asks_for_time_gets_it(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let grace = ada.client.linked(&place, GRACE).await;
        for (status, seconds) in [(429, 90), (503, 200)] {
            place.sandbox.faults(json!({ "status": status, "retry_after": seconds, "only": "/sessions/revoke" })).await;
            let now = app.app().clock.now();
            let before = place.sandbox.requests(REVOKE).await.1;
            app.renewed(&ada).unlink(&grace).await.field();
            let job = eventually("it is put back", async || {
                waiting(&db, "revoke_logins", "asks for time").await.pop().filter(|job| job.leased_until.is_none())
            }).await;
            assert!(job.run_at >= now + TimeDelta::seconds(seconds), "{} after {now}", job.run_at);
            assert!(job.run_at <= now + TimeDelta::seconds(seconds * 3 / 2), "{} after {now}", job.run_at);
            assert_eq!(job.attempts, 0);
            place.sandbox.faults(json!({})).await;
            app.advance(&place, seconds - 1).await;
            tokio::time::sleep(std::time::Duration::from_millis(700)).await;
            assert_eq!(place.sandbox.requests(REVOKE).await.1, before, "it is left alone");
            app.advance(&place, seconds / 2 + 1).await;
            eventually("the logins end", async || {
                (place.sandbox.requests(REVOKE).await.1 == before + 1).then_some(())
            }).await;
            app.renewed(&ada).keep(&grace).await.field();
        }
        assert!(START < app.app().clock.now());
    }

    async fn s40_a_platform_that_fails_is_left_alone_for_a_moment(place: Place) {
        let server = ServerProcess::start(&place).await;
        let db = place.database().await;
        place.sandbox.faults(json!({ "status": 500, "only": "/codes" })).await;
        let handles = start_many(&place, &server.client(), 24).await;
        eventually("the circuit opens", async || {
            let jobs = waiting(&db, "deliver_code", "too many calls have failed").await;
            (!jobs.is_empty()).then_some(())
        }).await;
        place.sandbox.faults(json!({})).await;
        for handle in &handles {
            until_code(&place, handle).await;
        }
        assert_eq!(place.sandbox.requests(CODES).await.1, 24);
    }

    /// Half of what runs at one time is left to the others.
    /// What anybody may type fills no queue.
    async fn a_code_that_a_platform_refuses_is_no_dead_job(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        place.sandbox.faults(json!({ "status": 422, "only": "/codes" })).await;
        assert_eq!(app.client().start_sign_in(ADA).await.user_errors(), [""; 0], "it says what it says to everybody");
        eventually("nothing is left of it", async || {
            let left = job::Entity::find().filter(job::Column::Kind.eq("deliver_code")).all(&db).await.unwrap();
            left.is_empty().then_some(())
        }).await;
    }

    /// By the contract a 404 is a failure, and what a webhook has told of must not be lost by it.
    async fn s40_a_look_outlives_a_platform_that_does_not_find_the_profile(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let profile = ada.profiles().await.remove(0);
        idle(&db).await;
        place.sandbox.faults(json!({ "status": 404 })).await;
        place.sandbox.set_state("wa_ada", "deactivated").await;
        for tries in 1..12 {
            eventually("it was tried", async || {
                let jobs = job::Entity::find().filter(job::Column::Kind.eq("refresh_profile")).all(&db).await.unwrap();
                assert!(jobs.iter().all(|job| job.dead_at.is_none()), "{jobs:?}");
                let now = app.app().clock.now();
                jobs.iter().any(|job| job.last_error.is_some() && job.leased_until.is_none() && job.run_at > now).then_some(())
            }).await;
            app.advance(&place, 3600 * tries).await;
        }
        place.sandbox.faults(json!({})).await;
        app.advance(&place, 3600).await;
        until_status(&db, &profile, LinkStatus::Suspended).await;
    }

    async fn s40_a_platform_that_hangs_leaves_room_for_the_others(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__JOBS__CONCURRENCY", 2);
        let server = ServerProcess::start(&place).await;
        let ada = server.client().sign_in(&place, ADA).await;
        eventually("its own looks are over", async || {
            let read = place.sandbox.requests("GET /profiles/{external_id}/privacy").await.0;
            (read >= 1).then_some(())
        }).await;
        place.sandbox.faults(json!({ "latency_ms": 9500 })).await;
        start_many(&place, &server.client(), 12).await;
        let linked = ada.client.oauth_link("facebook", "fb_ada").await;
        assert_eq!(linked.field()["outcome"]["__typename"], "ProfileLinked", "{:#}", linked.body);
        eventually("the other platform is asked", async || {
            let read = place.sandbox.requests_of("facebook", "GET /profiles/{external_id}/privacy").await.0;
            (read >= 1).then_some(())
        }).await;
    }
}

/// Waits for longer than most: what has failed waits for its turn.
async fn until_code(place: &Place, handle: &str) {
    for _ in 0..90 {
        if !place.sandbox.codes(handle).await.is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    panic!("{handle} has got no code");
}
