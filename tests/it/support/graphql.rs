//! A client of the graph over HTTP, and what a person does with it.

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Place, Socket};

pub const SIGN_IN: &str = "mutation($input: StartSignInInput!) { startSignIn(input: $input) {
    verification { id status purpose method challenge { ... on OneTimeCodeChallenge {
        destination codeLength attemptsLeft resendAvailableAt } } expiresAt }
    clientSecret userErrors { code message path } } }";
pub const LINK: &str = "mutation($input: StartProfileLinkInput!) { startProfileLink(input: $input) {
    verification { id status purpose method challenge { ... on OneTimeCodeChallenge {
        destination codeLength attemptsLeft resendAvailableAt } } expiresAt }
    userErrors { code message path } } }";
pub const SUBMIT: &str = "mutation($input: SubmitVerificationInput!) { submitVerification(input: $input) {
    verification { id status failure profile { id } challenge { ... on OneTimeCodeChallenge { attemptsLeft } } }
    outcome { __typename
        ... on ProfileLinked { profile { id handle status statusReason } }
        ... on ProfileReverified { profile { id handle status statusReason } }
        ... on SteppedUp { session { id current freshUntil } tokens {
            accessToken accessTokenExpiresAt refreshToken } }
        ... on SignedIn { account { id } accountCreated session { id current } tokens {
            accessToken accessTokenExpiresAt refreshToken } } }
    account { id version eventCursor profiles { id } }
    userErrors { code message path } } }";
pub const RESEND: &str =
    "mutation($input: ResendVerificationCodeInput!) { resendVerificationCode(input: $input) {
    verification { id challenge { ... on OneTimeCodeChallenge { attemptsLeft resendAvailableAt } } }
    userErrors { code message path } } }";

/// What came back for one operation.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
}

impl Answer {
    /// The value of the one root field; fails the test if there are errors.
    #[track_caller]
    pub fn field(&self) -> &Value {
        assert!(self.body.get("errors").is_none(), "{:#}", self.body);
        let data = self.body["data"].as_object().expect("there is data");
        data.values().next().expect("there is a root field")
    }

    /// The codes of the root field's user errors.
    #[track_caller]
    pub fn user_errors(&self) -> Vec<&str> {
        let errors = self.field()["userErrors"].as_array().expect("there are userErrors");
        errors.iter().map(|error| error["code"].as_str().unwrap()).collect()
    }

    /// The code of the one top-level error.
    #[track_caller]
    pub fn error_code(&self) -> &str {
        let errors = self.body["errors"].as_array().unwrap_or_else(|| panic!("no errors: {:#}", self.body));
        assert_eq!(errors.len(), 1, "{:#}", self.body);
        errors[0]["extensions"]["code"].as_str().expect("an error has a code")
    }
}

/// Somebody who sends operations, signed in or not. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    pub url: String,
    pub token: Option<String>,
    /// The address that a proxy says it is at.
    forwarded_for: Option<String>,
    http: reqwest::Client,
}

impl Client {
    pub fn new(url: &str) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(std::time::Duration::from_secs(30))
            .user_agent("test phone")
            .build()
            .unwrap();
        Self { url: url.to_owned(), token: None, forwarded_for: None, http }
    }

    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same at this address, behind a proxy.
    pub fn behind(&self, address: &str) -> Self {
        Self { forwarded_for: Some(address.to_owned()), ..self.clone() }
    }

    /// The same person at another server.
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    pub async fn query(&self, operation: &str) -> Answer {
        self.run(operation, json!({})).await
    }

    pub async fn run(&self, operation: &str, variables: Value) -> Answer {
        self.try_run(operation, variables).await.unwrap()
    }

    /// The answer, or how the connection failed.
    pub async fn try_run(&self, operation: &str, variables: Value) -> reqwest::Result<Answer> {
        let body = json!({ "query": operation, "variables": variables });
        let mut request = self.http.post(format!("{}/graphql", self.url)).json(&body);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(address) = &self.forwarded_for {
            request = request.header("x-forwarded-for", address);
        }
        let response = request.send().await?;
        Ok(Answer { status: response.status(), body: response.json().await? })
    }

    /// A mutation with one input.
    pub async fn mutate(&self, operation: &str, input: Value) -> Answer {
        self.run(operation, json!({ "input": input })).await
    }

    pub async fn start_sign_in(&self, handle: &str) -> Answer {
        self.mutate(
            SIGN_IN,
            json!({ "platform": "whatsapp", "proof": { "oneTimeCode": { "handle": handle } } }),
        )
        .await
    }

    pub async fn start_link(&self, handle: &str) -> Answer {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        self.start_link_with_key(handle, &format!("key {}", NEXT.fetch_add(1, Ordering::Relaxed))).await
    }

    pub async fn start_link_with_key(&self, handle: &str, key: &str) -> Answer {
        let proof = json!({ "oneTimeCode": { "handle": handle } });
        self.mutate(LINK, json!({ "platform": "whatsapp", "proof": proof, "idempotencyKey": key })).await
    }

    pub async fn submit(&self, verification: &Value, client_secret: &Value, code: &str) -> Answer {
        let proof = json!({ "oneTimeCode": code });
        let input = json!({ "verificationId": verification, "clientSecret": client_secret, "proof": proof });
        self.mutate(SUBMIT, input).await
    }

    pub async fn resend(&self, verification: &Value, client_secret: &Value) -> Answer {
        self.mutate(RESEND, json!({ "verificationId": verification, "clientSecret": client_secret })).await
    }

    /// Signs in by the code that the sandbox phone gets.
    pub async fn sign_in(&self, place: &Place, handle: &str) -> Person {
        let before = place.sandbox.codes(handle).await.len();
        let started = self.start_sign_in(handle).await;
        let started = started.field();
        let code = place.sandbox.nth_code(handle, before + 1).await;
        let done = self.submit(&started["verification"]["id"], &started["clientSecret"], &code).await;
        let outcome = &done.field()["outcome"];
        assert_eq!(outcome["__typename"], "SignedIn", "{:#}", done.body);
        Person {
            account: outcome["account"]["id"].as_str().unwrap().to_owned(),
            session: outcome["session"]["id"].as_str().unwrap().to_owned(),
            client: self.with_token(outcome["tokens"]["accessToken"].as_str().unwrap()),
        }
    }

    /// Links a profile by the code that the sandbox phone gets. Gives the answer to the proof.
    pub async fn link(&self, place: &Place, handle: &str) -> Answer {
        let before = place.sandbox.codes(handle).await.len();
        let started = self.start_link(handle).await;
        let verification = started.field()["verification"]["id"].clone();
        let code = place.sandbox.nth_code(handle, before + 1).await;
        self.submit(&verification, &Value::Null, &code).await
    }

    /// Opens a WebSocket and is acknowledged.
    pub async fn socket(&self) -> Socket {
        Socket::open(&self.url, self.token.as_deref()).await
    }
}

/// Somebody who is signed in.
pub struct Person {
    pub account: String,
    pub session: String,
    pub client: Client,
}

impl Person {
    /// The account's stream.
    pub fn account_id(&self) -> Uuid {
        uuid_of(&self.account)
    }
}

/// The UUID in a global id.
pub fn uuid_of(id: &str) -> Uuid {
    id.rsplit_once('_').unwrap().1.parse().unwrap()
}
