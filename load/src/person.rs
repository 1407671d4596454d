//! People with accounts: they sign up with a one-time code and link further profiles.

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::client::Api;
use crate::proof::{self, Proof};
use crate::report;

const AT_ONCE: usize = 8;

/// Somebody who is signed in for longer than a run lasts.
#[derive(Clone)]
pub struct Person {
    pub token: String,
}

impl Person {
    /// Signs up, and links profiles until there are `profiles`.
    pub async fn sign_up(api: &Api, profiles: usize) -> anyhow::Result<Self> {
        let token = proof::sign_up(api).await.context("signing up")?;
        for _ in 1..profiles {
            let proof = Proof::of_link(api, &token).await.context("linking a profile")?;
            proof.link(api, &token).await.context("linking a profile")?;
        }
        Ok(Self { token })
    }
}

/// Signs up `count` people with `profiles` each.
pub async fn crowd(api: &Api, count: usize, profiles: usize) -> anyhow::Result<Vec<Person>> {
    let bar = report::bar("accounts", count)?;
    let people = stream::iter(0..count)
        .map(|_| Person::sign_up(api, profiles))
        .buffer_unordered(AT_ONCE)
        .inspect_ok(|_| bar.inc(1))
        .try_collect()
        .await;
    bar.finish_and_clear();
    people
}
