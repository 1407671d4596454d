//! Hints over Redis publish/subscribe: at most once, which is all that a hint needs.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use redis::AsyncCommands;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::connect::{Commands, RedisServers};
use super::{Health, Hint};
use crate::cache::{Outdated, Put};
use crate::store::{Store, failpoint};

/// What waits to be sent; beyond that it is dropped, and the poll heals it.
const QUEUE: usize = 4096;
/// How much of the queue is taken at once.
const BATCH: usize = 64;
/// How long Redis may take to accept a subscription.
const CONNECT: Duration = Duration::from_secs(3);
/// How often this replica says something to itself.
const PING: Duration = Duration::from_secs(1);
/// A subscription on which not even our own word is heard for so long is given up: it may be half-open.
const DEAF: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(500);

/// One way for all that this replica says to Redis, so that an entry is there before the hint that wakes its
/// readers. Cheap to clone.
#[derive(Clone)]
pub struct RedisBus {
    queue: mpsc::Sender<Said>,
    health: Health,
}

enum Said {
    Put(Put),
    Hint(Hint, Option<Outdated>),
    /// To ourselves: it waits its turn like the rest, and so shows whether the rest arrives.
    Ping,
    /// Asks to be told when all that was said before has gone out.
    Flush(oneshot::Sender<()>),
}

/// Where this replica speaks and hears.
#[derive(Clone)]
pub struct Channel {
    pub servers: RedisServers,
    pub name: String,
    /// What it says to itself, for nobody else to answer.
    pub ping: [u8; 20],
}

impl Channel {
    /// `own` is random: it tells this replica's word from another one's.
    pub fn new(servers: RedisServers, prefix: &str, own: [u8; 16]) -> Self {
        let mut ping = *b"ping................";
        ping[4..].copy_from_slice(&own);
        Self { servers, name: format!("{prefix}:hints"), ping }
    }
}

impl RedisBus {
    /// Starts to send, whenever Redis is there, for as long as anybody holds the sending end: also while the server
    /// drains, because what commits then concerns the replicas that stay.
    pub fn start(channel: Channel) -> Self {
        let (queue, said) = mpsc::channel(QUEUE);
        tokio::spawn(Sender { channel, connection: None, unsent: HashMap::new() }.run(said));
        tokio::spawn(ping(queue.downgrade()));
        Self { queue, health: Health::unknown() }
    }

    pub(super) fn health(&self) -> &Health {
        &self.health
    }

    /// Puts an entry, best effort.
    pub(super) fn put(&self, put: Put) {
        let _ = self.queue.try_send(Said::Put(put));
    }

    /// Returns once all that was said before has gone out, or could not.
    pub(super) async fn flush(&self) {
        let (told, gone_out) = oneshot::channel();
        if self.queue.send(Said::Flush(told)).await.is_ok() {
            let _ = gone_out.await;
        }
    }

    pub(super) fn publish(&self, hint: Hint, outdated: Option<Outdated>) {
        match failpoint::fault("bus::hint").as_deref() {
            None => self.say(hint, outdated),
            Some("doubled") => [hint; 2].into_iter().for_each(|hint| self.say(hint, outdated.clone())),
            Some("delayed") => {
                let bus = self.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(DEAF).await;
                    bus.say(hint, outdated);
                });
            }
            Some(_) => {}
        }
    }

    fn say(&self, hint: Hint, outdated: Option<Outdated>) {
        // Full: Redis is slow or gone, and the poll heals what is not said.
        let _ = self.queue.try_send(Said::Hint(hint, outdated));
    }
}

struct Sender {
    channel: Channel,
    connection: Option<Commands>,
    /// The latest of each stream that did not go out yet: said once Redis is back, because other replicas may have
    /// noticed nothing.
    unsent: HashMap<Uuid, (Hint, Option<Outdated>)>,
}

impl Sender {
    async fn run(mut self, mut said: mpsc::Receiver<Said>) {
        let mut batch = Vec::with_capacity(BATCH);
        while said.recv_many(&mut batch, BATCH).await > 0 {
            if let Err(error) = self.send(&mut batch).await {
                tracing::debug!(%error, "Redis does not take what is said");
                self.connection = None;
                self.keep(&mut batch);
            }
        }
    }

