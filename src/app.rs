//! The application: everything that serves, put together once and given to whoever needs it.

use std::fs::File;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bus::connect::RedisServers;
use crate::bus::{Bus, Channel, RedisBus};
use crate::clock::Clock;
use crate::config::Config;
use crate::example::Example;
use crate::gateway::Gateway;
use crate::gateway::supergraph::source::Source;
use crate::gateway::supergraph::subgraphs::Subgraphs;
use crate::graph::{self, Operations};
use crate::http::{self, Service};
use crate::ids::Ids;
use crate::keys::Keys;
use crate::limits::RateLimits;
use crate::link_graph::LinkGraphs;
use crate::passkey::RelyingParty;
use crate::platform::Platforms;
use crate::sandbox::{self, ClockFollower, WebhookSubscription};
use crate::session::{EndedSessions, Tokens};
use crate::store::Store;
use crate::switches::Switches;
use crate::tls;
use crate::verification::Followers;

mod background;
mod opening;

use background::{spawn_following, spawn_hearing, spawn_work, until};
use opening::derive_keys;
pub(crate) use opening::{keys_of, prepare_schema};
pub use opening::{open_database, open_database_beside, open_database_to_migrate};

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

/// An error of ours as a sentence for the operator, with its cause.
pub(crate) fn explain(error: crate::error::Error) -> anyhow::Error {
    use crate::error::Error;
    match error {
        Error::Internal(cause) | Error::Unavailable(cause) => anyhow::anyhow!("{cause:#}"),
        other => anyhow::anyhow!("{other}"),
    }
}
