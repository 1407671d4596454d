//! What unlinking a profile would end. The command decides by the database, whatever this says.

use async_graphql::{Context, Description, Object};

use super::graphql::LinkedProfile;
use super::sign_in::is_last_way;
use crate::error::{AccountsErrorCode, Error};
use crate::graph::consistency;
use crate::graph::context::{app, viewer};
use crate::graph::loaders;
use crate::graph::user_error::Problem;
use crate::link_graph::graphql::ProfileConnection;
use crate::session::graphql::AccountSession;

/// What unlinking a profile would end, and what stands in the way.
#[derive(Description)]
pub struct UnlinkPreview(pub(super) LinkedProfile);

/// Sessions that are shown.
const SHOWN: usize = 100;

#[Object(use_type_description)]
impl UnlinkPreview {
    /// They pause at once, and end for good after 24 hours: at most 38.
    #[graphql(complexity = "1 + 6 * child_complexity")]
    async fn ends_connections(&self) -> Vec<ProfileConnection> {
        self.0.own_connections(None)
    }

    /// They end at once: the newest 100.
    #[graphql(complexity = "1 + 6 * child_complexity")]
    async fn ends_sessions(&self, ctx: &Context<'_>) -> Result<Vec<AccountSession>, Error> {
        consistency::beside_the_graph(ctx);
        let row = self.0.row();
        let (opened, now) =
            (loaders::sessions_opened_by(ctx, row.account_id, row.id).await?, app(ctx).clock.now());
        let live = opened.iter().filter(|session| session.expires_at > now).take(SHOWN);
        Ok(live.map(|session| AccountSession(session.as_ref().clone())).collect())
    }

    /// Whether the session that asks is one of them.
    async fn ends_current_session(&self, ctx: &Context<'_>) -> Result<bool, Error> {
        consistency::beside_the_graph(ctx);
        let Some(viewer) = viewer(ctx) else { return Ok(false) };
        let session = loaders::session(ctx, viewer.account, viewer.session).await?;
        Ok(session.is_some_and(|session| session.opened_by_profile_id == Some(self.0.row().id)))
    }

    /// What stands in the way: LAST_SIGN_IN_METHOD.
    async fn problems(&self, ctx: &Context<'_>) -> Result<Vec<Problem>, Error> {
        let app = app(ctx);
        let is_last = self.0.is_staying() && is_last_way(&app.platforms, self.0.row(), self.0.siblings());
        if !is_last {
            return Ok(Vec::new());
        }
        if app.passkeys.is_some() {
            consistency::beside_the_graph(ctx);
            if !loaders::passkeys(ctx, self.0.row().account_id).await?.is_empty() {
                return Ok(Vec::new());
            }
        }
        let message = "This is the last way to sign in; link another profile or add a passkey first.";
        Ok(vec![Problem::new(AccountsErrorCode::LastSignInMethod, message)])
    }
}
