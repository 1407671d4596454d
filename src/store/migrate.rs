//! Migrations, and the facts of the deployment that they leave room for.

use accounts_center_entity::deployment;
use accounts_center_migration::{Migrator, MigratorTrait};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbBackend, EntityTrait, TransactionTrait};

use super::Database;
use crate::error::Error;
use crate::ids::Ids;

/// One migration and whether the database has it.
#[derive(Debug)]
pub struct MigrationState {
    pub name: String,
    pub applied: bool,
}

/// Brings the database to the newest schema. On PostgreSQL replicas that start together take turns.
pub async fn up(db: &Database) -> Result<(), Error> {
    if db.backend() == DbBackend::Postgres {
        let turn = db.write().begin().await?;
        turn.execute_unprepared(
            "SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0; \
             SET LOCAL idle_in_transaction_session_timeout = 0",
        )
        .await?;
        turn.execute_unprepared("SELECT pg_advisory_xact_lock(4711000001)").await?;
        Migrator::up(db.write(), None).await?;
        turn.commit().await?;
    } else {
        Migrator::up(db.write(), None).await?;
    }
    Ok(())
}

/// Takes the newest `steps` migrations back.
pub async fn down(db: &Database, steps: u32) -> Result<(), Error> {
    Ok(Migrator::down(db.write(), Some(steps)).await?)
}

/// All migrations of this program, oldest first.
pub async fn status(db: &Database) -> Result<Vec<MigrationState>, Error> {
    Ok(Migrator::get_migration_with_status(db.write())
        .await?
        .into_iter()
        .map(|migration| MigrationState {
            name: migration.name().to_owned(),
            applied: migration.status() == accounts_center_migration::MigrationStatus::Applied,
        })
        .collect())
}

/// The random value that tells this database from an older copy of itself.
pub async fn epoch(db: &Database, ids: &Ids) -> Result<u64, Error> {
    let fresh = format!("{:016x}", u64::from_be_bytes(ids.bytes()));
    let value = fact(db, "epoch", fresh).await?;
    u64::from_str_radix(&value, 16)
        .map_err(|_| Error::internal(anyhow::anyhow!("deployment.epoch is {value:?}, not 16 hex digits")))
}

/// The secret of a development deployment without a configured one: made once, the same on all replicas.
pub async fn development_secret(db: &Database, ids: &Ids) -> Result<String, Error> {
    fact(db, "development_secret", crate::keys::new_secret(ids)).await
}

/// The value of `name`, which becomes `fresh` if there was none.
async fn fact(db: &Database, name: &str, fresh: String) -> Result<String, Error> {
    if let Some(found) = deployment::Entity::find_by_id(name).one(db.read()).await? {
        return Ok(found.value);
    }
    let row = deployment::ActiveModel { name: Set(name.to_owned()), value: Set(fresh) };
    deployment::Entity::insert(row)
        .on_conflict(OnConflict::column(deployment::Column::Name).do_nothing().to_owned())
        .exec_without_returning(db.write())
        .await?;
    deployment::Entity::find_by_id(name)
        .one(db.write())
        .await?
        .map(|found| found.value)
        .ok_or_else(|| Error::internal(anyhow::anyhow!("deployment.{name} is gone")))
}
