//! The application: everything that serves, put together once and given to whoever needs it.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::account::{self, EraseAccount, ForgetErased};
use crate::bus::connect::RedisServers;
use crate::bus::{self, Bus, Channel, RedisBus};
use crate::clock::Clock;
use crate::config::Config;
use crate::example::Example;
use crate::gateway::Gateway;
use crate::gateway::supergraph::source::Source;
use crate::gateway::supergraph::subgraphs::Subgraphs;
use crate::graph::{self, Operations};
use crate::housekeeping;
use crate::http::{self, Service};
use crate::ids::Ids;
use crate::keys::Keys;
use crate::limits::RateLimits;
use crate::link_graph::LinkGraphs;
use crate::passkey::RelyingParty;
use crate::platform::Platforms;
use crate::profile::{
    self, EndGrace, EndOffer, HandOver, ReadPrivacy, RefreshProfile, RevokeLogins, SendNotice, SettleClaim,
    TellOwner,
};
use crate::sandbox::{self, ClockFollower, WebhookSubscription};
use crate::session::{EndedSessions, Tokens};
use crate::store::{self, Database, Obstacle, Runner, Store};
use crate::switches::Switches;
use crate::tls;
use crate::verification::{self, DeliverCode, EraseExpired, Followers, WarnOwner};

/// How long a process that stops tries to tell the other replicas what it committed last.
const FAREWELL: Duration = Duration::from_secs(2);

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
    pub ended: EndedSessions,
    pub verifications: Followers,
    /// Absent where the operator has set up no passkeys.
    pub passkeys: Option<RelyingParty>,
    pub rates: RateLimits,
    pub switches: Switches,
}

/// An application that serves.
pub struct Running {
    pub app: Arc<App>,
    /// Where it listens, with the port that it got.
    pub address: SocketAddr,
    /// Where the example subgraph is, in development mode.
    pub example: Option<SocketAddr>,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// Held so that no second process opens the same SQLite file.
    _data_lock: Option<File>,
}

/// An application that works behind others that serve.
pub struct Worker {
    app: Arc<App>,
    /// Where it answers probes, with the port that it got, if it does.
    pub address: Option<SocketAddr>,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// Cancelled once its last job has ended.
    stopped: CancellationToken,
    probes: TaskTracker,
}

/// What a process has opened, whatever it does with it.
struct Opened {
    app: Arc<App>,
    /// Where it hears other replicas, where there can be some.
    channel: Option<Channel>,
    /// What moves its clock, in development.
    time: Option<ClockFollower>,
    data_lock: Option<File>,
}

/// Opens everything that `config` names and begins to serve.
///
/// # Errors
/// One clear sentence: what cannot be opened, and what would help.
pub async fn start(mut config: Config, clock: Clock, ids: Ids) -> anyhow::Result<Running> {
    let listener = bind(config.http.listen, "--listen").await?;
    let address = listener.local_addr()?;
    if config.is_development() && config.demo.enabled {
        config.oauth.redirect_uris.extend(http::linking_page::redirect_uris(address));
    }
    if config.is_development() {
        config.passkeys.set_development(address.port());
    }
    let sandbox_url = match config.sandbox.url.trim_end_matches('/') {
        "" => format!("http://{address}"),
        url => url.to_owned(),
    };
    let example = Example::add(&mut config, address, &clock).await?;
    let Opened { app, channel, time, data_lock } = open(config, &sandbox_url, clock, ids).await?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let example = example.map(|example| {
        let address = example.address;
        tasks.spawn(example.serve(stop.clone()));
        address
    });

    let sandbox = own_sandbox(&app)?;
    if app.config.is_development() && app.config.demo.enabled {
        crate::demo::ensure(&app).await.map_err(explain).context("the demo account cannot be made")?;
    }
    let for_routers = Operations::for_routers(app.clone())?;
    let gateway = open_gateway(&app, &stop, &tasks).await?;
    let operations = Operations::new(app.clone(), gateway, &for_routers)?;
    // Until it has looked, each request asks for its own session.
    app.ended.look().await.unwrap_or_else(|error| error.log());
    tasks.spawn(http::serve(
        listener,
        Service { app: app.clone(), operations, for_routers, sandbox, stop: stop.clone() },
    ));
    if app.config.is_development() {
        let webhooks = WebhookSubscription::new(&sandbox_url, address, app.clock.clone())?;
        tasks.spawn(until(stop.clone(), webhooks.renew()));
    }
    spawn_hearing(&app, channel, &stop, &tasks);
    spawn_following(&app, time, &stop, &tasks);
    tasks.spawn(until(stop.clone(), app.ended.clone().follow()));
    tasks.spawn(until(stop.clone(), app.verifications.clone().run()));
    let limited = app.clone();
    tasks.spawn(until(stop.clone(), async move { limited.rates.forget().await }));
    spawn_work(&app, &stop, &tasks);
    tasks.close();
    Ok(Running { app, address, example, stop, tasks, _data_lock: data_lock })
}

