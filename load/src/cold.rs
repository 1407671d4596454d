//! The cold run: each account's hub once, from the database, from Redis, and from the process.
//!
//! A server that starts has nothing near, and with a prefix of its own nothing in Redis either.

use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;
use tokio::time::sleep;

use crate::count::count;
use crate::drive::{Connections, Target};
use crate::hub_query;
use crate::metrics::{self, Counters, STATEMENTS};
use crate::person;
use crate::report::{self, Goal, Machine, Percentiles, ReportOptions};
use crate::server::Process;
use crate::stack::{ServerOptions, Setting, Stack, WITHOUT_ANSWER_CACHE};

/// The goal of DESIGN.md for a cold hub query.
const STATEMENTS_GOAL: f64 = 3.0;
/// None, but for what a server asks the database now and then by itself.
const NO_STATEMENTS: f64 = 0.02;
/// For entries on their way to Redis.
const SETTLE: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
pub struct Options {
    /// People who sign up before the run, each of whom asks once in each part
    #[arg(long, default_value_t = 1_000, value_parser = count(100..=50_000))]
    accounts: usize,
    /// Profiles of each account
    #[arg(long, default_value_t = 5, value_parser = count(1..=20))]
    profiles: usize,
    /// Generated accounts beside them, by `accounts-center seed`, so that the tables are not small
    #[arg(long, default_value_t = 0, value_parser = count(0..=10_000_000))]
    seeded: usize,
    /// Keep-alive connections, each with one request at a time
    #[arg(long, default_value_t = 4, value_parser = count(1..=1_000))]
    connections: usize,
    #[command(flatten)]
    report: ReportOptions,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Serialize)]
struct Results {
    run: &'static str,
    stack: &'static str,
    machine: Machine,
    accounts: usize,
    profiles: usize,
    seeded: usize,
    connections: usize,
    database: Part,
    redis: Part,
    near: Part,
}

/// One hub query of each account.
#[derive(Serialize)]
struct Part {
    statements_per_request: Goal,
    counted: Counters,
    latency: Percentiles,
    requests_per_second: f64,
    cpu_us_per_request: f64,
}

/// What a part is expected to show.
#[derive(Clone, Copy)]
struct Expected {
    /// The layer that gives the graphs.
    layer: &'static str,
    /// Statements per request at most.
    statements: f64,
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    options.server.postgres()?;
    let results = options.server.run(async |stack| measure(&options, stack).await).await?;
    options.report.publish(&about(&results), &table(&results), &results)
}

async fn measure(options: &Options, stack: &Stack<'_>) -> anyhow::Result<Results> {
    let server = stack.server("setup", &[]).await?;
    if options.seeded > 0 {
        stack.seed("seed", options.seeded).await?;
    }
    let people = person::crowd(&stack.api(&server)?, options.accounts, options.profiles).await?;
    server.stop().await?;

    let prefix = format!("load-{}", std::process::id());
    let settings: [Setting<'_>; 3] = [
        WITHOUT_ANSWER_CACHE,
        // Nothing is in Redis under a prefix that nobody has used.
        ("ACCOUNTS__REDIS__PREFIX", &prefix),
        // Beyond the run, or entries would expire between its parts.
        ("ACCOUNTS__GRAPH__NEAR_SECONDS", "3600"),
    ];
    let server = stack.idle_server("database", &settings).await?;
    let target = hub_query::target(server.address, &people);
    let expected = Expected { layer: "database", statements: STATEMENTS_GOAL };
    let database = part(options, &server, &target, expected).await?;
    sleep(SETTLE).await;
    server.stop().await?;

    let server = stack.idle_server("redis", &settings).await?;
    let target = Target { address: server.address, ..target };
    let expected = Expected { layer: "redis", statements: NO_STATEMENTS };
    let redis = part(options, &server, &target, expected).await?;
    let near = part(options, &server, &target, Expected { layer: "near", ..expected }).await?;
    server.stop().await?;

    Ok(Results {
        run: "cold",
        stack: options.server.stack(),
        machine: Machine::this()?,
        accounts: options.accounts,
        profiles: options.profiles,
        seeded: options.seeded,
        connections: options.connections,
        database,
        redis,
        near,
    })
}

/// Lets each account ask once; the run fails if it was not `expected.layer` that answered.
async fn part(
    options: &Options,
    server: &Process,
    target: &Target,
    expected: Expected,
) -> anyhow::Result<Part> {
    let Options { accounts, profiles, connections, .. } = *options;
    let connections = Connections::open(server.address, connections).await?;
    let bar = report::bar(expected.layer, accounts)?;
    let (counted_before, cpu_before) = (Counters::of(server).await?, server.cpu()?);
    let check = move |reply: &_| hub_query::check(reply, profiles);
    let round = connections.round(target, accounts, check, &bar).await?;
    let cpu = server.cpu()? - cpu_before;
    let counted = Counters::of(server).await?.since(&counted_before);
    bar.finish_and_clear();
    let (reads, all) = (counted.reads(expected.layer), counted.all_reads());
    ensure!(
        reads * 100 >= u64::try_from(accounts)? * 99,
        "only {reads} of {all} link graphs came from the layer `{}`",
        expected.layer
    );
    let requests = accounts as f64;
    Ok(Part {
        statements_per_request: Goal::at_most(expected.statements, counted.get(STATEMENTS) as f64 / requests),
        latency: Percentiles::of(round.latencies)?,
        requests_per_second: requests / round.elapsed.as_secs_f64(),
        cpu_us_per_request: cpu.as_secs_f64() * 1e6 / requests,
        counted,
    })
}

fn about(results: &Results) -> String {
    let Results { accounts, profiles, seeded, connections, stack, machine, .. } = results;
    format!(
        "cold: the hub of {accounts} accounts with {profiles} profiles each, once in each part, over \
         {connections} connections, beside {seeded} other accounts; {stack}; {machine}"
    )
}

fn table(results: &Results) -> comfy_table::Table {
    let parts = [&results.database, &results.redis, &results.near];
    let mut table = report::table(&["", "from the database", "from Redis", "near"]);
    let mut row = |what: &str, text: &dyn Fn(&Part) -> String| {
        table.add_row(std::iter::once(what.to_owned()).chain(parts.map(text)));
    };
    for name in metrics::moved(parts.map(|part| &part.counted)) {
        row(&format!("{name} per request"), &|part| report::per(part.counted.get(name), results.accounts));
    }
    row("goal: statements per request", &|part| part.statements_per_request.verdict());
    row("latency p50", &|part| report::time(part.latency.p50_us));
    row("latency p99", &|part| report::time(part.latency.p99_us));
    row("requests per second", &|part| format!("{:.0}", part.requests_per_second));
    row("CPU of the server per request", &|part| format!("{:.0} µs", part.cpu_us_per_request));
    table
}
