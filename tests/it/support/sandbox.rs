//! The sandbox as its own process, so that it outlives a server that is killed.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::eventually;

pub struct SandboxProcess {
    pub url: String,
    http: reqwest::Client,
    _child: Child,
    _folder: tempfile::TempDir,
}

impl SandboxProcess {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_accounts-center"))
            .args(["sandbox", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let url = announced_url(&mut child).await;
        let http = reqwest::Client::builder().no_proxy().timeout(super::PATIENCE).build().unwrap();
        Self { url, http, _child: child, _folder: folder }
    }

    /// Adds a WhatsApp profile with this phone number.
    pub async fn add_profile(&self, external_id: &str, handle: &str) {
        let body = json!({ "external_id": external_id, "handle": handle, "display_name": external_id });
        self.post("whatsapp/profiles", &body).await;
    }

    /// Adds a profile to any platform.
    pub async fn add_profile_at(&self, platform: &str, profile: Value) {
        self.post(&format!("{platform}/profiles"), &profile).await;
    }

    /// Waits for the code number `nth` (from 1) that the phone of `handle` has got.
    pub async fn nth_code(&self, handle: &str, nth: usize) -> String {
        eventually("the phone has the code", async || {
            let codes = self.codes(handle).await;
            (codes.len() >= nth).then(|| codes[codes.len() - nth].clone())
        })
        .await
    }

    /// The codes that the phone of `handle` has got, newest first.
    pub async fn codes(&self, handle: &str) -> Vec<String> {
        let query = [("handle", handle)];
        let url = format!("{}/sandbox/whatsapp/inbox", self.url);
        let inbox: Value = self.http.get(url).query(&query).send().await.unwrap().json().await.unwrap();
        let codes = inbox["codes"].as_array().unwrap();
        codes.iter().map(|code| code["code"].as_str().unwrap().to_owned()).collect()
    }

    /// How often an endpoint of WhatsApp was called, and how often that had an effect.
    pub async fn requests(&self, endpoint: &str) -> (u64, u64) {
        self.requests_of("whatsapp", endpoint).await
    }

    /// The same of any platform.
    pub async fn requests_of(&self, platform: &str, endpoint: &str) -> (u64, u64) {
        let url = format!("{}/sandbox/{platform}/state", self.url);
        let state: Value = self.http.get(url).send().await.unwrap().json().await.unwrap();
        let counts = &state["requests"][endpoint];
        (counts["calls"].as_u64().unwrap_or(0), counts["effects"].as_u64().unwrap_or(0))
    }

    /// All that a platform holds.
    pub async fn state_of(&self, platform: &str) -> Value {
        let url = format!("{}/sandbox/{platform}/state", self.url);
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// The kinds of the notices that a profile has got, oldest first.
    pub async fn notices(&self, platform: &str, external_id: &str) -> Vec<String> {
        let notices = self.state_of(platform).await["notices"].as_array().unwrap().clone();
        let own = notices.iter().filter(|notice| notice["external_id"] == external_id);
        own.map(|notice| notice["kind"].as_str().unwrap().to_owned()).collect()
    }

    /// How often a platform was asked to end the logins of a profile, and did.
    pub async fn revocations(&self, platform: &str, external_id: &str) -> usize {
        let revoked = self.state_of(platform).await["sessions_revoked"].as_array().unwrap().clone();
        revoked.iter().filter(|revocation| revocation["external_id"] == external_id).count()
    }

    /// A person changes their privacy settings at a platform.
    pub async fn change_privacy(&self, platform: &str, external_id: &str, settings: Value) {
        let url = format!("{}/sandbox/{platform}/profiles/{external_id}/privacy", self.url);
        let change = json!({ "settings": settings });
        self.http.patch(url).json(&change).send().await.unwrap().error_for_status().unwrap();
    }

    /// Makes a call as a hub does, with an idempotency key unless that is empty. Gives the status and the answer.
    pub async fn call(&self, call: (&str, &str), key: &str, body: Value) -> (u16, Value) {
        let (method, path) = call;
        let url = format!("{}/sandbox/{path}", self.url);
        let mut request = self.http.request(method.parse().unwrap(), url).bearer_auth("sandbox");
        if !key.is_empty() {
            request = request.header("Idempotency-Key", key);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// Makes WhatsApp misbehave from now on; `{}` ends it.
    pub async fn faults(&self, faults: Value) {
        self.faults_of("whatsapp", faults).await;
    }

    /// The same of any platform.
    pub async fn faults_of(&self, platform: &str, faults: Value) {
        let url = format!("{}/sandbox/{platform}/faults", self.url);
        self.http.put(url).json(&faults).send().await.unwrap().error_for_status().unwrap();
    }

    /// Sets the state of a WhatsApp profile.
    pub async fn set_state(&self, external_id: &str, state: &str) {
        self.set_state_at("whatsapp", external_id, state).await;
    }

    /// The same at any platform.
    pub async fn set_state_at(&self, platform: &str, external_id: &str, state: &str) {
        self.post(&format!("{platform}/profiles/{external_id}/state"), &json!({ "state": state })).await;
    }

    /// Lets a platform sign id tokens by a new key from now on.
    pub async fn change_keys(&self, platform: &str) {
        self.post(&format!("{platform}/keys"), &json!({})).await;
    }

    /// Changes what WhatsApp shows of a profile.
    pub async fn change_profile(&self, external_id: &str, change: Value) {
        let url = format!("{}/sandbox/whatsapp/profiles/{external_id}", self.url);
        self.http.patch(url).json(&change).send().await.unwrap().error_for_status().unwrap();
    }

    /// Moves the time of all servers that follow this sandbox.
    pub async fn advance(&self, seconds: i64) {
        self.post("clock", &json!({ "advance_seconds": seconds })).await;
    }

    async fn post(&self, path: &str, body: &Value) {
        let url = format!("{}/sandbox/{path}", self.url);
        self.http.post(url).json(body).send().await.unwrap().error_for_status().unwrap();
    }
}

/// The URL that a process prints behind "listens on".
pub async fn announced_url(child: &mut Child) -> String {
    announced(child, "listens on ").await
}

/// What a process prints behind `words`, to the end of the line.
pub async fn announced(child: &mut Child, words: &str) -> String {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let rest = tokio::time::timeout(super::PATIENCE, async {
        loop {
            let line = lines.next_line().await.unwrap().expect("the process ended before it was ready");
            if let Some((_, rest)) = line.split_once(words) {
                return rest.to_owned();
            }
        }
    })
    .await
    .expect("the process was not ready within 20 s");
    // Nobody reads the rest, and a full pipe must not block it.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    rest
}
