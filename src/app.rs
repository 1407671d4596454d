//! The application: everything that serves, put together once and given to whoever needs it.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bus::connect::RedisServers;
use crate::bus::{self, Bus, Channel, RedisBus};
use crate::clock::Clock;
use crate::config::Config;
use crate::graph::Operations;
use crate::http::{self, Service};
use crate::ids::Ids;
use crate::keys::Keys;
use crate::link_graph::LinkGraphs;
use crate::platform::Platforms;
use crate::sandbox::{self, ClockFollower};
use crate::session::Tokens;
use crate::store::{self, Database, Runner, Store};
use crate::verification::{self, DeliverCode, EraseExpired};

/// What resolvers and jobs work with.
pub struct App {
    pub config: Config,
    pub clock: Clock,
    pub ids: Ids,
    pub keys: Arc<Keys>,
    pub store: Store,
    pub graphs: LinkGraphs,
    pub platforms: Platforms,
    pub tokens: Tokens,
}

/// An application that serves.
pub struct Running {
    pub app: Arc<App>,
    /// Where it listens, with the port that it got.
    pub address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// Held so that no second process opens the same SQLite file.
    _data_lock: Option<File>,
}

/// Opens everything that `config` names and begins to serve.
///
/// # Errors
/// One clear sentence: what cannot be opened, and what would help.
pub async fn start(config: Config, clock: Clock, ids: Ids) -> anyhow::Result<Running> {
    // Two libraries bring one each, and a third then does not know which to take. Done twice is done.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let listener = bind(config.http.listen).await?;
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();

    let redis = RedisServers::from_config(&config.redis).context("configuration")?;
    let (db, data_lock) = open_database(&config).await?;
    prepare_schema(&config, &db).await?;
    let keys = Arc::new(derive_keys(&config, &db, &ids).await?);
    let channel = redis.clone().map(|servers| Channel::new(servers, &config.redis.prefix, ids.bytes()));
    let bus = match &channel {
        Some(channel) => Bus::Redis(RedisBus::start(channel.clone())),
        None if config.is_embedded() => Bus::InProcess,
        None => Bus::Unheard,
    };
    let store = Store::new(db, bus, clock.clone(), ids.clone(), keys.clone()).await.map_err(explain)?;

    let sandbox_url = match config.sandbox.url.trim_end_matches('/') {
        "" => format!("http://{address}"),
        url => url.to_owned(),
    };
    let time = follow_time(&config, &sandbox_url, &clock).await?;
    let app = Arc::new(App {
        graphs: LinkGraphs::new(store.clone(), redis, &config),
        platforms: Platforms::new(&config.platforms, &sandbox_url, clock.clone(), ids.clone())?,
        tokens: Tokens::new(&keys, clock.clone(), &config.sessions),
        config,
        clock,
        ids,
        keys,
        store,
    });

    let sandbox = own_sandbox(&app)?;
    if app.config.is_development() && app.config.demo.enabled {
        crate::demo::ensure(&app).await.map_err(explain).context("the demo account cannot be made")?;
    }
    let operations = Operations::new(app.clone())?;
    tasks.spawn(http::serve(listener, Service { app: app.clone(), operations, sandbox, stop: stop.clone() }));
    spawn_background(&app, channel, time, &stop, &tasks);
    tasks.close();
    Ok(Running { app, address, stop, tasks, _data_lock: data_lock })
}

impl Running {
    /// Lets requests and jobs under way end, tells sockets to come back elsewhere, and ends.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("{address} is in use by another program; choose another one with --listen")
        }
        _ => anyhow::anyhow!("cannot listen on {address}: {error}"),
    })
}

/// The database that `config` names. The file is a lock, for SQLite.
pub async fn open_database(config: &Config) -> anyhow::Result<(Database, Option<File>)> {
    if !config.is_embedded() {
        let db = Database::connect_postgres(&config.database.url, config.database.max_connections).await?;
        return Ok((db, None));
    }
    let folder = config.data_dir()?;
    let lock = lock_folder(&folder)?;
    Ok((Database::open_sqlite(&folder).await?, Some(lock)))
}

