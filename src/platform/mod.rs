//! The platforms whose profiles can be linked, and the client of what they offer.
//!
//! A platform is added by configuration alone: nothing here knows one by name.

mod client;
pub mod graphql;
mod key;
mod masking;
mod openid;
mod webhook;

use std::sync::Arc;

use accounts_center_entity::verification::Method;
use anyhow::Context;
use indexmap::IndexMap;

use crate::clock::Clock;
use crate::config;
use crate::ids::Ids;
use crate::switches::Switches;

pub use client::{CodeDelivery, PlatformClient, PlatformError, ProfileClaim, ProfileState, Recipient};
pub use key::PlatformKey;
pub use masking::mask_handle;
pub use openid::{OpenId, Provider, Redemption, Unproven};
pub use webhook::{Unsigned, WebhookKey};

/// A configured platform.
#[derive(Debug)]
pub struct Platform {
    pub key: PlatformKey,
    pub display_name: String,
    /// Whether its profiles can sign in.
    pub sign_in: bool,
    pub end_to_end_encrypted: bool,
    pub client: PlatformClient,
    /// How its profiles are proved by OAuth; absent where they are by one-time code.
    pub openid: Option<OpenId>,
    /// What its webhooks are signed with.
    pub webhooks: WebhookKey,
}

impl Platform {
    /// Whether an operator has switched it off: nothing is proved there, and it is not called.
    pub fn is_off(&self) -> bool {
        self.client.is_off()
    }

    /// How its profiles are proved.
    pub fn method(&self) -> Method {
        if self.openid.is_some() { Method::Oauth } else { Method::OneTimeCode }
    }
}

/// All configured platforms, in the operator's order. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Platforms(Arc<IndexMap<PlatformKey, Arc<Platform>>>);

impl Platforms {
    /// `sandbox` is the base URL of the sandbox, for platforms without one of their own.
    pub fn new(
        configured: &IndexMap<PlatformKey, config::Platform>,
        sandbox: &str,
        (clock, ids): (Clock, Ids),
        switches: &Switches,
    ) -> anyhow::Result<Self> {
        let calls = client::Calls::new(clock, ids, switches.clone())?;
        let platforms = configured.iter().map(|(key, platform)| {
            let base_url = if platform.base_url.is_empty() {
                format!("{sandbox}/sandbox/{key}")
            } else {
                platform.base_url.clone()
            };
            let openid = match platform.proof {
                config::Proof::OAuth => Some(OpenId::new(&calls, key, platform, &base_url)?),
                config::Proof::OneTimeCode => None,
            };
            let platform = Platform {
                key: key.clone(),
                display_name: match platform.display_name.as_str() {
                    "" => key.to_string(),
                    name => name.to_owned(),
                },
                sign_in: platform.sign_in,
                end_to_end_encrypted: platform.end_to_end_encrypted,
                client: PlatformClient::new(&calls, key, &base_url, platform.credential.clone())?,
                openid,
                webhooks: WebhookKey::parse(&platform.webhook_secret)
                    .with_context(|| format!("platforms.{key}.webhook_secret"))?,
            };
            anyhow::Ok((key.clone(), Arc::new(platform)))
        });
        Ok(Self(Arc::new(platforms.collect::<Result<_, _>>()?)))
    }

    pub fn get(&self, key: &str) -> Option<&Arc<Platform>> {
        self.0.get(key)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Platform>> {
        self.0.values()
    }
}
