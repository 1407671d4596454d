//! Migrations, and the facts of the deployment that they leave room for.
//!
//! **Compatibility.** A release runs on the schema of the release before it and of the one after it, so a replica
//! starts on a database that has migrations which it does not know. It refuses only if it lacks a migration that
//! this release [needs](NEEDED), or if the database says that it is too old: the fact `minimum_schema` names a
//! migration which it does not know. `accounts_center_migration::require` sets that fact.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use accounts_center_entity::deployment;
use accounts_center_migration::{MINIMUM_SCHEMA, Migrator, MigratorTraitSelf, SchemaManager, applied};
use sea_orm::sea_query::{Expr, OnConflict, Query, SelectStatement};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, ExprTrait, Statement,
    TransactionOptions,
};

use super::Database;
use crate::error::Error;
use crate::ids::Ids;

/// The newest migration without which this release cannot serve. A contracting one, which comes after the deploy,
/// is not needed.
pub const NEEDED: &str = "m20261128_000005_proofs";

/// How often who wants to move the schema asks whether it is its turn.
const TURN: Duration = Duration::from_millis(200);

/// One migration, and how this program and the database stand to it.
#[derive(Debug, PartialEq, Eq)]
pub struct MigrationState {
    pub name: String,
    pub standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Applied,
    Pending,
    /// The database has it, and this program does not: it is a newer program's.
    Unknown,
}

/// Why this program cannot serve on a database.
#[derive(Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The database names this as the oldest that a program must know.
    TooOld(String),
    /// The first of those that the database would have to have.
    Lacks(String),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooOld(name) => write!(
                f,
                "the database is only for programs that know the migration {name}, and this one does not; \
                 deploy a newer release"
            ),
            Self::Lacks(name) => {
                write!(f, "the database lacks the migration {name}; run `accounts-center migrate up`")
            }
        }
    }
}

/// What keeps this program from serving on `db`, if anything does.
pub async fn obstacle(db: &Database) -> Result<Option<Obstacle>, Error> {
    let states = status(db).await?;
    let is_known = |name: &str| states.iter().any(|state| state.name == name && state.is_known());
    if let Some(minimum) = minimum(db).await?.filter(|minimum| !is_known(minimum)) {
        return Ok(Some(Obstacle::TooOld(minimum)));
    }
    let lacks = |state: &&MigrationState| state.standing == Standing::Pending && *state.name <= *NEEDED;
    Ok(states.iter().find(lacks).map(|state| Obstacle::Lacks(state.name.clone())))
}

/// All migrations of this program and of the database, oldest first.
pub async fn status(db: &Database) -> Result<Vec<MigrationState>, Error> {
    let mut applied: HashSet<String> = applied(&db.read().present()).await?.into_iter().collect();
    let mut states: Vec<MigrationState> = Migrator::known()
        .into_iter()
        .map(|name| {
            let standing = if applied.remove(&name) { Standing::Applied } else { Standing::Pending };
            MigrationState { name, standing }
        })
        .collect();
    states.extend(applied.into_iter().map(|name| MigrationState { name, standing: Standing::Unknown }));
    states.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(states)
}

impl MigrationState {
    fn is_known(&self) -> bool {
        self.standing != Standing::Unknown
    }
}

/// Brings the database to the newest schema that this program knows. On PostgreSQL those who move the schema at the
/// same time take turns.
pub async fn up(db: &Database) -> Result<(), Error> {
    in_turn(db, async || {
        let migrator = Migrator::beside(unknown(db).await?);
        Ok(migrator.up(&db.write().present(), None).await?)
    })
    .await
}

/// Takes the newest `steps` migrations back. Gives their names, newest first.
///
/// # Errors
/// One of them is unknown to this program, which then takes none of them back.
pub async fn down(db: &Database, steps: u32) -> Result<Vec<String>, Error> {
    in_turn(db, async || {
        let states = status(db).await?;
        let newest = states.iter().rev().filter(|state| state.standing != Standing::Pending);
        let newest: Vec<_> = newest.take(usize::try_from(steps).unwrap_or(usize::MAX)).collect();
        if let Some(unknown) = newest.iter().find(|state| !state.is_known()) {
            return Err(Error::internal(anyhow::anyhow!(
                "the migration {} is unknown to this program; take it back with the newer one that applied it",
                unknown.name
            )));
        }
        Migrator::beside(unknown(db).await?).down(&db.write().present(), Some(steps)).await?;
        Ok(newest.into_iter().map(|state| state.name.clone()).collect())
    })
    .await
}

async fn unknown(db: &Database) -> Result<Vec<String>, Error> {
    let states = status(db).await?;
    Ok(states.into_iter().filter(|state| !state.is_known()).map(|state| state.name).collect())
}

