//! The federation run: a heavy query over four subgraphs on HTTP, through the gateway and through others, beside a
//! reverse proxy to a constant of the same answer.
//!
//! All are up at the same time and take turns, so that whatever else the machine does falls on all of them.

mod contenders;
pub mod proxy;
mod store;
pub mod subgraphs;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use serde::Serialize;
use tokio::process::Command;

use crate::apollo::ApolloOptions;
use crate::contender::{Contender, Side};
use crate::count::count;
use crate::drive;
use crate::report::{self, Machine, ReportOptions};
use crate::server::{Process, Ready, Start, free_address};
use crate::stack::{bounded, show_logs};
use contenders::{Ground, Shared, data};
use subgraphs::Calls;

const ROUNDS: usize = 5;
/// Of those that take over ten times as long: so many times fewer requests.
const SLOW: usize = 10;

#[derive(clap::Args)]
pub struct Options {
    /// The accounts-center binary, built with --release
    #[arg(long, value_name = "PATH")]
    pub server: PathBuf,
    /// The binary of Hive Router, as a peer
    #[arg(long, value_name = "PATH")]
    hive_router: Option<PathBuf>,
    #[command(flatten)]
    apollo: ApolloOptions,
    /// How often each gateway is asked over many connections
    #[arg(long, default_value_t = 20_000, value_parser = count(1_000..=1_000_000))]
    requests: usize,
    /// Keep-alive connections, each with one request at a time
    #[arg(long, default_value_t = 50, value_parser = count(1..=1_000))]
    connections: usize,
    #[command(flatten)]
    report: ReportOptions,
    /// Seconds after which the run gives up
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    time_limit: u64,
}

/// A gateway with what was measured of it.
struct Entry {
    gateway: &'static str,
    shared: &'static str,
    contender: Contender,
    is_slow: bool,
    /// Of the subgraphs, while it was measured.
    calls: usize,
    measured: Vec<Measured>,
}

/// One row of a table.
#[derive(Serialize)]
struct Measured {
    gateway: &'static str,
    shared: &'static str,
    #[serde(flatten)]
    side: Side,
    calls_per_request: f64,
}

#[derive(Serialize)]
struct Results {
    run: &'static str,
    machine: Machine,
    requests: usize,
    connections: usize,
    answer_bytes: usize,
    /// Over many connections, and over one.
    many: Vec<Measured>,
    one: Vec<Measured>,
    /// What one answer of ours takes, alone.
    calls: Calls,
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let whole = bounded(options.time_limit, Box::pin(measure(&options, folder.path()))).await;
    if whole.is_err() {
        show_logs(folder.path());
    }
    let results = whole?;
    options.report.publish(&table::about(&results), &table::table(&results), &results)
}

async fn measure(options: &Options, folder: &Path) -> anyhow::Result<Results> {
    let subgraphs = start_subgraphs(folder).await?;
    let ground = Ground { options, folder, subgraphs: subgraphs.address };
    let (mut entries, answer) = start(&ground).await?;
    let (limit, constant) = ground.limit(&answer).await?;
    entries.insert(0, Entry::new("reverse proxy to a constant", "", limit));
    let calls = calls_of_one(&subgraphs, &entries[1]).await?;

    let (many, one) = (options.requests, options.requests / 2);
    for entry in &entries {
        entry.contender.warm_up(options.connections, entry.share(many) / ROUNDS).await?;
    }
    for (connections, requests) in [(options.connections, many), (1, one)] {
        let steps = entries.iter().map(|entry| entry.share(requests) / ROUNDS * ROUNDS).sum();
        let bar = report::bar(if connections == 1 { "one connection" } else { "connections" }, steps)?;
        for _ in 0..ROUNDS {
            for entry in &mut entries {
                entry.round(&subgraphs, (connections, entry.share(requests) / ROUNDS), &bar).await?;
            }
        }
        bar.finish_and_clear();
        for entry in &mut entries {
            entry.settle()?;
        }
    }
    let (mut many, mut one) = (Vec::new(), Vec::new());
    for entry in entries {
        let [first, second] =
            <[Measured; 2]>::try_from(entry.measured).ok().context("two tables were measured")?;
        many.push(first);
        one.push(second);
        entry.contender.stop().await?;
    }
    constant.stop().await?;
    subgraphs.stop().await?;
    Ok(Results {
        run: "federation",
        machine: Machine::this()?,
        requests: options.requests,
        connections: options.connections,
        answer_bytes: answer.len(),
        many,
        one,
        calls,
    })
}

