//! Who asks, where proxies stand in between.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client: that of the peer, or, where the peer is a proxy that the operator trusts, the last one in
/// `X-Forwarded-For` that is none. What stands before that one anybody could have written.
pub(crate) fn client_address(headers: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> IpAddr {
    let is_trusted =
        |address: IpAddr| trusted.iter().any(|network| network.contains(&address.to_canonical()));
    let mut client = peer;
    let lists = headers.get_all(FORWARDED_FOR).iter().rev();
    let mut hops = lists.flat_map(|list| list.to_str().unwrap_or_default().rsplit(','));
    while is_trusted(client) {
        let Some(Ok(before)) = hops.next().map(|hop| hop.trim().parse()) else { break };
        client = before;
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_say_who_asks() {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].iter().map(|net| net.parse().unwrap()).collect();
        let asks = |peer: &str, lists: &[&str]| {
            let mut headers = HeaderMap::new();
            for list in lists {
                headers.append(FORWARDED_FOR, list.parse().unwrap());
            }
            client_address(&headers, peer.parse().unwrap(), &trusted).to_string()
        };
        assert_eq!(asks("192.0.2.1", &["198.51.100.1"]), "192.0.2.1", "it is no proxy of ours");
        assert_eq!(asks("10.1.2.3", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(asks("::ffff:10.1.2.3", &["2001:db8::1"]), "2001:db8::1");
        assert_eq!(asks("10.1.2.3", &["203.0.113.9, 198.51.100.1, 10.0.0.9"]), "198.51.100.1");
        assert_eq!(
            asks("10.1.2.3", &["203.0.113.9", "198.51.100.1,10.0.0.9"]),
            "198.51.100.1",
            "in several headers"
        );
        assert_eq!(asks("10.1.2.3", &[]), "10.1.2.3");
        assert_eq!(asks("10.1.2.3", &["not an address"]), "10.1.2.3");
        assert_eq!(asks("10.1.2.3", &["garbage, 10.0.0.9"]), "10.0.0.9");
    }
}
