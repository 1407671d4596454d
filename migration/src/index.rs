//! Indexes on tables that may be large already: built and dropped while others write.
//!
//! A plain `CREATE INDEX` stops all who write to its table until it is done, which takes minutes for millions of rows.
//! So an index on a table that an earlier migration has made is built by [`build`], in a migration that says
//! `use_transaction() -> Some(false)` and does nothing else. On PostgreSQL it is then built concurrently. If that is cut
//! short it leaves an invalid index behind, which is dropped and built anew by the next `migrate up`: each step here may
//! be run again. On SQLite there is one process, which waits.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::sqlx::{AssertSqlSafe, PgConnection, raw_sql};
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, Statement};

/// Builds the index `name` on `target`: the table with its columns, as `job (dead_at, id) WHERE dead_at IS NOT NULL`.
pub async fn build(manager: &SchemaManager<'_>, name: &str, target: &str) -> Result<(), DbErr> {
    let db = manager.get_connection();
    if db.get_database_backend() != DbBackend::Postgres {
        db.execute_unprepared(&format!("CREATE INDEX IF NOT EXISTS {name} ON {target}")).await?;
        return Ok(());
    }
    match is_valid(db, name).await? {
        Some(true) => return Ok(()),
        Some(false) => run_alone(db, &format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")).await?,
        None => {}
    }
    run_alone(db, &format!("CREATE INDEX CONCURRENTLY {name} ON {target}")).await
}

/// Drops the index `name`, if it is there.
pub async fn drop(manager: &SchemaManager<'_>, name: &str) -> Result<(), DbErr> {
    let db = manager.get_connection();
    if db.get_database_backend() != DbBackend::Postgres {
        db.execute_unprepared(&format!("DROP INDEX IF EXISTS {name}")).await?;
        return Ok(());
    }
    run_alone(db, &format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")).await
}

/// Whether queries can use the index; `None` if there is none.
async fn is_valid(db: &SchemaManagerConnection<'_>, name: &str) -> Result<Option<bool>, DbErr> {
    let query = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)";
    let query = Statement::from_sql_and_values(DbBackend::Postgres, query, [name.into()]);
    db.query_one_raw(query).await?.map(|row| row.try_get("", "indisvalid")).transpose()
}

/// Runs a statement outside of a transaction, without limits. It waits for the transactions that were there before it,
/// and unlike for other changes of the schema nobody who reads or writes waits behind it.
async fn run_alone(db: &SchemaManagerConnection<'_>, statement: &str) -> Result<(), DbErr> {
    let failed = |error| DbErr::Custom(format!("{statement}: {error}"));
    let SchemaManagerConnection::Connection(pool) = db else {
        let why = "an index is built outside of a transaction: `use_transaction` must say `Some(false)`";
        return Err(DbErr::Custom(why.to_owned()));
    };
    // Taken out of the pool, because it has other limits from now on; closed when it is dropped.
    let pooled = pool.get_postgres_connection_pool().acquire().await.map_err(failed)?;
    let mut own: PgConnection = pooled.detach();
    raw_sql("SET lock_timeout = 0; SET statement_timeout = 0").execute(&mut own).await.map_err(failed)?;
    raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut own).await.map_err(failed)?;
    Ok(())
}
