//! What the program's subcommands do.

mod account;
mod composing;
mod jobs;
mod migrate;
mod planning;
mod schema;
mod switch;

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{SecondsFormat, TimeDelta};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::clock::Clock;
use crate::config::{Config, Proof};
use crate::gateway::Gateway;
use crate::gateway::supergraph::source::Source;
use crate::gateway::supergraph::subgraphs::Subgraphs;
use crate::http::listening::Patience;
use crate::ids::{Ids, NodeId, NodeKind};
use crate::session::{ROUTER, Tokens};
use crate::store::{self};
use crate::{app, graph, http, sandbox, seed, shutdown, telemetry, tls};

pub use account::{Deed, administer};
pub use composing::compose;
pub use jobs::{Replay, list_dead_jobs, replay_jobs};
pub use migrate::{migrate_down, migrate_new_epoch, migrate_status, migrate_up};
pub use planning::print_plan;
pub use schema::{check_schema, print_contract, print_schema};
pub use switch::{list_switches, switch_platform};

/// How long requests to a sandbox get to end when it stops.
const SANDBOX_DRAIN: Duration = Duration::from_secs(5);

/// Serves everything until it is asked to stop; `without_worker` leaves background work to worker processes.
pub async fn serve(mut config: Config, without_worker: bool) -> anyhow::Result<()> {
    if without_worker {
        anyhow::ensure!(
            !config.is_embedded(),
            "--without worker needs database.url and redis.url: on SQLite there is no other process to do the work"
        );
        config.jobs.concurrency = 0;
    }
    anyhow::ensure!(
        config.jobs.concurrency > 0 || !config.is_embedded(),
        "jobs.concurrency is 0: on SQLite there is no other process that could run the jobs"
    );
    telemetry::init(&config)?;
    let development = config.is_development();
    let (demo, whatsapp) = (config.demo.enabled, config.platforms.contains_key("whatsapp"));
    let oauth = config.platforms.values().any(|platform| platform.proof == Proof::OAuth);
    let sandbox = config.sandbox.url.clone();
    let running = app::start(config, Clock::system(), Ids::random()).await?;
    // To compose a supergraph and to read it takes some MiB for a moment.
    accounts_center_allocator::give_back();
    let base = format!("http://{}", running.address);
    print(format_args!("Accounts Center listens on {base}"))?;
    if development {
        let sandbox = if sandbox.is_empty() { base.clone() } else { sandbox };
        print(format_args!("  Explorer                 {base}/"))?;
        if demo {
            print(format_args!("  Sign in as demo account  {base}/dev/sign-in"))?;
        }
        if demo && oauth {
            print(format_args!("  Link a profile by OAuth  {base}/dev/sign-in?then=link"))?;
        }
        if let Some(example) = running.example {
            print(format_args!("  Example subgraph         http://{example}/graphql"))?;
        }
        if whatsapp {
            print(format_args!("  WhatsApp sandbox phone   {sandbox}/sandbox/whatsapp/phone"))?;
        }
    }
    let replaced = running.replaced();
    run_until_stopped(replaced, "requests under way may end.", running.stop()).await
}

/// Waits until this process is asked to stop, or must, because `replaced` says that its database has become another
/// one; `stop` then ends it. In the latter case it fails, so that a supervisor starts it again.
async fn run_until_stopped(
    replaced: impl Future<Output = ()>,
    stopping: &str,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let requested = shutdown::requested()?;
    let replaced = tokio::select! {
        () = requested.cancelled() => false,
        () = replaced => true,
    };
    print(format_args!("Stopping: {stopping}"))?;
    if replaced {
        tracing::error!(
            "the database has a new epoch: a backup was restored; this process stops to be started anew"
        );
    }
    stop.await;
    anyhow::ensure!(!replaced, "the database has a new epoch; start this program again");
    Ok(())
}

/// Serves only the federation engine, until it is asked to stop. `supergraph` is a file or a URL.
pub async fn gateway(config: Config, supergraph: Option<String>, listen: SocketAddr) -> anyhow::Result<()> {
    telemetry::init(&config)?;
    tls::choose_library();
    config.http.check()?;
    config.gateway.check()?;
    let mut source = source_of(&config, supergraph.as_deref())?;
    let text = source.changed().await?.unwrap_or_default();
    let is_development = config.is_development();
    let gateway = Gateway::new(&text, *config.gateway, Ids::random())
        .with_context(|| format!("{} is no supergraph that can be served", source.name()))?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let following = AbortOnDropHandle::new(tokio::spawn(gateway.clone().follow(source)));
    let identity = AbortOnDropHandle::new(tokio::spawn(gateway.clone().follow_identity()));
    let address = listener.local_addr()?;
    print(format_args!("Gateway listens on http://{address}"))?;
    let (stop, sockets, patience) = (CancellationToken::new(), TaskTracker::new(), config.http.patience());
    let router = crate::gateway::http::router(
        gateway,
        crate::gateway::http::Terms {
            http: config.http,
            limits: config.limits,
            address,
            is_development,
            sockets: sockets.clone(),
            stop: stop.clone(),
        },
    );
    let serving = http::listening::serve_with_sockets(listener, router, patience, (stop.clone(), sockets));
    let serving = tokio::spawn(serving);
    shutdown::requested()?.cancelled().await;
    print(format_args!("Stopping: requests under way may end."))?;
    stop.cancel();
    drop((following, identity));
    Ok(serving.await?)
}

