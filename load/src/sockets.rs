//! The sockets run: memory per idle subscription, and the delay from a commit to its event.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::client::Api;
use crate::commits;
use crate::person::Person;
use crate::report::{self, Goal, Machine, Percentiles, ReportOptions};
use crate::server::{self, Process, ServerOptions};
use crate::subscription::{News, Subscription};

/// The goal of DESIGN.md for an idle subscription, in KiB.
const MEMORY_GOAL: f64 = 6.0;
/// Linked profiles that an account may have, beside the one that made it.
const LINKS_PER_ACCOUNT: usize = 19;
const SIGN_UPS_AT_ONCE: usize = 8;
const OPENING_AT_ONCE: usize = 64;
/// Files that a process needs beside its sockets.
const OTHER_FILES: usize = 200;
/// For allocators and caches to come to rest before memory is read.
const SETTLE: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub struct Options {
    /// WebSockets, each with one subscription
    #[arg(long, default_value_t = 10_000, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=60_000))]
    sockets: usize,
    /// Accounts over which the sockets are spread
    #[arg(long, default_value_t = 100, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    accounts: usize,
    /// All sockets on one account: each commit goes to every socket
    #[arg(long, conflicts_with = "accounts")]
    one_account: bool,
    /// Profiles to link, at most 19 per account [default: 20, or what the accounts have room for]
    #[arg(long, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    commits: Option<usize>,
    #[command(flatten)]
    report: ReportOptions,
    #[command(flatten)]
    server: ServerOptions,
}

/// How many of each.
#[derive(Clone, Copy, Serialize)]
pub struct Plan {
    pub sockets: usize,
    pub accounts: usize,
    pub commits: usize,
}

#[derive(Serialize)]
struct Results {
    run: &'static str,
    stack: &'static str,
    machine: Machine,
    #[serde(flatten)]
    plan: Plan,
    without_sockets: Usage,
    with_sockets: Usage,
    kib_per_subscription: Goal,
    opened_per_second: f64,
    events: usize,
    /// From just before the request that commits was sent.
    delay_from_request: Percentiles,
    /// From when its answer was here; below zero where the event was faster.
    delay_from_answer: Percentiles,
}

/// What the server takes at one moment.
#[derive(Serialize)]
struct Usage {
    resident_kib: u64,
    descriptors: usize,
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    let plan = Plan::new(&options)?;
    let folder = TempDir::new()?;
    let server = options.server.start(folder.path()).await?;
    let measured = measure(plan, options.server.stack(), &server);
    let outcome = options.server.bounded(measured).await;
    if outcome.is_err() {
        server.show_log();
    }
    let stopped = server.stop().await;
    let results = outcome?;
    options.report.publish(&about(&results), &table(&results), &results)?;
    stopped
}

impl Plan {
    fn new(options: &Options) -> anyhow::Result<Self> {
        let accounts = if options.one_account { 1 } else { options.accounts };
        let sockets = options.sockets;
        ensure!(sockets >= accounts, "{sockets} sockets cannot be spread over {accounts} accounts");
        let room = LINKS_PER_ACCOUNT * accounts;
        let commits = options.commits.unwrap_or(room.min(20));
        ensure!(commits <= room, "{accounts} accounts have room for {room} commits, not {commits}");
        let (needed, limit) = (sockets + OTHER_FILES, server::open_files_limit()?);
        ensure!(
            u64::try_from(needed)? <= limit,
            "{sockets} sockets need {needed} open files, and the limit is {limit}: raise it with `ulimit -n {needed}`"
        );
        Ok(Self { sockets, accounts, commits })
    }

    /// The sockets take the accounts in turn.
    pub fn account_of(self, socket: usize) -> usize {
        socket % self.accounts
    }

    pub fn sockets_of(self, account: usize) -> usize {
        (self.sockets - account).div_ceil(self.accounts)
    }
}

