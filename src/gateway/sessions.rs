//! Sessions that have ended, as the accounts replicas behind a gateway tell them: `GET` of `/sessions/ended` there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use arc_swap::ArcSwap;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::replicas::Replicas;
use crate::endings::{Awaited, Endings};

/// Between two looks. The replicas look as often themselves, so that an end is known within the 5 seconds of S15.
const PERIOD: Duration = Duration::from_secs(2);
/// One that is told no more counts for so long: the next replica may not have looked yet.
const KEPT: Duration = Duration::from_secs(60);

/// What a replica tells: the `sid` of each session that ended while tokens of it may still be good.
#[derive(Debug, Deserialize, Serialize)]
pub struct Ended {
    pub sessions: Vec<String>,
}

/// Knows which sessions have ended.
pub struct Sessions {
    replicas: Replicas,
    /// When each of them was told last.
    ended: ArcSwap<HashMap<String, Instant>>,
    sockets: Endings<String>,
}

impl Sessions {
    pub fn new(replicas: Replicas) -> Self {
        Self { replicas, ended: ArcSwap::default(), sockets: Endings::default() }
    }

    /// Looks again and again, for ever. As long as nobody tells, what is known counts.
    pub async fn follow(&self) {
        let mut is_told = true;
        loop {
            let looked = self.look().await;
            // Once, and not every two seconds.
            if let Err(error) = &looked
                && is_told
            {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "nobody tells which sessions have ended; tokens are good until they run out"
                );
            }
            is_told = looked.is_ok();
            tokio::time::sleep(PERIOD).await;
        }
    }

    async fn look(&self) -> anyhow::Result<()> {
        let bytes = self.replicas.get("/sessions/ended", &[], HeaderMap::new()).await?;
        let Ended { sessions } =
            serde_json::from_slice(&bytes).context("the answer is not {\"sessions\": [\"…\"]}")?;
        let (now, known) = (Instant::now(), self.ended.load());
        let new: Vec<_> = sessions.iter().filter(|session| !known.contains_key(*session)).cloned().collect();
        let told = sessions.into_iter().map(|session| (session, now));
        let kept =
            known.iter().filter(|(_, at)| at.elapsed() < KEPT).map(|(session, at)| (session.clone(), *at));
        // What is told now stands in the place of what was told before.
        self.ended.store(Arc::new(kept.chain(told).collect()));
        self.sockets.tell(&new);
        Ok(())
    }

    pub fn has_ended(&self, session: &str) -> bool {
        self.ended.load().contains_key(session)
    }

    /// Waits for the end of a session, or until `stop`.
    pub fn wait_for(&self, session: &str, stop: &CancellationToken) -> Awaited<String> {
        let awaited = self.sockets.wait_for(session.to_owned(), stop);
        // It may have ended before anybody could be told.
        if self.has_ended(session) {
            awaited.token().cancel();
        }
        awaited
    }
}
