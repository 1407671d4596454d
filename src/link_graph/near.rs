//! The near cache: graphs in this process, with floors that rise by hints.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use uuid::Uuid;

use super::{LinkGraph, load::load};
use crate::config;
use crate::error::Error;
use crate::store::Store;

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
        let _filling = slot.filling.lock().await;
        if let Some(graph) = self.fresh(&slot, at_least) {
            return Ok(Some(graph));
        }
        let read_at = Instant::now();
        let Some(graph) = load(self.0.store.db(), account).await?.map(Arc::new) else {
            self.0.near.remove(&account);
            return Ok(None);
        };
        // A hint that came meanwhile makes this entry a miss by itself: `fresh` compares it to the floor.
        *slot.entry.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Entry { graph: graph.clone(), read_at });
        Ok(Some(graph))
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
