//! Load runs against the real server, over loopback.
//!
//! `load` is purely a client: it starts the server's binary, speaks HTTP and WebSocket to it, reads
//! what the kernel says about its process and what `/metrics` has counted, and stops it. It never links the server's library, so
//! that what it measures is what a client gets, and the server's memory holds nothing of the client.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what a run prints is its result")]
#![allow(clippy::disallowed_methods, reason = "a load run measures against the machine's own clock")]

mod apollo;
mod beside;
mod change;
mod client;
mod cold;
mod commits;
mod constant;
mod contender;
mod count;
mod crossing;
mod drive;
mod federation;
mod hub;
mod hub_query;
mod jobs;
mod metrics;
mod person;
mod phones;
mod plan;
mod proof;
mod queue;
mod report;
mod server;
mod sockets;
mod sockets_table;
mod stack;
mod storm;
mod subscription;
mod tally;
mod timing;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about = "Load runs against the accounts-center server")]
struct Cli {
    #[command(subcommand)]
    run: Run,
}

#[derive(Subcommand)]
enum Run {
    /// CPU per warm hub query, resolved and from the answer cache, beside the same bytes as a constant from axum
    Hub(hub::Options),
    /// Statements and latency of a hub query from the database, from Redis and from the process
    Cold(cold::Options),
    /// Loads from the database when many requests miss one account at once
    Storm(storm::Options),
    /// Memory per idle subscription, and the delay from a commit to its event at the clients
    Sockets(sockets::Options),
    /// Whether the time of an answer tells a known handle from an unknown one
    Timing(timing::Options),
    /// Jobs per second with one worker, and what a claim costs beside a million rows
    Jobs(jobs::Options),
    /// A heavy query over four subgraphs, beside a reverse proxy and other gateways
    Federation(federation::Options),
    /// A query over the accounts graph and one subgraph, in one process, through a gateway apart, and through `@apollo/gateway`
    Crossing(crossing::Options),
    /// The subgraph beside the accounts graph
    #[command(hide = true)]
    Beside(beside::Options),
    /// The subgraphs of `federation`
    #[command(hide = true)]
    Subgraphs(federation::subgraphs::Options),
    /// The limit of `federation`: hands on what it gets
    #[command(hide = true)]
    Proxy(federation::proxy::Options),
    /// The peer of `hub`: answers every POST /graphql with the content of one file
    #[command(hide = true)]
    Constant(constant::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().run {
        Run::Hub(options) => hub::run(options).await,
        Run::Cold(options) => cold::run(options).await,
        Run::Storm(options) => storm::run(options).await,
        Run::Sockets(options) => sockets::run(options).await,
        Run::Jobs(options) => jobs::run(options).await,
        Run::Timing(options) => timing::run(options).await,
        Run::Federation(options) => federation::run(options).await,
        Run::Crossing(options) => crossing::run(options).await,
        Run::Beside(options) => beside::serve(options).await,
        Run::Subgraphs(options) => federation::subgraphs::serve(options).await,
        Run::Proxy(options) => federation::proxy::serve(options).await,
        Run::Constant(options) => constant::serve(options).await,
    };
    // One line with the causes, and never a backtrace, whatever the environment says.
    done.map_or_else(
        |error| {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}
