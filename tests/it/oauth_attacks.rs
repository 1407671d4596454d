//! What somebody may try who wants to prove by OAuth what is not theirs.

use std::collections::HashSet;

use accounts_center_entity::{account, linked_profile, session, verification};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::oauth::{REDIRECT, returned};
use crate::support::on_both_stacks;

const ADA: &str = "+4917139200042";

on_both_stacks! {
    async fn s04_an_id_token_that_is_not_right_proves_nothing(place: Place) {
        let app = place.app().await;
        let db = place.database().await;
        let mut believed = Vec::new();
        for fault in ["issuer", "audience", "nonce", "expiry", "signature", "key", "unsigned", "shared", "absent"] {
            place.sandbox.faults_of("facebook", json!({ "id_token": fault })).await;
            let started = app.client().start_oauth_sign_in("facebook").await;
            let refused = app.client().submit_oauth(&started, &started.approve("fb_ada").await).await;
            let is_refused = refused.user_errors() == ["VERIFICATION_FAILED"] && refused.field()["outcome"].is_null();
            if !is_refused || refused.field()["verification"]["status"] != "FAILED" {
                believed.push(fault);
            }
        }
        assert_eq!(believed, [""; 0]);
        // The provider gave each of them, and nothing came of it.
        assert_eq!(place.sandbox.requests_of("facebook", "POST /token").await, (9, 9));
        assert_eq!(account::Entity::find().count(&db).await.unwrap(), 0);
        assert_eq!(linked_profile::Entity::find().count(&db).await.unwrap(), 0);
        assert_eq!(session::Entity::find().count(&db).await.unwrap(), 0);
        assert_eq!(place.sandbox.requests_of("facebook", "GET /profiles/{external_id}").await, (0, 0));
        place.sandbox.faults_of("facebook", json!({})).await;
        app.client().oauth_sign_in("facebook", "fb_ada").await;
    }

    async fn s05_a_request_bears_a_pkce_challenge_and_secrets_of_its_own(place: Place) {
        let app = place.app().await;
        let (mut states, mut nonces, mut challenges) = (HashSet::new(), HashSet::new(), HashSet::new());
        for _ in 0..5 {
            let started = app.client().start_oauth_sign_in("facebook").await;
            let parameter = |name| started.parameter(name).unwrap_or_else(|| panic!("{name} is missing"));
            assert_eq!(parameter("response_type"), "code");
            assert_eq!(parameter("client_id"), "sandbox");
            assert_eq!(parameter("redirect_uri"), REDIRECT);
            assert_eq!(parameter("code_challenge_method"), "S256");
            assert_eq!(parameter("state"), started.state);
            assert_eq!(parameter("scope"), "openid profile");
            for secret in [&started.state, &parameter("nonce"), &parameter("code_challenge")] {
                assert_eq!(URL_SAFE_NO_PAD.decode(secret).unwrap().len(), 32);
            }
            let verifier = app.app().keys.oauth_secrets(crate::support::uuid_of(started.id.as_str().unwrap())).verifier;
            assert_eq!(parameter("code_challenge"), URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier)));
            assert!(!started.url.as_str().contains(&verifier));
            states.insert(started.state.clone());
            nonces.insert(parameter("nonce"));
            challenges.insert(parameter("code_challenge"));
        }
        assert_eq!([states.len(), nonces.len(), challenges.len()], [5, 5, 5]);
    }

    async fn s05_a_code_of_another_pkce_challenge_is_not_redeemed(place: Place) {
        let app = place.app().await;
        // Somebody asks for a code of their own, and puts it under the response that a victim waits for.
        let (victim, other) = (app.client().start_oauth_sign_in("facebook").await, app.client().start_oauth_sign_in("facebook").await);
        let mut injected = victim.approve("fb_ada").await;
        injected["code"] = other.approve("fb_grace").await["code"].clone();
        let refused = app.client().submit_oauth(&victim, &injected).await;
        assert_eq!(refused.user_errors(), ["VERIFICATION_FAILED"]);
        // It was the provider that compared, and it gave nothing.
        assert_eq!(place.sandbox.requests_of("facebook", "POST /token").await, (1, 0));
        // Without a challenge the provider does not even begin.
        let mut url = victim.url.clone();
        let without: Vec<_> = victim.url.query_pairs().filter(|(name, _)| name != "code_challenge").collect();
        url.query_pairs_mut().clear().extend_pairs(without).append_pair("approve_as", "fb_ada");
        assert_eq!(returned(url).await["error"], "invalid_request");
    }

    async fn s05_a_state_is_good_once_and_for_its_verification(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        for state in ["", "nonsense", "of another"] {
            let started = ada.start_oauth_link("facebook").await;
            let mut response = started.approve("fb_ada").await;
            response["state"] = match state {
                "of another" => json!(ada.start_oauth_link("facebook").await.state),
                state => json!(state),
            };
            let refused = ada.submit_oauth(&started, &response).await;
            assert_eq!(refused.user_errors(), ["VERIFICATION_FAILED"], "{state}");
            assert_eq!(refused.field()["verification"]["failure"], "VERIFICATION_FAILED");
            // Closed: not even the right one helps now.
            response["state"] = json!(started.state);
            assert_eq!(ada.submit_oauth(&started, &response).await.user_errors(), ["VERIFICATION_CLOSED"]);
        }
        assert_eq!(place.sandbox.requests_of("facebook", "POST /token").await, (0, 0));
    }

    async fn s05_a_redirect_url_matches_a_registered_one_letter_by_letter(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        for near in [
            "https://app.example/linked",
            "https://app.example/linked/?from=accounts",
            "https://app.example/Linked?from=accounts",
            "https://APP.example/linked?from=accounts",
            "HTTPS://app.example/linked?from=accounts",
            "https://app.example:443/linked?from=accounts",
            "https://app.example/linked?from=accounts&to=me",
            "https://app.example/linked?from=accounts#here",
            "https://app.example/x/../linked?from=accounts",
            "https://app.example/linked?from=account%73",
            "http://app.example/linked?from=accounts",
            "https://app.example.evil.example/linked?from=accounts",
            "https://app.example@evil.example/linked?from=accounts",
        ] {
            let refused = app.client().try_oauth_sign_in("facebook", near).await;
            assert_eq!(refused.user_errors(), ["REDIRECT_URI_NOT_REGISTERED"], "{near}");
            assert_eq!(refused.field()["userErrors"][0]["path"], json!(["proof", "oauth", "redirectUri"]));
            assert_eq!(refused.field()["verification"], Value::Null);
            let link = ada.try_oauth_link("facebook", near, near).await;
            assert_eq!(link.user_errors(), ["REDIRECT_URI_NOT_REGISTERED"], "{near}");
        }
        app.client().start_oauth_sign_in("facebook").await;
    }

    async fn s05_what_one_platform_answers_is_not_taken_for_anothers(place: Place) {
        let app = place.app().await;
        // Instagram lures the person to Facebook, and passes Facebook's answer on.
        let started = app.client().start_oauth_sign_in("instagram").await;
        let good = started.approve("ig_ada").await;
        let facebook = app.client().start_oauth_sign_in("facebook").await.approve("fb_ada").await["iss"].clone();
        assert_ne!(facebook, good["iss"]);
        for iss in [facebook, Value::Null, json!(""), json!(format!("{}/", good["iss"].as_str().unwrap()))] {
            let started = app.client().start_oauth_sign_in("instagram").await;
            let mut response = started.approve("ig_ada").await;
            response["iss"] = iss.clone();
            let refused = app.client().submit_oauth(&started, &response).await;
            assert_eq!(refused.user_errors(), ["VERIFICATION_FAILED"], "{iss}");
            assert_eq!(refused.field()["verification"]["status"], "FAILED");
        }
        assert_eq!(place.sandbox.requests_of("instagram", "POST /token").await, (0, 0));
        assert_eq!(app.client().submit_oauth(&started, &good).await.user_errors(), [""; 0]);
    }

    async fn s06_a_response_in_another_session_ends_the_verification(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let elsewhere = app.client().sign_in(&place, ADA).await.client;
        let started = ada.start_oauth_link("facebook").await;
        let response = started.approve("fb_ada").await;
        assert_eq!(elsewhere.submit_oauth(&started, &response).await.user_errors(), ["VERIFICATION_FAILED"]);
        let late = ada.submit_oauth(&started, &response).await;
        assert_eq!(late.user_errors(), ["VERIFICATION_CLOSED"]);
        assert_eq!(late.field()["verification"]["status"], "FAILED");
        assert_eq!(late.field()["verification"]["failure"], "VERIFICATION_FAILED");
        assert_eq!(place.sandbox.requests_of("facebook", "POST /token").await, (0, 0));
        assert_eq!(ada.profiles().await.len(), 1);
    }

    async fn s06_another_account_finds_no_verification_and_it_stays_open(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let eve = app.client().oauth_sign_in("instagram", "ig_grace").await.client;
        let started = ada.start_oauth_link("facebook").await;
        let response = started.approve("fb_ada").await;
        for other in [&eve, &app.client()] {
            let refused = other.submit_oauth(&started, &response).await;
            assert_eq!(refused.user_errors(), ["NOT_FOUND"]);
            assert_eq!(refused.field()["verification"], Value::Null);
        }
        // Nor does a wrong one of theirs end it.
        let wrong = json!({ "state": "nonsense", "error": "access_denied" });
        assert_eq!(eve.submit_oauth(&started, &wrong).await.user_errors(), ["NOT_FOUND"]);
        // The same for a signed-out device without the secret.
        let sign_in = app.client().start_oauth_sign_in("facebook").await;
        let mut guessed = sign_in.clone();
        guessed.client_secret = json!("AAAA");
        let answer = sign_in.approve("fb_grace").await;
        assert_eq!(app.client().submit_oauth(&guessed, &answer).await.user_errors(), ["NOT_FOUND"]);
        assert_eq!(app.client().submit_oauth(&sign_in, &answer).await.user_errors(), [""; 0]);
        assert_eq!(ada.submit_oauth(&started, &response).await.user_errors(), [""; 0]);
        assert_eq!(ada.profiles().await.len(), 2);
    }

    async fn s07_a_response_proves_what_its_verification_was_started_for(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        // A LINK response does not sign in, a SIGN_IN response does not link.
        let (link, sign_in) = (ada.start_oauth_link("facebook").await, app.client().start_oauth_sign_in("facebook").await);
        let (linking, signing_in) = (link.approve("fb_ada").await, sign_in.approve("fb_ada").await);
        assert_eq!(app.client().submit_oauth(&sign_in, &linking).await.user_errors(), ["VERIFICATION_FAILED"]);
        assert_eq!(ada.submit_oauth(&link, &signing_in).await.user_errors(), ["VERIFICATION_FAILED"]);
        // A SIGN_IN verification of this very person links nothing either: it signs in.
        let sign_in = app.client().start_oauth_sign_in("facebook").await;
        let done = ada.submit_oauth(&sign_in, &sign_in.approve("fb_grace").await).await;
        assert_eq!(done.field()["outcome"]["__typename"], "SignedIn");
        assert_eq!(ada.profiles().await.len(), 1);
        // Nor does one platform's code help at another.
        let instagram = ada.start_oauth_link("instagram").await;
        let mut response = instagram.approve("ig_ada").await;
        response["code"] = ada.start_oauth_link("facebook").await.approve("fb_ada").await["code"].clone();
        assert_eq!(ada.submit_oauth(&instagram, &response).await.user_errors(), ["VERIFICATION_FAILED"]);
        assert_eq!(ada.profiles().await.len(), 1);
    }

    async fn s08_a_response_is_used_once(place: Place) {
        let app = place.app().await;
        let client = app.client();
        let started = client.start_oauth_sign_in("facebook").await;
        let response = started.approve("fb_ada").await;
        client.submit_oauth(&started, &response).await.field();
        let again = client.submit_oauth(&started, &response).await;
        assert_eq!(again.user_errors(), ["VERIFICATION_CLOSED"]);
        assert_eq!(again.field()["outcome"], Value::Null);
        // Nor is its code under a new verification.
        let next = client.start_oauth_sign_in("facebook").await;
        let mut replayed = next.approve("fb_ada").await;
        replayed["code"] = response["code"].clone();
        assert_eq!(client.submit_oauth(&next, &replayed).await.user_errors(), ["VERIFICATION_FAILED"]);
    }

    async fn s08_of_two_submissions_at_once_one_fails(place: Place) {
        let app = place.app().await;
        let client = app.client();
        let started = client.start_oauth_sign_in("facebook").await;
        let response = started.approve("fb_ada").await;
        // Long enough for both to be under way.
        place.sandbox.faults_of("facebook", json!({ "latency_ms": 300 })).await;
        let submissions = (0..4).map(|_| client.submit_oauth(&started, &response));
        let answers = futures_util::future::join_all(submissions).await;
        let mut errors: Vec<_> = answers.iter().map(|answer| answer.user_errors().concat()).collect();
        errors.sort();
        assert_eq!(errors, ["", "VERIFICATION_CLOSED", "VERIFICATION_CLOSED", "VERIFICATION_CLOSED"]);
        // The losers have not asked the platform, which would take a code that comes twice for stolen.
        assert_eq!(place.sandbox.requests_of("facebook", "POST /token").await, (1, 1));
        let db = place.database().await;
        assert_eq!(session::Entity::find().count(&db).await.unwrap(), 1);
    }

    async fn s24_no_secret_of_a_request_stands_in_a_table(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let started = ada.start_oauth_link("facebook").await;
        let response = started.approve("fb_ada").await;
        let secrets = app.app().keys.oauth_secrets(crate::support::uuid_of(started.id.as_str().unwrap()));
        let db = place.database().await;
        let code = response["code"].as_str().unwrap().to_owned();
        let all = [secrets.state, secrets.nonce, secrets.verifier, code];
        place.sandbox.faults_of("facebook", json!({ "latency_ms": 1000 })).await;
        let submitting = tokio::spawn(async move { ada.submit_oauth(&started, &response).await });
        crate::support::eventually("the response is taken", async || {
            let rows = verification::Entity::find().all(&db).await.unwrap();
            rows.iter().any(|row| row.redeemed_at.is_some()).then_some(())
        }).await;
        let rows = format!("{:?}", verification::Entity::find().all(&db).await.unwrap());
        assert!(rows.contains("app.example"), "this is where it would stand");
        let jobs = format!("{:?}", accounts_center_entity::job::Entity::find().all(&db).await.unwrap());
        for secret in &all {
            assert!(!rows.contains(secret) && !jobs.contains(secret));
        }
        assert_eq!(submitting.await.unwrap().user_errors(), [""; 0]);
    }
}