async fn measure(plan: Plan, stack: &'static str, server: &Process) -> anyhow::Result<Results> {
    let api = Api::new(server.address)?;
    let mut people = sign_up(&api, plan.accounts).await?;
    let tokens = tokens(&mut people).await?;
    // Warms the accounts and the code: what stays after these sockets is not the sockets' share.
    drop(stream_of_sockets(server, &tokens, plan.accounts).try_collect::<Vec<_>>().await?);
    sleep(SETTLE).await;
    let without_sockets = Usage::of(server)?;

    let begin = Instant::now();
    let (_tasks, mut news) = open_all(plan, server, &tokens).await?;
    let opened_per_second = plan.sockets as f64 / begin.elapsed().as_secs_f64();
    commits::quiet(&mut news, SETTLE).await.context("before the first commit")?;
    let with_sockets = Usage::of(server)?;

    let delays = commits::link_profiles(plan, &mut people, &mut news).await?;
    let grown = with_sockets.resident_kib as f64 - without_sockets.resident_kib as f64;
    Ok(Results {
        run: "sockets",
        stack,
        machine: Machine::this()?,
        plan,
        without_sockets,
        with_sockets,
        kib_per_subscription: Goal::at_most(MEMORY_GOAL, grown / plan.sockets as f64),
        opened_per_second,
        events: delays.from_request.len(),
        delay_from_request: Percentiles::of(delays.from_request)?,
        delay_from_answer: Percentiles::of(delays.from_answer)?,
    })
}

async fn sign_up(api: &Api, accounts: usize) -> anyhow::Result<Vec<Person<'_>>> {
    let bar = report::bar("accounts", accounts)?;
    let people = stream::iter(0..accounts)
        .map(|_| Person::sign_up(api))
        .buffer_unordered(SIGN_UPS_AT_ONCE)
        .inspect_ok(|_| bar.inc(1))
        .try_collect()
        .await;
    bar.finish_and_clear();
    people
}

async fn tokens(people: &mut [Person<'_>]) -> anyhow::Result<Vec<String>> {
    let mut tokens = Vec::with_capacity(people.len());
    for person in people {
        tokens.push(person.token().await?.to_owned());
    }
    Ok(tokens)
}

/// Opens `count` sockets, the accounts in turn, some at a time.
fn stream_of_sockets(
    server: &Process,
    tokens: &[String],
    count: usize,
) -> impl futures_util::Stream<Item = anyhow::Result<(usize, Subscription)>> {
    stream::iter(0..count)
        .map(move |socket| async move {
            let token = &tokens[socket % tokens.len()];
            let subscription = Subscription::open(server.address, token)
                .await
                .with_context(|| format!("opening socket {socket}"))?;
            Ok((socket, subscription))
        })
        .buffer_unordered(OPENING_AT_ONCE)
}

/// Opens all sockets, each with a task that listens until the set of tasks is dropped.
async fn open_all(
    plan: Plan,
    server: &Process,
    tokens: &[String],
) -> anyhow::Result<(JoinSet<()>, UnboundedReceiver<News>)> {
    let bar = report::bar("sockets", plan.sockets)?;
    let (sender, news) = unbounded_channel();
    let mut tasks = JoinSet::new();
    let mut opened = std::pin::pin!(stream_of_sockets(server, tokens, plan.sockets));
    while let Some((socket, subscription)) = opened.try_next().await? {
        tasks.spawn(subscription.listen(socket, sender.clone()));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok((tasks, news))
}

impl Usage {
    fn of(server: &Process) -> anyhow::Result<Self> {
        Ok(Self { resident_kib: server.resident_kib()?, descriptors: server.descriptors()? })
    }
}

fn about(results: &Results) -> String {
    let Results { plan: Plan { sockets, accounts, commits }, machine, stack, events, .. } = results;
    format!(
        "sockets: {sockets} over {accounts} accounts, {commits} commits, {events} events; {stack}; \
         {} CPUs, {}",
        machine.cpus, machine.model
    )
}

fn table(results: &Results) -> comfy_table::Table {
    let mut table = report::table(&["", "result", "goal"]);
    let Results { without_sockets, with_sockets, kib_per_subscription, .. } = results;
    let mut row = |what: &str, result: String, goal: String| {
        table.add_row([what.to_owned(), result, goal]);
    };
    let none = String::new;
    row("memory at 0 sockets", report::memory(without_sockets.resident_kib), none());
    row("memory with all, idle", report::memory(with_sockets.resident_kib), none());
    row(
        "KiB per idle subscription",
        format!("{:.2}", kib_per_subscription.value),
        kib_per_subscription.verdict(),
    );
    row("files open at 0 sockets", without_sockets.descriptors.to_string(), none());
    row("files open with all", with_sockets.descriptors.to_string(), none());
    row("sockets opened per second", format!("{:.0}", results.opened_per_second), none());
    for (from, delay) in [
        ("request sent → event", &results.delay_from_request),
        ("answer here → event", &results.delay_from_answer),
    ] {
        let Percentiles { p50_us, p99_us, max_us } = *delay;
        for (name, us) in [("p50", p50_us), ("p99", p99_us), ("max", max_us)] {
            row(&format!("{from}, {name}"), report::time(us), none());
        }
    }
    table
}
