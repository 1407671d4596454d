//! The platforms whose profiles can be linked, and the client of what they offer.
//!
//! A platform is added by configuration alone: nothing here knows one by name.

mod answers;
mod client;
mod failure;
pub mod graphql;
mod key;
mod line;
mod masking;
mod openid;
mod webhook;

use std::sync::Arc;

use accounts_center_entity::verification::Method;
use anyhow::Context;
use indexmap::IndexMap;

use crate::clock::Clock;
use crate::config::{self, Config, Offer};
use crate::ids::Ids;
use crate::switches::Switches;

pub use answers::{CodeDelivery, Notice, PrivacyRead, ProfileClaim, ProfileState, Recipient};
use line::Calls;

pub use client::PlatformClient;
pub use failure::PlatformError;
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
    /// What it has of the contract beside proofs and profiles. A capability follows from it as soon as there is something to
    /// do with it here.
    offers: Vec<Offer>,
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

    /// Whether it has this part of the contract.
    pub fn offers(&self, offer: Offer) -> bool {
        self.offers.contains(&offer)
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
        config: &Config,
        sandbox: &str,
        (clock, ids): (Clock, Ids),
        switches: &Switches,
    ) -> anyhow::Result<Self> {
        let calls = Calls::new(config, (clock, ids), switches.clone())?;
        let platforms = config.platforms.iter().map(|(key, platform)| {
            let base_url = if platform.base_url.is_empty() {
                format!("{sandbox}/sandbox/{key}")
            } else {
                platform.base_url.clone()
            };
            let line = calls.line(key, platform);
            let offers_of_sandbox: &[Offer] = if platform.base_url.is_empty() { &Offer::ALL } else { &[] };
            let openid = match platform.proof {
                config::Proof::OAuth => Some(OpenId::new(&line, key, platform, &base_url)?),
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
                offers: platform.offers.clone().unwrap_or_else(|| offers_of_sandbox.to_vec()),
                client: PlatformClient::new(&line, key, &base_url, platform.credential.clone())?,
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
