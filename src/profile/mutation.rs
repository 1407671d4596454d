//! What the owner of a linked profile can do with it.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use uuid::Uuid;

use super::graphql::LinkedProfile;
use crate::account::graphql::Account;
use crate::error::{Error, UserError, UserResult};
use crate::graph::context::{app, require_viewer};
use crate::ids::{NodeId, NodeKind};

/// Which profile to unlink.
#[derive(InputObject)]
pub struct UnlinkProfileInput {
    /// Its global id.
    profile_id: ID,
}

/// The profile, which can be kept until `unlinksAt`.
#[derive(SimpleObject, Default)]
pub struct UnlinkProfilePayload {
    /// Null where there are errors.
    profile: Option<LinkedProfile>,
    /// The account as it is now; null where there are errors.
    account: Option<Account>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

/// Which profile to keep.
#[derive(InputObject)]
pub struct KeepProfileInput {
    /// Its global id.
    profile_id: ID,
}

/// The profile as it is again.
#[derive(SimpleObject, Default)]
pub struct KeepProfilePayload {
    /// Null where there are errors.
    profile: Option<LinkedProfile>,
    /// The account as it is now; null where there are errors.
    account: Option<Account>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

/// Which profile to cut off.
#[derive(InputObject)]
pub struct ContainProfileInput {
    /// Its global id.
    profile_id: ID,
}

/// The profile, which does nothing any more until it is released.
#[derive(SimpleObject, Default)]
pub struct ContainProfilePayload {
    /// Null where there are errors.
    profile: Option<LinkedProfile>,
    /// The account as it is now; null where there are errors.
    account: Option<Account>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

/// Which profile to take back.
#[derive(InputObject)]
pub struct ReleaseProfileInput {
    /// Its global id.
    profile_id: ID,
}

/// The profile as it is again.
#[derive(SimpleObject, Default)]
pub struct ReleaseProfilePayload {
    /// Null where there are errors.
    profile: Option<LinkedProfile>,
    /// The account as it is now; null where there are errors.
    account: Option<Account>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

/// Which profile may sign in, or not.
#[derive(InputObject)]
pub struct SetProfileSignInInput {
    /// Its global id.
    profile_id: ID,
    /// Whether a proof of it signs in.
    enabled: bool,
}

/// The profile as it is now.
#[derive(SimpleObject, Default)]
pub struct SetProfileSignInPayload {
    /// Null where there are errors.
    profile: Option<LinkedProfile>,
    /// The account as it is now; null where there are errors.
    account: Option<Account>,
    /// What the person can put right.
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct ProfileMutation;

#[Object]
impl ProfileMutation {
    /// Step-up. Sharing and sessions of the profile end at once; connections end for good after 24 hours. NOT_FOUND,
    /// LAST_SIGN_IN_METHOD.
    async fn unlink_profile(
        &self,
        ctx: &Context<'_>,
        input: UnlinkProfileInput,
    ) -> Result<UnlinkProfilePayload, Error> {
        let (viewer, id) = (require_viewer(ctx)?, uuid_of(&input.profile_id));
        let done = super::unlink(app(ctx), viewer, id).await;
        Ok(match shown(ctx, viewer.account, id, done).await? {
            Ok((profile, account)) => {
                UnlinkProfilePayload { profile, account: Some(account), user_errors: Vec::new() }
            }
            Err(user_errors) => UnlinkProfilePayload { user_errors, ..Default::default() },
        })
    }

    /// Undoes `unlinkProfile` within its 24 hours: connections go on; ended sessions do not. NOT_FOUND,
    /// PROFILE_NOT_ACTIVE.
    async fn keep_profile(
        &self,
        ctx: &Context<'_>,
        input: KeepProfileInput,
    ) -> Result<KeepProfilePayload, Error> {
        let (viewer, id) = (require_viewer(ctx)?, uuid_of(&input.profile_id));
        let done = super::keep(app(ctx), viewer, id).await;
        Ok(match shown(ctx, viewer.account, id, done).await? {
            Ok((profile, account)) => {
                KeepProfilePayload { profile, account: Some(account), user_errors: Vec::new() }
            }
            Err(user_errors) => KeepProfilePayload { user_errors, ..Default::default() },
        })
    }

    /// For a stolen profile: its connections pause and its sessions end now, the one that asks too if the profile opened it;
    /// its siblings stay. Allowed for the last sign-in method too. NOT_FOUND, PROFILE_NOT_ACTIVE.
    async fn contain_profile(
        &self,
        ctx: &Context<'_>,
        input: ContainProfileInput,
    ) -> Result<ContainProfilePayload, Error> {
        let (viewer, id) = (require_viewer(ctx)?, uuid_of(&input.profile_id));
        let done = super::contain(app(ctx), viewer, id).await;
        Ok(match shown(ctx, viewer.account, id, done).await? {
            Ok((profile, account)) => {
                ContainProfilePayload { profile, account: Some(account), user_errors: Vec::new() }
            }
            Err(user_errors) => ContainProfilePayload { user_errors, ..Default::default() },
        })
    }

    /// After a reverification that was started since the profile was contained. NOT_FOUND, PROFILE_NOT_ACTIVE.
    async fn release_profile(
        &self,
        ctx: &Context<'_>,
        input: ReleaseProfileInput,
    ) -> Result<ReleaseProfilePayload, Error> {
        let (viewer, id) = (require_viewer(ctx)?, uuid_of(&input.profile_id));
        let done = super::release(app(ctx), viewer, id).await;
        Ok(match shown(ctx, viewer.account, id, done).await? {
            Ok((profile, account)) => {
                ReleaseProfilePayload { profile, account: Some(account), user_errors: Vec::new() }
            }
            Err(user_errors) => ReleaseProfilePayload { user_errors, ..Default::default() },
        })
    }

    /// Whether a proof of the profile signs in. Sessions that it has opened stay: end those by themselves. NOT_FOUND,
    /// LAST_SIGN_IN_METHOD, UNSUPPORTED_BY_PLATFORM, PROFILE_NOT_ACTIVE.
    async fn set_profile_sign_in(
        &self,
        ctx: &Context<'_>,
        input: SetProfileSignInInput,
    ) -> Result<SetProfileSignInPayload, Error> {
        let (viewer, id) = (require_viewer(ctx)?, uuid_of(&input.profile_id));
        let done = super::set_sign_in(app(ctx), viewer, id, input.enabled).await;
        Ok(match shown(ctx, viewer.account, id, done).await? {
            Ok((profile, account)) => {
                SetProfileSignInPayload { profile, account: Some(account), user_errors: Vec::new() }
            }
            Err(user_errors) => SetProfileSignInPayload { user_errors, ..Default::default() },
        })
    }
}

fn uuid_of(id: &ID) -> Option<Uuid> {
    NodeId::parse_as(NodeKind::LinkedProfile, id)
}

/// A profile and its account after a command that ended at a version of the account.
async fn shown(
    ctx: &Context<'_>,
    account: Uuid,
    profile: Option<Uuid>,
    done: UserResult<i64>,
) -> UserResult<(Option<LinkedProfile>, Account)> {
    let version = match done? {
        Ok(version) => version,
        Err(errors) => return Ok(Err(errors)),
    };
    let account = Account::at(ctx, account, version).await?;
    let profile = match profile {
        Some(id) => LinkedProfile::find(ctx, &account.0, id).await?,
        None => None,
    };
    Ok(Ok((profile, account)))
}
