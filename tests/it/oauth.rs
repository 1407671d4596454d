//! Signing in and linking by OAuth, as front-ends do it.

use accounts_center_entity::verification;
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use crate::support::links::{method_of, profile_row, until_status};
use crate::support::oauth::REDIRECT;
use crate::support::on_both_stacks;
use accounts_center_entity::linked_profile::LinkStatus;

const ADA: &str = "+4917139200042";

on_both_stacks! {
    async fn a_first_sign_in_makes_an_account_and_the_next_one_finds_it(place: Place) {
        let app = place.app().await;
        let client = app.client();
        let started = client.start_oauth_sign_in("facebook").await;
        let done = client.submit_oauth(&started, &started.approve("fb_ada").await).await;
        let outcome = &done.field()["outcome"];
        assert_eq!(outcome["__typename"], "SignedIn", "{:#}", done.body);
        assert_eq!(outcome["accountCreated"], true);
        assert_eq!(done.field()["verification"]["status"], "SUCCEEDED");
        assert_eq!(done.field()["verification"]["challenge"], Value::Null);
        let token = outcome["tokens"]["accessToken"].as_str().unwrap();
        let mine = client.with_token(token).query(
            "{ viewer { displayName profiles { handle externalId displayName status platform { key verificationMethods } } } }",
        ).await;
        assert_eq!(mine.field(), &json!({ "displayName": "Ada Lovelace", "profiles": [{
            "handle": "ada.lovelace", "externalId": "fb_ada", "displayName": "Ada Lovelace", "status": "ACTIVE",
            "platform": { "key": "facebook", "verificationMethods": ["OAUTH"] } }] }));

        let started = client.start_oauth_sign_in("facebook").await;
        let again = client.submit_oauth(&started, &started.approve("fb_ada").await).await;
        assert_eq!(again.field()["outcome"]["accountCreated"], false);
        assert_eq!(again.field()["account"]["id"], done.field()["account"]["id"]);
    }

    async fn profiles_of_both_kinds_are_linked_and_each_signs_in(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        for (platform, external_id) in [("facebook", "fb_ada"), ("instagram", "ig_ada")] {
            let linked = ada.client.oauth_link(platform, external_id).await;
            assert_eq!(linked.field()["outcome"]["__typename"], "ProfileLinked", "{:#}", linked.body);
            assert_eq!(linked.field()["outcome"]["profile"]["status"], "ACTIVE");
        }
        let profiles = ada.client.query("{ viewer { profiles { externalId } } }").await;
        let profiles = profiles.field()["profiles"].as_array().unwrap();
        let mut ids: Vec<_> = profiles.iter().map(|profile| profile["externalId"].as_str().unwrap()).collect();
        // Time stands still here, so their order says nothing.
        ids.sort();
        assert_eq!(ids, ["fb_ada", "ig_ada", "wa_ada"]);
        let instagram = app.client().oauth_sign_in("instagram", "ig_ada").await;
        assert_eq!(instagram.account, ada.account);
        // The same account doing it twice gets its profile back, and nothing happens.
        let before = ada.client.query("{ viewer { version } }").await.field()["version"].clone();
        let again = ada.client.oauth_link("facebook", "fb_ada").await;
        assert_eq!(again.field()["account"]["version"], before);
    }

    async fn a_challenge_is_the_same_however_often_it_is_asked_for(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let started = ada.start_oauth_link("facebook").await;
        let look = "query($id: ID!) { verification(id: $id) { method status challenge { __typename
            ... on OAuthChallenge { authorizationUrl state } } } }";
        let seen = ada.run(look, json!({ "id": started.id })).await;
        assert_eq!(seen.field(), &json!({ "method": "OAUTH", "status": "PENDING", "challenge": {
            "__typename": "OAuthChallenge", "authorizationUrl": started.url.as_str(), "state": started.state } }));
        let first = ada.try_oauth_link("facebook", REDIRECT, "one").await;
        let again = ada.try_oauth_link("facebook", REDIRECT, "one").await;
        assert_eq!(first.field(), again.field());
        assert_eq!(ada.try_oauth_link("instagram", REDIRECT, "one").await.user_errors(), ["IDEMPOTENCY_KEY_REUSED"]);
    }

    async fn a_way_that_the_platform_has_not_is_refused(place: Place) {
        let app = place.app().await;
        let oauth = app.client().try_oauth_sign_in("whatsapp", REDIRECT).await;
        assert_eq!(oauth.user_errors(), ["UNSUPPORTED_BY_PLATFORM"]);
        let query = "mutation($input: StartSignInInput!) { startSignIn(input: $input) { userErrors { code path } } }";
        let input = json!({ "platform": "facebook", "proof": { "oneTimeCode": { "handle": "ada.lovelace" } } });
        assert_eq!(app.client().mutate(query, input).await.user_errors(), ["UNSUPPORTED_BY_PLATFORM"]);
        // And so is a proof of the other kind, which changes nothing.
        let started = app.client().start_oauth_sign_in("facebook").await;
        let code = app.client().submit(&started.id, &started.client_secret, "123456").await;
        assert_eq!(code.user_errors(), ["INVALID"]);
        assert_eq!(code.field()["verification"]["status"], "PENDING");
        assert_eq!(app.client().resend(&started.id, &started.client_secret).await.user_errors(), ["INVALID"]);
        let whatsapp = app.client().start_sign_in(ADA).await;
        let mut other = started.clone();
        other.id = whatsapp.field()["verification"]["id"].clone();
        other.client_secret = whatsapp.field()["clientSecret"].clone();
        let response = started.approve("fb_ada").await;
        assert_eq!(app.client().submit_oauth(&other, &response).await.user_errors(), ["INVALID"]);
        assert_eq!(app.client().submit_oauth(&started, &response).await.user_errors(), [""; 0]);
    }

    async fn who_says_no_is_heard(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let started = ada.start_oauth_link("facebook").await;
        let denied = ada.submit_oauth(&started, &started.deny().await).await;
        assert_eq!(denied.user_errors(), ["OAUTH_DENIED"]);
        assert_eq!(denied.field()["verification"]["status"], "FAILED");
        assert_eq!(denied.field()["verification"]["failure"], "OAUTH_DENIED");
        // Nothing can be made of it any more.
        let late = ada.submit_oauth(&started, &started.approve("fb_ada").await).await;
        assert_eq!(late.user_errors(), ["VERIFICATION_CLOSED"]);
        assert_eq!(ada.profiles().await.len(), 1);
        // Any other error of a platform is a failure, and none is shown.
        for (error, code) in [("server_error", "PLATFORM_UNAVAILABLE"), ("<b>login_required", "VERIFICATION_FAILED")] {
            let started = ada.start_oauth_link("facebook").await;
            let response = json!({ "state": started.state, "error": error, "iss": started.deny().await["iss"] });
            let failed = ada.submit_oauth(&started, &response).await;
            assert_eq!(failed.user_errors(), [code]);
            assert!(!failed.body.to_string().contains("login_required"));
            assert_eq!(failed.field()["verification"]["failure"], code);
        }
    }

    async fn a_response_has_a_code_or_an_error(place: Place) {
        let app = place.app().await;
        let started = app.client().start_oauth_sign_in("facebook").await;
        let good = started.approve("fb_ada").await;
        let mut both = good.clone();
        both["error"] = json!("access_denied");
        for response in [json!({ "state": started.state, "iss": good["iss"] }), both] {
            let refused = app.client().submit_oauth(&started, &response).await;
            assert_eq!(refused.user_errors(), ["INVALID"]);
            assert_eq!(refused.field()["userErrors"][0]["path"], json!(["proof", "oauthResponse"]));
        }
        assert_eq!(app.client().submit_oauth(&started, &good).await.user_errors(), [""; 0]);
    }

    async fn a_verification_runs_out_and_forgets_the_way(place: Place) {
        let app = place.app().await;
        let started = app.client().start_oauth_sign_in("facebook").await;
        app.advance(&place, 601).await;
        let response = started.approve("fb_ada").await;
        let late = app.client().submit_oauth(&started, &response).await;
        assert_eq!(late.user_errors(), ["VERIFICATION_EXPIRED"]);
        assert_eq!(place.sandbox.requests_of("facebook", "POST /token").await, (0, 0));
        let db = place.database().await;
        crate::support::eventually("the way is erased", async || {
            let row = verification::Entity::find().one(&db).await.unwrap().unwrap();
            (row.redirect_uri.is_none() && row.authorization_endpoint.is_none()).then_some(())
        }).await;
    }

    async fn a_profile_is_proved_only_as_it_stands_at_its_platform(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        place.sandbox.set_state_at("facebook", "fb_ada", "deactivated").await;
        let refused = ada.oauth_link("facebook", "fb_ada").await;
        assert_eq!(refused.user_errors(), ["VERIFICATION_FAILED"]);
        assert_eq!(refused.field()["verification"]["failure"], "PROFILE_NOT_ACTIVE");
    }

    async fn what_a_link_and_a_sign_in_run_into_is_the_same_by_oauth(place: Place) {
        let app = place.app().await;
        let ada = app.client().oauth_sign_in("facebook", "fb_ada").await.client;
        let grace = app.client().oauth_sign_in("facebook", "fb_grace").await.client;
        let elsewhere = grace.oauth_link("facebook", "fb_ada").await;
        assert_eq!(elsewhere.user_errors(), ["PROFILE_LINKED_ELSEWHERE"]);
        assert_eq!(elsewhere.field()["verification"]["failure"], "PROFILE_LINKED_ELSEWHERE");
        // A profile that may not sign in.
        let linked = ada.oauth_link("instagram", "ig_ada").await;
        let instagram = linked.field()["outcome"]["profile"]["id"].as_str().unwrap().to_owned();
        place.sandbox.set_state_at("instagram", "ig_ada", "deactivated").await;
        let db = place.database().await;
        until_status(&db, &instagram, LinkStatus::Suspended).await;
        place.sandbox.set_state_at("instagram", "ig_ada", "active").await;
        until_status(&db, &instagram, LinkStatus::Active).await;
        ada.unlink(&instagram).await.field();
        let started = app.client().start_oauth_sign_in("instagram").await;
        let refused = app.client().submit_oauth(&started, &started.approve("ig_ada").await).await;
        assert_eq!(refused.user_errors(), ["SIGN_IN_DISABLED"]);
        // A new proof by another account ends the unlinking early.
        let claimed = grace.oauth_link("instagram", "ig_ada").await;
        assert_eq!(claimed.user_errors(), [""; 0], "{:#}", claimed.body);
        assert_eq!(profile_row(&db, &instagram).await.status, LinkStatus::Unlinked);
    }

    async fn s03_two_first_sign_ins_by_oauth_make_one_account(place: Place) {
        let app = place.app().await;
        let client = app.client();
        let (first, second) = (client.start_oauth_sign_in("facebook").await, client.start_oauth_sign_in("facebook").await);
        let (one, two) = (first.approve("fb_ada").await, second.approve("fb_ada").await);
        let (one, two) = tokio::join!(client.submit_oauth(&first, &one), client.submit_oauth(&second, &two));
        let outcomes = [&one.field()["outcome"], &two.field()["outcome"]];
        assert_eq!(outcomes[0]["account"]["id"], outcomes[1]["account"]["id"]);
        let made = outcomes.iter().filter(|outcome| outcome["accountCreated"] == true).count();
        assert_eq!(made, 1);
        let db = place.database().await;
        use sea_orm::PaginatorTrait;
        assert_eq!(accounts_center_entity::account::Entity::find().count(&db).await.unwrap(), 1);
    }

    async fn a_linked_profile_is_proved_again_and_steps_up_by_oauth(place: Place) {
        let app = place.app().await;
        // Signed in by another profile: what a profile has opened ends when its platform asks for a new proof.
        let ada = app.client().sign_in(&place, ADA).await;
        let linked = ada.client.oauth_link("facebook", "fb_ada").await;
        let profile = linked.field()["outcome"]["profile"]["id"].clone();
        let db = place.database().await;
        place.sandbox.set_state_at("facebook", "fb_ada", "credentials_expired").await;
        until_status(&db, profile.as_str().unwrap(), LinkStatus::AttentionRequired).await;
        let started = ada.client.start_oauth_reverification(&profile).await;
        let again = ada.client.submit_oauth(&started, &started.approve("fb_ada").await).await;
        assert_eq!(again.field()["outcome"]["__typename"], "ProfileReverified", "{:#}", again.body);
        assert_eq!(profile_row(&db, profile.as_str().unwrap()).await.status, LinkStatus::Active);

        let method = json!(method_of(profile.as_str().unwrap()));
        let started = ada.client.start_oauth_step_up(&method).await;
        let other = ada.client.submit_oauth(&started, &started.approve("fb_grace").await).await;
        assert_eq!(other.user_errors(), ["VERIFICATION_FAILED"], "only the profile that was named counts");
        let started = ada.client.start_oauth_step_up(&method).await;
        let stepped = ada.client.submit_oauth(&started, &started.approve("fb_ada").await).await;
        assert_eq!(stepped.field()["outcome"]["__typename"], "SteppedUp", "{:#}", stepped.body);
        let without = ada.client.mutate(
            "mutation($input: StartStepUpInput!) { startStepUp(input: $input) { userErrors { code path } } }",
            json!({ "methodId": method }),
        ).await;
        assert_eq!(without.field()["userErrors"], json!([{ "code": "INVALID", "path": ["redirectUri"] }]));
    }
}
