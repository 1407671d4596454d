//! Platforms to develop and test against: the platform contract over real HTTP, with pages for people and
//! JSON for tests. Never part of a production server.
//!
//! **Invariant.** The server knows nothing of the sandbox but its URL: it speaks to it as to any platform.

mod api;
mod business;
mod clock;
mod control;
mod faults;
mod messages;
mod notices;
mod once;
mod openid;
mod phone;
mod privacy;
mod problem;
mod publications;
mod sessions;
mod state;
mod webhooks;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::ids::Ids;
use crate::platform::PlatformKey;

pub use clock::ClockFollower;
pub use state::DEMO_PROFILE;
use state::PlatformState;
pub use webhooks::WebhookSubscription;

/// The bearer token that the sandbox takes: `platforms.*.credential` in development.
const CREDENTIAL: &str = "sandbox";
/// What the sandbox signs its webhooks with: `platforms.*.webhook_secret` in development.
pub const WEBHOOK_SECRET: &str = "whsec_c2FuZGJveC5zYW5kYm94LnNhbmRib3gu";
/// What the sandbox's OpenID providers know the server by: `platforms.*.client_id` and `client_secret` in development.
pub const CLIENT_ID: &str = "sandbox";
pub const CLIENT_SECRET: &str = "sandbox";
/// How often changed state is written to its file.
const SAVE_EVERY: Duration = Duration::from_millis(200);

/// How long a server gets to answer a webhook.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// All sandbox platforms. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

struct Inner {
    file: PathBuf,
    platforms: IndexMap<PlatformKey, watch::Sender<PlatformState>>,
    clock: Clock,
    /// What servers in development add to their time, in seconds.
    offset: watch::Sender<i64>,
    /// Servers that take webhooks. Never saved: they say again that they are there.
    receivers: Mutex<Vec<webhooks::Receiver>>,
    http: reqwest::Client,
    ids: Ids,
}

/// What the file holds.
#[derive(Default, Serialize, Deserialize)]
struct Saved {
    /// How far tests have moved the time: it must not jump back at a restart.
    offset_seconds: i64,
    platforms: IndexMap<PlatformKey, PlatformState>,
}

impl Sandbox {
    /// Reads its state from `folder`, or begins with demo profiles.
    pub fn open(folder: &Path, keys: impl Iterator<Item = PlatformKey>) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| {
            format!("the data folder {} cannot be written; choose another one with --data", folder.display())
        })?;
        let file = folder.join("sandbox.json");
        let mut saved: Saved = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is damaged; delete it to begin anew", file.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Saved::default(),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", file.display())),
        };
        let ids = Ids::random();
        let platforms = keys
            .map(|key| {
                let mut state = saved
                    .platforms
                    .swap_remove(&key)
                    .unwrap_or_else(|| PlatformState::with_demo_profiles(&key));
                state.openid = openid::State::new(&ids);
                (key, watch::channel(state).0)
            })
            .collect();
        let clock = Clock::system();
        clock.set_offset(saved.offset_seconds);
        let offset = watch::channel(saved.offset_seconds).0;
        let http = reqwest::Client::builder().no_proxy().timeout(WEBHOOK_TIMEOUT).build()?;
        let receivers = Mutex::default();
        Ok(Self(Arc::new(Inner { file, platforms, clock, offset, receivers, http, ids })))
    }

    fn platform(&self, key: &str) -> Option<&watch::Sender<PlatformState>> {
        self.0.platforms.get(key)
    }

    fn new_id(&self, kind: &str) -> String {
        format!("{kind}_{}", self.0.ids.uuid(self.0.clock.now()).simple())
    }

    /// Writes the state at every change, at most every [`SAVE_EVERY`], and once more at the end.
    async fn save_changes(self, stop: CancellationToken) {
        let mut changes: Vec<_> = self.0.platforms.values().map(watch::Sender::subscribe).collect();
        let mut moves = self.0.offset.subscribe();
        while !stop.is_cancelled() {
            let changed = futures_util::future::select_all(
                changes.iter_mut().map(|changes| Box::pin(changes.changed())),
            );
            tokio::select! {
                () = stop.cancelled() => {}
                _ = changed => {}
                _ = moves.changed() => {}
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(SAVE_EVERY) => {}
            }
            if let Err(error) = self.save() {
                tracing::warn!(error = format!("{error:#}"), "the sandbox's state was not saved");
            }
        }
    }

    /// Writes the state to its file.
    pub fn save(&self) -> anyhow::Result<()> {
        let platforms = self.0.platforms.iter().map(|(key, state)| (key.clone(), state.borrow().clone()));
        let state = Saved { offset_seconds: *self.0.offset.borrow(), platforms: platforms.collect() };
        let draft = self.0.file.with_extension("json.new");
        std::fs::write(&draft, serde_json::to_vec_pretty(&state)?)?;
        Ok(std::fs::rename(draft, &self.0.file)?)
    }
}

/// Everything under `/sandbox`, and the task that saves it.
pub fn router(sandbox: Sandbox, stop: CancellationToken) -> Router {
    tokio::spawn(sandbox.clone().save_changes(stop.clone()));
    let platform = Router::new()
        .merge(api::router(&sandbox))
        .merge(openid::router(&sandbox))
        .merge(control::router())
        .merge(phone::router());
    Router::new()
        .nest("/sandbox/{platform}", platform)
        .merge(clock::router(stop))
        .merge(webhooks::router())
        .layer(DefaultBodyLimit::max(64 * 1024))
        .with_state(sandbox)
}
