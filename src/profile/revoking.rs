//! Having platforms end the logins that came from a profile which does not belong to its account any more, or is held as
//! stolen. Login tickets, which such logins come from, are of a later slice; a platform that has none ends nothing.

use accounts_center_entity::linked_profile;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::app::App;
use crate::config::Offer;
use crate::error::Error;
use crate::platform::PlatformError;
use crate::store::{Command, Job, JobError};

/// How long a platform that does not answer is asked.
const WORTH_ASKING: TimeDelta = TimeDelta::days(7);

/// Have a platform end the logins that came from a profile. Its id is kept here until that is done or given up: it is opaque,
/// and of what is unlinked or erased nothing else remembers it.
#[derive(Debug, Serialize, Deserialize)]
pub struct RevokeLogins {
    /// What the platform knows it by, so that it does it once: a new owner may have logged in since.
    pub id: Uuid,
    pub platform: String,
    pub external_id: String,
    pub at: DateTime<Utc>,
}

impl Job for RevokeLogins {
    const KIND: &'static str = "revoke_logins";
}

/// Ends the logins that came from a profile, once the command has committed.
pub(super) fn enqueue(command: &mut Command, profile: &linked_profile::Model) -> Result<(), Error> {
    let job = RevokeLogins {
        id: command.new_id(),
        platform: profile.platform.clone(),
        external_id: profile.external_id.clone(),
        at: command.now(),
    };
    command.enqueue(&job)
}

/// Runs [`RevokeLogins`].
pub async fn revoke_logins(app: &App, job: RevokeLogins) -> Result<(), JobError> {
    if app.clock.now() > job.at + WORTH_ASKING {
        tracing::warn!(platform = job.platform, "a platform was not told to end logins: it did not answer");
        return Ok(());
    }
    let Some(platform) = app.platforms.get(&job.platform) else {
        return Err(JobError::Wait("its platform is not configured".into()));
    };
    if !platform.offers(Offer::Sessions) {
        return Ok(());
    }
    match platform.client.revoke_sessions(&job.external_id, &job.id.simple().to_string()).await {
        // A profile that is gone has no logins.
        Ok(()) | Err(PlatformError::NotFound) => Ok(()),
        Err(error) => Err(error.waits()),
    }
}
