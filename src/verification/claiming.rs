//! Claiming a profile that is linked to another account, by the verification that has proved it.

use accounts_center_entity::verification::{self, Purpose, Status};
use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use uuid::Uuid;

use super::Caller;
use super::graphql::Verification;
use super::service::{find, not_found};
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError, UserResult};
use crate::graph::context::{app, require_viewer};
use crate::ids::{NodeId, NodeKind};
use crate::profile;
use crate::session::{self, Viewer};
use crate::store::{Command, Outcome};

/// Claims the profile that a verification of the viewer's account has proved in vain.
async fn claim(app: &App, viewer: Viewer, id: Option<Uuid>) -> UserResult<verification::Model> {
    let caller = Caller { viewer: Some(viewer), client_secret: None };
    let row = match id {
        Some(id) => find(app, caller, id).await?,
        None => None,
    };
    let Some(row) = row.filter(|row| row.account_id == Some(viewer.account)) else {
        return Ok(Err(vec![not_found()]));
    };
    app.store
        .command(viewer.account, async |command: &mut Command| {
            session::check(command, viewer).await?;
            let elsewhere = AccountsErrorCode::ProfileLinkedElsewhere.name();
            let is_elsewhere = row.purpose == Purpose::Link
                && row.status == Status::Failed
                && row.failure.as_deref() == Some(elsewhere);
            if !is_elsewhere {
                let message =
                    "A profile can be claimed after its link has failed with PROFILE_LINKED_ELSEWHERE.";
                return Ok(refused(AccountsErrorCode::VerificationClosed, message));
            }
            // The one that has proved it: with that one the claim ends.
            if row.session_id != Some(viewer.session) {
                let message =
                    "A profile is claimed in the session that has proved it; start to link it here.";
                return Ok(refused(AccountsErrorCode::VerificationClosed, message));
            }
            if !profile::claim(command, row.id).await? {
                let message = "This proof is of no use any more; start to link the profile anew.";
                return Ok(refused(AccountsErrorCode::VerificationExpired, message));
            }
            Ok(Outcome::Commit(row))
        })
        .await
}

fn refused<T>(code: AccountsErrorCode, message: &str) -> Outcome<T> {
    Outcome::reject(UserError::new(code, message, &["verificationId"]))
}

/// By which proof to claim a profile.
#[derive(InputObject)]
pub struct ClaimProfileInput {
    /// The verification that failed with PROFILE_LINKED_ELSEWHERE.
    verification_id: ID,
}

/// The verification whose profile is claimed.
#[derive(SimpleObject, Default)]
pub struct ClaimProfilePayload {
    /// Null where there are errors.
    verification: Option<Verification>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct ClaimMutation;

#[Object]
impl ClaimMutation {
    /// After PROFILE_LINKED_ELSEWHERE, within an hour, as with a profile that changed hands at its platform: the other account
    /// is told and has 72 hours to prove the profile again; else it comes here, and may sign in once `setProfileSignIn` lets
    /// it. A claim ends with the session that made it. NOT_FOUND, VERIFICATION_CLOSED, VERIFICATION_EXPIRED.
    async fn claim_profile(
        &self,
        ctx: &Context<'_>,
        input: ClaimProfileInput,
    ) -> Result<ClaimProfilePayload, Error> {
        let viewer = require_viewer(ctx)?;
        let id = NodeId::parse_as(NodeKind::Verification, &input.verification_id);
        Ok(match claim(app(ctx), viewer, id).await? {
            Ok(row) => ClaimProfilePayload { verification: Some(Verification(row)), user_errors: Vec::new() },
            Err(user_errors) => ClaimProfilePayload { user_errors, ..Default::default() },
        })
    }
}
