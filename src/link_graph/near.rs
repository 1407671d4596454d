//! Reading link graphs: from this process, from Redis, from the database.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use async_graphql::dataloader::DataLoader;
use async_graphql::runtime::{TokioSpawner, TokioTimer};
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::slot::{Answer, Heard, Slot};
use super::{LinkGraph, layout, load::load};
use crate::bus::Hint;
use crate::bus::connect::{Commands, RedisServers};
use crate::cache::{Age, Found, Keyspace};
use crate::config;
use crate::error::Error;
use crate::store::{News, Store, Versions, bounded, failpoint};

/// How often a graph is read that changes while it is read.
const MAX_LOADS: usize = 5;
/// Redis is asked for an entry no longer than this: the database has it, too.
const IMPATIENT: Duration = Duration::from_millis(300);
/// How long connecting to it may take, while readers go to the database.
const REACH: Duration = Duration::from_secs(10);
/// How long a load waits for others to end: what takes longer is a database that does not answer.
const TURN: Duration = Duration::from_secs(3);

/// Reads link graphs. Cheap to clone.
#[derive(Clone)]
pub struct LinkGraphs(Arc<Inner>);

struct Inner {
    store: Store,
    near: Arc<Cache<Uuid, Arc<Slot>>>,
    redis: Option<Shared>,
    /// Asks for versions, all that are wanted at one time in one statement.
    versions: DataLoader<Versions>,
    /// Loads from the database at one time.
    loads: Semaphore,
    lifetime: Duration,
    counts: Counts,
    /// What other replicas are still to be told.
    announcements: TaskTracker,
}

/// The entries that all replicas share.
struct Shared {
    servers: RedisServers,
    keys: Keyspace,
    connection: Arc<tokio::sync::Mutex<Option<Commands>>>,
}

/// How often each layer gave the answer, since this process began.
#[derive(Debug, Default)]
pub struct Counts {
    near: AtomicU64,
    /// Near, after the database had confirmed the version.
    checked: AtomicU64,
    redis: AtomicU64,
    database: AtomicU64,
}

impl Counts {
    /// The layers, nearest first, and what each one answered.
    pub fn by_layer(&self) -> [(&'static str, u64); 4] {
        [
            ("near", &self.near),
            ("checked", &self.checked),
            ("redis", &self.redis),
            ("database", &self.database),
        ]
        .map(|(layer, count)| (layer, count.load(Ordering::Relaxed)))
    }
}

impl LinkGraphs {
    /// Reads from `store`, and shares through `redis` if there is one.
    pub fn new(store: Store, redis: Option<RedisServers>, config: &config::Config) -> Self {
        let epoch = if failpoint::is_off("plant::key-epoch") { 0 } else { store.epoch() };
        let keys = Keyspace::new(&config.redis.prefix, "graph", epoch, layout::VERSION);
        let graphs = Self(Arc::new(Inner {
            near: Arc::new(Cache::new(config.graph.near_entries)),
            redis: redis.map(|servers| Shared { servers, keys, connection: Arc::default() }),
            versions: DataLoader::new(
                Versions(store.clone()),
                TokioSpawner::current(),
                TokioTimer::default(),
            ),
            loads: Semaphore::new(config.graph.max_loads),
            lifetime: Duration::from_secs(config.graph.near_seconds),
            counts: Counts::default(),
            announcements: TaskTracker::new(),
            store: store.clone(),
        }));
        let weak = Arc::downgrade(&graphs.0);
        store.tell_cache(move |news| {
            if let Some(inner) = weak.upgrade() {
                Self(inner).learn(news);
            }
        });
        graphs
    }

    /// The graph of `account` at version `at_least` or later, or at the database's if that is not so far; absent if
    /// there is no such account.
    pub async fn get(&self, account: Uuid, at_least: i64) -> Result<Option<Arc<LinkGraph>>, Error> {
        let slot = self.slot(account);
        if let Answer::Known(graph) = slot.answer(at_least, self.unbroken()) {
            self.0.counts.near.fetch_add(1, Ordering::Relaxed);
            return Ok(graph);
        }
        // In a task of its own: a reader that is not polled meanwhile, as for a socket that nobody reads, must
        // not stand still with the lock or with a connection.
        let graphs = self.clone();
        let read = tokio::spawn(async move { graphs.read(&slot, account, at_least).await });
        read.await.map_err(Error::internal)?
    }

