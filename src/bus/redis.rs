//! Hints over Redis publish/subscribe: at most once, which is all that a hint needs.

use std::time::Duration;

use futures_util::StreamExt;
use redis::AsyncCommands;
use redis::aio::ConnectionManager;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Hint;
use crate::store::Store;

/// Hints that wait to be sent; beyond that they are dropped, and the poll heals it.
const QUEUE: usize = 4096;

/// How long Redis may take to accept a subscription.
const CONNECT: Duration = Duration::from_secs(3);

/// The sending end.
#[derive(Clone)]
pub struct RedisBus {
    queue: mpsc::Sender<Hint>,
}

impl RedisBus {
    /// Starts to send to `channel`, whenever Redis is there, for as long as anybody holds the sending end: also
    /// while the server drains, because what commits then concerns the replicas that stay.
    pub fn start(client: redis::Client, channel: String) -> Self {
        let (queue, hints) = mpsc::channel(QUEUE);
        tokio::spawn(send(client, channel, hints));
        Self { queue }
    }

    pub(super) fn publish(&self, hint: Hint) {
        // Full: Redis is slow or gone, and the poll heals what is not said.
        let _ = self.queue.try_send(hint);
    }
}

async fn send(client: redis::Client, channel: String, mut hints: mpsc::Receiver<Hint>) {
    let mut connection = None;
    while let Some(hint) = hints.recv().await {
        if connection.is_none() {
            connection = ConnectionManager::new(client.clone()).await.ok();
        }
        let Some(redis) = &mut connection else { continue };
        if let Err(error) = redis.publish::<_, _, ()>(&channel, hint.to_bytes().as_slice()).await {
            tracing::debug!(%error, "a hint was lost");
        }
    }
}

/// Passes what other replicas say on to `store`, for ever: reconnects, and asks the database at once for
/// what was missed.
pub async fn listen(client: redis::Client, channel: String, store: Store, stop: CancellationToken) {
    const PAUSE: Duration = Duration::from_millis(500);
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => return,
            ended = hear(&client, &channel, &store) => {
                let error = ended.err().map(|error| error.to_string());
                tracing::warn!(error, "the bus is gone; polling until it is back");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn hear(client: &redis::Client, channel: &str, store: &Store) -> redis::RedisResult<()> {
    let subscribe = async {
        let mut subscription = client.get_async_pubsub().await?;
        subscription.subscribe(channel).await?;
        Ok::<_, redis::RedisError>(subscription)
    };
    // What does not answer, because it is half-open or speaks something else, is not waited for.
    let silent = |_| redis::RedisError::from((redis::ErrorKind::Io, "no answer in time"));
    let mut subscription = tokio::time::timeout(CONNECT, subscribe).await.map_err(silent)??;
    tracing::debug!("the bus is here");
    if let Err(error) = store.poll_watched().await {
        error.log();
    }
    let mut messages = subscription.on_message();
    while let Some(message) = messages.next().await {
        if let Some(hint) = Hint::from_bytes(message.get_payload_bytes()) {
            store.hear_remote(hint);
        }
    }
    Ok(())
}
