//! OAuth with a platform that is not there, or not as it should be.

use std::process::Stdio;

use serde_json::json;

use crate::support::oauth::REDIRECT;
use crate::support::{Proxy, ServerProcess, on_both_stacks};

on_both_stacks! {
    async fn s40_without_its_provider_a_platform_is_unavailable(place: Place) {
        let app = place.app().await;
        for fault in [json!({ "status": 500 }), json!({ "garbage": true }), json!({ "drop_before": true }), json!({ "status": 404 })] {
            place.sandbox.faults_of("facebook", fault.clone()).await;
            let refused = app.client().try_oauth_sign_in("facebook", REDIRECT).await;
            assert_eq!(refused.user_errors(), ["PLATFORM_UNAVAILABLE"], "{fault}");
        }
        // The others are served.
        app.client().start_oauth_sign_in("instagram").await;
        place.sandbox.faults_of("facebook", json!({})).await;
        app.client().start_oauth_sign_in("facebook").await;
    }

    async fn s40_a_code_that_may_be_used_up_is_not_sent_again(place: Place) {
        let app = place.app().await;
        for fault in [json!({ "status": 503 }), json!({ "garbage": true }), json!({ "drop_after_effect": true })] {
            let started = app.client().start_oauth_sign_in("facebook").await;
            let response = started.approve("fb_ada").await;
            let (calls, _) = place.sandbox.requests_of("facebook", "POST /token").await;
            place.sandbox.faults_of("facebook", fault.clone()).await;
            let failed = app.client().submit_oauth(&started, &response).await;
            assert_eq!(failed.user_errors(), ["PLATFORM_UNAVAILABLE"], "{fault}");
            assert_eq!(failed.field()["verification"]["status"], "FAILED", "{fault}");
            assert_eq!(failed.field()["verification"]["failure"], "PLATFORM_UNAVAILABLE");
            place.sandbox.faults_of("facebook", json!({})).await;
            let again = app.client().submit_oauth(&started, &response).await;
            assert_eq!(again.user_errors(), ["VERIFICATION_CLOSED"]);
            assert!(place.sandbox.requests_of("facebook", "POST /token").await.0 <= calls + 1);
        }
        app.client().oauth_sign_in("facebook", "fb_ada").await;
    }

    async fn a_code_that_never_left_can_be_submitted_again(place: Place) {
        let mut place = place;
        let proxy = Proxy::before(&place.sandbox.url).await;
        let address = proxy.address;
        place.set("ACCOUNTS__PLATFORMS__FACEBOOK__ISSUER", format!("http://{address}/sandbox/facebook"));
        let app = place.app().await;
        let started = app.client().start_oauth_sign_in("facebook").await;
        let response = started.approve("fb_ada").await;
        drop(proxy);
        let failed = app.client().submit_oauth(&started, &response).await;
        assert_eq!(failed.user_errors(), ["PLATFORM_UNAVAILABLE"]);
        assert_eq!(failed.field()["verification"]["status"], "PENDING");
        let _proxy = Proxy::at(address, &place.sandbox.url).await;
        let done = app.client().submit_oauth(&started, &response).await;
        assert_eq!(done.user_errors(), [""; 0], "{:#}", done.body);
    }

    async fn what_a_provider_says_of_itself_is_asked_once_an_hour(place: Place) {
        let app = place.app().await;
        const DISCOVERY: &str = "GET /.well-known/openid-configuration";
        let client = app.client();
        let starts = (0..5).map(|_| client.try_oauth_sign_in("facebook", REDIRECT));
        futures_util::future::join_all(starts).await;
        assert_eq!(place.sandbox.requests_of("facebook", DISCOVERY).await.0, 1);
        app.client().oauth_sign_in("facebook", "fb_ada").await;
        assert_eq!(place.sandbox.requests_of("facebook", DISCOVERY).await.0, 1);
        assert_eq!(place.sandbox.requests_of("facebook", "GET /jwks").await.0, 1);
        app.advance(&place, 3600).await;
        app.client().oauth_sign_in("facebook", "fb_ada").await;
        assert_eq!(place.sandbox.requests_of("facebook", DISCOVERY).await.0, 2);
    }

    async fn a_provider_changes_its_key(place: Place) {
        let app = place.app().await;
        app.client().oauth_sign_in("facebook", "fb_ada").await;
        place.sandbox.change_keys("facebook").await;
        app.client().oauth_sign_in("facebook", "fb_ada").await;
        assert_eq!(place.sandbox.requests_of("facebook", "GET /jwks").await.0, 2);
        // A token by a key that nobody lists does not have them asked for again and again.
        place.sandbox.faults_of("facebook", json!({ "id_token": "key" })).await;
        for _ in 0..3 {
            let started = app.client().start_oauth_sign_in("facebook").await;
            let refused = app.client().submit_oauth(&started, &started.approve("fb_ada").await).await;
            assert_eq!(refused.user_errors(), ["VERIFICATION_FAILED"]);
        }
        assert_eq!(place.sandbox.requests_of("facebook", "GET /jwks").await.0, 2);
    }

    async fn a_platform_that_is_taken_out_is_no_way_any_more(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__KEYS__SECRET", "a secret of the tests, 32 characters");
        let app = place.app().await;
        let started = app.client().start_oauth_sign_in("facebook").await;
        let response = started.approve("fb_ada").await;
        app.stop().await;
        place.set("ACCOUNTS__PLATFORMS__FACEBOOK__ENABLED", false);
        let app = place.app().await;
        assert_eq!(app.client().try_oauth_sign_in("facebook", REDIRECT).await.user_errors(), ["UNKNOWN_PLATFORM"]);
        let failed = app.client().submit_oauth(&started, &response).await;
        assert_eq!(failed.user_errors(), ["PLATFORM_UNAVAILABLE"]);
        assert_eq!(failed.field()["verification"]["status"], "PENDING");
    }

    async fn s40_a_provider_that_hangs_holds_nobody_for_long(place: Place) {
        let app = place.app().await;
        place.sandbox.faults_of("facebook", json!({ "latency_ms": 30_000 })).await;
        let client = app.client();
        let begin = std::time::Instant::now();
        // Whoever waits for somebody else's question hears the answer to that, and asks none of their own.
        let starts = (0..5).map(|_| client.try_oauth_sign_in("facebook", REDIRECT));
        for refused in futures_util::future::join_all(starts).await {
            assert_eq!(refused.user_errors(), ["PLATFORM_UNAVAILABLE"]);
        }
        // The one call that is made has 10 s; two in a row would take 20.
        assert!(begin.elapsed().as_secs() < 18, "{:?}", begin.elapsed());
    }

    async fn s24_no_log_has_a_secret_of_a_request(place: Place) {
        let log = place.folder.path().join("log");
        let more = [("ACCOUNTS__LOG__FILTER", "trace".to_owned()), ("ACCOUNTS__LOG__FORMAT", "json".to_owned())];
        let mut server = ServerProcess::start_logging(&place, &more, Stdio::from(std::fs::File::create(&log).unwrap())).await;
        let client = server.client();
        let mut hidden = Vec::new();
        // Mistakes get logged more readily than successes.
        for fault in [json!({}), json!({ "id_token": "nonce" }), json!({ "garbage": true })] {
            let started = client.start_oauth_sign_in("facebook").await;
            let response = started.approve("fb_ada").await;
            place.sandbox.faults_of("facebook", fault).await;
            client.submit_oauth(&started, &response).await.field();
            place.sandbox.faults_of("facebook", json!({})).await;
            hidden.extend([started.state.clone(), response["code"].as_str().unwrap().to_owned()]);
            hidden.extend([started.parameter("nonce").unwrap(), started.client_secret.as_str().unwrap().to_owned()]);
        }
        assert!(server.interrupt().await.success());
        let text = std::fs::read_to_string(&log).unwrap();
        for said in ["the id token is of another request", "an answer that is not of OAuth 2.0"] {
            assert!(text.contains(said), "{said}");
        }
        for secret in &hidden {
            assert!(!text.contains(secret.as_str()));
        }
    }
}
