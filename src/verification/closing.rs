//! Ending proofs that nobody should finish any more.

use accounts_center_entity::verification::{Column, Entity, Status};
use sea_orm::sea_query::SimpleExpr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::proof::{self, End};
use crate::error::{AccountsErrorCode, Error};
use crate::store::Command;

/// Ends the proofs that these sessions of the account that the command is on have started.
pub async fn close_of_sessions(command: &Command, sessions: &[Uuid]) -> Result<(), Error> {
    if sessions.is_empty() {
        return Ok(());
    }
    close(command, Column::SessionId.is_in(sessions.iter().copied())).await
}

/// Ends the proofs that were started to prove this linked profile of the account that the command is on again.
pub async fn close_about(command: &Command, profile: Uuid) -> Result<(), Error> {
    close(command, Column::ProfileId.eq(profile)).await
}

/// Forgets the proofs that the account which the command is on has started: it is erased.
pub async fn erase_all(command: &Command) -> Result<(), Error> {
    Entity::delete_many().filter(Column::StreamId.eq(command.stream())).exec(command.tx()).await?;
    Ok(())
}

async fn close(command: &Command, which: SimpleExpr) -> Result<(), Error> {
    let pending = Entity::find()
        .filter(Column::StreamId.eq(command.stream()))
        .filter(Column::Status.eq(Status::Pending))
        .filter(Column::ExpiresAt.gt(command.now()))
        .filter(which)
        .order_by_asc(Column::Id)
        .lock_exclusive()
        .all(command.tx())
        .await?;
    for row in pending {
        proof::close(command, row, End::Failed(AccountsErrorCode::VerificationFailed)).await?;
    }
    Ok(())
}
