//! The crossing run: a query over the accounts graph and one subgraph on HTTP, in one process, through a gateway apart, and through
//! `@apollo/gateway`.
//!
//! Each way has an accounts server of its own; all ask the same subgraph, and take turns, so that whatever else the machine does falls
//! on all of them. What is counted is the CPU of the gateway and the accounts graph together: what the subgraph takes is none of theirs.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, ensure};
use serde::Serialize;
use serde_json::{Value, json};

use crate::apollo::{self, ApolloOptions};
use crate::beside;
use crate::contender::{Contender, Side};
use crate::count::count;
use crate::drive::{self, Target};
use crate::person::Person;
use crate::report::{self, Machine, ReportOptions};
use crate::server::{Process, Ready, Start, free_address};
use crate::stack::{ServerOptions, Setting, Stack};

const PROFILES: usize = 5;
const ROUNDS: usize = 5;
const WARM_UP: usize = 1_000;
/// Of those that take many times as long: so many times fewer requests.
const SLOW: usize = 10;
const QUERY: &str = "query Crossing { viewer { id displayName profiles { id handle status platform { key } loadFollowers } } }";

#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    apollo: ApolloOptions,
    /// How often each way is asked
    #[arg(long, default_value_t = 20_000, value_parser = count(1_000..=1_000_000))]
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
    ways: Vec<Measured>,
}

#[derive(Serialize)]
struct Measured {
    way: &'static str,
    #[serde(flatten)]
    side: Side,
}

/// A way to the same answer.
struct Way {
    name: &'static str,
    contender: Contender,
    is_slow: bool,
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    let results = options.server.run(async |stack| measure(&options, stack).await).await?;
    options.report.publish(&about(&results), &table(&results), &results)
}

async fn measure(options: &Options, stack: &Stack<'_>) -> anyhow::Result<Results> {
    let subgraph = beside::start(stack.folder).await?;
    let mut ways = vec![
        Way::new("one process", one_process(stack, subgraph.address).await?),
        Way::new("a gateway apart", apart(stack, subgraph.address).await?),
    ];
    if let Some(packages) = &options.apollo.packages {
        let contender = apollo(stack, subgraph.address, packages).await?;
        ways.push(Way { is_slow: true, ..Way::new("@apollo/gateway", contender) });
    }
    for way in &ways {
        way.contender.warm_up(options.connections, way.share(WARM_UP)).await?;
    }
    let steps = ways.iter().map(|way| way.share(options.requests) / ROUNDS * ROUNDS).sum();
    let bar = report::bar("requests", steps)?;
    for _ in 0..ROUNDS {
        for way in &mut ways {
            let share = way.share(options.requests) / ROUNDS;
            way.contender.round(options.connections, share, &bar).await?;
        }
    }
    bar.finish_and_clear();
    let answer_bytes = drive::fetch(ways[0].contender.target()).await?.body.len();
    let mut measured = Vec::new();
    for Way { name, contender, .. } in ways {
        measured.push(Measured { way: name, side: contender.side().await? });
    }
    subgraph.stop().await?;
    Ok(Results {
        run: "crossing",
        stack: options.server.stack(),
        machine: Machine::this()?,
        requests: options.requests,
        connections: options.connections,
        answer_bytes,
        ways: measured,
    })
}

/// Accounts graph and gateway in one.
async fn one_process(stack: &Stack<'_>, subgraph: SocketAddr) -> anyhow::Result<Contender> {
    let settings = beside(stack, subgraph)?;
    let server = stack.server("one", &borrowed(&settings)).await?;
    let person = Person::sign_up(&stack.api(&server)?, PROFILES).await?;
    contender(server, person).await
}

/// Our gateway in front of an accounts server.
async fn apart(stack: &Stack<'_>, subgraph: SocketAddr) -> anyhow::Result<Contender> {
    let (accounts, person, token) = accounts(stack, "behind-ours").await?;
    let mut settings = behind(stack, &accounts, subgraph)?;
    settings.push(("ACCOUNTS__GATEWAY__SUBGRAPHS__ACCOUNTS__ROUTER_TOKEN", token));
    settings.push(("ACCOUNTS__GATEWAY__ACCOUNTS_URL", format!("http://{}", accounts.address)));
    let gateway = stack.gateway("apart", &borrowed(&settings)).await?;
    Ok(contender(gateway, person).await?.before(accounts))
}

