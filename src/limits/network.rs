//! Where a caller is, as limits count it.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

/// How much more than one network a site of IPv6 may do.
pub(super) const SITE: NonZeroU32 = NonZeroU32::new(8).unwrap();

/// The network of an address. Of IPv4 it is the address, of IPv6 the 64 bits that one customer gets at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Network(IpAddr);

/// Of IPv6 the 48 bits that one customer gets at most, with 65,536 networks in it (RFC 6177). Several customers may share them,
/// so that they may do more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Site(Ipv6Addr);

impl Network {
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            v4 @ IpAddr::V4(_) => v4,
        })
    }

    /// The site that it is of; absent for one of IPv4.
    pub fn site(self) -> Option<Site> {
        match self.0 {
            IpAddr::V6(v6) => {
                let [a, b, c, ..] = v6.segments();
                Some(Site(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)))
            }
            IpAddr::V4(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_customer_is_one_network_and_of_one_site() {
        let of = |address: &str| Network::of(address.parse().unwrap());
        assert_eq!((of("192.0.2.7").0.to_string().as_str(), of("192.0.2.7").site()), ("192.0.2.7", None));
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::"), of("2001:db8:1:3::"));
        assert_eq!(of("2001:db8:1:2::").site(), of("2001:db8:1:ffff::").site());
        assert_ne!(of("2001:db8:1::").site(), of("2001:db8:2::").site());
    }
}
