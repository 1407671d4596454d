//! A server for the tests on a free port, with its log in a file.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::process::{Demand, Interrupt, Process};

const ATTEMPTS: usize = 5;
const TIME_TO_START: Duration = Duration::from_secs(60);
const LINES_OF_LOG: usize = 15;

/// What both PostgreSQL and Redis write into their log once they serve.
const READY: &str = "eady to accept connections";

/// How one kind of server is started, known to be ready, and ended.
pub struct Recipe<'a> {
    pub name: &'static str,
    pub log: &'a Path,
    pub command: &'a dyn Fn(u16) -> Command,
    pub answers: &'a dyn Fn(u16) -> bool,
    pub demands: &'static [Demand],
}

/// A server that answers on 127.0.0.1; dropping it ends it.
pub struct Server {
    pub port: u16,
    _process: Process,
}

enum Start {
    Ready(Process),
    PortTaken,
}

impl Server {
    pub fn start(recipe: &Recipe, interrupt: &Interrupt) -> Result<Self> {
        // A port that was free a moment ago may be somebody else's by the time the server binds it.
        for _ in 0..ATTEMPTS {
            let port = free_port()?;
            if let Start::Ready(process) = attempt(recipe, port, interrupt)? {
                return Ok(Self { port, _process: process });
            }
        }
        Err(anyhow!("{} found no free port in {ATTEMPTS} attempts", recipe.name))
    }
}

fn attempt(recipe: &Recipe, port: u16, interrupt: &Interrupt) -> Result<Start> {
    let Recipe { name, log, command, answers, demands } = *recipe;
    let output = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut process = Process::start(command(port).stdout(output.try_clone()?).stderr(output), demands)?;
    let started = Instant::now();
    loop {
        // Its own word as well as the answer, which may come from another server that took the port.
        let is_ready = read(log).contains(READY) && answers(port);
        if let Some(status) = process.exited()? {
            let log = read(log);
            if log.contains("Address already in use") {
                return Ok(Start::PortTaken);
            }
            return Err(anyhow!("{name} did not start ({status}):\n{}", tail(&log)));
        }
        if is_ready {
            return Ok(Start::Ready(process));
        }
        if started.elapsed() > TIME_TO_START {
            let limit = TIME_TO_START.as_secs();
            return Err(anyhow!("{name} does not answer after {limit} seconds:\n{}", tail(&read(log))));
        }
        interrupt.pause()?;
    }
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

fn read(log: &Path) -> String {
    fs::read_to_string(log).unwrap_or_default()
}

/// The last lines of a log, for an error message.
pub fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let last = lines.iter().skip(lines.len().saturating_sub(LINES_OF_LOG));
    last.map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_taken_port_is_tried_again_with_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let attempts = Cell::new(0);
        let command = |_| {
            attempts.set(attempts.get() + 1);
            let taken = "echo 'bind: Address already in use' >&2; exit 1";
            let serves = "echo 'Ready to accept connections'; exec sleep 60";
            let mut command = Command::new("sh");
            command.args(["-c", if attempts.get() < 3 { taken } else { serves }]);
            command
        };
        let log = folder.path().join("log");
        let recipe = Recipe { name: "sh", log: &log, command: &command, answers: &|_| true, demands: &[] };
        let server = Server::start(&recipe, &Interrupt::default());
        assert!(server.is_ok());
        assert_eq!(attempts.get(), 3);
    }

    #[test]
    fn a_server_that_fails_shows_its_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let command = |_| {
            let mut command = Command::new("sh");
            command.args(["-c", "echo 'no such setting'; exit 3"]);
            command
        };
        let log = folder.path().join("log");
        let recipe = Recipe { name: "sh", log: &log, command: &command, answers: &|_| false, demands: &[] };
        let error = Server::start(&recipe, &Interrupt::default()).err().expect("no server");
        assert_eq!(error.to_string(), "sh did not start (exit status: 3):\n  no such setting");
    }

    #[test]
    fn only_the_end_of_a_log_is_shown() {
        let log: String = (1..=100).map(|line| format!("line {line}\n")).collect();
        assert_eq!(tail(&log).lines().count(), LINES_OF_LOG);
        assert!(tail(&log).starts_with("  line 86\n") && tail(&log).ends_with("  line 100"));
        assert_eq!(tail("one\n"), "  one");
    }
}
