//! How many codes one handle is sent a day, whoever asks for them (S10): nobody's phone is bombed, and nobody gets more
//! tries at a handle's codes than there are codes. It is counted in the command that has a code sent, by one row for each
//! handle, so that requests at the same moment count one after the other, on all replicas.
//!
//! What is counted is what the caller typed, in whatever spelling ([`counted`]), or the stored profile, so that a known handle
//! looks like an unknown one. Of what is typed one address gets three quarters, so that nobody keeps a handle's owner out from one place; and it takes nothing
//! from the codes that an account's own proofs have for its stored profiles.

use std::net::{IpAddr, Ipv6Addr};

use accounts_center_entity::code_allowance::{Column, Entity};
use accounts_center_entity::{linked_profile, verification};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityName, EntityTrait, QueryFilter};

use super::handle::counted;
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError};
use crate::profile;
use crate::store::{Command, Store};

/// How long the codes of a handle are counted together.
const WINDOW: TimeDelta = TimeDelta::hours(24);

/// What codes are sent to.
pub(super) enum Recipient<'a> {
    /// As it was typed by a caller at this address; absent for one of this process.
    Handle(&'a str, Option<IpAddr>),
    /// A profile that the account of whom asks has linked.
    Own(&'a linked_profile::Model),
}

/// Counts one more code to `recipient` at a platform. Gives why there must be none now.
pub(super) async fn take(
    app: &App,
    command: &Command,
    (platform, recipient): (&str, Recipient<'_>),
) -> Result<Option<UserError>, Error> {
    let hash = |value: String| app.keys.hash("code allowance", value.as_bytes()).to_vec();
    let of_all = hash(match &recipient {
        Recipient::Handle(handle, _) => format!("{platform}\0handle\0{}", counted(handle)),
        Recipient::Own(profile) => {
            format!("{platform}\0external id\0{}\0{}", profile.external_id, profile.account_id)
        }
    });
    let most = i32::from(app.config.verification.codes_per_handle);
    // This row comes first, always: it is the one that others wait for.
    let (sent, began_at) = count(command, of_all.clone()).await?;
    if sent > most {
        return Ok(Some(refusal(command, began_at)));
    }
    let Recipient::Handle(handle, Some(address)) = recipient else { return Ok(None) };
    // In the handle's own window, or two windows of an address could use up one of the handle.
    let (network, window) = (network(address), began_at.timestamp_micros());
    let handle = counted(handle);
    let of_address = hash(format!("{platform}\0handle from\0{network}\0{window}\0{handle}"));
    let (sent_from_there, _) = count(command, of_address).await?;
    if sent_from_there <= Ord::max(most * 3 / 4, 1) {
        return Ok(None);
    }
    // It is not sent, so the others do not have one less.
    Entity::update_many()
        .col_expr(Column::Sent, Expr::col(Column::Sent).sub(1))
        .filter(Column::HandleHash.eq(of_all))
        .exec(command.tx())
        .await?;
    Ok(Some(refusal(command, began_at)))
}

/// An address as it is counted here: of IPv6 the network of a site, whose owner has as many smaller ones as they like
/// (RFC 6177). It is counted for one handle alone, so that neighbours who share one do not get into each other's way.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn refusal(command: &Command, began_at: DateTime<Utc>) -> UserError {
    let hours = ((began_at + WINDOW - command.now()).num_minutes() / 60 + 1).clamp(1, 24);
    let message =
        format!("So many codes were sent there today that no further one is; try again in {hours} h.");
    UserError::new(AccountsErrorCode::TooManyAttempts, message, &[])
}

/// The same for a further code of a verification, asked for at `address`.
pub(super) async fn take_again(
    app: &App,
    command: &Command,
    (row, address): (&verification::Model, Option<IpAddr>),
) -> Result<Option<UserError>, Error> {
    if let Some(sealed) = &row.sealed_handle {
        let handle = app.keys.open(row.id, sealed).map_err(Error::internal)?;
        let handle = String::from_utf8(handle).map_err(Error::internal)?;
        return take(app, command, (&row.platform, Recipient::Handle(&handle, address))).await;
    }
    let profile = match row.profile_id {
        Some(id) => profile::find_own(command, id).await?,
        None => None,
    };
    let Some(profile) = profile else { return Ok(None) };
    take(app, command, (&row.platform, Recipient::Own(&profile))).await
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_site_is_one_address() {
        let network = |address: &str| network(address.parse().unwrap()).to_string();
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:ffff::1"));
        assert_ne!(network("2001:db8:1::"), network("2001:db8:2::"));
    }
}
