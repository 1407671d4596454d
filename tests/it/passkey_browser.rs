//! Passkeys in a real browser, with the authenticator that it brings for tests.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::support::{ServerProcess, needed, on_both_stacks};

on_both_stacks! {
    async fn a_browser_registers_a_passkey_and_signs_in_by_it(place: Place) {
        let mut place = place;
        // Its page is one of our origin.
        place.set("ACCOUNTS__DEMO__ENABLED", true);
        let server = ServerProcess::start(&place).await;
        let ada = server.client().sign_in(&place, "+4917139200042").await.client;
        let node = Command::new("node")
            .arg("use_passkey.mjs")
            .current_dir(needed("ACCOUNTS_TEST_NODE_DIR"))
            .env("URL", server.url.replace("127.0.0.1", "localhost"))
            .env("TOKEN", ada.token.as_ref().unwrap())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is not installed");
        let output = tokio::time::timeout(Duration::from_secs(120), node.wait_with_output());
        let output = output.await.expect("the browser was not done within 120 s").unwrap();
        let seen = String::from_utf8(output.stdout).unwrap();
        assert_eq!(seen.lines().collect::<Vec<_>>(), [
            "registered Chromium",
            "1 credential of localhost, found by itself: true",
            "once more: InvalidStateError",
            "SignedIn as Ada",
            "SteppedUp",
        ]);
        assert!(output.status.success());
    }
}
