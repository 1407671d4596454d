//! How often one caller may do what costs others something.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use uuid::Uuid;

use super::network::{Network, SITE, Site};
use crate::config;
use crate::error::Error;

type Limiter<K> = RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock>;

/// How often what nobody does any more is forgotten.
const FORGET: Duration = Duration::from_secs(60);

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// To start a verification, or have its code sent again.
    Start,
    /// To submit a proof.
    Submit,
    /// To refresh a session.
    Refresh,
}

/// The rate limits of one process.
pub struct RateLimits {
    starts: Limiters,
    submissions: Limiters,
    refreshes: Limiters,
}

/// Limits for each address, for each site of IPv6, and for each account: a caller has to keep all of them.
struct Limiters {
    by_address: Limiter<Network>,
    by_site: Limiter<Site>,
    by_account: Limiter<Uuid>,
}

impl Limiters {
    fn per_minute(by_address: NonZeroU32, by_account: NonZeroU32) -> Self {
        Self {
            by_address: RateLimiter::keyed(Quota::per_minute(by_address)),
            by_site: RateLimiter::keyed(Quota::per_minute(by_address.saturating_mul(SITE))),
            by_account: RateLimiter::keyed(Quota::per_minute(by_account)),
        }
    }

    fn check(&self, address: Option<IpAddr>, account: Option<Uuid>) -> Result<(), Error> {
        // The narrowest first: one that is too fast does not use up what its neighbours have.
        if let Some(account) = account {
            check(&self.by_account, &account)?;
        }
        // What has no address is a test, or of this process.
        let Some(network) = address.map(Network::of) else { return Ok(()) };
        check(&self.by_address, &network)?;
        network.site().map_or(Ok(()), |site| check(&self.by_site, &site))
    }

    fn forget(&self) {
        self.by_address.retain_recent();
        self.by_site.retain_recent();
        self.by_account.retain_recent();
    }
}

fn check<K: Clone + Eq + std::hash::Hash>(limiter: &Limiter<K>, key: &K) -> Result<(), Error> {
    limiter.check_key(key).map_err(|until| {
        // Begun seconds count: whoever comes back when they were told to is let in.
        let retry_after = until.wait_time_from(DefaultClock::default().now()).as_secs() + 1;
        Error::RateLimited { retry_after }
    })
}

impl RateLimits {
    pub fn new(config: &config::Limits) -> Self {
        Self {
            starts: Limiters::per_minute(config.starts_per_address, config.starts_per_account),
            submissions: Limiters::per_minute(config.submissions_per_address, config.submissions_per_account),
            // Each session refreshes every few minutes.
            refreshes: Limiters::per_minute(config.refreshes_per_address, config.refreshes_per_address),
        }
    }

    /// Counts what a caller does now.
    ///
    /// # Errors
    /// RATE_LIMITED if it is too often.
    pub fn check(
        &self,
        limit: Limit,
        (address, account): (Option<IpAddr>, Option<Uuid>),
    ) -> Result<(), Error> {
        let limiters = match limit {
            Limit::Start => &self.starts,
            Limit::Submit => &self.submissions,
            Limit::Refresh => &self.refreshes,
        };
        limiters.check(address, account)
    }

    /// Forgets those who have done nothing lately, again and again.
    pub async fn forget(&self) {
        loop {
            tokio::time::sleep(FORGET).await;
            for limiters in [&self.starts, &self.submissions, &self.refreshes] {
                limiters.forget();
            }
        }
    }
}
