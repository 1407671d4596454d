//! A person with an account: signs in with a one-time code, links further profiles.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::json;

use crate::client::{Answer, Api};

/// Access tokens are good for 10 minutes; a younger one is at hand with time to spare.
const TOKEN_AGE: Duration = Duration::from_secs(240);

const START_SIGN_IN: &str = "mutation StartSignIn($handle: String!) {
  start: startSignIn(input: { platform: \"whatsapp\", proof: { oneTimeCode: { handle: $handle } } }) {
    verification { id } clientSecret userErrors { code message }
  }
}";

const START_LINK: &str = "mutation StartLink($handle: String!, $key: String!) {
  start: startProfileLink(
    input: { platform: \"whatsapp\", proof: { oneTimeCode: { handle: $handle } }, idempotencyKey: $key }
  ) { verification { id } userErrors { code message } }
}";

const SUBMIT: &str = "mutation Submit($id: ID!, $secret: Secret, $code: Secret!) {
  submitVerification(input: { verificationId: $id, clientSecret: $secret, proof: { oneTimeCode: $code } }) {
    outcome {
      __typename
      ... on SignedIn { tokens { accessToken } }
      ... on ProfileLinked { profile { id } }
    }
    userErrors { code message }
  }
}";

#[derive(Deserialize)]
struct Start {
    start: StartPayload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StartPayload {
    verification: Option<Verification>,
    client_secret: Option<String>,
    user_errors: Vec<UserError>,
}

#[derive(Deserialize)]
struct Verification {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Submit {
    submit_verification: SubmitPayload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SubmitPayload {
    outcome: Option<Outcome>,
    user_errors: Vec<UserError>,
}

#[derive(Deserialize)]
#[serde(tag = "__typename")]
enum Outcome {
    SignedIn { tokens: Tokens },
    ProfileLinked { profile: Profile },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tokens {
    access_token: String,
}

#[derive(Deserialize)]
struct Profile {
    id: String,
}

#[derive(Deserialize)]
struct UserError {
    code: String,
    message: String,
}

/// A challenge that is about to be answered.
struct Proof {
    verification_id: String,
    client_secret: Option<String>,
    code: String,
}

/// A profile that was just linked.
pub struct Linked {
    pub profile_id: String,
    /// Just before the request that committed it was written.
    pub sent: Instant,
    /// When the answer to that request was here.
    pub answered: Instant,
}

pub struct Person<'a> {
    api: &'a Api,
    /// Of the first profile, which signs in.
    handle: String,
    token: String,
    token_since: Instant,
}

impl<'a> Person<'a> {
    /// Adds a profile to the sandbox and signs in with it, which makes the account.
    pub async fn sign_up(api: &'a Api) -> anyhow::Result<Self> {
        let handle = api.add_profile().await?;
        let token_since = Instant::now();
        let token = sign_in(api, &handle).await.context("signing in")?;
        Ok(Self { api, handle, token, token_since })
    }

    /// An access token that is good for some minutes, by a new sign-in when it is needed.
    pub async fn token(&mut self) -> anyhow::Result<&str> {
        if self.token_since.elapsed() > TOKEN_AGE {
            self.token_since = Instant::now();
            self.token = sign_in(self.api, &self.handle).await.context("signing in again")?;
        }
        Ok(&self.token)
    }

    /// Links one more profile.
    pub async fn link(&mut self) -> anyhow::Result<Linked> {
        let api = self.api;
        let handle = api.add_profile().await?;
        let token = self.token().await?;
        let variables = json!({ "handle": &handle, "key": &handle });
        let started: Answer<Start> = api.execute(START_LINK, variables, Some(token)).await?;
        let (verification_id, client_secret) = accepted(started.data.start)?;
        let code = api.next_code(&handle, None).await?;
        let proof = Proof { verification_id, client_secret, code };
        let answer = submit(api, proof, Some(token)).await?;
        match answer.data {
            Outcome::ProfileLinked { profile } => {
                Ok(Linked { profile_id: profile.id, sent: answer.sent, answered: answer.received })
            }
            Outcome::SignedIn { .. } => bail!("linking a profile signed somebody in"),
        }
    }
}

async fn sign_in(api: &Api, handle: &str) -> anyhow::Result<String> {
    let before = api.newest_code(handle).await?;
    let started: Answer<Start> = api.execute(START_SIGN_IN, json!({ "handle": handle }), None).await?;
    let (verification_id, client_secret) = accepted(started.data.start)?;
    let code = api.next_code(handle, before.as_ref()).await?;
    let proof = Proof { verification_id, client_secret, code };
    match submit(api, proof, None).await?.data {
        Outcome::SignedIn { tokens } => Ok(tokens.access_token),
        Outcome::ProfileLinked { .. } => bail!("signing in linked a profile"),
    }
}

async fn submit(api: &Api, proof: Proof, token: Option<&str>) -> anyhow::Result<Answer<Outcome>> {
    let variables = json!({
        "id": proof.verification_id,
        "secret": proof.client_secret,
        "code": proof.code,
    });
    let answer: Answer<Submit> = api.execute(SUBMIT, variables, token).await?;
    let payload = answer.data.submit_verification;
    refuse(&payload.user_errors)?;
    let data = payload.outcome.context("a verification without outcome and errors")?;
    Ok(Answer { data, sent: answer.sent, received: answer.received })
}

/// Id and client secret of a verification that was started.
fn accepted(payload: StartPayload) -> anyhow::Result<(String, Option<String>)> {
    refuse(&payload.user_errors)?;
    let verification = payload.verification.context("neither a verification nor errors")?;
    Ok((verification.id, payload.client_secret))
}

/// No user error is expected in a load run.
fn refuse(errors: &[UserError]) -> anyhow::Result<()> {
    match errors.first() {
        Some(error) => bail!("{}: {}", error.code, error.message),
        None => Ok(()),
    }
}
