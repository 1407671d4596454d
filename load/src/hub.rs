//! The hub run: CPU per warm hub query, beside the same bytes as a constant from axum.
//!
//! Both servers are up at the same time and take turns, so that whatever else the machine does
//! falls on both. What counts is the ratio of their CPU per request.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::client::Api;
use crate::drive::{self, Reply, Target};
use crate::person::Person;
use crate::report::{self, Goal, Machine, Percentiles, ReportOptions};
use crate::server::{self, Process, ServerOptions};

const QUERY: &str = "query Hub { viewer { id displayName createdAt version eventCursor \
    profiles { id platform { key displayName } platformKey handle displayName avatarUrl status \
    statusReason linkedAt statusChangedAt signInEnabled } \
    linkGraph { version profiles { id status } } } }";
const PROFILES: usize = 5;
/// The goal of DESIGN.md for an answer that is resolved, not taken from the answer cache.
const RATIO_GOAL: f64 = 7.0;
const ROUNDS: usize = 5;
/// Keeps a round far below the lifetime of the token that is fetched for it.
const ROUND_LIMIT: usize = 20_000;
const WARM_UP: usize = 2_000;

#[derive(clap::Args)]
pub struct Options {
    /// How many hub queries are measured, and as many requests of the constant
    #[arg(long, default_value_t = 40_000, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000_000))]
    requests: usize,
    /// Keep-alive connections, each with one request at a time
    #[arg(long, default_value_t = 16, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000))]
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
    requests: usize,
    connections: usize,
    answer_bytes: usize,
    content_type: String,
    hub: Side,
    constant: Side,
    cpu_ratio: Goal,
    /// Of each round by itself: how much the ratio varies.
    cpu_ratio_by_round: Vec<f64>,
}

#[derive(Serialize)]
struct Side {
    cpu_us_per_request: f64,
    requests_per_second: f64,
    latency: Percentiles,
    resident_kib: u64,
}

/// One of the two servers, with what its rounds have measured so far.
struct Contender<'a> {
    process: &'a Process,
    target: Target,
    /// Of each right answer, in bytes.
    length: usize,
    /// CPU of each round.
    cpu: Vec<Duration>,
    elapsed: Duration,
    latencies: Vec<i64>,
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let server = options.server.start(folder.path()).await?;
    let outcome = options.server.bounded(measure(&options, &server, folder.path())).await;
    if outcome.is_err() {
        server.show_log();
    }
    let stopped = server.stop().await;
    let results = outcome?;
    options.report.publish(&about(&results), &table(&results), &results)?;
    stopped
}

async fn measure(options: &Options, server: &Process, folder: &Path) -> anyhow::Result<Results> {
    let api = Api::new(server.address)?;
    let mut person = Person::sign_up(&api).await?;
    for _ in 1..PROFILES {
        person.link().await.context("linking a profile")?;
    }
    let hub_target = Target {
        address: server.address,
        body: Bytes::from(json!({ "query": QUERY }).to_string()),
        token: person.token().await?.to_owned(),
    };
    let answer = drive::fetch(&hub_target).await?;
    check_hub_answer(&answer)?;

    let constant_process = start_constant(&answer, folder).await?;
    let constant_target = Target { address: constant_process.address, ..hub_target.clone() };
    let copy = drive::fetch(&constant_target).await?;
    ensure!(
        copy.body == answer.body && copy.content_type == answer.content_type,
        "the constant does not answer with the same bytes and content type"
    );
    let mut hub = Contender::new(server, hub_target, answer.body.len());
    let mut constant = Contender::new(&constant_process, constant_target, answer.body.len());
    alternate(options, &mut person, &mut hub, &mut constant).await?;

    let results = results(options, &answer, hub, constant)?;
    constant_process.stop().await?;
    Ok(results)
}

/// The five profiles have to be there, twice, and no error beside them.
fn check_hub_answer(answer: &Reply) -> anyhow::Result<()> {
    let text = String::from_utf8_lossy(&answer.body);
    let json: Value = serde_json::from_slice(&answer.body).with_context(|| format!("not JSON: {text}"))?;
    let count = |pointer| json.pointer(pointer).and_then(Value::as_array).map(Vec::len);
    ensure!(
        answer.status == 200
            && json.get("errors").is_none()
            && count("/data/viewer/profiles") == Some(PROFILES)
            && count("/data/viewer/linkGraph/profiles") == Some(PROFILES),
        "not the answer to the hub query: {} {text}",
        answer.status,
    );
    Ok(())
}

/// Starts this very binary as the server of `answer`.
async fn start_constant(answer: &Reply, folder: &Path) -> anyhow::Result<Process> {
    let body = folder.join("answer");
    fs::write(&body, &answer.body)?;
    let address = server::free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("constant").arg("--listen").arg(address.to_string()).arg("--body").arg(body);
    command.arg("--content-type").arg(&answer.content_type);
    Process::start(command, address, &folder.join("constant.log")).await
}

