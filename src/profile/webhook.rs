//! Webhooks about a profile. Each is only a hint: it comes late, twice, or in another order. So it is stored and
//! answered, and a job reads what the platform says now.

use accounts_center_entity::webhook_receipt;
use sea_orm::{ActiveValue::Set, EntityTrait, TryInsertResult};

use super::privacy;
use super::refresh::{self, Reason};
use crate::account;
use crate::app::App;
use crate::error::Error;
use crate::store::{Command, Outcome, bounded};

/// How often a webhook looks for the account of its profile, if that moves meanwhile.
const OVERTAKEN_TRIES: u32 = 5;

/// A webhook that says that something about a profile changed.
pub struct ProfileWebhook<'a> {
    pub platform: &'a str,
    /// The platform's id of the message.
    pub id: &'a str,
    pub external_id: &'a str,
    /// Its type.
    pub kind: &'a str,
}

/// The platform asks for a new proof.
const EXPIRED: &str = "profile.credentials_expired";
/// What its owner shares there has changed, and nothing else.
const PRIVACY: &str = "privacy.changed";

/// Stores a webhook and has its profile looked at. One that came before is ignored, and so is one about a profile
/// that nobody has linked: whoever links it looks at it then.
pub async fn look_again(app: &App, webhook: ProfileWebhook<'_>) -> Result<(), Error> {
    let ProfileWebhook { platform, external_id, kind, .. } = webhook;
    let reason = match kind {
        PRIVACY => None,
        EXPIRED => Some(Reason::Expired),
        _ => Some(Reason::Changed),
    };
    for _ in 0..OVERTAKEN_TRIES {
        let owner = bounded(account::find_owner(app.store.db().read(), platform, external_id)).await?;
        let Some(owner) = owner else { return Ok(()) };
        let stored = app
            .store
            .command(owner.account_id, async |command: &mut Command| {
                let now = account::find_owner(command.tx(), platform, external_id).await?;
                // Unlinked or moved in between.
                if now.is_none_or(|now| now.id != owner.id) {
                    return Err(Error::Conflict);
                }
                if take(command, &webhook).await? {
                    match reason {
                        Some(reason) => refresh::enqueue_next(command, &owner, reason).await?,
                        None => privacy::enqueue(command, &owner)?,
                    }
                }
                Ok(Outcome::Commit(()))
            })
            .await;
        match stored {
            Err(Error::Conflict) => {}
            other => return other.map(drop),
        }
    }
    Err(Error::Conflict)
}

/// Remembers a webhook's id; false if it came before.
async fn take(command: &Command, webhook: &ProfileWebhook<'_>) -> Result<bool, Error> {
    let receipt = webhook_receipt::ActiveModel {
        platform: Set(webhook.platform.to_owned()),
        id: Set(webhook.id.to_owned()),
        received_at: Set(command.now()),
    };
    let inserted = webhook_receipt::Entity::insert(receipt)
        .on_conflict_do_nothing()
        .exec_without_returning(command.tx())
        .await?;
    // The number of rows: 0 where the id is taken.
    Ok(matches!(inserted, TryInsertResult::Inserted(1..)))
}
