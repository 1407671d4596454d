//! A PostgreSQL for tests and load runs: a new cluster in a temporary folder.

use std::cmp::Reverse;
use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::install::{is_root, output_of};
use crate::process::{self, Demand, Interrupt};
use crate::server::{Recipe, Server, tail};
use crate::workspace::find_on_path;

/// The server refuses to run as root; this is the user that Debian's package creates.
const USER: &str = "postgres";

/// SIGINT is its fast shutdown. SIGQUIT is the immediate one, in which it kills its children, which lead
/// sessions of their own, after five seconds.
const DEMANDS: &[Demand] = &[("INT", Duration::from_secs(10)), ("QUIT", Duration::from_secs(10))];

const SETTINGS: &[&str] = &[
    "listen_addresses=127.0.0.1",
    "max_connections=400",
    "shared_buffers=128MB",
    // In its own folder rather than in /dev/shm, which is small in containers and outlives a killed server.
    "dynamic_shared_memory_type=mmap",
];

/// Durability costs time, and a test's cluster need not survive a crash.
const FORGETFUL: &[&str] = &["fsync=off", "synchronous_commit=off", "full_page_writes=off"];

/// The folder with the newest server that is installed: Debian keeps them off PATH, one per version.
pub fn find_programs() -> Option<PathBuf> {
    let complete = |folder: &PathBuf| {
        ["postgres", "initdb", "pg_isready"].iter().all(|program| folder.join(program).is_file())
    };
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = newest_first(versions.filter_map(|entry| entry.file_name().into_string().ok()))
        .into_iter()
        .map(|version| Path::new("/usr/lib/postgresql").join(version).join("bin"));
    let elsewhere = find_on_path("postgres").and_then(|file| file.parent().map(Path::to_path_buf));
    debian.chain(elsewhere).find(complete)
}

fn newest_first(versions: impl Iterator<Item = String>) -> Vec<String> {
    let mut versions: Vec<String> = versions.collect();
    versions.sort_by_key(|version| {
        Reverse(version.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>())
    });
    versions
}

/// Starts one that forgets what it has in a crash of the machine.
pub fn start(programs: &Path, folder: &Path, interrupt: &Interrupt) -> Result<Server> {
    start_with(FORGETFUL, programs, folder, interrupt)
}

/// Starts one whose commits cost what they cost in production.
pub fn start_durable(programs: &Path, folder: &Path, interrupt: &Interrupt) -> Result<Server> {
    start_with(&[], programs, folder, interrupt)
}

fn start_with(more: &[&str], programs: &Path, folder: &Path, interrupt: &Interrupt) -> Result<Server> {
    let data = create_cluster(programs, folder, interrupt)?;
    let command = |port: u16| {
        let mut command = as_server_user(&programs.join("postgres"));
        command.current_dir(&data).arg("-D").arg(&data).args(["-p", &port.to_string()]);
        command.arg("-c").arg(format!("unix_socket_directories={}", data.display()));
        for setting in SETTINGS.iter().chain(more) {
            command.args(["-c", setting]);
        }
        command
    };
    let answers = |port: u16| {
        Command::new(programs.join("pg_isready"))
            .args(["-q", "-h", "127.0.0.1", "-U", "accounts", "-d", "postgres", "-t", "2"])
            .args(["-p", &port.to_string()])
            .stdin(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    let log = folder.join("postgres.log");
    Server::start(
        &Recipe { name: "PostgreSQL", log: &log, command: &command, answers: &answers, demands: DEMANDS },
        interrupt,
    )
}

fn create_cluster(programs: &Path, folder: &Path, interrupt: &Interrupt) -> Result<PathBuf> {
    let data = folder.join("postgres");
    fs::create_dir(&data)?;
    if is_root()? {
        let id = |flag| -> Result<u32> {
            let id = output_of(Command::new("id").args([flag, USER]));
            id.with_context(|| format!("as root, PostgreSQL needs the user `{USER}`"))?
                .parse()
                .context("`id` printed no number")
        };
        chown(&data, Some(id("-u")?), Some(id("-g")?))?;
    }
    let log = folder.join("initdb.log");
    let output = File::create(&log)?;
    let mut command = as_server_user(&programs.join("initdb"));
    command
        .args(["--username=accounts", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"])
        .arg("-D")
        .arg(&data)
        .current_dir(&data)
        .stdout(output.try_clone()?)
        .stderr(output);
    let status = process::run(&mut command, interrupt)?;
    ensure!(status.success(), "initdb failed:\n{}", tail(&fs::read_to_string(&log).unwrap_or_default()));
    Ok(data)
}

fn as_server_user(program: &Path) -> Command {
    let mut command = if is_root().unwrap_or(false) {
        // Unlike `su` it becomes the program, so that the process we hold is the server.
        let mut command = Command::new("setpriv");
        let user = [format!("--reuid={USER}"), format!("--regid={USER}")];
        command.args(user).args(["--init-groups", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    // The log is searched for a message.
    command.env("LC_ALL", "C.UTF-8");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let versions = ["9.6", "15", "17", "9.10"].map(String::from);
        assert_eq!(newest_first(versions.into_iter()), ["17", "15", "9.10", "9.6"]);
    }
}
