//! Opening what a process stands on: its database, of which a data folder has one user, and its keys.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use secrecy::ExposeSecret;

use super::explain;
use crate::config::Config;
use crate::ids::Ids;
use crate::keys::Keys;
use crate::store::{self, Database, Obstacle};

/// How long somebody waits for a data folder that another process has, and how often they look.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// The database that `config` names. The file is a lock, for SQLite.
pub async fn open_database(config: &Config) -> anyhow::Result<(Database, Option<File>)> {
    if !config.is_embedded() {
        let db = Database::connect_postgres(&config.database.url, config.database.max_connections).await?;
        return Ok((db, None));
    }
    let folder = config.data_dir()?;
    let lock = lock_folder(&folder, LOCK_PATIENCE).await?;
    Ok((Database::open_sqlite(&folder).await?, Some(lock)))
}

/// The same, beside a process that may be using it, for single statements that need no other process to hear of them.
pub async fn open_database_beside(config: &Config) -> anyhow::Result<(Database, Option<File>)> {
    if !config.is_embedded() {
        let (db, lock) = open_database(config).await?;
        prepare_schema(config, &db).await?;
        return Ok((db, lock));
    }
    let folder = config.data_dir()?;
    let lock = lock_folder(&folder, Duration::ZERO).await.ok();
    let db = Database::open_sqlite(&folder).await?;
    if lock.is_some() {
        prepare_schema(config, &db).await?;
    }
    Ok((db, lock))
}

/// The same, to move its schema.
pub async fn open_database_to_migrate(config: &Config) -> anyhow::Result<(Database, Option<File>)> {
    if config.is_embedded() {
        return open_database(config).await;
    }
    Ok((Database::connect_postgres_to_migrate(&config.database.url).await?, None))
}

/// Who held the lock may be about to end, and a process that was just made shares it for a moment, until it runs a program of
/// its own: so `patience` is not zero for whoever cannot do without.
async fn lock_folder(folder: &Path, patience: Duration) -> anyhow::Result<File> {
    let unwritable =
        || format!("the data folder {} cannot be written; choose another one with --data", folder.display());
    std::fs::create_dir_all(folder).with_context(unwritable)?;
    // It holds personal data, and the secret of a development deployment.
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).with_context(unwritable)?;
    let lock = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(folder.join("accounts-center.lock"))
        .with_context(unwritable)?;
    let begun = Instant::now();
    while lock.try_lock().is_err() {
        ensure!(
            begun.elapsed() < patience,
            "another accounts-center uses the data folder {}; end it, or choose another one with --data",
            folder.display()
        );
        tokio::time::sleep(LOCK_PAUSE).await;
    }
    Ok(lock)
}

/// In development the database follows the program; in production an operator moves it, on purpose.
pub(crate) async fn prepare_schema(config: &Config, db: &Database) -> anyhow::Result<()> {
    match store::obstacle(db).await.map_err(explain)? {
        Some(obstacle @ Obstacle::TooOld(_)) => bail!("{obstacle}"),
        _ if config.is_development() => {
            store::up(db).await.map_err(explain).context("the database cannot be migrated")
        }
        Some(obstacle) => bail!("{obstacle}"),
        None => Ok(()),
    }
}

/// The keys of the deployment that `config` names. A server may use its database meanwhile.
pub(crate) async fn keys_of(config: &Config, ids: &Ids) -> anyhow::Result<Keys> {
    if config.is_embedded() && config.keys.secret.expose_secret().is_empty() {
        let folder = config.data_dir()?;
        ensure!(
            folder.join("accounts.sqlite").is_file(),
            "there is no database in {} yet, which keeps the secret of this deployment: start the server once",
            folder.display()
        );
        let db = Database::open_sqlite(&folder).await?;
        let keys = derive_keys(config, &db, ids).await;
        db.close().await;
        return keys;
    }
    if !config.keys.secret.expose_secret().is_empty() {
        return Ok(Keys::derive(config.keys.secret.expose_secret().as_bytes(), config.keys.signing_number));
    }
    let (db, _lock) = open_database(config).await?;
    derive_keys(config, &db, ids).await
}

pub(super) async fn derive_keys(config: &Config, db: &Database, ids: &Ids) -> anyhow::Result<Keys> {
    let configured = config.keys.secret.expose_secret();
    if !configured.is_empty() {
        return Ok(Keys::derive(configured.as_bytes(), config.keys.signing_number));
    }
    let secret = store::development_secret(db, ids).await.map_err(explain)?;
    Ok(Keys::derive(secret.as_bytes(), config.keys.signing_number))
}
