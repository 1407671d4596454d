//! How many sockets one caller may hold open.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use super::counted;
use crate::config;

/// The open sockets of one process, by who holds them. Cheap to clone.
#[derive(Clone)]
pub struct SocketQuotas(Arc<Inner>);

struct Inner {
    per_address: usize,
    per_account: usize,
    anonymous: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    by_address: HashMap<IpAddr, usize>,
    by_account: HashMap<Uuid, usize>,
    anonymous: usize,
}

/// The place of an open socket; it is free again once this is dropped.
pub struct SocketSlot {
    quotas: SocketQuotas,
    address: Option<IpAddr>,
    caller: Option<Caller>,
}

#[derive(Clone, Copy)]
enum Caller {
    Anonymous,
    Account(Uuid),
}

impl SocketQuotas {
    pub fn new(config: &config::Limits) -> Self {
        Self(Arc::new(Inner {
            per_address: config.sockets_per_address,
            per_account: config.sockets_per_account,
            anonymous: config.anonymous_sockets,
            open: Mutex::default(),
        }))
    }

    /// A place for a socket from `address`; `None` if those of this address are taken.
    pub fn open(&self, address: Option<IpAddr>) -> Option<SocketSlot> {
        let address = address.map(counted);
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        let is_free = address.is_none_or(|address| take(&mut open.by_address, address, self.0.per_address));
        drop(open);
        is_free.then(|| SocketSlot { quotas: self.clone(), address, caller: None })
    }
}

impl SocketSlot {
    /// Says whose socket it is, once that is known; false if the places of this caller are taken.
    pub fn is_of(&mut self, account: Option<Uuid>) -> bool {
        let limits = &self.quotas.0;
        let mut open = limits.open.lock().unwrap_or_else(PoisonError::into_inner);
        let is_free = match account {
            Some(account) => take(&mut open.by_account, account, limits.per_account),
            None if open.anonymous >= limits.anonymous => false,
            None => {
                open.anonymous += 1;
                true
            }
        };
        drop(open);
        if is_free {
            self.caller = Some(account.map_or(Caller::Anonymous, Caller::Account));
        }
        is_free
    }
}

impl Drop for SocketSlot {
    fn drop(&mut self) {
        let mut open = self.quotas.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(address) = self.address {
            leave(&mut open.by_address, address);
        }
        match self.caller {
            Some(Caller::Anonymous) => open.anonymous -= 1,
            Some(Caller::Account(account)) => leave(&mut open.by_account, account),
            None => {}
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_once_its_socket_has_gone() {
        let settings = [
            ("ACCOUNTS__LIMITS__SOCKETS_PER_ADDRESS", "3".to_owned()),
            ("ACCOUNTS__LIMITS__SOCKETS_PER_ACCOUNT", "2".to_owned()),
            ("ACCOUNTS__LIMITS__ANONYMOUS_SOCKETS", "1".to_owned()),
        ];
        let quotas = SocketQuotas::new(&config::Config::from_pairs(settings).unwrap().limits);
        let address = Some("192.0.2.7".parse().unwrap());
        let (ada, eve) = (Some(Uuid::from_u128(1)), Some(Uuid::from_u128(2)));
        let mut first = quotas.open(address).unwrap();
        let mut second = quotas.open(address).unwrap();
        let mut third = quotas.open(address).unwrap();
        assert!(quotas.open(address).is_none());
        assert!(quotas.open(Some("192.0.2.8".parse().unwrap())).is_some(), "others are served");
        assert!(first.is_of(ada) && second.is_of(ada) && !third.is_of(ada));
        assert!(third.is_of(None));
        let mut elsewhere = quotas.open(None).unwrap();
        assert!(!elsewhere.is_of(None) && elsewhere.is_of(eve));
        drop((first, third));
        let mut fourth = quotas.open(address).unwrap();
        assert!(fourth.is_of(ada));
        let mut fifth = quotas.open(address).unwrap();
        assert!(!fifth.is_of(ada) && fifth.is_of(None));
        drop((second, fourth, fifth, elsewhere));
        let open = quotas.0.open.lock().unwrap();
        assert!(open.by_address.is_empty() && open.by_account.is_empty() && open.anonymous == 0);
    }
}
