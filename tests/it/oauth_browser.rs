//! A person links a profile in a real browser: our page, the sandbox's approval page, and back.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::process::Command;

use crate::support::{ServerProcess, needed, on_both_stacks};

const HOSTILE: &str = "<img src=x onerror=\"document.title='taken'\">Mallory</b>";

on_both_stacks! {
    async fn a_browser_goes_to_the_platform_and_comes_back_with_a_profile(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__DEMO__ENABLED", true);
        let server = ServerProcess::start(&place).await;
        place.sandbox.add_profile_at("facebook", json!({
            "external_id": "fb_mallory", "handle": "mallory", "display_name": HOSTILE })).await;
        let node = Command::new("node")
            .arg("link_by_oauth.mjs")
            .current_dir(needed("ACCOUNTS_TEST_NODE_DIR"))
            .env("URL", &server.url)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is not installed");
        let output = tokio::time::timeout(Duration::from_secs(120), node.wait_with_output());
        let output = output.await.expect("the browser was not done within 120 s").unwrap();
        let seen = String::from_utf8(output.stdout).unwrap();
        let host = server.url.trim_start_matches("http://");
        assert_eq!(seen.lines().collect::<Vec<_>>(), [
            "Signed in as Demo",
            &json!(["Ada Lovelace", "Grace Hopper", HOSTILE]).to_string(),
            "images: 0",
            &format!("goes back to {host}"),
            "Facebook profile ada.lovelace is linked.",
            "address: /dev/link",
            "Facebook · ada.lovelace · ACTIVE",
            "This was not allowed at the platform.",
            "Facebook · ada.lovelace · ACTIVE",
            "errors: []",
        ]);
        assert!(output.status.success());
        // The server says so too.
        let by_facebook = server.client().oauth_sign_in("facebook", "fb_ada").await.client;
        let mine = by_facebook.query("{ viewer { profiles { externalId } } }").await;
        assert_eq!(mine.field()["profiles"], json!([{ "externalId": "wa_demo" }, { "externalId": "fb_ada" }]));
    }
}
