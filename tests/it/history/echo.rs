//! Hints from before a restore that come after it: whoever was not killed has not noticed yet, and repeats them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::World;
use crate::support::Place;

/// How long hints of the past are heard, and between two of their rounds.
const ROUNDS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(500);
/// A hint begins with the epoch of the database that it is about; then comes the stream.
const STREAM: std::ops::Range<usize> = 8..24;

/// The last hint of each stream, as it went over the wire.
type Last = Arc<Mutex<HashMap<Vec<u8>, Vec<u8>>>>;

/// Listens to what replicas tell each other.
pub struct Echo {
    client: redis::Client,
    channel: String,
    last: Last,
    _listening: AbortOnDropHandle<()>,
}

impl Echo {
    pub fn listen(place: &Place, redis: &str) -> Self {
        let client = redis::Client::open(redis).expect("a URL");
        let channel = format!("{}:hints", place.setting("ACCOUNTS__REDIS__PREFIX"));
        let last = Last::default();
        let listening = tokio::spawn(listen(client.clone(), channel.clone(), last.clone()));
        Self { client, channel, last, _listening: AbortOnDropHandle::new(listening) }
    }

    /// Says again what was said before the restore, until the end of the phase at most.
    pub async fn repeat(self, world: Arc<World>, phase: CancellationToken) {
        let hints: Vec<Vec<u8>> = self.last.lock().unwrap().drain().map(|(_, hint)| hint).collect();
        world.weather.note("hints of before the restore are said again");
        for _ in 0..ROUNDS {
            if let Ok(mut redis) = self.client.get_multiplexed_async_connection().await {
                for hint in &hints {
                    let said: redis::RedisResult<i64> =
                        redis::cmd("PUBLISH").arg(&self.channel).arg(hint).query_async(&mut redis).await;
                    world.tally.add("faults", "hint of before the restore", u64::from(said.is_ok()));
                }
            }
            if tokio::time::timeout(PAUSE, phase.cancelled()).await.is_ok() {
                return;
            }
        }
    }
}

/// For ever, and from the beginning again when Redis was away.
async fn listen(client: redis::Client, channel: String, last: Last) {
    loop {
        if let Ok(mut subscription) = client.get_async_pubsub().await
            && subscription.subscribe(&channel).await.is_ok()
        {
            let mut messages = subscription.on_message();
            while let Some(message) = messages.next().await {
                let hint = message.get_payload_bytes();
                if let Some(stream) = hint.get(STREAM).filter(|_| !hint.starts_with(b"ping")) {
                    last.lock().unwrap().insert(stream.to_vec(), hint.to_vec());
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
