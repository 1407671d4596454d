//! The hub run: CPU per warm hub query, resolved and from the answer cache, and resolved where the accounts graph is one of
//! two subgraphs, beside the same bytes as a constant from axum.
//!
//! The four servers are up at the same time and take turns, so that whatever else the machine does
//! falls on all of them. What counts is the ratio of their CPU per request.

use std::fs;
use std::net::Ipv4Addr;

use anyhow::ensure;
use serde::Serialize;
use tokio::process::Command;

use crate::beside;
use crate::contender::{Contender, Side};
use crate::count::count;
use crate::drive::{self, Reply, Target};
use crate::hub_query;
use crate::metrics;
use crate::person::Person;
use crate::report::{self, Goal, Machine, ReportOptions};
use crate::server::{self, Process, Ready, Start};
use crate::stack::{ServerOptions, Setting, Stack, WITHOUT_ANSWER_CACHE};

const PROFILES: usize = 5;
/// The goals of DESIGN.md, as multiples of the constant: for an answer that is resolved, and for one from the
/// answer cache.
const RESOLVED_GOAL: f64 = 7.0;
const CACHED_GOAL: f64 = 1.5;
/// What the way through one graph may cost, as a multiple of the accounts graph alone.
const DIRECT_GOAL: f64 = 1.05;
const ROUNDS: usize = 5;
const WARM_UP: usize = 2_000;

#[derive(clap::Args)]
pub struct Options {
    /// How many hub queries of each kind are measured, and as many requests of the constant
    #[arg(long, default_value_t = 40_000, value_parser = count(10..=10_000_000))]
    requests: usize,
    /// Keep-alive connections, each with one request at a time
    #[arg(long, default_value_t = 16, value_parser = count(1..=1_000))]
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
    resolved: Side,
    from_answer_cache: Side,
    within_one_graph: Side,
    constant: Side,
    /// CPU per request, as multiples of the constant's.
    resolved_ratio: Goal,
    from_answer_cache_ratio: Goal,
    /// CPU per request within one graph, as a multiple of the accounts graph's alone.
    direct_ratio: Goal,
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    let results = options.server.run(async |stack| measure(&options, stack).await).await?;
    options.report.publish(&about(&results), &table(&results), &results)
}

async fn measure(options: &Options, stack: &Stack<'_>) -> anyhow::Result<Results> {
    let (mut resolved, answer, target) = hub_contender(stack, "resolved", &[WITHOUT_ANSWER_CACHE]).await?;
    let (mut cached, ..) = hub_contender(stack, "cached", &[]).await?;
    // It is never called: the hub query needs nothing of it.
    let beside = beside::settings(stack, (Ipv4Addr::LOCALHOST, 9).into())?;
    let beside = beside.iter().map(|(name, value)| (*name, value.as_str()));
    let within: Vec<Setting<'_>> = beside.chain([WITHOUT_ANSWER_CACHE]).collect();
    let (mut within, ..) = hub_contender(stack, "within", &within).await?;
    let mut constant = constant_contender(stack, &answer, target).await?;

    for contender in [&resolved, &cached, &within, &constant] {
        contender.warm_up(options.connections, WARM_UP).await?;
    }
    let bar = report::bar("requests", 4 * options.requests)?;
    for round in 0..ROUNDS {
        let share = options.requests * (round + 1) / ROUNDS - options.requests * round / ROUNDS;
        for contender in [&mut resolved, &mut within, &mut cached, &mut constant] {
            contender.round(options.connections, share, &bar).await?;
        }
    }
    bar.finish_and_clear();

    let (resolved, cached, constant) = (resolved.side().await?, cached.side().await?, constant.side().await?);
    let within = within.side().await?;
    let ratio = |side: &Side| side.cpu_us_per_request / constant.cpu_us_per_request;
    Ok(Results {
        run: "hub",
        stack: options.server.stack(),
        machine: Machine::this()?,
        requests: options.requests,
        connections: options.connections,
        answer_bytes: answer.body.len(),
        content_type: answer.content_type,
        resolved_ratio: Goal::at_most(RESOLVED_GOAL, ratio(&resolved)),
        from_answer_cache_ratio: Goal::at_most(CACHED_GOAL, ratio(&cached)),
        direct_ratio: Goal::at_most(DIRECT_GOAL, within.cpu_us_per_request / resolved.cpu_us_per_request),
        resolved,
        from_answer_cache: cached,
        within_one_graph: within,
        constant,
    })
}