    /// How often each layer gave the answer.
    pub fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// Returns once the other replicas have been told of all that was committed here, or could not be.
    pub async fn flush(&self) {
        self.0.announcements.close();
        self.0.announcements.wait().await;
        self.0.store.bus().flush().await;
    }

    /// Empties the near cache, as a restart would.
    pub fn forget(&self) {
        self.0.near.clear();
    }

    async fn read(&self, slot: &Slot, account: Uuid, at_least: i64) -> Result<Option<Arc<LinkGraph>>, Error> {
        if let Answer::Doubtful(graph) = slot.answer(at_least, self.unbroken())
            && let Some(graph) = self.check(slot, account, &graph).await?
        {
            self.0.counts.checked.fetch_add(1, Ordering::Relaxed);
            return Ok(Some(graph));
        }
        let failures = slot.failures.load(Ordering::Acquire);
        let _filling = slot.filling.lock().await;
        match slot.answer(at_least, self.unbroken()) {
            Answer::Known(graph) => return Ok(graph),
            // Read by whoever held the lock; its reading began after ours.
            Answer::Doubtful(graph) => {
                if let Some(graph) = self.check(slot, account, &graph).await? {
                    return Ok(Some(graph));
                }
            }
            Answer::Unknown => {}
        }
        if slot.failures.load(Ordering::Acquire) != failures
            && let Some(error) = slot.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
        {
            return Err(error);
        }
        let filled = self.fill(slot, account, at_least).await;
        if let Err(error) = &filled {
            *slot.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
            slot.failures.fetch_add(1, Ordering::AcqRel);
        }
        filled
    }

    /// The same graph, if the database says that it has not changed.
    async fn check(
        &self,
        slot: &Slot,
        account: Uuid,
        graph: &Arc<LinkGraph>,
    ) -> Result<Option<Arc<LinkGraph>>, Error> {
        let reading = slot.begin(self.unbroken());
        let now = self.0.versions.load_one(account).await?;
        Ok(now.and_then(|(version, graph_version)| {
            slot.confirm(graph, reading, Heard { version, graph_version })
        }))
    }

    async fn fill(&self, slot: &Slot, account: Uuid, at_least: i64) -> Result<Option<Arc<LinkGraph>>, Error> {
        if let Some(found) = self.fill_from_redis(slot, account, at_least).await {
            self.0.counts.redis.fetch_add(1, Ordering::Relaxed);
            return Ok(found);
        }
        let busy = |_| Error::Unavailable(Arc::new(anyhow::anyhow!("too many graphs are being read")));
        let turn = tokio::time::timeout(TURN, self.0.loads.acquire()).await.map_err(busy)?;
        let _turn = turn.map_err(Error::internal)?;
        for _ in 0..MAX_LOADS {
            let reading = slot.begin(self.unbroken());
            let loaded = bounded(load(self.0.store.db(), account)).await?.map(Arc::new);
            self.0.counts.database.fetch_add(1, Ordering::Relaxed);
            failpoint::pause("link_graph::filled").await;
            let Some(graph) = loaded else {
                slot.bury(reading, self.lifetime());
                self.share_tombstone(account);
                return Ok(None);
            };
            self.share(&graph, reading.begun);
            if let Some(graph) = slot.settle(graph, reading, self.lifetime()) {
                return Ok(Some(graph));
            }
        }
        Err(Error::Unavailable(Arc::new(anyhow::anyhow!("an account changes faster than it can be read"))))
    }

    /// What the other replicas left, if it is good enough.
    async fn fill_from_redis(
        &self,
        slot: &Slot,
        account: Uuid,
        at_least: i64,
    ) -> Option<Option<Arc<LinkGraph>>> {
        let (shared, reading) = (self.0.redis.as_ref()?, slot.begin(self.unbroken()));
        // While the bus is broken Redis is not there, or not to be believed.
        reading.unbroken?;
        let found = tokio::time::timeout(IMPATIENT, shared.get(account)).await.ok().flatten()?;
        match found {
            Found::Gone => {
                slot.bury(reading, self.lifetime());
                Some(None)
            }
            Found::Entry { payload, remaining, .. } => {
                let graph = Arc::new(layout::decode(account, &payload)?);
                let graph = slot.accept(graph, at_least, reading, remaining.min(self.lifetime()))?;
                Some(Some(graph))
            }
        }
    }

