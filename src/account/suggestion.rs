//! Platforms worth linking, in the graph.

use async_graphql::{Context, Description, InputObject, Object, SimpleObject};

use super::graphql::Account;
use crate::error::{Error, UserError};
use crate::graph::consistency;
use crate::graph::context::{app, require_viewer};
use crate::graph::loaders;
use crate::link_graph::LinkGraph;
use crate::link_graph::graphql::Experience;
use crate::platform::PlatformKey;
use crate::platform::graphql::Platform;

/// A platform worth linking, with what it would bring and what it would share.
#[derive(Description)]
pub struct LinkSuggestion(Platform);

impl LinkSuggestion {
    /// The platforms that the account of a graph has not linked, and has not dismissed, in the operator's order.
    pub async fn of(ctx: &Context<'_>, graph: &LinkGraph) -> Result<Vec<Self>, Error> {
        consistency::beside_the_graph(ctx);
        let dismissed = loaders::dismissals(ctx, graph.account.id).await?;
        let is_dismissed =
            |key: &str| dismissed.iter().flat_map(|keys| keys.iter()).any(|other| other == key);
        let is_linked = |key: &str| graph.profiles.iter().any(|profile| profile.platform == key);
        let missing = app(ctx).platforms.iter().filter(|platform| {
            let key = platform.key.as_str();
            !is_linked(key) && !is_dismissed(key)
        });
        Ok(missing.map(|platform| Self(platform.clone().into())).collect())
    }
}

#[Object(use_type_description)]
impl LinkSuggestion {
    /// Where a profile could be linked.
    async fn platform(&self) -> &Platform {
        &self.0
    }

    /// What linking one would bring, in words for the person.
    async fn benefit(&self) -> String {
        let name = self.0.name();
        if self.0.signs_in() {
            format!("See your {name} profile beside the others, and use it to sign in to your account.")
        } else {
            format!("See your {name} profile beside the others, and decide what it does with them.")
        }
    }

    /// What linking one would share, in words for the person.
    async fn sharing(&self) -> String {
        let name = self.0.name();
        format!(
            "{name} tells us the handle, name and picture of the profile, and when they change. Nothing is shared \
             between your profiles until you turn it on."
        )
    }

    /// What the platform's profiles can do together with others.
    async fn experiences(&self) -> Vec<Experience> {
        self.0.experiences()
    }
}

/// Which platform to suggest no more.
#[derive(InputObject)]
pub struct DismissLinkSuggestionInput {
    /// Its key.
    platform: PlatformKey,
}

/// The account, with one suggestion less.
#[derive(SimpleObject, Default)]
pub struct DismissLinkSuggestionPayload {
    /// The account as it is now; null where there are errors.
    account: Option<Account>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct SuggestionMutation;

#[Object]
impl SuggestionMutation {
    /// Suggests a platform no more, also once its profiles are unlinked again. UNKNOWN_PLATFORM.
    async fn dismiss_link_suggestion(
        &self,
        ctx: &Context<'_>,
        input: DismissLinkSuggestionInput,
    ) -> Result<DismissLinkSuggestionPayload, Error> {
        let viewer = require_viewer(ctx)?;
        Ok(match super::dismiss(app(ctx), viewer, input.platform.as_str()).await? {
            Ok(version) => DismissLinkSuggestionPayload {
                account: Some(Account::at(ctx, viewer.account, version).await?),
                user_errors: Vec::new(),
            },
            Err(user_errors) => DismissLinkSuggestionPayload { user_errors, ..Default::default() },
        })
    }
}