/// A server of its own, with somebody's hub.
async fn hub_contender(
    stack: &Stack<'_>,
    name: &str,
    settings: &[Setting<'_>],
) -> anyhow::Result<(Contender, Reply, Target)> {
    let process = stack.server(name, settings).await?;
    let person = Person::sign_up(&stack.api(&process)?, PROFILES).await?;
    let target = hub_query::target(process.address, &[person]);
    let answer = drive::fetch(&target).await?;
    hub_query::check(&answer, PROFILES)?;
    let contender = Contender::new(process, target.clone(), answer.body.len(), true);
    Ok((contender, answer, target))
}

/// This very binary as the server of `answer`.
async fn constant_contender(stack: &Stack<'_>, answer: &Reply, target: Target) -> anyhow::Result<Contender> {
    let body = stack.folder.join("answer");
    fs::write(&body, &answer.body)?;
    let address = server::free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("constant").arg("--listen").arg(address.to_string()).arg("--body").arg(body);
    command.arg("--content-type").arg(&answer.content_type);
    let log = stack.log("constant");
    let process =
        Process::start(Start { command, address, ready: Ready::Answers("/live"), log: &log }).await?;
    let target = Target { address, ..target };
    let copy = drive::fetch(&target).await?;
    ensure!(
        copy.body == answer.body && copy.content_type == answer.content_type,
        "the constant does not answer with the same bytes and content type"
    );
    Ok(Contender::new(process, target, answer.body.len(), false))
}

fn about(results: &Results) -> String {
    let Results { stack, machine, requests, connections, answer_bytes, .. } = results;
    format!(
        "hub: {requests} requests to each over {connections} connections, answers of {answer_bytes} \
         bytes; {stack}; {machine}"
    )
}

fn table(results: &Results) -> comfy_table::Table {
    let Results { resolved, from_answer_cache, within_one_graph, constant, .. } = results;
    let mut table = report::table(&["", "resolved", "within one graph", "answer cache", "constant"]);
    let mut row = |what: &str, text: &dyn Fn(&Side) -> String| {
        let texts = [resolved, within_one_graph, from_answer_cache, constant].map(text);
        table.add_row([what.to_owned()].into_iter().chain(texts));
    };
    row("CPU per request", &|side| format!("{:.1} µs", side.cpu_us_per_request));
    row("times the constant", &|side| {
        format!("{:.2}", side.cpu_us_per_request / constant.cpu_us_per_request)
    });
    row("in the rounds", &|side| {
        let rounds = side.cpu_us_by_round.iter().zip(&constant.cpu_us_by_round);
        let ratios: Vec<f64> = rounds.map(|(side, constant)| side / constant).collect();
        let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let high = ratios.iter().copied().fold(0.0, f64::max);
        format!("{low:.2} to {high:.2}")
    });
    row("requests per second", &|side| format!("{:.0}", side.requests_per_second));
    row("latency p50", &|side| report::time(side.latency.p50_us));
    row("latency p99", &|side| report::time(side.latency.p99_us));
    row("resident memory", &|side| report::memory(side.resident_kib));
    let counted = [resolved, within_one_graph, from_answer_cache].map(|side| side.counted.as_ref());
    for name in metrics::moved(counted.into_iter().flatten()) {
        row(&format!("{name} per request"), &|side| match &side.counted {
            Some(counted) => report::per(counted.get(name), results.requests),
            None => String::new(),
        });
    }
    let (resolved, cached) = (results.resolved_ratio.verdict(), results.from_answer_cache_ratio.verdict());
    let none = String::new;
    table.add_row(["goal: times the constant".to_owned(), resolved, none(), cached, none()]);
    let direct = results.direct_ratio.verdict();
    table.add_row(["goal: times what is resolved alone".to_owned(), none(), direct, none(), none()]);
    table
}
