//! Proofs by one-time code: what signs in, and what links a profile.

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::json;

use crate::client::{Answer, Api, UserError, refuse};

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

/// A verification that was started.
#[derive(Deserialize)]
pub struct Start {
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

/// A challenge that is about to be answered.
pub struct Proof {
    verification_id: String,
    client_secret: Option<String>,
    code: String,
}

/// Starts a sign-in with a handle, whether there is such a profile or not.
pub async fn start_sign_in(api: &Api, handle: &str) -> anyhow::Result<Answer<Start>> {
    api.execute(START_SIGN_IN, json!({ "handle": handle }), None).await
}

/// Starts to link a handle, by an idempotency key.
pub async fn start_link(
    api: &Api,
    token: &str,
    (handle, key): (&str, &str),
) -> anyhow::Result<Answer<Start>> {
    api.execute(START_LINK, json!({ "handle": handle, "key": key }), Some(token)).await
}

/// Adds a profile to the sandbox and signs in with it, which makes an account; gives the access token.
pub async fn sign_up(api: &Api) -> anyhow::Result<String> {
    let handle = api.phones.add_profile().await?;
    let started = start_sign_in(api, &handle).await?;
    let proof = challenged(api, started, &handle).await?;
    match submit(api, proof, None).await?.data {
        Outcome::SignedIn { tokens } => Ok(tokens.access_token),
        Outcome::ProfileLinked { .. } => bail!("signing in linked a profile"),
    }
}

impl Proof {
    /// Adds a profile to the sandbox and begins to link it, up to the code that is still to be submitted.
    pub async fn of_link(api: &Api, token: &str) -> anyhow::Result<Self> {
        let handle = api.phones.add_profile().await?;
        let started = start_link(api, token, (&handle, &handle)).await?;
        challenged(api, started, &handle).await
    }

    /// Submits the code of a link; gives the id of the profile.
    pub async fn link(self, api: &Api, token: &str) -> anyhow::Result<Answer<String>> {
        let answer = submit(api, self, Some(token)).await?;
        match answer.data {
            Outcome::ProfileLinked { profile } => {
                Ok(Answer { data: profile.id, sent: answer.sent, received: answer.received })
            }
            Outcome::SignedIn { .. } => bail!("linking a profile signed somebody in"),
        }
    }
}

/// The proof of a verification that was started, once its code has come.
async fn challenged(api: &Api, started: Answer<Start>, handle: &str) -> anyhow::Result<Proof> {
    let StartPayload { verification, client_secret, user_errors } = started.data.start;
    refuse(&user_errors)?;
    let verification_id = verification.context("neither a verification nor errors")?.id;
    let code = api.phones.code(handle).await?;
    Ok(Proof { verification_id, client_secret, code })
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