/// Opens what background work needs and begins with it. What it commits is told to the replicas that serve.
///
/// # Errors
/// As of [`start`]; and where there is nothing to work behind.
pub async fn start_worker(config: Config, clock: Clock, ids: Ids) -> anyhow::Result<Worker> {
    if config.is_embedded() {
        bail!(
            "a worker needs database.url and redis.url: on SQLite there is one process, which does everything"
        );
    }
    if config.jobs.concurrency == 0 {
        bail!("jobs.concurrency is 0: a worker runs at least 1 job at a time");
    }
    let sandbox_url = config.sandbox.url.trim_end_matches('/').to_owned();
    if config.is_development() && sandbox_url.is_empty() {
        bail!(
            "sandbox.url is empty: in development a worker needs the address of `accounts-center sandbox`, or of \
             the server that has the sandbox inside"
        );
    }
    let listener = match config.worker.listen {
        Some(address) => Some(bind(address, "worker.listen").await?),
        None => None,
    };
    let address = listener.as_ref().map(TcpListener::local_addr).transpose()?;
    let Opened { app, time, .. } = open(config, &sandbox_url, clock, ids).await?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let (stopped, probes) = (CancellationToken::new(), TaskTracker::new());
    if let Some(listener) = listener {
        probes.spawn(http::serve_worker(listener, app.clone(), stop.clone(), stopped.clone()));
    }
    probes.close();
    spawn_following(&app, time, &stop, &tasks);
    spawn_work(&app, &stop, &tasks);
    tasks.close();
    Ok(Worker { app, address, stop, tasks, stopped, probes })
}

/// The engine over our graph and others, where there are any.
async fn open_gateway(
    app: &App,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> anyhow::Result<Option<Gateway>> {
    let settings = &app.config.gateway;
    settings.check()?;
    if !settings.has_others() {
        return Ok(None);
    }
    settings.check_tokens()?;
    let mut source = if settings.supergraph.is_empty() {
        let data = app.config.data_dir().ok();
        Source::composed(Subgraphs::new(graph::as_subgraph(settings), settings, data.as_deref())?)
    } else {
        Source::new(&settings.supergraph)?
    };
    let text = source.changed().await?.unwrap_or_default();
    let gateway = Gateway::new(&text, (**settings).clone(), app.ids.clone())
        .with_context(|| format!("{} is no supergraph that can be served", source.name()))?;
    tasks.spawn(until(stop.clone(), gateway.clone().follow(source)));
    Ok(Some(gateway))
}

async fn open(config: Config, sandbox_url: &str, clock: Clock, ids: Ids) -> anyhow::Result<Opened> {
    tls::choose_library();
    let redis = RedisServers::from_config(&config.redis).context("configuration")?;
    // Other replicas on one PostgreSQL would not be heard, and what is cached here would be believed.
    ensure!(redis.is_some() || config.is_embedded(), "database.url is set, and redis.url is not");
    let (db, data_lock) = open_database(&config).await?;
    prepare_schema(&config, &db).await?;
    let keys = Arc::new(derive_keys(&config, &db, &ids).await?);
    let channel = redis.clone().map(|servers| Channel::new(servers, &config.redis.prefix, ids.bytes()));
    let bus = match &channel {
        Some(channel) => Bus::Redis(RedisBus::start(channel.clone())),
        None => Bus::InProcess,
    };
    let store = Store::new(db, bus, clock.clone(), ids.clone(), keys.clone()).await.map_err(explain)?;
    let time = follow_time(&config, sandbox_url, &clock).await?;
    let switches = Switches::new(store.db().clone(), &config);
    // Whoever cannot read what is off must not begin as if nothing were.
    switches.look().await.map_err(explain)?;
    let app = Arc::new(App {
        graphs: LinkGraphs::new(store.clone(), redis, &config),
        platforms: Platforms::new(&config, sandbox_url, (clock.clone(), ids.clone()), &switches)?,
        tokens: Tokens::new(&keys, clock.clone(), &config.sessions),
        ended: EndedSessions::new(store.db().clone(), clock.clone(), &config.sessions),
        verifications: Followers::new(store.db().clone(), clock.clone()),
        rates: RateLimits::new(&config.limits),
        passkeys: RelyingParty::of(&config.passkeys)?,
        switches,
        config,
        clock,
        ids,
        keys,
        store,
    });
    Ok(Opened { app, channel, time, data_lock })
}

impl Worker {
    /// As of [`Running::replaced`].
    pub fn replaced(&self) -> impl Future<Output = ()> + use<> {
        self.app.store.replaced().cancelled_owned()
    }

    /// Lets jobs under way end or return to the queue, and ends.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
        leave(&self.app).await;
        self.stopped.cancel();
        self.probes.wait().await;
    }
}

