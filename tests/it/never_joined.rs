//! Nothing but a proof links: no name, no handle, no address of e-mail joins anything (S01). And what no page of somebody else
//! may do with a browser (S33).

use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::support::on_both_stacks;

const ADA: &str = "+4917139200042";
const EMAIL: &str = "ada@example.com";

on_both_stacks! {
    async fn s01_only_a_proof_by_its_owner_links_a_profile(place: Place) {
        let app = place.app().await;
        place.sandbox.add_profile("wa_eve", "+4917139200050").await;
        // Eve is called as Ada is, on each platform by another name of hers, and begins to link what is Ada's.
        let profile = |id: &str, handle: &str| json!({ "external_id": id, "handle": handle, "display_name": "Ada Lovelace" });
        place.sandbox.add_profile_at("facebook", profile("fb_eve", ADA)).await;
        place.sandbox.add_profile_at("instagram", profile("ig_eve", EMAIL)).await;
        let eve = app.client().sign_in(&place, "+4917139200050").await;
        eve.client.oauth_link("facebook", "fb_eve").await.field();
        eve.client.oauth_link("instagram", "ig_eve").await.field();
        let rename = "mutation($input: UpdateAccountInput!) { updateAccount(input: $input) { userErrors { code } } }";
        let renamed = eve.client.run(rename, json!({ "input": { "displayName": "Ada Lovelace" } })).await;
        assert!(renamed.user_errors().is_empty());
        eve.client.start_link(ADA).await.field();
        let before = eve.client.profiles().await;
        // Ada comes later, by a number, an address and a name that Eve has used.
        place.sandbox.add_profile_at("facebook", profile("fb_ada_too", EMAIL)).await;
        let by_number = app.client().sign_in(&place, ADA).await;
        let by_platform = app.client().oauth_sign_in("facebook", "fb_ada_too").await;
        let accounts = [&eve.account, &by_number.account, &by_platform.account];
        assert!(accounts[0] != accounts[1] && accounts[0] != accounts[2] && accounts[1] != accounts[2]);
        assert_eq!(eve.client.profiles().await, before, "Eve has what she proved, and no more");
        for person in [&by_number, &by_platform] {
            assert_eq!(person.client.profiles().await.len(), 1);
        }
    }

    /// No origin is told that it may read an answer, and nothing is executed that needs no preflight and could change something.
    async fn s33_pages_of_others_read_and_change_nothing(place: Place) {
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let (token, url) = (ada.token.clone().unwrap(), format!("{}/graphql", app.url));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mutation = json!({ "query": "mutation { updateAccount(input: { displayName: \"Mallory\" }) { userErrors { code } } }" });
        for method in [Method::OPTIONS, Method::POST, Method::GET] {
            let request = http.request(method.clone(), &url).bearer_auth(&token);
            let request = request.header(header::ORIGIN, "https://evil.example");
            let request = request.header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST");
            let answer = request.query(&[("query", "{ viewer { id } }")]).json(&mutation).send().await.unwrap();
            let told: Vec<_> = answer.headers().keys().filter(|name| name.as_str().starts_with("access-control-")).collect();
            assert!(told.is_empty(), "{method}: {told:?}");
            if method == Method::OPTIONS {
                assert!(!answer.status().is_success(), "a preflight is not granted");
            }
        }
        // What a form may send without asking.
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
            let request = http.post(&url).bearer_auth(&token).header(header::CONTENT_TYPE, kind);
            let answer = request.body(mutation.to_string().replace("Mallory", "Eve")).send().await.unwrap();
            assert_eq!(answer.status(), 415, "{kind}");
        }
        let name: Value = ada.query("{ viewer { displayName } }").await.field()["displayName"].clone();
        assert_ne!(name, "Eve");
    }
}
