//! The process of the subgraphs: all four behind one address, each at its name. What was asked once is answered from
//! memory, so that a run measures gateways and not this.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use async_graphql::Request;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::store::{NAMES, Store};

/// What is remembered of different requests; a run has some tens.
const MOST: usize = 10_000;

#[derive(clap::Args)]
pub struct Options {
    #[arg(long)]
    listen: SocketAddr,
}

/// The calls since this was asked the last time.
#[derive(Default, Deserialize, Serialize)]
pub struct Calls {
    pub count: usize,
    /// The most that had to come one behind the other: each of them began after the one before was answered.
    pub waves: usize,
}

struct Shared {
    store: Store,
    answers: Mutex<HashMap<(String, Bytes), Bytes>>,
    /// When each began and ended.
    calls: Mutex<Vec<(Instant, Instant)>>,
    /// Milliseconds that each answer is held back.
    pace: AtomicU64,
}

/// How the subgraphs answer from now on.
#[derive(Deserialize)]
pub struct Pace {
    milliseconds: u64,
}

/// Serves until the process is ended by a signal; there is nothing to drain.
pub async fn serve(options: Options) -> anyhow::Result<()> {
    let shared = Shared {
        store: Store::new(),
        answers: Mutex::default(),
        calls: Mutex::default(),
        pace: AtomicU64::new(0),
    };
    let router = Router::new()
        .route("/live", get(|| async {}))
        .route("/calls", get(calls))
        .route("/pace", put(pace))
        .route("/{name}", post(answer))
        .with_state(Arc::new(shared));
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    Ok(axum::serve(listener.tap_io(|stream| drop(stream.set_nodelay(true))), router).await?)
}

async fn answer(State(shared): State<Arc<Shared>>, Path(name): Path<String>, body: Bytes) -> Response {
    let began = Instant::now();
    if !NAMES.contains(&name.as_str()) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let key = (name, body);
    let known = shared.answers().get(&key).cloned();
    let answer = match known {
        Some(answer) => answer,
        None => {
            let Ok(request) = serde_json::from_slice::<Request>(&key.1) else {
                return StatusCode::BAD_REQUEST.into_response();
            };
            let answer = shared.store.execute(&key.0, request).await;
            let Ok(bytes) = serde_json::to_vec(&answer) else {
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            };
            let answer = Bytes::from(bytes);
            let mut answers = shared.answers();
            if answers.len() < MOST {
                answers.insert(key, answer.clone());
            }
            answer
        }
    };
    if let milliseconds @ 1.. = shared.pace.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
    shared.calls.lock().unwrap_or_else(PoisonError::into_inner).push((began, Instant::now()));
    ([(header::CONTENT_TYPE, "application/json")], answer).into_response()
}

async fn pace(State(shared): State<Arc<Shared>>, Json(pace): Json<Pace>) {
    shared.pace.store(pace.milliseconds, Ordering::Relaxed);
}

async fn calls(State(shared): State<Arc<Shared>>) -> Json<Calls> {
    let calls = std::mem::take(&mut *shared.calls.lock().unwrap_or_else(PoisonError::into_inner));
    Json(Calls { count: calls.len(), waves: waves(calls) })
}

/// The length of the longest chain; greedily by the earliest end, as intervals are scheduled.
fn waves(mut calls: Vec<(Instant, Instant)>) -> usize {
    calls.sort_unstable_by_key(|(_, ended)| *ended);
    let (mut count, mut last) = (0, None);
    for (began, ended) in calls {
        if last.is_none_or(|last: Instant| began > last) {
            count += 1;
            last = Some(ended);
        }
    }
    count
}

impl Shared {
    fn answers(&self) -> std::sync::MutexGuard<'_, HashMap<(String, Bytes), Bytes>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_beside_each_other_are_one_wave() {
        let zero = Instant::now();
        let at = |began: u64, ended: u64| {
            (zero + Duration::from_millis(began), zero + Duration::from_millis(ended))
        };
        assert_eq!(waves(vec![]), 0);
        assert_eq!(waves(vec![at(0, 5), at(1, 4), at(2, 9)]), 1);
        assert_eq!(waves(vec![at(0, 5), at(1, 4), at(6, 9), at(5, 7), at(10, 11)]), 3);
    }
}
