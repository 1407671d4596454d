//! Places of one kind, and who has taken how many of them.

use std::collections::HashMap;
use std::hash::Hash;

use uuid::Uuid;

use super::network::{Network, SITE, Site};

/// What is taken of one kind.
pub(super) struct Places {
    per_address: usize,
    per_account: usize,
    by_address: HashMap<Network, usize>,
    by_site: HashMap<Site, usize>,
    by_account: HashMap<Uuid, usize>,
}

impl Places {
    /// So many for each address, and for each account.
    pub fn new(per_address: usize, per_account: usize) -> Self {
        let (by_address, by_site, by_account) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { per_address, per_account, by_address, by_site, by_account }
    }

    /// Takes a place of an address; false if they are all taken, or all of its site. What has no address is of this process, and
    /// free.
    pub fn take_at(&mut self, address: Option<Network>) -> bool {
        let Some(network) = address else { return true };
        if !take(&mut self.by_address, network, self.per_address) {
            return false;
        }
        let of_site = self.per_address.saturating_mul(SITE.get() as usize);
        let is_free = network.site().is_none_or(|site| take(&mut self.by_site, site, of_site));
        if !is_free {
            leave(&mut self.by_address, network);
        }
        is_free
    }

    /// Takes a place of an account; false if they are all taken.
    pub fn take_for(&mut self, account: Uuid) -> bool {
        take(&mut self.by_account, account, self.per_account)
    }

    pub fn leave_at(&mut self, address: Option<Network>) {
        let Some(network) = address else { return };
        leave(&mut self.by_address, network);
        if let Some(site) = network.site() {
            leave(&mut self.by_site, site);
        }
    }

    pub fn leave_for(&mut self, account: Uuid) {
        leave(&mut self.by_account, account);
    }

    #[cfg(test)]
    pub fn are_free(&self) -> bool {
        self.by_address.is_empty() && self.by_site.is_empty() && self.by_account.is_empty()
    }
}

fn take<K: Eq + Hash>(taken: &mut HashMap<K, usize>, key: K, most: usize) -> bool {
    let taken = taken.entry(key).or_default();
    let is_free = *taken < most;
    if is_free {
        *taken += 1;
    }
    is_free
}

fn leave<K: Eq + Hash>(taken: &mut HashMap<K, usize>, key: K) {
    if let Some(left) = taken.get_mut(&key) {
        *left -= 1;
        if *left == 0 {
            taken.remove(&key);
        }
    }
}