/// Warms both, then lets them take turns.
async fn alternate(
    options: &Options,
    person: &mut Person<'_>,
    hub: &mut Contender<'_>,
    constant: &mut Contender<'_>,
) -> anyhow::Result<()> {
    let Options { connections, requests, .. } = *options;
    for contender in [&*hub, &*constant] {
        let Contender { target, length, .. } = contender;
        let silent = ProgressBar::hidden();
        drive::round(target, connections, WARM_UP, *length, &silent).await?;
    }
    let bar = report::bar("requests", 2 * requests)?;
    let rounds = ROUNDS.max(requests.div_ceil(ROUND_LIMIT)).min(requests);
    for round in 0..rounds {
        let share = requests * (round + 1) / rounds - requests * round / rounds;
        hub.renew_token(person).await?;
        hub.round(connections, share, &bar).await?;
        constant.round(connections, share, &bar).await?;
    }
    bar.finish_and_clear();
    Ok(())
}

impl<'a> Contender<'a> {
    fn new(process: &'a Process, target: Target, length: usize) -> Self {
        let (cpu, elapsed, latencies) = (Vec::new(), Duration::ZERO, Vec::new());
        Self { process, target, length, cpu, elapsed, latencies }
    }

    /// Takes a young token; where it is a new one, the sign-in may have changed the answer's length
    /// (`version` gains a digit).
    async fn renew_token(&mut self, person: &mut Person<'_>) -> anyhow::Result<()> {
        let token = person.token().await?;
        if token != self.target.token {
            token.clone_into(&mut self.target.token);
            let answer = drive::fetch(&self.target).await?;
            check_hub_answer(&answer)?;
            self.length = answer.body.len();
        }
        Ok(())
    }

    async fn round(&mut self, connections: usize, requests: usize, bar: &ProgressBar) -> anyhow::Result<()> {
        let before = self.process.cpu()?;
        let round = drive::round(&self.target, connections, requests, self.length, bar).await?;
        self.cpu.push(self.process.cpu()? - before);
        self.elapsed += round.elapsed;
        self.latencies.extend(round.latencies);
        Ok(())
    }

    fn side(self) -> anyhow::Result<Side> {
        let requests = self.latencies.len() as f64;
        let cpu: Duration = self.cpu.iter().sum();
        Ok(Side {
            cpu_us_per_request: cpu.as_secs_f64() * 1e6 / requests,
            requests_per_second: requests / self.elapsed.as_secs_f64(),
            latency: Percentiles::of(self.latencies)?,
            resident_kib: self.process.resident_kib()?,
        })
    }
}

fn results(
    options: &Options,
    answer: &Reply,
    hub: Contender<'_>,
    constant: Contender<'_>,
) -> anyhow::Result<Results> {
    ensure!(
        constant.cpu.iter().all(|round| *round >= Duration::from_millis(20)),
        "too few requests: the kernel counts CPU in steps of 10 ms, and a round of the constant \
         took less than two of them"
    );
    let rounds = hub.cpu.iter().zip(&constant.cpu);
    let cpu_ratio_by_round = rounds.map(|(hub, constant)| hub.div_duration_f64(*constant)).collect();
    let (hub, constant) = (hub.side()?, constant.side()?);
    Ok(Results {
        run: "hub",
        stack: options.server.stack(),
        machine: Machine::this()?,
        requests: options.requests,
        connections: options.connections,
        answer_bytes: answer.body.len(),
        content_type: answer.content_type.clone(),
        cpu_ratio: Goal::at_most(RATIO_GOAL, hub.cpu_us_per_request / constant.cpu_us_per_request),
        cpu_ratio_by_round,
        hub,
        constant,
    })
}

fn about(results: &Results) -> String {
    let Results { stack, machine, requests, connections, answer_bytes, .. } = results;
    format!(
        "hub: {requests} requests to each over {connections} connections, answers of {answer_bytes} \
         bytes; {stack}; {} CPUs, {}",
        machine.cpus, machine.model
    )
}

fn table(results: &Results) -> comfy_table::Table {
    let mut table = report::table(&["", "hub", "constant", "hub / constant", "goal"]);
    let mut row = |what: &str, text: fn(&Side) -> String, number: fn(&Side) -> f64, goal: String| {
        let (hub, constant) = (&results.hub, &results.constant);
        let ratio = format!("{:.2}", number(hub) / number(constant));
        table.add_row([what.to_owned(), text(hub), text(constant), ratio, goal]);
    };
    let none = String::new;
    row(
        "CPU per request",
        |side| format!("{:.1} µs", side.cpu_us_per_request),
        |side| side.cpu_us_per_request,
        results.cpu_ratio.verdict(),
    );
    row(
        "requests per second",
        |side| format!("{:.0}", side.requests_per_second),
        |side| side.requests_per_second,
        none(),
    );
    row("latency p50", |side| report::time(side.latency.p50_us), |side| side.latency.p50_us as f64, none());
    row("latency p99", |side| report::time(side.latency.p99_us), |side| side.latency.p99_us as f64, none());
    row("resident memory", |side| report::memory(side.resident_kib), |side| side.resident_kib as f64, none());
    let by_round = &results.cpu_ratio_by_round;
    let low = by_round.iter().copied().fold(f64::INFINITY, f64::min);
    let high = by_round.iter().copied().fold(0.0, f64::max);
    let spread = format!("{low:.2} to {high:.2}");
    table.add_row(["CPU ratio by round".to_owned(), none(), none(), spread, none()]);
    table
}