    fn share(&self, graph: &LinkGraph, read_at: Instant) {
        let Some(shared) = &self.0.redis else { return };
        let Some(payload) = layout::encode(graph) else { return };
        let (id, version) = (graph.account.id, graph.graph_version);
        self.0.store.bus().put(shared.keys.put(
            id,
            version,
            payload,
            Age { read_at, lifetime: self.lifetime() },
        ));
    }

    fn share_tombstone(&self, account: Uuid) {
        if let Some(shared) = &self.0.redis {
            self.0.store.bus().put(shared.keys.tombstone(account, self.lifetime()));
        }
    }

    fn learn(&self, news: News) {
        match news {
            News::Heard(hint) => self.hear(hint),
            News::Doubted(stream) => self.slot(stream).doubt(),
            News::Committed { hint, changed_graph } => self.announce(hint, changed_graph),
        }
    }

    fn hear(&self, hint: Hint) {
        let slot = match self.0.near.get(&hint.stream) {
            Some(slot) => slot,
            // Who follows the account will be told of it, and must not be shown what Redis may still have from before.
            None if self.0.store.followed_to(hint.stream).is_some() => self.slot(hint.stream),
            None => return,
        };
        slot.hear(Heard { version: hint.version, graph_version: hint.graph_version });
    }

    /// Lets the other replicas know of a commit here; of one that changed the graph, once they find the new one in
    /// Redis, so that not each of them has to load it.
    fn announce(&self, hint: Hint, changed_graph: bool) {
        let outdated = self.0.redis.as_ref().filter(|_| changed_graph);
        let outdated = outdated.map(|shared| shared.keys.outdated(hint.stream, hint.graph_version));
        if outdated.is_none() || self.unbroken().is_none() {
            self.0.store.bus().publish(hint, outdated);
            return;
        }
        // From here on this replica does not take from Redis what is older.
        self.slot(hint.stream).hear(Heard { version: hint.version, graph_version: hint.graph_version });
        let graphs = self.clone();
        self.0.announcements.spawn(async move {
            let read = graphs.get(hint.stream, hint.version);
            if let Ok(Err(error)) = tokio::time::timeout(Duration::from_secs(1), read).await {
                error.log();
            }
            graphs.0.store.bus().publish(hint, outdated);
        });
    }

    fn unbroken(&self) -> Option<u64> {
        self.0.store.bus_health().unbroken()
    }

    /// Up to a fifth shorter, so that what came together does not expire together.
    fn lifetime(&self) -> Duration {
        let [random] = self.0.store.random::<1>();
        self.0.lifetime.mul_f32(1.0 - f32::from(random) / 1280.0)
    }

    fn slot(&self, account: Uuid) -> Arc<Slot> {
        // One that had to make room was perhaps told of events that a reader here has handed on.
        let fresh = || {
            let followed_to = self.0.store.followed_to(account).unwrap_or_default();
            Ok(Arc::new(Slot::from(Heard { version: followed_to, graph_version: followed_to })))
        };
        self.0
            .near
            .get_or_insert_with::<_, std::convert::Infallible>(&account, fresh)
            .unwrap_or_else(|never| match never {})
    }
}

impl Shared {
    async fn get(&self, account: Uuid) -> Option<Found> {
        let mut connection = self.connection().await?;
        match self.keys.get(&mut connection, account).await {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%error, "Redis was asked for a graph in vain");
                None
            }
        }
    }

    async fn connection(&self) -> Option<Commands> {
        // Connecting may take longer than a reader waits, as past a node that is gone: it goes on for the next one.
        if let Ok(mut connection) = self.connection.clone().try_lock_owned() {
            if connection.is_some() {
                return connection.clone();
            }
            let servers = self.servers.clone();
            tokio::spawn(async move {
                *connection = tokio::time::timeout(REACH, servers.commands()).await.ok().and_then(Result::ok);
            });
        }
        self.connection.lock().await.clone()
    }
}
