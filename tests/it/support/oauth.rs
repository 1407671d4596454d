//! Proofs by OAuth: what a client and a person's browser do.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use url::Url;

use super::graphql::{Answer, SUBMIT};
use super::{Client, Person};

/// Registered in every [`super::Place`].
pub const REDIRECT: &str = "https://app.example/linked?from=accounts";

const VERIFICATION: &str = "verification { id status purpose method challenge {
    ... on OAuthChallenge { authorizationUrl state } } expiresAt }";

/// A verification that waits for a browser to come back.
#[derive(Clone)]
pub struct Started {
    pub id: Value,
    /// Null for one of a signed-in person.
    pub client_secret: Value,
    pub url: Url,
    pub state: String,
}

impl Started {
    /// What a mutation that starts one has answered.
    #[track_caller]
    pub fn of(answer: &Answer) -> Self {
        assert_eq!(answer.user_errors(), [""; 0], "{:#}", answer.body);
        let payload = answer.field();
        let challenge = &payload["verification"]["challenge"];
        Self {
            id: payload["verification"]["id"].clone(),
            client_secret: payload["clientSecret"].clone(),
            url: challenge["authorizationUrl"].as_str().expect("there is a challenge").parse().unwrap(),
            state: challenge["state"].as_str().unwrap().to_owned(),
        }
    }

    /// A parameter of the authorization URL.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }

    /// What the browser brings back once the owner of a profile has said yes.
    pub async fn approve(&self, external_id: &str) -> Value {
        self.visit("approve_as", external_id).await
    }

    /// The same of somebody who said no.
    pub async fn deny(&self) -> Value {
        self.visit("deny", "yes").await
    }

    async fn visit(&self, name: &str, value: &str) -> Value {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair(name, value);
        returned(url).await
    }
}

/// The response that an authorization endpoint sends a browser back with, as a client passes it on.
pub async fn returned(url: Url) -> Value {
    let http =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = http.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 302, "{}", answer.text().await.unwrap());
    let location: Url = answer.headers()["location"].to_str().unwrap().parse().unwrap();
    let mut response = json!({});
    for (name, value) in location.query_pairs() {
        // The redirect URL's own query stays.
        if name != "from" {
            response[name.as_ref()] = value.into_owned().into();
        }
    }
    response
}

impl Client {
    pub async fn try_oauth_sign_in(&self, platform: &str, redirect_uri: &str) -> Answer {
        let operation = format!(
            "mutation($input: StartSignInInput!) {{ startSignIn(input: $input) {{
                {VERIFICATION} clientSecret userErrors {{ code message path }} }} }}"
        );
        let proof = json!({ "oauth": { "redirectUri": redirect_uri } });
        self.mutate(&operation, json!({ "platform": platform, "proof": proof })).await
    }

    pub async fn try_oauth_link(&self, platform: &str, redirect_uri: &str, key: &str) -> Answer {
        let operation = format!(
            "mutation($input: StartProfileLinkInput!) {{ startProfileLink(input: $input) {{
                {VERIFICATION} userErrors {{ code message path }} }} }}"
        );
        let proof = json!({ "oauth": { "redirectUri": redirect_uri } });
        let input = json!({ "platform": platform, "proof": proof, "idempotencyKey": key });
        self.mutate(&operation, input).await
    }

    pub async fn start_oauth_sign_in(&self, platform: &str) -> Started {
        Started::of(&self.try_oauth_sign_in(platform, REDIRECT).await)
    }

    pub async fn start_oauth_link(&self, platform: &str) -> Started {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let key = format!("oauth {}", NEXT.fetch_add(1, Ordering::Relaxed));
        Started::of(&self.try_oauth_link(platform, REDIRECT, &key).await)
    }

    pub async fn start_oauth_reverification(&self, profile: &Value) -> Started {
        let operation = format!(
            "mutation($input: StartProfileReverificationInput!) {{ startProfileReverification(input: $input) {{
                {VERIFICATION} userErrors {{ code message path }} }} }}"
        );
        let input = json!({ "profileId": profile, "redirectUri": REDIRECT });
        Started::of(&self.mutate(&operation, input).await)
    }

    pub async fn start_oauth_step_up(&self, method: &Value) -> Started {
        let operation = format!(
            "mutation($input: StartStepUpInput!) {{ startStepUp(input: $input) {{
                {VERIFICATION} userErrors {{ code message path }} }} }}"
        );
        Started::of(&self.mutate(&operation, json!({ "methodId": method, "redirectUri": REDIRECT })).await)
    }

    /// Submits what a browser brought back.
    pub async fn submit_oauth(&self, started: &Started, response: &Value) -> Answer {
        let input = json!({
            "verificationId": started.id,
            "clientSecret": started.client_secret,
            "proof": { "oauthResponse": response },
        });
        self.mutate(SUBMIT, input).await
    }

    /// Signs in as the owner of a profile.
    pub async fn oauth_sign_in(&self, platform: &str, external_id: &str) -> Person {
        let started = self.start_oauth_sign_in(platform).await;
        let done = self.submit_oauth(&started, &started.approve(external_id).await).await;
        let outcome = &done.field()["outcome"];
        assert_eq!(outcome["__typename"], "SignedIn", "{:#}", done.body);
        Person {
            account: outcome["account"]["id"].as_str().unwrap().to_owned(),
            session: outcome["session"]["id"].as_str().unwrap().to_owned(),
            client: self.with_token(outcome["tokens"]["accessToken"].as_str().unwrap()),
        }
    }

    /// Links a profile as its owner. Gives the answer to the proof.
    pub async fn oauth_link(&self, platform: &str, external_id: &str) -> Answer {
        let started = self.start_oauth_link(platform).await;
        self.submit_oauth(&started, &started.approve(external_id).await).await
    }
}
