//! How many codes one handle is sent a day, whoever asks for them (S10): nobody's phone is bombed, and nobody gets more
//! tries at a handle's codes than there are codes. It is counted in the command that has a code sent, by one row for each
//! handle, so that requests at the same moment count one after the other, on all replicas.
//!
//! What is counted is what the caller typed, or the stored profile, so that a known handle looks like an unknown one.

use accounts_center_entity::code_allowance::{Column, Entity};
use accounts_center_entity::verification;
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sea_orm::{ConnectionTrait, EntityName};

use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError};
use crate::profile;
use crate::store::{Command, Store};

/// How long the codes of a handle are counted together.
const WINDOW: TimeDelta = TimeDelta::hours(24);

/// What codes are sent to.
pub(super) enum Recipient<'a> {
    /// As it was typed.
    Handle(&'a str),
    /// A profile of the platform.
    ExternalId(&'a str),
}

/// Counts one more code to `recipient` at a platform. Gives why there must be none now.
pub(super) async fn take(
    app: &App,
    command: &Command,
    (platform, recipient): (&str, Recipient<'_>),
) -> Result<Option<UserError>, Error> {
    let value = match recipient {
        Recipient::Handle(handle) => format!("{platform}\0handle\0{handle}"),
        Recipient::ExternalId(id) => format!("{platform}\0external id\0{id}"),
    };
    let hash = app.keys.hash("code allowance", value.as_bytes()).to_vec();
    let (sent, began_at) = count(command, hash).await?;
    if sent <= i32::from(app.config.verification.codes_per_handle) {
        return Ok(None);
    }
    let hours = ((began_at + WINDOW - command.now()).num_minutes() / 60 + 1).clamp(1, 24);
    let message =
        format!("So many codes were sent there today that no further one is; try again in {hours} h.");
    Ok(Some(UserError::new(AccountsErrorCode::TooManyAttempts, message, &[])))
}

/// The same for a further code of a verification.
pub(super) async fn take_again(
    app: &App,
    command: &Command,
    row: &verification::Model,
) -> Result<Option<UserError>, Error> {
    if let Some(sealed) = &row.sealed_handle {
        let handle = app.keys.open(row.id, sealed).map_err(Error::internal)?;
        let handle = String::from_utf8(handle).map_err(Error::internal)?;
        return take(app, command, (&row.platform, Recipient::Handle(&handle))).await;
    }
    let profile = match row.profile_id {
        Some(id) => profile::find_own(command, id).await?,
        None => None,
    };
    let Some(profile) = profile else { return Ok(None) };
    take(app, command, (&row.platform, Recipient::ExternalId(&profile.external_id))).await
}

/// Gives how many codes it are with this one, and since when.
async fn count(command: &Command, hash: Vec<u8>) -> Result<(i32, DateTime<Utc>), Error> {
    let now = command.now();
    let is_over = || Expr::col((Entity, Column::BeganAt)).lte(now - WINDOW);
    let sent = Expr::case(is_over(), 1).finally(Expr::col((Entity, Column::Sent)).add(1));
    let began_at = Expr::case(is_over(), now).finally(Expr::col((Entity, Column::BeganAt)));
    let mut upsert = Query::insert();
    upsert
        .into_table(Entity)
        .columns([Column::HandleHash, Column::BeganAt, Column::Sent])
        .values([hash.into(), now.into(), 1.into()])
        .map_err(Error::internal)?
        .on_conflict(
            OnConflict::column(Column::HandleHash)
                .values([(Column::Sent, sent.into()), (Column::BeganAt, began_at.into())])
                .to_owned(),
        )
        .returning(Query::returning().columns([Column::Sent, Column::BeganAt]));
    let row = command.tx().query_one(&upsert).await?;
    let row = row.ok_or_else(|| Error::internal(anyhow::anyhow!("{} gave no row", Entity.table_name())))?;
    Ok((row.try_get("", "sent")?, row.try_get("", "began_at")?))
}

/// Purges some windows that are over. Gives how many it were.
pub async fn purge_allowances(store: &Store, now: DateTime<Utc>) -> Result<u64, Error> {
    store.purge_rows::<Entity>(Column::BeganAt, Expr::col(Column::BeganAt).lt(now - WINDOW)).await
}