/// Theirs, in front of another one.
async fn apollo(stack: &Stack<'_>, subgraph: SocketAddr, packages: &Path) -> anyhow::Result<Contender> {
    let (accounts, person, token) = accounts(stack, "behind-apollo").await?;
    let supergraph = stack.folder.join("supergraph.graphql");
    let text = stack.supergraph(&borrowed(&behind(stack, &accounts, subgraph)?)).await?;
    // It does not know this directive of the GraphQL specification, and the query has no input.
    fs::write(&supergraph, text.replace(" @oneOf", ""))?;
    let address = free_address()?;
    let mut command = apollo::gateway(packages, &supergraph, address);
    command.env("ROUTER", token);
    let log = stack.log("apollo");
    let start = Start { command, address, ready: Ready::Answers("/live"), log: &log };
    Ok(contender(Process::start(start).await?, person).await?.before(accounts))
}

/// An accounts server with somebody, and what a router shows to it.
async fn accounts(stack: &Stack<'_>, name: &str) -> anyhow::Result<(Process, Person, String)> {
    let server = stack.server(name, &[]).await?;
    let person = Person::sign_up(&stack.api(&server)?, PROFILES).await?;
    let token = stack.router_token(name).await?;
    Ok((server, person, token))
}

/// The settings of whoever asks the subgraph. The person is always the same, so calls that are shared would be most of them, and
/// `@apollo/gateway` shares none.
fn beside(stack: &Stack<'_>, subgraph: SocketAddr) -> anyhow::Result<Vec<(&'static str, String)>> {
    let mut settings = beside::settings(stack, subgraph)?;
    settings.push(("ACCOUNTS__GATEWAY__SUBGRAPH__SHARE", "false".to_owned()));
    Ok(settings)
}

/// The settings of whoever is in front of `accounts`.
fn behind(
    stack: &Stack<'_>,
    accounts: &Process,
    subgraph: SocketAddr,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let mut settings = beside(stack, subgraph)?;
    settings.push((
        "ACCOUNTS__GATEWAY__SUBGRAPHS__ACCOUNTS__URL",
        format!("http://{}/graphql", accounts.address),
    ));
    Ok(settings)
}

fn borrowed<'a>(settings: &'a [(&'static str, String)]) -> Vec<Setting<'a>> {
    settings.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// Takes a process whose answer is whole.
async fn contender(process: Process, person: Person) -> anyhow::Result<Contender> {
    let body = json!({ "query": QUERY }).to_string().into();
    let target = Target { address: process.address, body, tokens: [person.token].into() };
    let answer = drive::fetch(&target).await?.body;
    let text = String::from_utf8_lossy(&answer);
    let json: Value = serde_json::from_slice(&answer).with_context(|| format!("not JSON: {text}"))?;
    let profiles = json.pointer("/data/viewer/profiles").and_then(Value::as_array);
    let followed = profiles.into_iter().flatten().filter(|profile| profile["loadFollowers"].is_u64()).count();
    ensure!(
        json.get("errors").is_none() && followed == PROFILES,
        "not the answer to the crossing query: {text}"
    );
    Ok(Contender::new(process, target, answer.len(), false))
}

impl Way {
    fn new(name: &'static str, contender: Contender) -> Self {
        Self { name, contender, is_slow: false }
    }

    /// How many of so many requests it gets.
    fn share(&self, requests: usize) -> usize {
        if self.is_slow { requests / SLOW } else { requests }
    }
}

fn about(results: &Results) -> String {
    let Results { stack, machine, requests, connections, answer_bytes, .. } = results;
    format!(
        "crossing: {requests} requests over {connections} connections, a {SLOW}th of them to whoever is slow; answers of \
         {answer_bytes} bytes; {stack}; {machine}"
    )
}

fn table(results: &Results) -> comfy_table::Table {
    let mut table = report::table(&[
        "",
        "CPU per request",
        "of that the accounts graph apart",
        "in the rounds",
        "times one process",
        "requests/s",
        "p50",
        "p99",
        "memory in front",
    ]);
    let least = results.ways.first().map_or(f64::NAN, |way| way.side.cpu_us_per_request);
    for Measured { way, side } in &results.ways {
        let rounds = || side.cpu_us_by_round.iter().copied();
        let (low, high) = (rounds().fold(f64::INFINITY, f64::min), rounds().fold(0.0, f64::max));
        table.add_row([
            (*way).to_owned(),
            format!("{:.0} µs", side.cpu_us_per_request),
            format!("{:.0} µs", side.cpu_us_behind),
            format!("{low:.0} to {high:.0}"),
            format!("{:.2}", side.cpu_us_per_request / least),
            format!("{:.0}", side.requests_per_second),
            report::time(side.latency.p50_us),
            report::time(side.latency.p99_us),
            report::memory(side.resident_kib),
        ]);
    }
    table
}