/// A ready-made supergraph, or one that is composed of the accounts graph and the subgraphs in the settings.
fn source_of(config: &Config, supergraph: Option<&str>) -> anyhow::Result<Source> {
    let place = supergraph.unwrap_or(&config.gateway.supergraph);
    if !place.is_empty() || config.gateway.subgraphs.is_empty() {
        return Source::new(place);
    }
    let accounts = graph::as_subgraph(&config.gateway);
    anyhow::ensure!(
        !accounts.url.is_empty(),
        "gateway.subgraphs.accounts.url is where the accounts graph is served for this gateway, and is missing"
    );
    let data = config.data_dir().ok();
    Ok(Source::composed(Subgraphs::new(accounts, &config.gateway, data.as_deref())?))
}

/// Does only background work, until it is asked to stop.
pub async fn worker(config: Config) -> anyhow::Result<()> {
    telemetry::init(&config)?;
    let concurrency = config.jobs.concurrency;
    let worker = app::start_worker(config, Clock::system(), Ids::random()).await?;
    if let Some(address) = worker.address {
        print(format_args!("Worker answers probes, and listens on http://{address}"))?;
    }
    print(format_args!("Worker runs; up to {concurrency} jobs at a time."))?;
    let replaced = worker.replaced();
    run_until_stopped(replaced, "jobs under way may end.", worker.stop()).await
}

/// Serves only the sandbox platforms until it is asked to stop.
pub async fn sandbox(config: Config, listen: SocketAddr) -> anyhow::Result<()> {
    anyhow::ensure!(config.is_development(), "the sandbox is for development mode; mode is production");
    anyhow::ensure!(listen.ip().is_loopback(), "the sandbox listens on loopback only, and {listen} is not");
    telemetry::init(&config)?;
    let folder = config.data_dir()?;
    let sandbox = sandbox::Sandbox::open(&folder, config.platforms.keys().cloned())?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let stop = CancellationToken::new();
    print(format_args!("Sandbox listens on http://{}", listener.local_addr()?))?;
    let router = sandbox::router(sandbox.clone(), stop.clone())
        .layer(axum::middleware::from_fn(http::development::require_loopback_host));
    let patience = Patience { drain: SANDBOX_DRAIN, ..config.http.patience() };
    let serving = tokio::spawn(http::listening::serve(listener, router, patience, stop.clone()));
    shutdown::requested()?.cancelled().await;
    stop.cancel();
    serving.await?;
    sandbox.save()
}

/// Prints a token for the federation router `name`.
pub async fn mint_router_token(config: &Config, name: &str, days: u32) -> anyhow::Result<()> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    anyhow::ensure!(
        (1..=64).contains(&name.len()) && name.chars().all(is_name),
        "--router {name:?}: a name has 1 to 64 letters, digits, - and _"
    );
    let (clock, ids) = (Clock::system(), Ids::random());
    let keys = app::keys_of(config, &ids).await?;
    let tokens = Tokens::new(&keys, clock, &config.sessions);
    let minted = tokens.sign_service(name, ROUTER, TimeDelta::days(days.into()))?;
    let until = minted.expires_at.to_rfc3339_opts(SecondsFormat::Secs, true);
    // Beside the token, which a script takes from the output.
    writeln!(std::io::stderr(), "Good until {until}; send it as Accounts-Center-Router:")?;
    print(format_args!("{}", minted.token))
}

/// Fills the database with generated accounts.
pub async fn seed(config: &Config, plan: seed::Plan) -> anyhow::Result<()> {
    anyhow::ensure!(
        config.is_development(),
        "seed fills a database with people who do not exist, and mode is production"
    );
    let (db, _lock) = open_prepared(config).await?;
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {elapsed} (left: {eta})")?;
    let bar = ProgressBar::new(plan.accounts.into()).with_style(style).with_message("accounts");
    let begun = Instant::now();
    let seeded = seed::run(&db, &config.platforms, &plan, |done| bar.set_position(done)).await;
    bar.finish_and_clear();
    db.close().await;
    let seed::Seeded { accounts, present, profiles, events, first } = seeded?;
    let seconds = begun.elapsed().as_secs_f64();
    print(format_args!("{accounts} accounts, {profiles} profiles and {events} events in {seconds:.1} s"))?;
    if present > 0 {
        print(format_args!("{present} accounts of this seed were there already"))?;
    }
    print(format_args!("The first account is {}", NodeId::new(NodeKind::Account, first)))
}

/// The database with the schema that this program needs. The file is a lock, for SQLite.
async fn open_prepared(config: &Config) -> anyhow::Result<(store::Database, Option<File>)> {
    let (db, lock) = app::open_database(config).await?;
    app::prepare_schema(config, &db).await?;
    Ok((db, lock))
}

/// Prints a line. That whoever reads it has gone, as `head` does, is no error.
fn print(line: std::fmt::Arguments<'_>) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("standard output cannot be written"),
    }
}
