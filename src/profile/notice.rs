//! Telling the owner of a profile, at its platform, what has happened to their account.
//!
//! A notice goes to one profile, and says nothing of any other one or of who did it: the profile may be in other hands.

use accounts_center_entity::linked_profile::{self, LinkStatus};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::find_linked;
use crate::app::App;
use crate::config::Offer;
use crate::error::Error;
use crate::platform::{Notice, PlatformError};
use crate::store::{Command, Job, JobError, bounded};

/// What came so late would only confuse.
const WORTH_TELLING: TimeDelta = TimeDelta::hours(24);

/// Tell the owner of a profile something. Of a profile that is gone the platform's id is kept here until that is done or
/// too late: it is opaque, and nothing else remembers it.
#[derive(Debug, Serialize, Deserialize)]
pub struct SendNotice {
    /// What the platform knows it by, so that it tells it once.
    pub id: Uuid,
    pub what: What,
    pub to: To,
    pub at: DateTime<Utc>,
}

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    NewSignIn,
    Unlinked,
    /// Its account is going to be deleted, and it is unlinked by that.
    Deletion,
}

/// Who gets a notice.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum To {
    /// A profile as long as it is ACTIVE in this account.
    Linked { account: Uuid, profile: Uuid },
    /// One that does not belong to the account any more, or not for long.
    Left { platform: String, external_id: String },
}

impl Job for SendNotice {
    const KIND: &'static str = "send_notice";
}

impl What {
    fn kind(self) -> &'static str {
        match self {
            Self::NewSignIn => "new_sign_in",
            Self::Unlinked | Self::Deletion => "unlinked",
        }
    }

    /// In English: no other language of a profile is known.
    fn text(self, at: DateTime<Utc>) -> String {
        let at = at.format("%-d %B %Y, %H:%M UTC");
        match self {
            Self::NewSignIn => format!(
                "There was a new sign-in to the account that this profile is linked to ({at}). If it was not you, end \
                 that session and see how your account is signed in to."
            ),
            Self::Unlinked => format!(
                "This profile does not work any more with the account that it was linked to ({at}), and logins that came \
                 from it have ended. If it was not you, look after that account."
            ),
            Self::Deletion => format!(
                "The account that this profile is linked to is going to be deleted, and this profile unlinked with it; that \
                 was asked for on {at}. If it was not you, sign in to that account, keep it and end all other sessions."
            ),
        }
    }
}

/// Tells every ACTIVE profile of an account, but that which has just signed in to it.
pub async fn tell_of_sign_in(
    app: &App,
    command: &mut Command,
    account: Uuid,
    by: Option<Uuid>,
) -> Result<(), Error> {
    tell(app, command, account, (What::NewSignIn, by)).await
}

/// Tells every ACTIVE profile of an account that its account is going to be deleted: whoever asks for that may have taken over
/// a session, and its owner has some days to keep it.
pub async fn tell_of_deletion(app: &App, command: &mut Command, account: Uuid) -> Result<(), Error> {
    tell(app, command, account, (What::Deletion, None)).await
}

/// Tells the ACTIVE profiles of an account something, all but one.
async fn tell(
    app: &App,
    command: &mut Command,
    account: Uuid,
    (what, but): (What, Option<Uuid>),
) -> Result<(), Error> {
    use linked_profile::{Column, Entity};
    let active = Entity::find()
        .filter(Column::AccountId.eq(account))
        .filter(Column::Status.eq(LinkStatus::Active))
        .order_by_asc(Column::Id)
        .all(command.tx())
        .await?;
    for profile in active.into_iter().filter(|profile| Some(profile.id) != but) {
        let platform = app.platforms.get(&profile.platform);
        if platform.is_some_and(|platform| platform.offers(Offer::Notices)) {
            enqueue(command, what, To::Linked { account, profile: profile.id })?;
        }
    }
    Ok(())
}

/// Tells a profile that it has left its account, or is about to.
pub(super) fn tell_of_end(command: &mut Command, profile: &linked_profile::Model) -> Result<(), Error> {
    let to = To::Left { platform: profile.platform.clone(), external_id: profile.external_id.clone() };
    enqueue(command, What::Unlinked, to)
}

fn enqueue(command: &mut Command, what: What, to: To) -> Result<(), Error> {
    let notice = SendNotice { id: command.new_id(), what, to, at: command.now() };
    command.enqueue(&notice)
}

/// Runs [`SendNotice`].
pub async fn send_notice(app: &App, job: SendNotice) -> Result<(), JobError> {
    if app.clock.now() > job.at + WORTH_TELLING {
        return Ok(());
    }
    let Some((platform, external_id)) = recipient(app, job.to).await? else { return Ok(()) };
    let Some(platform) = app.platforms.get(&platform) else {
        return Err(JobError::Wait("its platform is not configured".into()));
    };
    if !platform.offers(Offer::Notices) {
        return Ok(());
    }
    let action_url = Some(app.config.notices.action_url.as_str()).filter(|url| !url.is_empty());
    let text = job.what.text(job.at);
    let notice = Notice { kind: job.what.kind(), locale: "en", text: &text, action_url };
    match platform.client.notice(&external_id, &notice, &job.id.simple().to_string()).await {
        // Nobody is there any more to be told.
        Ok(()) | Err(PlatformError::NotFound) => Ok(()),
        Err(PlatformError::Refused(status)) => {
            tracing::warn!(platform = %platform.key, %status, "a notice was refused");
            Ok(())
        }
        Err(error) => Err(error.waits()),
    }
}

/// The platform and external id of who gets a notice; absent where that is not theirs to know any more.
async fn recipient(app: &App, to: To) -> Result<Option<(String, String)>, JobError> {
    match to {
        To::Left { platform, external_id } => Ok(Some((platform, external_id))),
        To::Linked { account, profile } => {
            let found = bounded(find_linked(app.store.db().read(), account, profile)).await?;
            let active = found.filter(|profile| profile.status == LinkStatus::Active);
            Ok(active.map(|profile| (profile.platform, profile.external_id)))
        }
    }
}
