//! The processes under measurement: started on a free port, read through `/proc`, stopped by signal.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// `USER_HZ`, the unit of times in `/proc/PID/stat`: 100 in the ABI of every architecture we build for.
const TICKS_PER_SECOND: u64 = 100;

/// What every run needs to know about the server.
#[derive(clap::Args)]
pub struct ServerOptions {
    /// The accounts-center binary, built with --release
    #[arg(long, value_name = "PATH")]
    server: PathBuf,
    /// PostgreSQL instead of SQLite in a temporary folder; use an empty database
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Redis instead of the in-process bus
    #[arg(long, value_name = "URL")]
    redis_url: Option<String>,
    /// Seconds after which the run gives up
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    time_limit: u64,
}

impl ServerOptions {
    /// The stack behind the server, for the report.
    pub fn stack(&self) -> &'static str {
        match (&self.database_url, &self.redis_url) {
            (None, None) => "SQLite, in-process bus",
            (Some(_), None) => "PostgreSQL, in-process bus",
            (None, Some(_)) => "SQLite, Redis",
            (Some(_), Some(_)) => "PostgreSQL, Redis",
        }
    }

    /// The PostgreSQL that the run is on; there has to be one.
    pub fn postgres(&self) -> anyhow::Result<&str> {
        match (&self.database_url, &self.redis_url) {
            (Some(url), Some(_)) => Ok(url),
            _ => bail!("this run needs --database-url (an empty database) and --redis-url"),
        }
    }

    /// Starts the server with its data in `folder` and waits until it is ready.
    pub async fn start(&self, folder: &Path) -> anyhow::Result<Process> {
        self.start_arguing(folder, &[]).await
    }

    /// The same with more arguments.
    pub async fn start_arguing(&self, folder: &Path, arguments: &[&str]) -> anyhow::Result<Process> {
        let address = free_address()?;
        let mut command = self.command(folder);
        command.arg("serve").arg("--listen").arg(address.to_string()).args(arguments);
        self.bounded(Process::start(command, address, &folder.join("server.log"))).await
    }

    /// Starts a worker behind `server`, which has the sandbox, and waits until it runs. Its output goes to `log`.
    pub async fn start_worker(
        &self,
        folder: &Path,
        server: &Process,
        environment: &[(&str, &str)],
        log: &Path,
    ) -> anyhow::Result<Process> {
        let mut command = self.command(folder);
        command.arg("worker").env("ACCOUNTS__SANDBOX__URL", format!("http://{}", server.address));
        command.envs(environment.iter().copied());
        self.bounded(Process::start_worker(command, log)).await
    }

    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.server);
        command.env("ACCOUNTS__DATA__DIR", folder.join("data"));
        // Other settings pass through from the environment. These two do not: a run fills its
        // database with accounts, and must not find somebody's own one by accident.
        for (key, url) in
            [("ACCOUNTS__DATABASE__URL", &self.database_url), ("ACCOUNTS__REDIS__URL", &self.redis_url)]
        {
            match url {
                Some(url) => command.env(key, url),
                None => command.env_remove(key),
            };
        }
        command
    }

    /// Drives `run` to its end, to the time limit or to a signal, whichever comes first.
    pub async fn bounded<T>(&self, run: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            outcome = run => outcome,
            () = sleep(Duration::from_secs(self.time_limit)) => {
                Err(anyhow!("not done within the time limit of {} s", self.time_limit))
            }
            _ = tokio::signal::ctrl_c() => Err(anyhow!("interrupted")),
            _ = terminate.recv() => Err(anyhow!("terminated")),
        }
    }
}

/// A running server process. Dropping it kills the process; `stop` lets it drain.
pub struct Process {
    child: Child,
    pid: u32,
    pub address: SocketAddr,
    log: PathBuf,
}

impl Process {
    /// Runs `command` with its output in the file `log`, and waits until `GET /ready` answers 200.
    pub async fn start(command: Command, address: SocketAddr, log: &Path) -> anyhow::Result<Self> {
        let url = format!("http://{address}/ready");
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
        let is_ready = async || http.get(&url).send().await.is_ok_and(|answer| answer.status() == 200);
        Self::spawn(command, address, log)?.once(is_ready).await
    }

    /// Runs `command`, which serves nothing, and waits until it says that it works.
    async fn start_worker(command: Command, log: &Path) -> anyhow::Result<Self> {
        let works = async || fs::read_to_string(log).is_ok_and(|text| text.contains("Worker runs;"));
        Self::spawn(command, (Ipv4Addr::UNSPECIFIED, 0).into(), log)?.once(works).await
    }

    fn spawn(mut command: Command, address: SocketAddr, log: &Path) -> anyhow::Result<Self> {
        let output = fs::File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", command.as_std().get_program().display()))?;
        let pid = child.id().context("the process has no id")?;
        Ok(Self { child, pid, address, log: log.to_owned() })
    }

    /// The same process once it is ready. Shows its log if it does not get there.
    async fn once(mut self, is_ready: impl AsyncFn() -> bool) -> anyhow::Result<Self> {
        if let Err(error) = self.wait_until(is_ready).await {
            self.show_log();
            return Err(error);
        }
        Ok(self)
    }

    async fn wait_until(&mut self, is_ready: impl AsyncFn() -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("a process ended before it was ready: {status}");
            }
            if is_ready().await {
                return Ok(());
            }
            sleep(Duration::from_millis(20)).await;
        }
        bail!("a process is not ready after {} s", START_LIMIT.as_secs())
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

    /// Writes the end of the process's output to stderr; its file goes away with the run.
    pub fn show_log(&self) {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        for line in &lines[lines.len().saturating_sub(20)..] {
            eprintln!("| {line}");
        }
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
