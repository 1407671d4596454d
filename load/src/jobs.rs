//! The jobs run: how many trivial jobs one worker does in a second, and what a claim costs beside a million rows.
//!
//! The worker tells of each claim in its log, with the time from the beginning of its transaction to its commit.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sea_orm::prelude::DateTimeUtc;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::queue::{Content, Queue};
use crate::report::{self, Machine, Percentiles, ReportOptions};
use crate::stack::{ServerOptions, Setting, Stack};

/// Jobs that the worker runs at a time. While it claims, others end: so a claim gets about half as many.
const ROOM: usize = 32;
/// Claims that got at least so many jobs are looked at more closely.
const LARGE: u64 = 16;
const LOOK: Duration = Duration::from_millis(250);

#[derive(clap::Args)]
pub struct Options {
    /// Due jobs of the first two measurements
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000))]
    jobs: u64,
    /// Rows beside them in the second, and due in the third
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    rows: u64,
    /// Streams over which they are spread
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    streams: u64,
    /// Seconds that a measurement takes at most
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=120))]
    seconds: u64,
    #[command(flatten)]
    report: ReportOptions,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Serialize)]
struct Results {
    run: &'static str,
    machine: Machine,
    streams: u64,
    rows: u64,
    measurements: Vec<Measurement>,
}

#[derive(Serialize)]
struct Measurement {
    queue: &'static str,
    jobs: u64,
    jobs_per_second: f64,
    /// Of the worker, without the database's.
    cpu_us_per_job: f64,
    claims: usize,
    large_claims: usize,
    /// From the beginning of a claim's transaction to its commit.
    large_claim: Percentiles,
}

/// A line of the worker's log.
#[derive(Deserialize)]
struct Line {
    timestamp: DateTimeUtc,
    fields: Fields,
}

#[derive(Deserialize)]
struct Fields {
    claimed: u64,
    micros: i64,
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    let queue = Queue::open(options.server.postgres()?).await?;
    let results = options.server.run(async |stack| measure_all(&options, &queue, stack).await).await?;
    options.report.publish(&about(&results), &table(&results), &results)
}

async fn measure_all(options: &Options, queue: &Queue, stack: &Stack<'_>) -> anyhow::Result<Results> {
    // It has the schema made.
    stack.idle_server("schema", &[]).await?.stop().await?;
    let Options { jobs, rows, streams, .. } = *options;
    let content = |due, scheduled, uneven| Content { streams, due, scheduled, uneven };
    let contents = [
        ("due alone", content(jobs, 0, false)),
        ("due, beside rows that are not, half of all on one stream", content(jobs, rows, true)),
        ("rows that are all due, half of them on one stream", content(rows, 0, true)),
    ];
    let bar = report::bar("measurements", contents.len())?;
    let mut measurements = Vec::new();
    for (name, content) in contents {
        queue.fill(&content).await?;
        measurements.push(measure(options, queue, stack, (name, &content)).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(Results { run: "jobs", machine: Machine::this()?, streams, rows, measurements })
}

/// Lets a worker do what is due, or as much of it as there is time for.
async fn measure(
    options: &Options,
    queue: &Queue,
    stack: &Stack<'_>,
    (name, content): (&'static str, &Content),
) -> anyhow::Result<Measurement> {
    let log = stack.log("worker");
    let room = ROOM.to_string();
    let settings: [Setting<'_>; 3] = [
        ("ACCOUNTS__JOBS__CONCURRENCY", room.as_str()),
        ("ACCOUNTS__LOG__FORMAT", "json"),
        ("ACCOUNTS__LOG__FILTER", "warn,accounts_center::store::job=debug"),
    ];
    let worker = stack.worker("worker", &settings).await?;
    let deadline = Instant::now() + Duration::from_secs(options.seconds);
    while claimed(&claims(&log)?) < content.due && Instant::now() < deadline {
        sleep(LOOK).await;
    }
    let cpu = worker.cpu()?;
    worker.stop().await?;
    let claims = claims(&log)?;
    let (done, left) = (claimed(&claims), queue.left().await?);
    ensure!(
        done + left == content.due + content.scheduled,
        "{done} jobs were claimed once, and {left} are left of {}",
        content.due + content.scheduled
    );
    evaluate(name, &claims, cpu)
}

/// What the worker has told so far. A last line may be half written.
fn claims(log: &Path) -> anyhow::Result<Vec<Line>> {
    let text = fs::read_to_string(log)?;
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn claimed(claims: &[Line]) -> u64 {
    claims.iter().map(|line| line.fields.claimed).sum()
}

fn evaluate(name: &'static str, claims: &[Line], cpu: Duration) -> anyhow::Result<Measurement> {
    let (Some(first), Some(last)) = (claims.first(), claims.last()) else {
        anyhow::bail!("the worker has claimed nothing");
    };
    let elapsed = (last.timestamp - first.timestamp).to_std()?
        + Duration::from_micros(first.fields.micros.unsigned_abs());
    let jobs = claimed(claims);
    let large = claims.iter().filter(|line| line.fields.claimed >= LARGE);
    let times: Vec<i64> = large.map(|line| line.fields.micros).collect();
    Ok(Measurement {
        queue: name,
        jobs,
        jobs_per_second: jobs as f64 / elapsed.as_secs_f64(),
        cpu_us_per_job: cpu.as_secs_f64() * 1e6 / jobs as f64,
        claims: claims.len(),
        large_claims: times.len(),
        large_claim: Percentiles::of(times).with_context(|| format!("no claim got {LARGE} jobs"))?,
    })
}

fn about(results: &Results) -> String {
    let Results { streams, rows, machine, .. } = results;
    format!(
        "jobs: one worker, {ROOM} at a time, {streams} streams, {rows} rows; PostgreSQL, Redis; {machine}"
    )
}

fn table(results: &Results) -> comfy_table::Table {
    let (large, large_time) = (format!("of {LARGE} to {ROOM}"), format!("claim of {LARGE} to {ROOM}, p50"));
    let mut table = report::table(&[
        "queue",
        "jobs done",
        "jobs/s",
        "CPU per job",
        "claims",
        &large,
        &large_time,
        "p99",
        "max",
    ]);
    for measurement in &results.measurements {
        let Percentiles { p50_us, p99_us, max_us } = measurement.large_claim;
        table.add_row([
            measurement.queue.to_owned(),
            measurement.jobs.to_string(),
            format!("{:.0}", measurement.jobs_per_second),
            format!("{:.0} µs", measurement.cpu_us_per_job),
            measurement.claims.to_string(),
            measurement.large_claims.to_string(),
            report::time(p50_us),
            report::time(p99_us),
            report::time(max_us),
        ]);
    }
    table
}