impl Running {
    /// Returns once the database has become another one, by a restored backup and `migrate new-epoch`: what this
    /// process has cached and what its readers have seen is of a past that did not happen. It must not go on.
    pub fn replaced(&self) -> impl Future<Output = ()> + use<> {
        self.app.store.replaced().cancelled_owned()
    }

    /// Lets requests and jobs under way end, tells sockets to come back elsewhere, and ends.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
        leave(&self.app).await;
    }
}

/// What an operator's command works with.
pub struct Administered {
    pub app: Arc<App>,
    /// Held so that no second process opens the same SQLite file.
    pub data_lock: Option<File>,
}

/// Opens what a command of an operator needs, which runs beside all others on PostgreSQL, and alone on SQLite. What it commits is
/// told to the replicas that serve.
pub async fn open_to_administer(config: Config) -> anyhow::Result<Administered> {
    // It calls no platform.
    let sandbox_url = match config.sandbox.url.trim_end_matches('/') {
        "" => format!("http://{}", config.http.listen),
        url => url.to_owned(),
    };
    let Opened { app, data_lock, .. } = open(config, &sandbox_url, Clock::system(), Ids::random()).await?;
    Ok(Administered { app, data_lock })
}

/// The last that a process does with what it has opened.
pub(crate) async fn leave(app: &App) {
    // What was committed last concerns the replicas that stay.
    let _ = tokio::time::timeout(FAREWELL, app.graphs.flush()).await;
    // A database that does not answer keeps nobody here.
    let _ = tokio::time::timeout(FAREWELL, app.store.db().close()).await;
}

/// `setting` is what chooses another address.
async fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("{address} is in use by another program; choose another one with {setting}")
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

/// The same, beside a process that may be using it, for single statements that need no other process to hear of them.
pub async fn open_database_beside(config: &Config) -> anyhow::Result<(Database, Option<File>)> {
    if !config.is_embedded() {
        let (db, lock) = open_database(config).await?;
        prepare_schema(config, &db).await?;
        return Ok((db, lock));
    }
    let folder = config.data_dir()?;
    let lock = lock_folder(&folder).ok();
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

async fn derive_keys(config: &Config, db: &Database, ids: &Ids) -> anyhow::Result<Keys> {
    let configured = config.keys.secret.expose_secret();
    if !configured.is_empty() {
        return Ok(Keys::derive(configured.as_bytes(), config.keys.signing_number));
    }
    let secret = store::development_secret(db, ids).await.map_err(explain)?;
    Ok(Keys::derive(secret.as_bytes(), config.keys.signing_number))
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

/// Hears of what happens from the other replicas, where there can be some.
fn spawn_hearing(app: &Arc<App>, channel: Option<Channel>, stop: &CancellationToken, tasks: &TaskTracker) {
    if let Some(channel) = channel {
        tasks.spawn(bus::listen(channel, app.store.clone(), stop.clone()));
    }
}

/// Follows the sandbox's time, the database, and what is switched off.
fn spawn_following(
    app: &Arc<App>,
    time: Option<ClockFollower>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) {
    if let Some(time) = time {
        tasks.spawn(until(stop.clone(), time.follow()));
    }
    tasks.spawn(until(stop.clone(), poll(app.clone())));
    tasks.spawn(until(stop.clone(), app.switches.clone().follow()));
}

/// What a process does in the background for all of them, unless it leaves that to others.
fn spawn_work(app: &Arc<App>, stop: &CancellationToken, tasks: &TaskTracker) {
    if app.config.jobs.concurrency > 0 {
        tasks.spawn(job_runner(app).run(stop.clone()));
        tasks.spawn(until(stop.clone(), housekeeping::run(app.clone())));
    }
}

/// Heals every lost hint, and notices when a backup takes the database's place.
async fn poll(app: Arc<App>) {
    let (store, period) = (&app.store, Duration::from_secs(app.config.events.poll_seconds));
    loop {
        tokio::time::sleep(period).await;
        // A statement that never comes back must not end all polling.
        match store::bounded(store.is_same()).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => error.log(),
        }
        if let Err(error) = store::bounded(store.poll_watched()).await {
            error.log();
        }
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
    macro_rules! handle {
        ($($job:ty => $run:path),+ $(,)?) => {$(
            let own = app.clone();
            runner.handle(move |job: $job| {
                let app = own.clone();
                async move { $run(&app, job).await }
            });
        )+};
    }
    handle! {
        DeliverCode => verification::deliver,
        EraseExpired => verification::erase,
        WarnOwner => verification::warn_owner,
        EndGrace => profile::end_grace,
        RefreshProfile => profile::refresh,
        ReadPrivacy => profile::read_privacy,
        SendNotice => profile::send_notice,
        RevokeLogins => profile::revoke_logins,
        EndOffer => profile::end_offer,
        TellOwner => profile::tell_owner,
        SettleClaim => profile::settle_claim,
        HandOver => profile::hand_over,
        EraseAccount => account::end_deletion,
        ForgetErased => account::forget_erased,
    }
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
