//! The sockets run: memory per idle subscription, and the delay from a commit to its event.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::change::Event;
use crate::client::Api;
use crate::commits::{self, Committers, History};
use crate::count::count;
use crate::metrics::Counters;
use crate::person::{self, Person};
use crate::plan::Plan;
use crate::report::{self, Goal, Machine, Percentiles, ReportOptions};
use crate::server::{self, Process};
use crate::stack::{ServerOptions, Setting, Stack};
use crate::subscription::{News, Subscription};
use crate::{beside, sockets_table, tally};

/// The goal of DESIGN.md for an idle subscription, in KiB.
const MEMORY_GOAL: f64 = 6.0;
/// The goal of DESIGN.md for the 99th percentile of an event's delay under steady commits, in ms.
const DELAY_GOAL: f64 = 20.0;
/// Linked profiles that an account may have, beside the one that made it.
const LINKS_PER_ACCOUNT: usize = 19;
const OPENING_AT_ONCE: usize = 64;
/// Files that a process needs beside its sockets.
const OTHER_FILES: usize = 200;
/// For allocators and caches to come to rest before memory is read.
const SETTLE: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub struct Options {
    /// WebSockets, each with one subscription
    #[arg(long, default_value_t = 10_000, value_parser = count(1..=60_000))]
    sockets: usize,
    /// Accounts over which the sockets are spread [default: 100; 1000 at a steady pace]
    #[arg(long, value_parser = count(1..=60_000))]
    accounts: Option<usize>,
    /// All sockets on one account: each commit goes to every socket
    #[arg(long, conflicts_with = "accounts")]
    one_account: bool,
    /// Servers over which the sockets and commits are spread; two need the production stack
    #[arg(long, default_value_t = 1, value_parser = count(1..=8))]
    replicas: usize,
    /// What the sockets follow, and the commits change [default: link; account at a steady pace]
    #[arg(long, value_enum)]
    event: Option<Event>,
    /// Commits one after the other, each once the one before was heard [default: 20]
    #[arg(long, conflicts_with_all = ["rate", "seconds"], value_parser = count(1..=10_000))]
    commits: Option<usize>,
    /// Commits per second, at a steady pace [default: 100 with several replicas]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: Option<u32>,
    /// Seconds of steady commits [default: 20]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: Option<u32>,
    #[command(flatten)]
    report: ReportOptions,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Serialize)]
pub struct Results {
    pub run: &'static str,
    pub stack: &'static str,
    pub machine: Machine,
    #[serde(flatten)]
    pub plan: Plan,
    pub event: Event,
    /// Commits per second that were wanted; absent where they came one by one.
    pub rate: Option<u32>,
    pub commits_per_second: f64,
    pub without_sockets: Usage,
    pub with_sockets: Usage,
    pub kib_per_subscription: Goal,
    pub opened_per_second: f64,
    pub events: usize,
    /// From request to answer.
    pub commit_latency: Percentiles,
    /// From just before the request that commits was sent.
    pub delay_from_request: Percentiles,
    /// From when its answer was here; below zero where the event was faster.
    pub delay_from_answer: Percentiles,
    /// The 99th percentile from the request, in ms; absent where commits came one by one.
    pub delay: Option<Goal>,
    /// What all replicas did while it was committed.
    pub counted: Counters,
}

/// What the replicas take together at one moment.
#[derive(Serialize)]
pub struct Usage {
    pub resident_kib: u64,
    pub descriptors: usize,
}

/// What is run, by the options and their defaults.
#[derive(Clone, Copy)]
struct Setup {
    plan: Plan,
    event: Event,
    rate: Option<u32>,
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    let setup = Setup::new(&options)?;
    let stack = options.server.stack();
    let results = options.server.run(async |servers| measure(setup, stack, servers).await).await?;
    options.report.publish(&sockets_table::about(&results), &sockets_table::table(&results), &results)
}

