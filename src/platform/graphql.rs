//! Platforms in the graph.

use std::sync::Arc;

use async_graphql::{Context, Description, Enum, ID, Object};

use super::PlatformKey;
use crate::app::App;
use crate::error::Error;
use crate::graph::context::app;
use crate::verification::graphql::VerificationMethod;

/// A service whose profiles can be linked: Facebook, Instagram, WhatsApp, or any other one configured.
#[derive(Clone, Description)]
pub struct Platform(pub Arc<super::Platform>);

impl Platform {
    /// The platform of a stored key.
    ///
    /// # Errors
    /// INTERNAL if the operator has taken it out of the configuration while profiles are linked to it.
    pub fn configured(app: &App, key: &str) -> Result<Self, Error> {
        app.platforms.get(key).cloned().map(Self).ok_or_else(|| {
            Error::internal(anyhow::anyhow!(
                "platforms.{key} is not configured, but profiles are linked to it"
            ))
        })
    }

    /// The part of a global id behind `platform_`.
    pub const ID_PREFIX: &'static str = "platform_";
}

#[Object(use_type_description)]
impl Platform {
    /// The global id.
    pub async fn id(&self) -> ID {
        format!("{}{}", Self::ID_PREFIX, self.0.key).into()
    }

    /// The lower-case key, as configured.
    async fn key(&self) -> PlatformKey {
        self.0.key.clone()
    }

    /// Its name, for people.
    async fn display_name(&self) -> &str {
        &self.0.display_name
    }

    /// What it can be used for.
    async fn capabilities(&self) -> Vec<PlatformCapability> {
        if self.0.sign_in { vec![PlatformCapability::SignIn] } else { Vec::new() }
    }

    /// How its profiles are proved.
    async fn verification_methods(&self) -> Vec<VerificationMethod> {
        vec![VerificationMethod::OneTimeCode]
    }

    /// True where the platform's own servers cannot read its users' content, as with WhatsApp.
    async fn end_to_end_encrypted(&self) -> bool {
        self.0.end_to_end_encrypted
    }
}

/// What a platform can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum PlatformCapability {
    /// A proof of one of its profiles signs in.
    SignIn,
}

#[derive(Default)]
pub struct PlatformQuery;

#[Object]
impl PlatformQuery {
    /// Every configured platform, in the operator's order.
    async fn platforms(&self, ctx: &Context<'_>) -> Vec<Platform> {
        app(ctx).platforms.iter().cloned().map(Platform).collect()
    }

    /// The platform of this key; null if none is configured under it.
    async fn platform(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its lower-case key.")] key: PlatformKey,
    ) -> Option<Platform> {
        app(ctx).platforms.get(key.as_str()).cloned().map(Platform)
    }
}
