//! The job that erases what a verification knew, once it can prove nothing any more.

use accounts_center_entity::verification;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::app::App;
use crate::error::Error;
use crate::store::{Command, Job, JobError, Outcome};

/// Erase what an expired verification knew.
#[derive(Debug, Serialize, Deserialize)]
pub struct EraseExpired {
    pub verification: Uuid,
}

impl Job for EraseExpired {
    const KIND: &'static str = "erase_expired_verification";
}

/// Runs [`EraseExpired`]: the handle, masked or not, and who the platform said is behind it, are of no more use to anybody.
pub async fn erase(app: &App, job: EraseExpired) -> Result<(), JobError> {
    let found = verification::Entity::find_by_id(job.verification).one(app.store.db().read()).await;
    let Some(row) = found.map_err(Error::from)? else { return Ok(()) };
    let erased = app
        .store
        .command(row.stream_id, async |command: &mut Command| {
            let nothing = || Expr::val(None::<Vec<u8>>);
            verification::Entity::update_many()
                .col_expr(verification::Column::Destination, Expr::val(""))
                .col_expr(verification::Column::ExternalId, Expr::val(None::<String>))
                .col_expr(verification::Column::SealedHandle, nothing())
                .col_expr(verification::Column::SealedClaim, nothing())
                .col_expr(verification::Column::CodeHash, nothing())
                .col_expr(verification::Column::SealedChallenge, nothing())
                .col_expr(verification::Column::AuthorizationEndpoint, Expr::val(None::<String>))
                .col_expr(verification::Column::RedirectUri, Expr::val(None::<String>))
                .filter(verification::Column::Id.eq(row.id))
                .filter(verification::Column::ExpiresAt.lte(command.now()))
                .exec(command.tx())
                .await?;
            Ok(Outcome::Commit(()))
        })
        .await?;
    debug_assert!(erased.is_ok(), "nothing here is rejected");
    Ok(())
}
