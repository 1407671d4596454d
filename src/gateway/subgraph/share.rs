//! What is the same in every byte and asked for at the same time is done once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

/// Something under way that several wait for. It goes on for as long as one of them does.
pub type Flight<V> = Shared<BoxFuture<'static, V>>;

/// What is under way, by all that it depends on.
pub struct Flights<K, V>(Arc<Mutex<HashMap<K, WeakShared<BoxFuture<'static, V>>>>>);

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, V> Clone for Flights<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Eq + Hash, V> Flights<K, V> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, WeakShared<BoxFuture<'static, V>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a flight out once it has landed, or everybody has left it.
struct Landing<K: Eq + Hash, V>(Flights<K, V>, K);

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        // Perhaps one that began just now instead: then nobody else joins that, which is no harm.
        self.0.lock().remove(&self.1);
    }
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Joins what is under way for `key`, or begins it.
    pub fn join(&self, key: K, begin: impl FnOnce() -> BoxFuture<'static, V>) -> Flight<V> {
        let mut flights = self.lock();
        if let Some(flight) = flights.get(&key).and_then(WeakShared::upgrade) {
            return flight;
        }
        let (landing, call) = (Landing(self.clone(), key.clone()), begin());
        let flight = async move {
            let _landing = landing;
            call.await
        };
        let flight = flight.boxed().shared();
        if let Some(weak) = flight.downgrade() {
            flights.insert(key, weak);
        }
        flight
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn what_is_the_same_at_the_same_time_is_done_once() {
        let flights: Flights<&str, usize> = Flights::default();
        let (count, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let begin = || {
            let (count, go) = (count.clone(), go.clone());
            async move {
                let number = count.fetch_add(1, Ordering::Relaxed);
                go.notified().await;
                number
            }
            .boxed()
        };
        let (one, two, other) =
            (flights.join("a", begin), flights.join("a", begin), flights.join("b", begin));
        let landing = async {
            tokio::task::yield_now().await;
            go.notify_waiters();
        };
        let (one, two, other, ()) = tokio::join!(one, two, other, landing);
        assert_eq!(one, two);
        assert_ne!(one, other);
        assert_eq!(count.load(Ordering::Relaxed), 2);
        assert!(flights.lock().is_empty(), "what has landed is forgotten");
    }

    #[tokio::test]
    async fn what_everybody_leaves_is_forgotten() {
        let flights: Flights<&str, ()> = Flights::default();
        let left = flights.join("a", || std::future::pending().boxed());
        assert!(left.clone().now_or_never().is_none());
        drop(left);
        assert!(flights.lock().is_empty());
    }
}
