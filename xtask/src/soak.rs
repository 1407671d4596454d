//! `cargo xtask soak`: runs of the history checker, seed after seed, for as many operations as wanted.

use std::process::ExitCode;

use anyhow::{Result, ensure};

use crate::process::{self, Interrupt};
use crate::test::{Servers, prepare};
use crate::workspace;

#[derive(clap::Args)]
pub struct Options {
    /// What is checked
    what: What,
    /// The first run's seed; each further run takes the next one
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many operations there are in all runs together; a run has some 100,000
    #[arg(long, default_value_t = 1_000_000)]
    operations: u64,
    /// Switch this defence off, to see that the checker notices: floor, compare, poll, snapshot, epoch, or one
    /// part of the last: cursor-epoch, key-epoch, hint-epoch
    #[arg(long)]
    plant: Option<String>,
    /// On SQLite with one replica, in the place of two on PostgreSQL and Redis
    #[arg(long)]
    embedded: bool,
    /// Fail rather than install a program that is missing
    #[arg(long)]
    skip_install: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    /// Streams, events, the bus and the link graph's caches, by the history checker
    Core,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    ensure!(options.operations > 0, "--operations is 0: there is nothing to do");
    let interrupt = Interrupt::listen()?;
    let programs = prepare(false, options.skip_install, &interrupt)?;
    let servers = Servers::start(&programs, &interrupt)?;
    let test = match options.what {
        What::Core => "history::soak",
    };
    let mut cargo = workspace::cargo();
    cargo
        .args([
            "test",
            "--profile",
            "soak",
            "-p",
            "accounts-center",
            "--features",
            "failpoints",
            "--test",
            "it",
        ])
        .args(["--", "--ignored", "--exact", test, "--nocapture"])
        .envs(servers.environment())
        .env("SOAK_SEED", options.seed.to_string())
        .env("SOAK_OPERATIONS", options.operations.to_string());
    if let Some(plant) = &options.plant {
        cargo.env("SOAK_PLANT", plant);
    }
    if options.embedded {
        cargo.env("SOAK_EMBEDDED", "1");
    }
    let status = process::run(&mut cargo, &interrupt)?;
    // Whatever cargo calls it: a rule was broken, or the run could not be made.
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
