//! Whether the settings of OAuth can be served with.

use std::net::{IpAddr, Ipv6Addr};

use anyhow::{Context, bail, ensure};
use secrecy::ExposeSecret;
use url::{Host, Url};

use super::{Config, Platform, Proof};
use crate::platform::PlatformKey;
use crate::sandbox;

impl Config {
    pub(super) fn check_oauth(&self) -> anyhow::Result<()> {
        for (key, platform) in &self.platforms {
            match platform.proof {
                Proof::OAuth => check_client(key, platform)?,
                Proof::OneTimeCode => ensure!(
                    platform.issuer.is_empty(),
                    "platforms.{key}.issuer is set, and platforms.{key}.proof is \"one_time_code\": only \"oauth\" has one"
                ),
            }
        }
        self.oauth.redirect_uris.iter().try_for_each(|uri| check_redirect(uri))
    }

    /// Production takes no provider that was made up for it, and sends nobody to a machine that only it can see (S35).
    pub(super) fn check_oauth_in_production(&self) -> anyhow::Result<()> {
        let by_oauth = || self.platforms.iter().filter(|(_, platform)| platform.proof == Proof::OAuth);
        for (key, platform) in by_oauth() {
            ensure!(
                platform.issuer.starts_with("https://"),
                "platforms.{key}.issuer must be the https:// URL of the platform's OpenID provider in production mode"
            );
            ensure!(
                platform.client_id != sandbox::CLIENT_ID,
                "platforms.{key}.client_id is the sandbox's: production mode needs the one that the platform gave you"
            );
            ensure!(
                platform.client_secret.expose_secret() != sandbox::CLIENT_SECRET,
                "platforms.{key}.client_secret is the sandbox's: production mode needs the one that the platform gave you"
            );
        }
        if let Some((key, _)) = by_oauth().next()
            && self.oauth.redirect_uris.is_empty()
        {
            bail!(
                "oauth.redirect_uris is empty: platforms.{key} needs one, such as https://www.example.com/linked"
            );
        }
        for uri in &self.oauth.redirect_uris {
            let url: Url = uri.parse().with_context(|| format!("oauth.redirect_uris has {uri:?}"))?;
            ensure!(
                url.scheme() == "https" && !is_private(&url),
                "oauth.redirect_uris has {uri:?}: in production mode it begins with https:// and names a public host"
            );
        }
        Ok(())
    }
}

fn check_client(key: &PlatformKey, platform: &Platform) -> anyhow::Result<()> {
    if !platform.issuer.is_empty() {
        let url = platform.issuer.parse::<Url>().ok();
        let is_issuer = |url: &Url| {
            matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none()
        };
        ensure!(
            url.as_ref().is_some_and(is_issuer),
            "platforms.{key}.issuer must begin with https:// or http://, without a query"
        );
    }
    ensure!(
        !platform.client_id.is_empty(),
        "platforms.{key}.client_id is empty: proof = \"oauth\" needs one"
    );
    ensure!(
        !platform.client_secret.expose_secret().is_empty(),
        "platforms.{key}.client_secret is empty: proof = \"oauth\" needs one"
    );
    Ok(())
}

/// A redirect URL is compared letter by letter, so it must be written as browsers and platforms will write it.
fn check_redirect(uri: &str) -> anyhow::Result<()> {
    let url = uri.parse::<Url>().ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(url) = url.filter(|url| url.fragment().is_none() && url.username().is_empty()) else {
        bail!(
            "oauth.redirect_uris has {uri:?}; it takes full URLs without a fragment: https://www.example.com/linked"
        );
    };
    ensure!(
        url.as_str() == uri,
        "oauth.redirect_uris has {uri:?}, which browsers write {:?}: take that",
        url.as_str()
    );
    Ok(())
}

/// Whether a URL names this machine or its own network, by an address or by a name that means one.
fn is_private(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || [".localhost", ".local", ".internal"].iter().any(|end| name.ends_with(end))
        }
        Some(Host::Ipv4(address)) => is_private_address(address.into()),
        Some(Host::Ipv6(address)) => is_private_address(address.into()),
        None => true,
    }
}

fn is_private_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            // The last: addresses that providers share among their customers (RFC 6598).
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || first == 0
                || v4.is_broadcast()
                || first == 100 && second & 0xc0 == 64
        }
        IpAddr::V6(v6) => {
            let embedded = v6.to_ipv4_mapped().is_some_and(|v4| is_private_address(v4.into()));
            embedded
                || v6 == Ipv6Addr::UNSPECIFIED
                || v6.is_loopback()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s35_private_hosts_are_known_however_they_are_written() {
        let private = |url: &str| is_private(&url.parse().unwrap());
        for bad in [
            "https://localhost/",
            "https://a.localhost/",
            "https://LOCALHOST./",
            "https://printer.local/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0.0.0.0/",
            "https://10.1.2.3/",
            "https://172.16.0.1/",
            "https://192.168.0.1/",
            "https://169.254.169.254/",
            "https://100.64.0.1/",
            "https://[::1]/",
            "https://[::]/",
            "https://[fe80::1]/",
            "https://[fd00::1]/",
            "https://[::ffff:10.0.0.1]/",
        ] {
            assert!(private(bad), "{bad}");
        }
        for good in [
            "https://www.example.com/",
            "https://8.8.8.8/",
            "https://[2606:4700::1]/",
            "https://localhost.example/",
        ] {
            assert!(!private(good), "{good}");
        }
    }
}
