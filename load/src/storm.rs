//! The storm run: a thousand requests at once miss one account's link graph, and the database is asked once.

use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::count::count;
use crate::drive::{self, Connections, of_length};
use crate::hub_query;
use crate::metrics::{Counters, STATEMENTS};
use crate::person::Person;
use crate::report::{self, Goal, Machine, Percentiles, ReportOptions};
use crate::stack::{ServerOptions, Setting, Stack, WITHOUT_ANSWER_CACHE};

const PROFILES: usize = 5;

#[derive(clap::Args)]
pub struct Options {
    /// Requests of each storm
    #[arg(long, default_value_t = 1_000, value_parser = count(1..=1_000_000))]
    requests: usize,
    /// Keep-alive connections, each with one request at a time: so many are under way at once
    #[arg(long, default_value_t = 200, value_parser = count(1..=10_000))]
    connections: usize,
    /// Storms, each on a server that has just started
    #[arg(long, default_value_t = 5, value_parser = count(1..=1_000))]
    storms: usize,
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
    requests: usize,
    connections: usize,
    storms: Vec<Storm>,
    /// Of the storm that had most.
    loads: Goal,
}

#[derive(Serialize)]
struct Storm {
    counted: Counters,
    /// Requests that neither found the graph nor loaded it: they waited for whoever did.
    waited: u64,
    elapsed_ms: f64,
    latency: Percentiles,
}

/// An account, and what makes it cold.
struct Cold<'a> {
    person: &'a Person,
    /// Of what the server keeps in Redis.
    prefix: &'a str,
    /// Of each right answer, in bytes.
    length: usize,
}

impl Storm {
    /// From the database.
    fn loads(&self) -> u64 {
        self.counted.reads("database")
    }
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    options.server.postgres()?;
    let results = options.server.run(async |stack| measure(&options, stack).await).await?;
    options.report.publish(&about(&results), &table(&results), &results)
}

async fn measure(options: &Options, stack: &Stack<'_>) -> anyhow::Result<Results> {
    let server = stack.server("setup", &[]).await?;
    let person = Person::sign_up(&stack.api(&server)?, PROFILES).await?;
    let answer = drive::fetch(&hub_query::target(server.address, std::slice::from_ref(&person))).await?;
    hub_query::check(&answer, PROFILES)?;
    server.stop().await?;

    let bar = report::bar("storms", options.storms)?;
    let mut storms = Vec::with_capacity(options.storms);
    for number in 0..options.storms {
        // Nothing is in Redis under a prefix that nobody has used.
        let prefix = format!("load-{}-{number}", std::process::id());
        let cold = Cold { person: &person, prefix: &prefix, length: answer.body.len() };
        let storm = storm(options, stack, cold).await;
        storms.push(storm.with_context(|| format!("storm {}", number + 1))?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let most = storms.iter().map(Storm::loads).max().unwrap_or_default();
    Ok(Results {
        run: "storm",
        stack: options.server.stack(),
        machine: Machine::this()?,
        requests: options.requests,
        connections: options.connections,
        storms,
        loads: Goal::at_most(1.0, most as f64),
    })
}

/// Starts a server that knows nothing, neither itself nor in Redis, and lets all ask it at once.
async fn storm(options: &Options, stack: &Stack<'_>, cold: Cold<'_>) -> anyhow::Result<Storm> {
    let Cold { person, prefix, length } = cold;
    let settings: [Setting<'_>; 2] = [WITHOUT_ANSWER_CACHE, ("ACCOUNTS__REDIS__PREFIX", prefix)];
    let server = stack.idle_server("storm", &settings).await?;
    let target = hub_query::target(server.address, std::slice::from_ref(person));
    let connections = Connections::open(server.address, options.connections).await?;
    let before = Counters::of(&server).await?;
    let silent = ProgressBar::hidden();
    let round = connections.round(&target, options.requests, of_length(length), &silent).await?;
    let counted = Counters::of(&server).await?.since(&before);
    server.stop().await?;
    ensure!(counted.reads("database") > 0, "nobody loaded the account, which was not cold");
    Ok(Storm {
        waited: u64::try_from(options.requests)?.saturating_sub(counted.all_reads()),
        elapsed_ms: round.elapsed.as_secs_f64() * 1e3,
        latency: Percentiles::of(round.latencies)?,
        counted,
    })
}

fn about(results: &Results) -> String {
    let Results { requests, connections, storms, stack, machine, .. } = results;
    format!(
        "storm: {requests} requests for one cold account at once, over {connections} connections, {} times; \
         {stack}; {machine}",
        storms.len()
    )
}

fn table(results: &Results) -> comfy_table::Table {
    let mut table = report::table(&[
        "storm",
        "loads",
        "statements",
        "found it near",
        "waited for it",
        "all done after",
        "latency p50",
        "p99",
    ]);
    for (number, storm) in results.storms.iter().enumerate() {
        table.add_row([
            (number + 1).to_string(),
            storm.loads().to_string(),
            storm.counted.get(STATEMENTS).to_string(),
            storm.counted.reads("near").to_string(),
            storm.waited.to_string(),
            format!("{:.1} ms", storm.elapsed_ms),
            report::time(storm.latency.p50_us),
            report::time(storm.latency.p99_us),
        ]);
    }
    table.add_row(["goal".to_owned(), results.loads.verdict()]);
    table
}