    /// Sends the batch from its beginning; what it could not send stays in it.
    async fn send(&mut self, batch: &mut Vec<Said>) -> redis::RedisResult<()> {
        let redis = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.channel.servers.commands().await?),
        };
        for stream in self.unsent.keys().copied().collect::<Vec<_>>() {
            let (hint, outdated) = &self.unsent[&stream];
            tell(&mut redis.clone(), &self.channel.name, *hint, outdated.as_ref()).await?;
            self.unsent.remove(&stream);
        }
        // All under way at once on the one connection, which keeps their order: a batch takes about one round trip,
        // however far away Redis is.
        let (name, word) = (self.channel.name.as_str(), self.channel.ping.as_slice());
        let redis = redis.clone();
        let sent = batch.iter().map(|said| {
            let mut redis = redis.clone();
            async move {
                match said {
                    Said::Hint(hint, outdated) => tell(&mut redis, name, *hint, outdated.as_ref()).await,
                    Said::Put(put) => put.clone().write(&mut redis).await,
                    Said::Ping => redis.publish(name, word).await,
                    Said::Flush(_) => Ok(()),
                }
            }
        });
        try_join_all(sent).await?;
        for said in batch.drain(..) {
            if let Said::Flush(told) = said {
                let _ = told.send(());
            }
        }
        Ok(())
    }

    fn keep(&mut self, batch: &mut Vec<Said>) {
        for said in batch.drain(..) {
            let Said::Hint(hint, outdated) = said else { continue };
            if self.unsent.len() >= QUEUE && !self.unsent.contains_key(&hint.stream) {
                continue;
            }
            let latest = self.unsent.entry(hint.stream).or_insert((hint, None));
            if latest.0.version <= hint.version {
                *latest = (hint, outdated.or(latest.1.take()));
            }
        }
    }
}

/// Says a hint, once no entry is there any more that it outdates and none can come: the new one came before it,
/// unless it was lost or late.
async fn tell(
    redis: &mut Commands,
    channel: &str,
    hint: Hint,
    outdated: Option<&Outdated>,
) -> redis::RedisResult<()> {
    if let Some(outdated) = outdated {
        outdated.mark(redis).await?;
    }
    redis.publish(channel, hint.to_bytes().as_slice()).await
}

/// Says a word to ourselves every second, for as long as anybody holds the sending end.
async fn ping(queue: mpsc::WeakSender<Said>) {
    while let Some(queue) = queue.upgrade() {
        let _ = queue.try_send(Said::Ping);
        drop(queue);
        tokio::time::sleep(PING).await;
    }
}

/// Passes what other replicas say on to `store`, for ever: reconnects, and asks the database at once for what was
/// missed.
pub async fn listen(channel: Channel, store: Store, stop: CancellationToken) {
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => {
                store.bus_health().lost();
                return;
            }
            ended = hear(&channel, &store) => {
                store.bus_health().lost();
                let error = ended.err().map(|error| error.to_string());
                tracing::warn!(error, "the bus is gone; polling until it is back");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn hear(channel: &Channel, store: &Store) -> redis::RedisResult<()> {
    let silent = |()| redis::RedisError::from((redis::ErrorKind::Io, "no answer in time"));
    let subscribe = async {
        let mut subscription = channel.servers.pubsub().await?;
        subscription.subscribe(channel.name.as_str()).await?;
        Ok::<_, redis::RedisError>(subscription)
    };
    // What does not answer, because it is half-open or speaks something else, is not waited for.
    let mut subscription = tokio::time::timeout(CONNECT, subscribe).await.map_err(|_| silent(()))??;
    let mut messages = subscription.on_message();
    let mut deaf_at = Instant::now() + DEAF;
    loop {
        let message = tokio::time::timeout_at(deaf_at, messages.next()).await.map_err(|_| silent(()))?;
        let Some(message) = message else { return Ok(()) };
        let payload = message.get_payload_bytes();
        if payload == channel.ping {
            deaf_at = Instant::now() + DEAF;
            if store.bus_health().heard() {
                tracing::debug!("the bus is here");
                poll(store);
            }
        } else if let Some(hint) = Hint::from_bytes(payload) {
            store.hear_remote(hint);
        }
        // Others may be heard all the time.
        if Instant::now() > deaf_at {
            return Err(silent(()));
        }
    }
}

/// Asks for what was missed, beside the listening: hints that come meanwhile must not pile up.
fn poll(store: &Store) {
    let store = store.clone();
    tokio::spawn(async move {
        if let Err(error) = crate::store::bounded(store.poll_watched()).await {
            error.log();
        }
    });
}
