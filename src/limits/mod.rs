//! How fast one caller may be, and how much of this process they may have (S32, S49).
//!
//! **Invariants.** These limits are of one process and are lost with it: they keep a caller from being a burden. What must
//! hold across replicas and restarts, as the tries of a code and the codes of a phone number, is in the database.

mod places;
mod rate;
mod sockets;

pub use rate::{Limit, RateLimits};
pub use sockets::{SocketQuotas, SocketSlot, SubscriptionSlot};

use std::net::{IpAddr, Ipv6Addr};

/// An address as limits count it: of IPv6 the network that one customer gets (RFC 6177).
fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_customer_is_one_address() {
        let counted = |address: &str| counted(address.parse().unwrap()).to_string();
        assert_eq!(counted("192.0.2.7"), "192.0.2.7");
        assert_eq!(counted("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), counted("2001:db8:1:2:ffff::1"));
        assert_ne!(counted("2001:db8:1:2::"), counted("2001:db8:1:3::"));
    }
}
