//! Platforms in the graph.

use std::sync::Arc;

use async_graphql::{Context, Description, Enum, ID, Object};

use super::PlatformKey;
use crate::app::App;
use crate::error::Error;
use crate::graph::context::app;
use crate::link_graph::graphql::Experience;
use crate::verification::graphql::VerificationMethod;

/// A service whose profiles can be linked: Facebook, Instagram, WhatsApp, or any other one configured.
#[derive(Clone, Description)]
pub struct Platform {
    key: PlatformKey,
    /// Absent where the operator has taken it out while profiles are linked to it.
    configured: Option<Arc<super::Platform>>,
}

impl From<Arc<super::Platform>> for Platform {
    fn from(platform: Arc<super::Platform>) -> Self {
        Self { key: platform.key.clone(), configured: Some(platform) }
    }
}

impl Platform {
    /// The platform that is configured under a key.
    pub fn configured(app: &App, key: &str) -> Option<Self> {
        app.platforms.get(key).cloned().map(Self::from)
    }

    /// The platform of a row. One that is not configured any more is shown by its key, and can do nothing.
    pub fn stored(app: &App, key: &str) -> Result<Self, Error> {
        match Self::configured(app, key) {
            Some(platform) => Ok(platform),
            None => Ok(Self { key: PlatformKey::stored(key)?, configured: None }),
        }
    }

    /// Its name, for people.
    pub fn name(&self) -> &str {
        self.configured.as_ref().map_or(self.key.as_str(), |platform| &platform.display_name)
    }

    /// Whether a proof of one of its profiles signs in.
    pub fn signs_in(&self) -> bool {
        self.configured.as_ref().is_some_and(|platform| platform.sign_in)
    }

    /// The experiences that its profiles can take part in.
    pub fn experiences(&self) -> Vec<Experience> {
        self.can().into_iter().filter_map(PlatformCapability::experience).collect()
    }

    fn can(&self) -> Vec<PlatformCapability> {
        if self.signs_in() { vec![PlatformCapability::SignIn] } else { Vec::new() }
    }

    /// The part of a global id behind `platform_`.
    pub const ID_PREFIX: &'static str = "platform_";
}

#[Object(use_type_description)]
impl Platform {
    /// The global id.
    pub async fn id(&self) -> ID {
        format!("{}{}", Self::ID_PREFIX, self.key).into()
    }

    /// The lower-case key, as configured.
    async fn key(&self) -> PlatformKey {
        self.key.clone()
    }

    /// Its name, for people.
    async fn display_name(&self) -> &str {
        self.name()
    }

    /// What it can be used for; nothing while the operator has taken it out.
    async fn capabilities(&self) -> Vec<PlatformCapability> {
        self.can()
    }

    /// How its profiles are proved; empty while the operator has taken it out.
    async fn verification_methods(&self) -> Vec<VerificationMethod> {
        self.configured.iter().map(|platform| platform.method().into()).collect()
    }

    /// True where the platform's own servers cannot read its users' content, as with WhatsApp.
    async fn end_to_end_encrypted(&self) -> bool {
        self.configured.as_ref().is_some_and(|platform| platform.end_to_end_encrypted)
    }
}

/// What a platform can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum PlatformCapability {
    /// A proof of one of its profiles signs in.
    SignIn,
}

impl PlatformCapability {
    /// The experience that it is for, if it is for one.
    fn experience(self) -> Option<Experience> {
        match self {
            Self::SignIn => None,
        }
    }
}

#[derive(Default)]
pub struct PlatformQuery;

#[Object]
impl PlatformQuery {
    /// Every configured platform, in the operator's order.
    async fn platforms(&self, ctx: &Context<'_>) -> Vec<Platform> {
        app(ctx).platforms.iter().cloned().map(Platform::from).collect()
    }

    /// The platform of this key; null if none is configured under it.
    async fn platform(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its lower-case key.")] key: PlatformKey,
    ) -> Option<Platform> {
        Platform::configured(app(ctx), key.as_str())
    }
}
