//! The example in Node, as its README starts it.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::support::{announced_url, needed};

pub struct Whatsapp {
    /// Without a path.
    pub url: String,
    child: Child,
}

impl Whatsapp {
    /// Starts it for the tokens of the Accounts Center at `accounts` that are for `audience`.
    pub async fn start(accounts: &str, audience: &str) -> Self {
        Self::start_with(accounts, audience, &[]).await
    }

    /// Starts it with more environment variables.
    pub async fn start_with(accounts: &str, audience: &str, more: &[(&str, &str)]) -> Self {
        // Its standard input ends with us, however we end; npm would not pass a kill on.
        let mut child = Command::new("npm")
            .arg("start")
            .current_dir(needed("ACCOUNTS_TEST_WHATSAPP_DIR"))
            .envs([
                ("PORT", "0"),
                ("ACCOUNTS_URL", accounts),
                ("AUDIENCE", audience),
                ("END_WITH_STDIN", "yes"),
            ])
            .envs(more.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("npm is not installed");
        let url = announced_url(&mut child).await;
        Self { url: url.strip_suffix("/graphql").unwrap().to_owned(), child }
    }

    pub fn graphql(&self) -> String {
        format!("{}/graphql", self.url)
    }

    /// Lets a profile's owner link a device. Gives its id.
    pub async fn add_device(&self, external_id: &str, name: &str) -> String {
        let body = json!({ "externalId": external_id, "name": name, "kind": "WEB" });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = http.post(format!("{}/devices", self.url)).json(&body).send().await.unwrap();
        let device: Value = response.error_for_status().unwrap().json().await.unwrap();
        device["id"].as_str().unwrap().to_owned()
    }

    /// Lets it end, and waits for that.
    pub async fn end(mut self) {
        drop(self.child.stdin.take());
        let ended = tokio::time::timeout(crate::support::PATIENCE, self.child.wait());
        assert!(ended.await.expect("it did not end within 10 s").unwrap().success());
    }
}