fn lock_folder(folder: &Path) -> anyhow::Result<File> {
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
    if lock.try_lock().is_err() {
        bail!(
            "another accounts-center uses the data folder {}; end it, or choose another one with --data",
            folder.display()
        );
    }
    Ok(lock)
}

/// In development the database follows the program; in production an operator moves it, on purpose.
async fn prepare_schema(config: &Config, db: &Database) -> anyhow::Result<()> {
    if config.is_development() {
        return store::up(db).await.map_err(explain).context("the database cannot be migrated");
    }
    let states = store::status(db).await.map_err(explain)?;
    if let Some(missing) = states.iter().find(|state| !state.applied) {
        bail!("the database lacks the migration {}; run `accounts-center migrate up`", missing.name);
    }
    Ok(())
}

async fn derive_keys(config: &Config, db: &Database, ids: &Ids) -> anyhow::Result<Keys> {
    let configured = config.keys.secret.expose_secret();
    if !configured.is_empty() {
        return Ok(Keys::derive(configured.as_bytes()));
    }
    let secret = store::development_secret(db, ids).await.map_err(explain)?;
    Ok(Keys::derive(secret.as_bytes()))
}

/// The sandbox that runs in this process, if one does.
fn own_sandbox(app: &App) -> anyhow::Result<Option<sandbox::Sandbox>> {
    if !app.config.is_development() || !app.config.sandbox.url.is_empty() {
        return Ok(None);
    }
    let folder = app.config.data_dir()?;
    let sandbox = sandbox::Sandbox::open(&folder, app.config.platforms.keys().cloned())?;
    Ok(Some(sandbox))
}

/// In development time is the sandbox's, from the first moment on: what was stored before a restart must not
/// seem to be of the future.
async fn follow_time(config: &Config, url: &str, clock: &Clock) -> anyhow::Result<Option<ClockFollower>> {
    if !config.is_development() {
        return Ok(None);
    }
    let time = ClockFollower::new(url, clock.clone())?;
    // One in this process begins with this process, and is not served yet.
    if !config.sandbox.url.is_empty() && !time.catch_up().await {
        tracing::warn!("the sandbox at sandbox.url does not answer; its time is followed once it does");
    }
    Ok(Some(time))
}

fn spawn_background(
    app: &Arc<App>,
    bus: Option<Channel>,
    time: Option<ClockFollower>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) {
    if app.config.jobs.concurrency > 0 {
        tasks.spawn(job_runner(app).run(stop.clone()));
    }
    if let Some(channel) = bus {
        tasks.spawn(bus::listen(channel, app.store.clone(), stop.clone()));
    }
    let store = app.store.clone();
    let poll = Duration::from_secs(app.config.events.poll_seconds);
    tasks.spawn(until(stop.clone(), async move {
        loop {
            tokio::time::sleep(poll).await;
            // A statement that never comes back must not end all polling.
            if let Err(error) = store::bounded(store.poll_watched()).await {
                error.log();
            }
        }
    }));
    if let Some(time) = time {
        tasks.spawn(until(stop.clone(), time.follow()));
    }
}

async fn until(stop: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

fn job_runner(app: &Arc<App>) -> Runner {
    let drain = Duration::from_secs(app.config.http.drain_seconds);
    let mut runner = Runner::new(app.store.clone(), app.config.jobs.concurrency, drain);
    let deliverer = app.clone();
    runner.handle(move |job: DeliverCode| {
        let app = deliverer.clone();
        async move { verification::deliver(&app, job).await }
    });
    let eraser = app.clone();
    runner.handle(move |job: EraseExpired| {
        let app = eraser.clone();
        async move { verification::erase(&app, job).await }
    });
    runner
}

/// An error of ours as a sentence for the operator, with its cause.
pub(crate) fn explain(error: crate::error::Error) -> anyhow::Error {
    use crate::error::Error;
    match error {
        Error::Internal(cause) | Error::Unavailable(cause) => anyhow::anyhow!("{cause:#}"),
        other => anyhow::anyhow!("{other}"),
    }
}
