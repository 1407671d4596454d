//! The clock that tests move: set on the sandbox, followed by every server in development.

use std::time::Duration;

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::Sandbox;
use crate::clock::Clock;

/// How long a follower's question stays open while nothing changes.
const OPEN: Duration = Duration::from_secs(20);

#[derive(Serialize, Deserialize)]
struct Time {
    now: DateTime<Utc>,
    /// What a server adds to its time.
    offset_seconds: i64,
}

#[derive(Deserialize)]
struct Advance {
    advance_seconds: i64,
}

#[derive(Deserialize)]
struct Known {
    /// Answer once the offset is another one than this.
    not: Option<i64>,
}

pub fn router(stop: CancellationToken) -> Router<Sandbox> {
    let ask = move |State(sandbox): State<Sandbox>, Query(known): Query<Known>| async move {
        let mut offset = sandbox.0.offset.subscribe();
        if let Some(known) = known.not {
            tokio::select! {
                _ = offset.wait_for(|offset| *offset != known) => {}
                () = tokio::time::sleep(OPEN) => {}
                () = stop.cancelled() => {}
            }
        }
        Json(time(&sandbox))
    };
    Router::new().route("/sandbox/clock", get(ask).post(advance))
}

/// Moves the time of every server that follows.
async fn advance(State(sandbox): State<Sandbox>, Json(by): Json<Advance>) -> Json<Time> {
    sandbox.0.offset.send_modify(|offset| *offset = offset.saturating_add(by.advance_seconds));
    Json(time(&sandbox))
}

fn time(sandbox: &Sandbox) -> Time {
    let offset_seconds = *sandbox.0.offset.borrow();
    sandbox.0.clock.set_offset(offset_seconds);
    Time { now: sandbox.0.clock.now(), offset_seconds }
}

/// Follows the time of a sandbox.
pub struct ClockFollower {
    http: reqwest::Client,
    url: String,
    clock: Clock,
}

impl ClockFollower {
    /// Lets `clock` follow the sandbox at `url`.
    pub fn new(url: &str, clock: Clock) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(OPEN * 2).build()?;
        Ok(Self { http, url: format!("{url}/sandbox/clock"), clock })
    }

    /// Takes over the sandbox's present time; false if it does not answer within a second.
    pub async fn catch_up(&self) -> bool {
        let asked = self.ask(&self.url);
        matches!(tokio::time::timeout(Duration::from_secs(1), asked).await, Ok(true))
    }

    /// Takes over every change, for ever.
    pub async fn follow(self) {
        const PAUSE: Duration = Duration::from_secs(1);
        loop {
            let known = self.clock.offset();
            if !self.ask(&format!("{}?not={known}", self.url)).await {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn ask(&self, url: &str) -> bool {
        let Ok(response) = self.http.get(url).send().await else { return false };
        let Ok(time) = response.json::<Time>().await else { return false };
        self.clock.set_offset(time.offset_seconds);
        true
    }
}