impl Setup {
    fn new(options: &Options) -> anyhow::Result<Self> {
        let replicas = options.replicas;
        if replicas > 1 {
            options.server.postgres()?;
        }
        let is_steady = options.rate.or(options.seconds).is_some() || replicas > 1;
        let rate = (is_steady && options.commits.is_none()).then(|| options.rate.unwrap_or(100));
        let event = options.event.unwrap_or(if rate.is_some() { Event::Account } else { Event::Link });
        let usual = if rate.is_some() { 1_000 } else { 100 };
        let accounts = if options.one_account { 1 } else { options.accounts.unwrap_or(usual) };
        let sockets = options.sockets;
        ensure!(sockets >= accounts, "{sockets} sockets cannot be spread over {accounts} accounts");

        let room = if event == Event::Link { LINKS_PER_ACCOUNT * accounts } else { usize::MAX };
        let commits = match rate {
            Some(rate) => usize::try_from(rate * options.seconds.unwrap_or(20))?,
            None => options.commits.unwrap_or(room.min(20)),
        };
        ensure!(commits <= room, "{accounts} accounts have room for {room} links, not {commits}");
        // A socket whose root is elsewhere has one of its own to there.
        let files = if event == Event::Told { 2 * sockets } else { sockets };
        let (needed, limit) = (files + OTHER_FILES, server::open_files_limit()?);
        ensure!(
            u64::try_from(needed)? <= limit,
            "{sockets} sockets need {needed} open files, and the limit is {limit}: raise it with `ulimit -n {needed}`"
        );
        Ok(Self { plan: Plan { replicas, sockets, accounts, commits }, event, rate })
    }
}

async fn measure(setup: Setup, stack: &'static str, servers: &Stack<'_>) -> anyhow::Result<Results> {
    let Setup { plan, event, rate } = setup;
    let beside = if event.is_shared() { Some(beside::start(servers.folder).await?) } else { None };
    let subgraph = beside.as_ref().map(|beside| beside.address);
    let settings = match subgraph {
        Some(address) => beside::settings(servers, address)?,
        None => Vec::new(),
    };
    let settings: Vec<Setting<'_>> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut replicas = Vec::with_capacity(plan.replicas);
    for number in 0..plan.replicas {
        replicas.push(servers.server(&format!("replica-{}", number + 1), &settings).await?);
    }
    let apis = replicas.iter().map(|replica| Ok(servers.api(replica)?.beside(subgraph)));
    let apis = apis.collect::<anyhow::Result<Vec<Api>>>()?;
    let people = person::crowd(&apis[0], plan.accounts, 1).await?;
    let sockets = Sockets { plan, event, replicas: &replicas, people: &people };

    // Warms the accounts and the code: what stays after these sockets is not the sockets' share.
    let warm = plan.sockets.min(plan.accounts * plan.replicas);
    drop(sockets.stream(warm).try_collect::<Vec<_>>().await?);
    sockets.are_heard(subgraph, 0).await.context("once the first sockets are gone")?;
    sleep(SETTLE).await;
    let without_sockets = Usage::of(&replicas)?;

    let begin = Instant::now();
    let (tasks, mut news) = sockets.open_all().await?;
    let opened_per_second = plan.sockets as f64 / begin.elapsed().as_secs_f64();
    sockets.are_heard(subgraph, plan.sockets).await.context("once all sockets are open")?;
    commits::quiet(&mut news, SETTLE).await.context("before the first commit")?;
    let with_sockets = Usage::of(&replicas)?;

    let committers = Committers { plan, event, people: &people, apis: &apis };
    let (history, counted) = commit(committers, rate, &replicas, &mut news).await?;
    drop(tasks);
    for process in replicas.into_iter().chain(beside) {
        process.stop().await?;
    }

    let delays = tally::delays(plan, &history.commits, &history.heard)?;
    let grown = with_sockets.resident_kib as f64 - without_sockets.resident_kib as f64;
    let delay_from_request = Percentiles::of(delays.from_request)?;
    let p99 = delay_from_request.p99_us as f64 / 1e3;
    Ok(Results {
        run: "sockets",
        stack,
        machine: Machine::this()?,
        plan,
        event,
        rate,
        commits_per_second: plan.commits as f64 / history.elapsed.as_secs_f64(),
        without_sockets,
        with_sockets,
        kib_per_subscription: Goal::at_most(MEMORY_GOAL, grown / plan.sockets as f64),
        opened_per_second,
        events: history.heard.len(),
        commit_latency: history.commit_latency()?,
        delay: rate.map(|_| Goal::at_most(DELAY_GOAL, p99)),
        delay_from_request,
        delay_from_answer: Percentiles::of(delays.from_answer)?,
        counted,
    })
}

