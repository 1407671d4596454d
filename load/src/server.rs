//! The processes under measurement: started on a free port, read through `/proc`, stopped by signal.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// `USER_HZ`, the unit of times in `/proc/PID/stat`: 100 in the ABI of every architecture we build for.
const TICKS_PER_SECOND: u64 = 100;

/// A running server process. Dropping it kills the process; `stop` lets it drain.
pub struct Process {
    child: Child,
    pid: u32,
    pub address: SocketAddr,
}

/// How a process is started, and known to be ready.
pub struct Start<'a> {
    pub command: Command,
    /// Where it will listen, if it does.
    pub address: SocketAddr,
    pub ready: Ready<'a>,
    /// Where its output goes.
    pub log: &'a Path,
}

#[derive(Clone, Copy)]
pub enum Ready<'a> {
    /// This path answers 200, and not `degraded`: a replica that does not hear the bus yet trusts no cache.
    Answers(&'a str),
    /// These words are in its output.
    Says(&'a str),
}

impl Process {
    /// Runs the command and waits until it is ready.
    pub async fn start(start: Start<'_>) -> anyhow::Result<Self> {
        let Start { mut command, address, ready, log } = start;
        let program = command.as_std().get_program().display().to_string();
        let output = fs::File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let pid = child.id().context("the process has no id")?;
        let mut process = Self { child, pid, address };
        match ready {
            Ready::Answers(path) => {
                let url = format!("http://{address}{path}");
                let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
                process.wait_until(async || answers(&http, &url).await).await.context(program)?;
            }
            Ready::Says(words) => {
                let says = async || fs::read_to_string(log).is_ok_and(|text| text.contains(words));
                process.wait_until(says).await.context(program)?;
            }
        }
        Ok(process)
    }

    async fn wait_until(&mut self, is_ready: impl AsyncFn() -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("ended before it was ready: {status}");
            }
            if is_ready().await {
                return Ok(());
            }
            sleep(Duration::from_millis(20)).await;
        }
        bail!("not ready after {} s", START_LIMIT.as_secs())
    }

    /// Asks the process to end with SIGTERM and waits for it; kills it when it takes too long.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        // Until it is waited for, the id of a child is not given to another process.
        if self.child.try_wait()?.is_none() {
            Command::new("kill").arg("-TERM").arg(self.pid.to_string()).status().await?;
            if timeout(STOP_LIMIT, self.child.wait()).await.is_err() {
                self.child.kill().await?;
                bail!("the server did not end within {} s of SIGTERM", STOP_LIMIT.as_secs());
            }
        }
        Ok(())
    }

    /// CPU time of all threads so far, in user and kernel mode, to 10 ms.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let ticks = cpu_ticks(&stat).context("/proc/PID/stat has an unknown form")?;
        Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB")?.trim().parse().ok())
            .context("/proc/PID/status has no VmRSS")
    }

    /// How many file descriptors are open.
    pub fn descriptors(&self) -> anyhow::Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.pid))?.count())
    }
}

async fn answers(http: &reqwest::Client, url: &str) -> bool {
    match http.get(url).send().await {
        Ok(answer) if answer.status() == 200 => {
            answer.text().await.is_ok_and(|text| !text.contains("degraded"))
        }
        _ => false,
    }
}

/// An address of the loopback that was free a moment ago.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The soft limit of open files of this process, which the server inherits.
pub fn open_files_limit() -> anyhow::Result<u64> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let soft = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next())
        .context("/proc/self/limits has no line for open files")?;
    Ok(if soft == "unlimited" { u64::MAX } else { soft.parse()? })
}

/// `utime + stime` of a `/proc/PID/stat`: fields 14 and 15, counted behind the name in parentheses,
/// which may itself contain blanks (proc_pid_stat(5)).
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut times = behind_name.split_whitespace().skip(11);
    Some(times.next()?.parse::<u64>().ok()? + times.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn cpu_ticks_are_found_behind_a_name_with_blanks_and_parentheses() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 31 0 0 20 0 3 0 99 1 2";
        assert_eq!(super::cpu_ticks(stat), Some(281));
    }
}
