//! `cargo xtask load`: client and server are built for release and run as separate processes; so are PostgreSQL
//! and Redis where the run is about the production stack.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::process::{self, Demand, Interrupt, Process};
use crate::test::{Servers, prepare};
use crate::{install, node, workspace};

/// Runs that are about PostgreSQL and Redis, whatever stack is named.
const PRODUCTION: &[&str] = &["cold", "jobs", "storm"];

/// It stops its servers, which drain.
const DEMANDS: &[Demand] = &[("INT", Duration::from_secs(30))];

#[derive(clap::Args)]
pub struct Options {
    /// The measurement: `hub`, `cold`, `storm`, `sockets`, `jobs`, `timing`, `federation` or `crossing`
    name: String,
    /// Arguments for it, as in `--stack production`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    let mut build = workspace::cargo();
    build.args(["build", "--release", "-p", "accounts-center", "-p", "load"]);
    ensure!(process::run(&mut build, &interrupt)?.success(), "the release build failed");

    let programs = workspace::target_dir()?.join("release");
    let mut client = Command::new(programs.join("load"));
    client.arg(&options.name).args(&options.args).arg("--server").arg(programs.join("accounts-center"));
    if ["federation", "crossing"].contains(&options.name.as_str()) && !options.asks_for_help() {
        client.args(options.peers(&interrupt)?);
    }
    let servers = if options.wants_servers() {
        let postgres = prepare(false, false, &interrupt)?;
        Some(Servers::start_durable(&postgres, &interrupt)?)
    } else {
        None
    };
    if let Some([postgres, redis]) = servers.as_ref().map(Servers::urls) {
        client.args(["--database-url", &postgres, "--redis-url", &redis]);
        if !options.names_production() {
            client.args(["--stack", "production"]);
        }
    }
    let status = Process::start(&mut client, DEMANDS)?.wait(&interrupt)?;
    Ok(process::exit_code(status))
}

impl Options {
    fn asks_for_help(&self) -> bool {
        self.args.iter().any(|arg| arg == "--help")
    }

    /// The gateways to compare with, as arguments: `@apollo/gateway`, which is installed, and Hive Router if it is there.
    fn peers(&self, interrupt: &Interrupt) -> Result<Vec<PathBuf>> {
        let given = |name: &str| self.args.iter().any(|arg| arg.starts_with(name));
        let mut peers = Vec::new();
        if !given("--apollo") {
            let missing = install::missing_node();
            if !missing.is_empty() {
                install::install(&missing, interrupt)?;
            }
            let folder = workspace::target_dir()?.join("load-peers");
            let folder = node::prepare(&workspace::root().join("load/peers"), folder, interrupt)?;
            peers.extend(["--apollo".into(), folder]);
        }
        let hive = workspace::find_on_path("hive_router").filter(|_| self.name == "federation");
        if let Some(program) = hive.filter(|_| !given("--hive-router")) {
            peers.extend(["--hive-router".into(), program]);
        }
        Ok(peers)
    }

    fn wants_servers(&self) -> bool {
        let given = self.args.iter().any(|arg| arg.starts_with("--database-url")) || self.asks_for_help();
        !given && (self.names_production() || PRODUCTION.contains(&self.name.as_str()))
    }

    fn names_production(&self) -> bool {
        self.args.iter().any(|arg| arg == "--stack=production")
            || self.args.windows(2).any(|pair| pair == ["--stack", "production"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Options {
        let mut words = line.split(' ').map(str::to_owned);
        Options { name: words.next().expect("a name"), args: words.collect() }
    }

    #[test]
    fn servers_are_started_where_the_run_wants_them_and_names_no_others() {
        for line in ["cold", "storm --storms 2", "hub --stack production", "sockets --stack=production"] {
            assert!(options(line).wants_servers(), "{line}");
        }
        for line in ["hub", "hub --stack embedded", "cold --help", "storm --database-url postgres://x"] {
            assert!(!options(line).wants_servers(), "{line}");
        }
    }
}
