//! Erasing an account for good.
//!
//! All that is personal goes in one command, and the profiles are free from its commit on. What stays is a tombstone: the
//! stream with its numbers and its last event, so that caches, hints and readers see an account that came to its end and not
//! one that they know nothing of. The account's row and its sessions stay for a while, with nothing in them, because tokens
//! of those sessions are still about: whoever looks for ended sessions has to find them.

use accounts_center_entity::{account, account_lock};
use chrono::TimeDelta;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::dismissal;
use super::event::AccountErased;
use crate::app::App;
use crate::error::Error;
use crate::profile::{RevokeLogins, SendNotice};
use crate::store::{Command, Job, JobError, Outcome, failpoint};
use crate::{passkey, profile, security, session, verification};

/// For how much longer than its tokens the row of an erased account stays.
const MARGIN: TimeDelta = TimeDelta::minutes(5);

/// Forget the empty row of an erased account, and its sessions.
#[derive(Debug, Serialize, Deserialize)]
pub struct ForgetErased {
    pub account: Uuid,
}

impl Job for ForgetErased {
    const KIND: &'static str = "forget_erased_account";
}

/// Erases the account that the command is on; `operator` is who did it, unless it was its owner. Gives the sessions that
/// ended by it. The platforms are told that logins which came from here are over.
pub(super) async fn erase(
    app: &App,
    command: &mut Command,
    operator: Option<String>,
) -> Result<Vec<Uuid>, Error> {
    let account = command.stream();
    let ended = session::erase_all(command).await?;
    profile::erase_all(command).await?;
    failpoint::failpoint(failpoint::HALF_ERASED);
    passkey::erase_all(command).await?;
    verification::erase_all(command).await?;
    security::erase_all(command).await?;
    dismissal::erase_all(command).await?;
    account_lock::Entity::delete_by_id(account).exec(command.tx()).await?;
    // What is unlinked already may still have logins elsewhere, and somebody there who has to hear of it.
    command.forget_history(&[RevokeLogins::KIND, SendNotice::KIND]).await?;
    let empty = account::ActiveModel {
        id: Set(account),
        display_name: Set(String::new()),
        avatar_url: Set(None),
        deletes_at: Set(None),
        erased_at: Set(Some(command.now())),
        ..Default::default()
    };
    empty.update(command.tx()).await?;
    command.emit(account, &AccountErased { operator })?;
    let tokens = TimeDelta::minutes(app.config.sessions.access_token_minutes.into());
    command.enqueue_at(&ForgetErased { account }, command.now() + tokens + MARGIN)?;
    Ok(ended)
}

/// Runs [`ForgetErased`].
pub async fn forget_erased(app: &App, job: ForgetErased) -> Result<(), JobError> {
    let done = app
        .store
        .command(job.account, async |command: &mut Command| {
            // Its sessions go with it.
            account::Entity::delete_many()
                .filter(account::Column::Id.eq(job.account))
                .filter(account::Column::ErasedAt.is_not_null())
                .exec(command.tx())
                .await?;
            Ok(Outcome::Commit(()))
        })
        .await?;
    debug_assert!(done.is_ok(), "nothing here is rejected");
    Ok(())
}