/// Commits at the rate, or one by one without; tells what the replicas counted meanwhile.
async fn commit(
    committers: Committers<'_>,
    rate: Option<u32>,
    replicas: &[Process],
    news: &mut UnboundedReceiver<News>,
) -> anyhow::Result<(History, Counters)> {
    let changes = match rate {
        Some(_) => committers.prepare().await?,
        None => Vec::new(),
    };
    let before = Counters::of_all(replicas).await?;
    let history = match rate {
        Some(rate) => committers.steadily(changes, Duration::from_secs(1) / rate, news).await?,
        None => committers.one_by_one(news).await?,
    };
    Ok((history, Counters::of_all(replicas).await?.since(&before)))
}

impl History {
    fn commit_latency(&self) -> anyhow::Result<Percentiles> {
        let micros = |commit: &crate::change::Commit| (commit.answered - commit.sent).as_micros();
        let times = self.commits.iter().map(|commit| i64::try_from(micros(commit)));
        Percentiles::of(times.collect::<Result<_, _>>()?)
    }
}

/// Who follows what, and where.
#[derive(Clone, Copy)]
struct Sockets<'a> {
    plan: Plan,
    event: Event,
    replicas: &'a [Process],
    people: &'a [Person],
}

impl<'a> Sockets<'a> {
    /// Opens the first `count`, some at a time.
    fn stream(
        self,
        count: usize,
    ) -> impl futures_util::Stream<Item = anyhow::Result<(usize, Subscription)>> + 'a {
        stream::iter(0..count)
            .map(move |socket| async move {
                let account = self.plan.account_of(socket);
                let token = &self.people[account].token;
                let address = self.replicas[self.plan.replica_of(socket)].address;
                let subscription = Subscription::open(address, token, &self.event.subscription(account))
                    .await
                    .with_context(|| format!("opening socket {socket}"))?;
                Ok((socket, subscription))
            })
            .buffer_unordered(OPENING_AT_ONCE)
    }

    /// Waits until the subgraph at `subgraph` has so many subscriptions, if they are at a subgraph.
    async fn are_heard(self, subgraph: Option<SocketAddr>, count: usize) -> anyhow::Result<()> {
        match subgraph.filter(|_| self.event == Event::Told) {
            Some(address) => beside::followers(address, count).await,
            None => Ok(()),
        }
    }

    /// Opens all, each with a task that listens until the set of tasks is dropped.
    async fn open_all(self) -> anyhow::Result<(JoinSet<()>, UnboundedReceiver<News>)> {
        let bar = report::bar("sockets", self.plan.sockets)?;
        let (sender, news) = unbounded_channel();
        let mut tasks = JoinSet::new();
        let mut opened = std::pin::pin!(self.stream(self.plan.sockets));
        while let Some((socket, subscription)) = opened.try_next().await? {
            tasks.spawn(subscription.listen(socket, sender.clone()));
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok((tasks, news))
    }
}

impl Usage {
    fn of(replicas: &[Process]) -> anyhow::Result<Self> {
        let mut usage = Self { resident_kib: 0, descriptors: 0 };
        for replica in replicas {
            usage.resident_kib += replica.resident_kib()?;
            usage.descriptors += replica.descriptors()?;
        }
        Ok(usage)
    }
}
