//! Connections: SQLite with one writer and a pool of readers, or a pool on PostgreSQL.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{self, Connection, PgConnection};
use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseTransaction, DbBackend, SqliteTransactionMode,
    TransactionOptions,
};
use secrecy::{ExposeSecret, SecretString};

use super::pool::Pool;
use crate::error::Error;

/// Readers of an SQLite file.
const SQLITE_READERS: u32 = 4;

/// A connection that was used so short a time ago is lent again without a look.
const FRESH: Duration = Duration::from_secs(1);
/// How long a connection may take to show that somebody is there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// Where rows are read and written.
#[derive(Clone)]
pub struct Database {
    read: Pool,
    write: Pool,
    statements: Arc<AtomicU64>,
}

impl Database {
    /// Opens the SQLite file in `folder`, and makes it if it is not there.
    pub async fn open_sqlite(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join("accounts.sqlite");
        let open = |connections: u32| {
            let mut options = ConnectOptions::new("sqlite::memory:");
            let file = file.clone();
            options
                .max_connections(connections)
                .min_connections(1)
                // A connection to a file does not grow old. And what looks for old ones may go round for ever in a pool
                // that is closed in the same moment.
                .max_lifetime(None)
                .idle_timeout(None)
                .acquire_timeout(Duration::from_secs(10))
                .sqlx_logging(false)
                .map_sqlx_sqlite_opts(move |sqlite| {
                    sqlite
                        .filename(&file)
                        .in_memory(false)
                        .shared_cache(false)
                        .create_if_missing(true)
                        .journal_mode(SqliteJournalMode::Wal)
                        // A commit that a subscriber has heard of must survive a power cut.
                        .synchronous(SqliteSynchronous::Full)
                        .foreign_keys(true)
                        .busy_timeout(Duration::from_secs(5))
                });
            options
        };
        let context = || format!("the database {} cannot be opened", file.display());
        let write = sea_orm::Database::connect(open(1)).await.with_context(context)?;
        let read = sea_orm::Database::connect(open(SQLITE_READERS)).await.with_context(context)?;
        let statements = Arc::default();
        Ok(Self { read: Pool::of(&read, &statements), write: Pool::of(&write, &statements), statements })
    }

    /// Connects to a PostgreSQL database.
    pub async fn connect_postgres(url: &SecretString, max_connections: u32) -> anyhow::Result<Self> {
        Self::connect(url, max_connections, "10s").await
    }

    /// Connects to a PostgreSQL database to move its schema: an index on a large table takes its time. Who waits for
    /// a lock still gives up, because everybody else waits behind.
    pub async fn connect_postgres_to_migrate(url: &SecretString) -> anyhow::Result<Self> {
        Self::connect(url, 3, "0").await
    }

    async fn connect(
        url: &SecretString,
        max_connections: u32,
        statement_timeout: &'static str,
    ) -> anyhow::Result<Self> {
        let mut options = ConnectOptions::new(url.expose_secret());
        options
            .max_connections(max_connections)
            .connect_timeout(Duration::from_secs(5))
            .acquire_timeout(Duration::from_secs(3))
            .sqlx_logging(false)
            // What hangs lets go: a replica that lost its power must not hold a stream's lock, nor a slow
            // statement a connection, for longer than a client waits.
            // And each statement of a transaction sees what is committed by then: commands and claims rely on it.
            .map_sqlx_postgres_opts(move |postgres| {
                postgres.application_name("accounts-center").options([
                    ("default_transaction_isolation", "read committed"),
                    ("lock_timeout", "5s"),
                    ("statement_timeout", statement_timeout),
                    ("idle_in_transaction_session_timeout", "15s"),
                ])
            })
            // What has just been used is good: it was looked at when it came back.
            .test_before_acquire(false)
            .map_sqlx_postgres_pool_opts(|pool| {
                pool.before_acquire(|connection, state| {
                    Box::pin(async move {
                        let is_fresh = state.idle_for < FRESH;
                        if is_fresh { Ok(true) } else { alive(connection).await }
                    })
                })
                .after_release(|connection, _| Box::pin(alive(connection)))
            });
        let statements = Arc::default();
        let pool = Pool::connect(options, &statements).await;
        let pool = pool.context("PostgreSQL at database.url cannot be reached")?;
        Ok(Self { read: pool.clone(), write: pool, statements })
    }

    /// The same, whose statements do not count: what a process does by itself.
    pub fn uncounted(&self) -> Self {
        let (read, write) = (self.read.uncounted(), self.write.uncounted());
        Self { read, write, statements: Arc::default() }
    }

    /// For statements that only read.
    pub fn read(&self) -> &Pool {
        &self.read
    }

    /// For transactions that write.
    pub fn write(&self) -> &Pool {
        &self.write
    }

    /// Begins a transaction that writes. On SQLite it is the only one from its first moment on.
    pub async fn begin(&self) -> Result<DatabaseTransaction, Error> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        Ok(self.write.begin(options).await?)
    }

    pub fn backend(&self) -> DbBackend {
        self.write.get_database_backend()
    }

    /// Says goodbye: waits until what is lent has come back, and closes all connections. On SQLite the log is written
    /// into the file then, and that file alone is the whole database.
    pub async fn close(&self) {
        for pool in [&self.read, &self.write] {
            if let Err(error) = pool.close().await {
                tracing::warn!(%error, "a connection of the database could not be closed");
            }
        }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), Error> {
        Ok(self.read.ping().await?)
    }

    /// How many statements have been run so far; tests assert how many an operation takes.
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }
}

/// Whether somebody answers at the other end. sqlx asks, too, but waits for ever: behind a network that swallows
/// packets every connection would be lost to the pool that way.
async fn alive(connection: &mut PgConnection) -> sqlx::Result<bool> {
    match tokio::time::timeout(SIGN_OF_LIFE, connection.ping()).await {
        Ok(answered) => answered.map(|()| true),
        // An error, because only after one the connection is dropped without a farewell.
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}
