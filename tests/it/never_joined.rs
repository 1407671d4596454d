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
        // Hers is no code of Ada's sign-in.
        place.sandbox.nth_code(ADA, 1).await;
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

    /// Only pages of registered origins are told that they may send and read, and nothing is executed that needs no preflight and
    /// could change something.
    async fn s33_pages_of_others_read_and_change_nothing(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__HTTP__ALLOWED_ORIGINS", "https://www.example.com,https://app.example.com");
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        let (token, url) = (ada.token.clone().unwrap(), format!("{}/graphql", app.url));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mutation = json!({ "query": "mutation { updateAccount(input: { displayName: \"Mallory\" }) { userErrors { code } } }" });
        let evil = ["https://evil.example", "https://www.example.com.evil.example", "http://www.example.com", "null"];
        let ours = ["https://www.example.com", "https://app.example.com"];
        for method in [Method::OPTIONS, Method::POST, Method::GET] {
            for origin in evil.into_iter().chain(ours) {
                let request = http.request(method.clone(), &url).bearer_auth(&token);
                let request = request.header(header::ORIGIN, origin);
                let request = request.header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST");
                let answer = request.query(&[("query", "{ viewer { id } }")]).json(&mutation).send().await.unwrap();
                let told = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
                let granted = ours.contains(&origin).then_some(origin);
                assert_eq!(told(header::ACCESS_CONTROL_ALLOW_ORIGIN), granted, "{method} from {origin}");
                if method == Method::OPTIONS && granted.is_some() {
                    let headers = told(header::ACCESS_CONTROL_ALLOW_HEADERS).unwrap_or_default();
                    assert!(headers.contains("authorization") && headers.contains("accounts-center-session"), "{headers}");
                    assert_eq!(told(header::ACCESS_CONTROL_ALLOW_CREDENTIALS), Some("true"));
                }
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
