//! The job that unlinks a profile for good, once its 24 hours are over.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::state_machine::Transition;
use super::transition;
use crate::app::App;
use crate::store::{Command, Job, JobError, Outcome};

/// End the grace of a profile that is being unlinked.
#[derive(Debug, Serialize, Deserialize)]
pub struct EndGrace {
    pub account: Uuid,
    pub profile: Uuid,
}

impl Job for EndGrace {
    const KIND: &'static str = "end_grace";
}

/// Runs [`EndGrace`]. One that was kept meanwhile, or unlinked anew, is not over, and stays.
pub async fn end_grace(app: &App, job: EndGrace) -> Result<(), JobError> {
    let ended = app
        .store
        .command(job.account, async |command: &mut Command| {
            if let Some(profile) = transition::find(command, job.profile).await? {
                transition::apply(command, &profile, Transition::GraceEnded).await?;
            }
            Ok(Outcome::Commit(()))
        })
        .await?;
    debug_assert!(ended.is_ok(), "nothing here is rejected");
    Ok(())
}
