//! How many sockets one caller may hold open, and how many subscriptions over all of them.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::network::Network;
use super::places::Places;
use crate::config;

/// The open sockets of one process, by who holds them. Cheap to clone.
#[derive(Clone)]
pub struct SocketQuotas(Arc<Inner>);

struct Inner {
    anonymous: usize,
    open: Mutex<Open>,
}

struct Open {
    sockets: Places,
    anonymous: usize,
    subscriptions: Places,
}

/// The place of an open socket; it is free again once this is dropped.
pub struct SocketSlot {
    quotas: SocketQuotas,
    address: Option<Network>,
    caller: Option<Caller>,
    /// One of somebody else's server, which counts its own, takes no place.
    takes_place: bool,
}

/// The place of an open subscription; it is free again once this is dropped.
pub struct SubscriptionSlot {
    quotas: SocketQuotas,
    address: Option<Network>,
    account: Option<Uuid>,
}

#[derive(Clone, Copy)]
enum Caller {
    Anonymous,
    Account(Uuid),
}

impl SocketQuotas {
    pub fn new(config: &config::Limits) -> Self {
        let open = Open {
            sockets: Places::new(config.sockets_per_address, config.sockets_per_account),
            anonymous: 0,
            subscriptions: Places::new(config.subscriptions_per_address, config.subscriptions_per_account),
        };
        Self(Arc::new(Inner { anonymous: config.anonymous_sockets, open: Mutex::new(open) }))
    }

    /// A place for a socket from `address`; `None` if those of this address are taken.
    pub fn open(&self, address: Option<IpAddr>) -> Option<SocketSlot> {
        let address = address.map(Network::of);
        let is_free = self.lock().sockets.take_at(address);
        is_free.then(|| SocketSlot { quotas: self.clone(), address, caller: None, takes_place: true })
    }