async fn start_subgraphs(folder: &Path) -> anyhow::Result<Process> {
    let address = free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("subgraphs").arg("--listen").arg(address.to_string());
    let log = folder.join("subgraphs.log");
    Process::start(Start { command, address, ready: Ready::Answers("/live"), log: &log }).await
}

/// Starts all gateways that there are, ours first. Gives the answer, on which all agree.
async fn start(ground: &Ground<'_>) -> anyhow::Result<(Vec<Entry>, Vec<u8>)> {
    let mut entries = Vec::new();
    for shared in Shared::ALL {
        entries.push(Entry::new("accounts-center", shared.name(), ground.ours(shared).await?));
    }
    if let Some(program) = &ground.options.hive_router {
        for shared in Shared::ALL {
            entries.push(Entry::new("Hive Router", shared.name(), ground.hive(program, shared).await?));
        }
    }
    if let Some(packages) = &ground.options.apollo.packages {
        let apollo = ground.apollo(packages).await?;
        entries
            .push(Entry { is_slow: true, ..Entry::new("@apollo/gateway", Shared::Nothing.name(), apollo) });
    }
    let answer = drive::fetch(entries[0].contender.target()).await?.body;
    for entry in &entries {
        let other = drive::fetch(entry.contender.target()).await?.body;
        ensure!(data(&other)? == data(&answer)?, "{} answers otherwise", entry.gateway);
    }
    Ok((entries, answer.to_vec()))
}

/// What one request takes of the subgraphs when nothing else goes on.
async fn calls_of_one(subgraphs: &Process, entry: &Entry) -> anyhow::Result<Calls> {
    // Slowly, so that what goes on at the same time is seen to.
    set_pace(subgraphs, 30).await?;
    calls(subgraphs).await?;
    drive::fetch(entry.contender.target()).await?;
    set_pace(subgraphs, 0).await?;
    calls(subgraphs).await
}

async fn set_pace(subgraphs: &Process, milliseconds: u64) -> anyhow::Result<()> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let pace = serde_json::json!({ "milliseconds": milliseconds });
    http.put(format!("http://{}/pace", subgraphs.address)).json(&pace).send().await?.error_for_status()?;
    Ok(())
}

async fn calls(subgraphs: &Process) -> anyhow::Result<Calls> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    Ok(http.get(format!("http://{}/calls", subgraphs.address)).send().await?.json().await?)
}

impl Entry {
    fn new(gateway: &'static str, shared: &'static str, contender: Contender) -> Self {
        Self { gateway, shared, contender, is_slow: false, calls: 0, measured: Vec::new() }
    }

    /// How many of so many requests it gets.
    fn share(&self, requests: usize) -> usize {
        if self.is_slow { requests / SLOW } else { requests }
    }

    async fn round(
        &mut self,
        subgraphs: &Process,
        (connections, requests): (usize, usize),
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
        calls(subgraphs).await?;
        self.contender.round(connections, requests, bar).await?;
        self.calls += calls(subgraphs).await?.count;
        Ok(())
    }

    /// Makes a row of what was measured.
    fn settle(&mut self) -> anyhow::Result<()> {
        let side = self.contender.measured()?;
        let calls_per_request = std::mem::take(&mut self.calls) as f64 / side.requests as f64;
        self.measured.push(Measured { gateway: self.gateway, shared: self.shared, side, calls_per_request });
        Ok(())
    }
}
