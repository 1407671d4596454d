//! A pool of connections, whose place another one takes when it has none left to give.
//!
//! When a connection comes back, sqlx asks without a limit of time whether somebody is at its other end
//! (<https://github.com/launchbadge/sqlx/issues/4349>). Where the network begins to swallow packets in that very moment, the
//! connection's place in the pool is lost for good, and nobody is told. Once all places are, every wait for one is in vain,
//! and a process would have to be started anew.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    ConnAcquireErr, ConnectOptions, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend,
    DbErr, ExecResult, QueryResult, Statement, TransactionOptions, TransactionTrait,
};

/// Nobody has a connection for as long as this: a command and the commit at its end have 20 seconds each, a
/// look whether a connection lives has two.
const HELD: Duration = Duration::from_secs(45);

/// Connections, lent by a pool. Cheap to clone.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
    is_counted: bool,
}

struct Inner {
    present: ArcSwap<Views>,
    statements: Arc<AtomicU64>,
    /// Opens another pool; absent where no network is.
    options: Option<ConnectOptions>,
    /// How often somebody has got a connection.
    lent: AtomicU64,
    starving: Mutex<Option<Starving>>,
}

/// One pool, to be asked by those whose statements count, and by those whose do not.
struct Views {
    counted: DatabaseConnection,
    uncounted: DatabaseConnection,
}

/// Somebody has waited in vain.
struct Starving {
    /// How often anybody had got a connection by then.
    lent: u64,
    since: Instant,
}

impl Pool {
    /// Of connections that do not get lost.
    pub fn of(connection: &DatabaseConnection, statements: &Arc<AtomicU64>) -> Self {
        Self::new(connection, statements, None)
    }

    /// Connects as `options` say; `statements` counts what is run.
    ///
    /// # Errors
    /// Nobody is there.
    pub async fn connect(mut options: ConnectOptions, statements: &Arc<AtomicU64>) -> Result<Self, DbErr> {
        let connection = sea_orm::Database::connect(options.clone()).await?;
        options.connect_lazy(true);
        Ok(Self::new(&connection, statements, Some(options)))
    }

    fn new(
        connection: &DatabaseConnection,
        statements: &Arc<AtomicU64>,
        options: Option<ConnectOptions>,
    ) -> Self {
        let inner = Inner {
            present: ArcSwap::from_pointee(Views::of(connection, statements)),
            statements: statements.clone(),
            options,
            lent: AtomicU64::new(0),
            starving: Mutex::new(None),
        };
        Self { inner: Arc::new(inner), is_counted: true }
    }

    /// The same, whose statements do not count.
    pub fn uncounted(&self) -> Self {
        Self { inner: self.inner.clone(), is_counted: false }
    }

    /// The pool that there is now, for what must not move to another one midway.
    pub fn present(&self) -> DatabaseConnection {
        let views = self.inner.present.load();
        if self.is_counted { views.counted.clone() } else { views.uncounted.clone() }
    }

    /// Begins a transaction.
    pub async fn begin(&self, options: TransactionOptions) -> Result<DatabaseTransaction, DbErr> {
        self.lent(async |connection| connection.begin_with_options(options).await).await
    }

    /// Waits until what is lent has come back, and closes all connections.
    pub async fn close(&self) -> Result<(), DbErr> {
        self.present().close_by_ref().await
    }

    /// Whether somebody is there.
    pub async fn ping(&self) -> Result<(), DbErr> {
        self.lent(async |connection| connection.ping().await).await
    }

    async fn lent<T>(
        &self,
        work: impl AsyncFnOnce(&DatabaseConnection) -> Result<T, DbErr>,
    ) -> Result<T, DbErr> {
        let outcome = work(&self.present()).await;
        if matches!(outcome, Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))) {
            Box::pin(self.inner.waited_in_vain()).await;
        } else {
            self.inner.lent.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }
}

impl Inner {
    /// Opens another pool if nobody has got anything from this one for longer than anybody may keep it.
    async fn waited_in_vain(&self) {
        let Some(options) = &self.options else { return };
        if !self.is_dead() {
            return;
        }
        tracing::error!(
            seconds = HELD.as_secs(),
            "the database's pool gave nobody a connection for so long; another takes its place"
        );
        match sea_orm::Database::connect(options.clone()).await {
            Ok(connection) => {
                let lost = self.present.swap(Arc::new(Views::of(&connection, &self.statements)));
                // Whoever waits for it is told at once. What is lost does not come back, so nobody waits for that.
                drop(lost.counted.get_postgres_connection_pool().close());
            }
            Err(error) => tracing::error!(%error, "the database's pool cannot be opened anew"),
        }
    }

    fn is_dead(&self) -> bool {
        let lent = self.lent.load(Ordering::Relaxed);
        let mut starving = self.starving.lock().unwrap_or_else(PoisonError::into_inner);
        match &*starving {
            Some(before) if before.lent == lent => {
                let is_dead = before.since.elapsed() >= HELD;
                if is_dead {
                    *starving = None;
                }
                is_dead
            }
            _ => {
                *starving = Some(Starving { lent, since: Instant::now() });
                false
            }
        }
    }
}

impl Views {
    fn of(connection: &DatabaseConnection, statements: &Arc<AtomicU64>) -> Self {
        let (mut counted, mut uncounted) = (connection.clone(), connection.clone());
        let statements = statements.clone();
        counted.set_metric_callback(move |_| {
            statements.fetch_add(1, Ordering::Relaxed);
        });
        uncounted.set_metric_callback(|_| {});
        Self { counted, uncounted }
    }
}

#[async_trait]
impl ConnectionTrait for Pool {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.present.load().counted.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.lent(async |connection| connection.execute_raw(statement).await).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.lent(async |connection| connection.execute_unprepared(sql).await).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.lent(async |connection| connection.query_one_raw(statement).await).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.lent(async |connection| connection.query_all_raw(statement).await).await
    }
}
