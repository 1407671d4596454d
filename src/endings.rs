//! Waiting for the end of one of many things, without a task or a list for each that waits.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

type Waiting<K> = HashMap<K, (CancellationToken, usize)>;

/// Those that somebody waits for, by what they are called, and how many wait. Cheap to clone.
pub struct Endings<K: Eq + Hash>(Arc<Mutex<Waiting<K>>>);

/// Waits for the end of one, as long as it is held.
pub struct Awaited<K: Eq + Hash> {
    endings: Endings<K>,
    key: K,
    told: CancellationToken,
}

impl<K: Eq + Hash> Clone for Endings<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Eq + Hash> Default for Endings<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash> Endings<K> {
    fn lock(&self) -> MutexGuard<'_, Waiting<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those who wait that these have ended.
    pub fn tell<'a>(&self, ended: impl IntoIterator<Item = &'a K>)
    where
        K: 'a,
    {
        let waiting = self.lock();
        for key in ended {
            if let Some((told, _)) = waiting.get(key) {
                told.cancel();
            }
        }
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }
}

impl<K: Clone + Eq + Hash> Endings<K> {
    /// Waits for the end of one, or until `stop`. It may have ended already: look after this, not before.
    pub fn wait_for(&self, key: K, stop: &CancellationToken) -> Awaited<K> {
        let mut waiting = self.lock();
        let (told, count) = waiting.entry(key.clone()).or_insert_with(|| (stop.child_token(), 0));
        *count += 1;
        let told = told.clone();
        drop(waiting);
        Awaited { endings: self.clone(), key, told }
    }
}

impl<K: Eq + Hash> Awaited<K> {
    /// Cancelled once it has ended.
    pub fn token(&self) -> &CancellationToken {
        &self.told
    }
}

impl<K: Eq + Hash> Drop for Awaited<K> {
    fn drop(&mut self) {
        let mut waiting = self.endings.lock();
        let Some((_, count)) = waiting.get_mut(&self.key) else { return };
        *count -= 1;
        if *count == 0 {
            waiting.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_told_of_theirs_and_forgotten_once_gone() {
        let (endings, stop) = (Endings::default(), CancellationToken::new());
        let (one, same, other) =
            (endings.wait_for("a", &stop), endings.wait_for("a", &stop), endings.wait_for("b", &stop));
        endings.tell(&["a", "c"]);
        assert!(one.token().is_cancelled() && same.token().is_cancelled() && !other.token().is_cancelled());
        drop(one);
        endings.tell(&["a"]);
        stop.cancel();
        assert!(other.token().is_cancelled());
        drop((same, other));
        assert!(endings.is_empty());
    }
}