    /// For a socket by which a router follows something for somebody at `address`. It is no socket of theirs, so that only what
    /// they subscribe to counts.
    pub fn open_for_router(&self, address: Option<IpAddr>) -> SocketSlot {
        let address = address.map(Network::of);
        SocketSlot { quotas: self.clone(), address, caller: None, takes_place: false }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SocketSlot {
    /// Says whose socket it is, once that is known; false if the places of this caller are taken.
    pub fn is_of(&mut self, account: Option<Uuid>) -> bool {
        let mut open = self.quotas.lock();
        let is_free = match account {
            _ if !self.takes_place => true,
            Some(account) => open.sockets.take_for(account),
            None if open.anonymous >= self.quotas.0.anonymous => false,
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

    /// A place for a subscription over this socket; `None` if those of its account or its address are taken.
    pub fn subscribe(&self) -> Option<SubscriptionSlot> {
        let account = match self.caller {
            Some(Caller::Account(account)) => Some(account),
            Some(Caller::Anonymous) | None => None,
        };
        let mut open = self.quotas.lock();
        if !account.is_none_or(|account| open.subscriptions.take_for(account)) {
            return None;
        }
        if !open.subscriptions.take_at(self.address) {
            if let Some(account) = account {
                open.subscriptions.leave_for(account);
            }
            return None;
        }
        drop(open);
        Some(SubscriptionSlot { quotas: self.quotas.clone(), address: self.address, account })
    }
}

impl Drop for SocketSlot {
    fn drop(&mut self) {
        if !self.takes_place {
            return;
        }
        let mut open = self.quotas.lock();
        open.sockets.leave_at(self.address);
        match self.caller {
            Some(Caller::Anonymous) => open.anonymous -= 1,
            Some(Caller::Account(account)) => open.sockets.leave_for(account),
            None => {}
        }
    }
}

impl Drop for SubscriptionSlot {
    fn drop(&mut self) {
        let mut open = self.quotas.lock();
        open.subscriptions.leave_at(self.address);
        if let Some(account) = self.account {
            open.subscriptions.leave_for(account);
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
        let open = quotas.lock();
        assert!(open.sockets.are_free() && open.anonymous == 0);
    }

    #[test]
    fn a_routers_socket_counts_by_what_is_subscribed_to() {
        let settings = [
            ("ACCOUNTS__LIMITS__SOCKETS_PER_ADDRESS", "1".to_owned()),
            ("ACCOUNTS__LIMITS__SOCKETS_PER_ACCOUNT", "1".to_owned()),
            ("ACCOUNTS__LIMITS__ANONYMOUS_SOCKETS", "0".to_owned()),
            ("ACCOUNTS__LIMITS__SUBSCRIPTIONS_PER_ACCOUNT", "2".to_owned()),
        ];
        let quotas = SocketQuotas::new(&config::Config::from_pairs(settings).unwrap().limits);
        let (address, ada) = (Some("192.0.2.7".parse().unwrap()), Some(Uuid::from_u128(1)));
        let mut slots: Vec<_> = (0..4).map(|_| quotas.open_for_router(address)).collect();
        assert!(slots[..3].iter_mut().all(|slot| slot.is_of(ada)) && slots[3].is_of(None));
        let places: Vec<_> = slots.iter().map(SocketSlot::subscribe).collect();
        assert_eq!(places.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false, true]);
        assert!(quotas.open(address).is_some_and(|mut own| own.is_of(ada)), "her own place is free");
        drop((slots, places));
        let open = quotas.lock();
        assert!(open.sockets.are_free() && open.subscriptions.are_free() && open.anonymous == 0);
    }

    #[test]
    fn subscriptions_are_counted_over_all_sockets() {
        let settings = [
            ("ACCOUNTS__LIMITS__SUBSCRIPTIONS_PER_ADDRESS", "3".to_owned()),
            ("ACCOUNTS__LIMITS__SUBSCRIPTIONS_PER_ACCOUNT", "2".to_owned()),
        ];
        let quotas = SocketQuotas::new(&config::Config::from_pairs(settings).unwrap().limits);
        let socket = |address: &str, account: Option<u128>| {
            let mut slot = quotas.open(Some(address.parse().unwrap())).unwrap();
            assert!(slot.is_of(account.map(Uuid::from_u128)));
            slot
        };
        let (ada, adas) = (socket("192.0.2.7", Some(1)), socket("192.0.2.8", Some(1)));
        let (eve, nobody) = (socket("192.0.2.7", Some(2)), socket("192.0.2.7", None));
        let (first, second) = (ada.subscribe().unwrap(), adas.subscribe().unwrap());
        assert!(ada.subscribe().is_none() && adas.subscribe().is_none(), "two of the account");
        let (third, fourth) = (eve.subscribe().unwrap(), nobody.subscribe().unwrap());
        assert!(eve.subscribe().is_none() && nobody.subscribe().is_none(), "three of the address");
        drop(fourth);
        let fifth = eve.subscribe().expect("what the address refused was not counted for the account");
        drop((first, second, third, fifth));
        assert!(quotas.lock().subscriptions.are_free());
    }

    #[test]
    fn a_site_has_the_places_of_eight_networks() {
        let settings = [("ACCOUNTS__LIMITS__SOCKETS_PER_ADDRESS", "2".to_owned())];
        let quotas = SocketQuotas::new(&config::Config::from_pairs(settings).unwrap().limits);
        let open = |address: String| quotas.open(Some(address.parse().unwrap()));
        let mut slots: Vec<_> =
            (0..16).map(|n| open(format!("2001:db8:1:{:x}::{n}", n / 2)).unwrap()).collect();
        assert!(open("2001:db8:1:7::9".to_owned()).is_none(), "the network has no more");
        for _ in 0..3 {
            assert!(open("2001:db8:1:ff::1".to_owned()).is_none(), "the site has no more");
        }
        assert!(open("2001:db8:2::1".to_owned()).is_some(), "others are served");
        slots.truncate(14);
        slots.extend([
            open("2001:db8:1:ff::1".to_owned()).unwrap(),
            open("2001:db8:1:ff::2".to_owned()).unwrap(),
        ]);
        assert!(open("2001:db8:1:fe::1".to_owned()).is_none());
        drop(slots);
        assert!(quotas.lock().sockets.are_free());
    }
}