async fn in_turn<T>(db: &Database, work: impl AsyncFnOnce() -> Result<T, Error>) -> Result<T, Error> {
    if db.backend() != DbBackend::Postgres {
        return work().await;
    }
    let turn = db.write().begin(TransactionOptions::default()).await?;
    turn.execute_unprepared(
        "SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0; \
         SET LOCAL idle_in_transaction_session_timeout = 0",
    )
    .await?;
    // Asked for again and again: who waits in a statement has a snapshot, and whoever builds an index concurrently would
    // wait for that to end, each of them for the other.
    while !is_our_turn(&turn).await? {
        tokio::time::sleep(TURN).await;
    }
    let done = work().await?;
    turn.commit().await?;
    Ok(done)
}

async fn is_our_turn(tx: &DatabaseTransaction) -> Result<bool, Error> {
    let ask = "SELECT pg_try_advisory_xact_lock(4711000001) AS ours";
    let row = tx.query_one_raw(Statement::from_string(DbBackend::Postgres, ask)).await?;
    Ok(row.map(|row| row.try_get("", "ours")).transpose()?.unwrap_or(false))
}

async fn minimum(db: &Database) -> Result<Option<String>, Error> {
    if !SchemaManager::new(&db.read().present()).has_table("deployment").await? {
        return Ok(None);
    }
    stored(db, MINIMUM_SCHEMA).await
}

/// The fact that is renewed when a backup is restored.
pub(super) const EPOCH: &str = "epoch";

/// The random value that tells this database from an older copy of itself.
pub async fn epoch(db: &Database, ids: &Ids) -> Result<u64, Error> {
    let value = fact(db, EPOCH, fresh_epoch(ids)).await?;
    parse_epoch(&value)
}

/// The same as it is now; `None` while there is none, because a backup is just being restored.
pub async fn present_epoch(db: &Database) -> Result<Option<u64>, Error> {
    stored(db, EPOCH).await?.map(|value| parse_epoch(&value)).transpose()
}

/// Gives the database a new epoch, after a backup was restored into it.
pub async fn renew_epoch(db: &Database, ids: &Ids) -> Result<(), Error> {
    if !SchemaManager::new(&db.read().present()).has_table("deployment").await? {
        return Err(Error::internal(anyhow::anyhow!(
            "the database is empty; restore the backup first, then renew the epoch"
        )));
    }
    let tx = db.begin().await?;
    if db.backend() == DbBackend::Postgres {
        // Commands that run end first, and those that wait for this see the new epoch: a command asks for it in the
        // statement that locks its stream. On SQLite this is the only writer.
        tx.execute_unprepared("LOCK TABLE stream IN EXCLUSIVE MODE").await?;
    }
    let row = deployment::ActiveModel { name: Set(EPOCH.to_owned()), value: Set(fresh_epoch(ids)) };
    let replaces =
        OnConflict::column(deployment::Column::Name).update_column(deployment::Column::Value).to_owned();
    deployment::Entity::insert(row).on_conflict(replaces).exec_without_returning(&tx).await?;
    Ok(tx.commit().await?)
}

/// The epoch as it is stored now, to be part of another statement.
pub(super) fn epoch_as_stored() -> SelectStatement {
    let mut select = Query::select();
    select.column(deployment::Column::Value).from(deployment::Entity);
    select.and_where(Expr::col((deployment::Entity, deployment::Column::Name)).eq(EPOCH)).take()
}

/// Whether the database is still of this epoch, to be a condition of another statement.
pub(super) fn is_of(epoch: u64) -> Expr {
    let mut ours = epoch_as_stored();
    ours.and_where(Expr::col((deployment::Entity, deployment::Column::Value)).eq(write_epoch(epoch)));
    Expr::exists(ours)
}

fn fresh_epoch(ids: &Ids) -> String {
    write_epoch(u64::from_be_bytes(ids.bytes()))
}

pub(super) fn write_epoch(epoch: u64) -> String {
    format!("{epoch:016x}")
}

pub(super) fn parse_epoch(value: &str) -> Result<u64, Error> {
    u64::from_str_radix(value, 16)
        .map_err(|_| Error::internal(anyhow::anyhow!("deployment.epoch is {value:?}, not 16 hex digits")))
}

/// The secret of a development deployment without a configured one: made once, the same on all replicas.
pub async fn development_secret(db: &Database, ids: &Ids) -> Result<String, Error> {
    fact(db, "development_secret", crate::keys::new_secret(ids)).await
}

/// The value of `name`, which becomes `fresh` if there was none.
async fn fact(db: &Database, name: &str, fresh: String) -> Result<String, Error> {
    if let Some(found) = stored(db, name).await? {
        return Ok(found);
    }
    let row = deployment::ActiveModel { name: Set(name.to_owned()), value: Set(fresh) };
    deployment::Entity::insert(row)
        .on_conflict(OnConflict::column(deployment::Column::Name).do_nothing().to_owned())
        .exec_without_returning(db.write())
        .await?;
    stored(db, name).await?.ok_or_else(|| Error::internal(anyhow::anyhow!("deployment.{name} is gone")))
}

async fn stored(db: &Database, name: &str) -> Result<Option<String>, Error> {
    let found = deployment::Entity::find_by_id(name).one(db.read()).await?;
    Ok(found.map(|found| found.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_release_needs_it_knows() {
        assert!(Migrator::known().iter().any(|name| name == NEEDED));
    }
}
