//! Moving the database from one schema to another, and telling it from what it was before.

use super::print;
use crate::app;
use crate::config::Config;
use crate::ids::Ids;
use crate::store::{self, MigrationState, Standing};

/// Brings the database to the newest schema.
pub async fn migrate_up(config: &Config) -> anyhow::Result<()> {
    let (db, _lock) = app::open_database_to_migrate(config).await?;
    store::up(&db).await.map_err(app::explain)?;
    let states = store::status(&db).await.map_err(app::explain)?;
    db.close().await;
    match states.iter().filter(|state| state.standing == Standing::Unknown).count() {
        0 => print(format_args!("The database has the newest schema.")),
        more => print(format_args!(
            "The database has the newest schema of this program, and {more} migration(s) of a newer one."
        )),
    }
}

/// Takes the newest migrations back.
pub async fn migrate_down(config: &Config, steps: u32) -> anyhow::Result<()> {
    let (db, _lock) = app::open_database_to_migrate(config).await?;
    let names = store::down(&db, steps).await.map_err(app::explain)?;
    db.close().await;
    for name in &names {
        print(format_args!("taken back  {name}"))?;
    }
    print(format_args!("{} migration(s) taken back.", names.len()))
}

/// Lists the migrations.
pub async fn migrate_status(config: &Config) -> anyhow::Result<()> {
    let (db, _lock) = app::open_database(config).await?;
    for MigrationState { name, standing } in store::status(&db).await.map_err(app::explain)? {
        match standing {
            Standing::Applied => print(format_args!("applied  {name}"))?,
            Standing::Pending => print(format_args!("pending  {name}"))?,
            Standing::Unknown => print(format_args!("applied  {name}  unknown to this program"))?,
        }
    }
    Ok(())
}

/// Tells the restored database from what it was before.
pub async fn migrate_new_epoch(config: &Config) -> anyhow::Result<()> {
    let (db, _lock) = app::open_database(config).await?;
    store::renew_epoch(&db, &Ids::random()).await.map_err(app::explain)?;
    db.close().await;
    print(format_args!("The database has a new epoch."))?;
    print(format_args!(
        "Cursors from before are CURSOR_EXPIRED: clients query again and follow from there."
    ))?;
    print(format_args!("What was cached before is not believed; Redis need not be flushed."))?;
    print(format_args!(
        "Processes that still run notice within events.poll_seconds, stop with an error, and must be started again."
    ))
}
