//! The near cache: graphs in this process, with floors that rise by hints.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use uuid::Uuid;

use super::{LinkGraph, load::load};
use crate::config;
use crate::error::Error;
use crate::store::{Store, bounded};

/// How often a graph is read that changes while it is read.
const MAX_LOADS: usize = 5;

/// Reads link graphs, from this process if it has them. Cheap to clone.
#[derive(Clone)]
pub struct LinkGraphs(Arc<Inner>);

struct Inner {
    store: Store,
    near: Arc<Cache<Uuid, Arc<Slot>>>,
    lifetime: Duration,
}

/// What this process knows of one account.
#[derive(Default)]
struct Slot {
    /// The highest version that was heard of; whatever is older is not served.
    floor: AtomicI64,
    entry: Mutex<Option<Entry>>,
    /// Held while the graph is read, so that a thousand misses make one load.
    filling: tokio::sync::Mutex<()>,
    /// How often that failed: those who waited for a load that failed do not each wait for one of their own.
    failures: AtomicU64,
    /// How it failed the last time.
    failure: Mutex<Option<Error>>,
}

#[derive(Clone)]
struct Entry {
    graph: Arc<LinkGraph>,
    read_at: Instant,
}

impl LinkGraphs {
    pub fn new(store: Store, config: &config::Graph) -> Self {
        let near = Arc::new(Cache::<Uuid, Arc<Slot>>::new(config.near_entries));
        let heard = near.clone();
        store.tell_cache(move |hint| {
            if let Some(slot) = heard.get(&hint.stream) {
                slot.floor.fetch_max(hint.version, Ordering::AcqRel);
            }
        });
        Self(Arc::new(Inner { store, near, lifetime: Duration::from_secs(config.near_seconds) }))
    }

    /// The graph of `account` at version `at_least` or later; absent if there is no such account.
    pub async fn get(&self, account: Uuid, at_least: i64) -> Result<Option<Arc<LinkGraph>>, Error> {
        let slot = self.slot(account);
        if let Some(graph) = self.fresh(&slot, at_least) {
            return Ok(Some(graph));
        }
        // In a task of its own: a reader that is not polled meanwhile, as for a socket that nobody reads, must
        // not stand still with the lock or with a connection.
        let graphs = self.clone();
        let load = tokio::spawn(async move { graphs.get_or_fill(&slot, account, at_least).await });
        load.await.map_err(Error::internal)?
    }

    async fn get_or_fill(
        &self,
        slot: &Slot,
        account: Uuid,
        at_least: i64,
    ) -> Result<Option<Arc<LinkGraph>>, Error> {
        let failures = slot.failures.load(Ordering::Acquire);
        let _filling = slot.filling.lock().await;
        if let Some(graph) = self.fresh(slot, at_least) {
            return Ok(Some(graph));
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

    async fn fill(&self, slot: &Slot, account: Uuid, at_least: i64) -> Result<Option<Arc<LinkGraph>>, Error> {
        for _ in 0..MAX_LOADS {
            let read_at = Instant::now();
            let floor_before = slot.floor.load(Ordering::Acquire);
            let Some(graph) = bounded(load(self.0.store.db(), account)).await?.map(Arc::new) else {
                self.0.near.remove(&account);
                return Ok(None);
            };
            *slot.entry.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(Entry { graph: graph.clone(), read_at });
            // A hint that came meanwhile has raised the floor, and what was read may be from before.
            let floor = slot.floor.load(Ordering::Acquire);
            if graph.version >= floor.max(at_least) {
                return Ok(Some(graph));
            }
            if floor == floor_before && graph.version >= at_least {
                // It was there before we read: the database does not have what the hint spoke of, and the
                // database is right.
                let _ =
                    slot.floor.compare_exchange(floor, graph.version, Ordering::AcqRel, Ordering::Acquire);
                return Ok(Some(graph));
            }
        }
        Err(Error::Unavailable(Arc::new(anyhow::anyhow!("the database is behind what was heard of it"))))
    }

    /// Empties the cache, as a restart would.
    pub fn forget(&self) {
        self.0.near.clear();
    }

    fn slot(&self, account: Uuid) -> Arc<Slot> {
        self.0
            .near
            .get_or_insert_with::<_, std::convert::Infallible>(&account, || Ok(Arc::default()))
            .unwrap_or_else(|never| match never {})
    }

    fn fresh(&self, slot: &Slot, at_least: i64) -> Option<Arc<LinkGraph>> {
        let entry = slot.entry.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let floor = slot.floor.load(Ordering::Acquire).max(at_least);
        (entry.graph.version >= floor && entry.read_at.elapsed() < self.0.lifetime).then_some(entry.graph)
    }
}
