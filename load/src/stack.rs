//! What a run measures against: servers on one stack, and the sandbox behind them as a process of its own.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::client::Api;
use crate::phones::Phones;
use crate::server::{Process, Ready, Start, free_address};

/// A server that resolves every answer.
pub const WITHOUT_ANSWER_CACHE: Setting<'_> = ("ACCOUNTS__GRAPH__ANSWER_BYTES", "0");
/// The longest that the server allows: tokens outlive the run.
const LONG_TOKENS: Setting<'_> = ("ACCOUNTS__SESSIONS__ACCESS_TOKEN_MINUTES", "1440");

/// The example subgraph is no part of what is measured.
const WITHOUT_EXAMPLE: Setting<'_> = ("ACCOUNTS__DEMO__SUBGRAPH", "false");

/// A run is one address, and in a hurry.
const WITHOUT_LIMITS: [Setting<'_>; 9] = [
    ("ACCOUNTS__LIMITS__STARTS_PER_ADDRESS", "1000000"),
    ("ACCOUNTS__LIMITS__STARTS_PER_ACCOUNT", "1000000"),
    ("ACCOUNTS__LIMITS__SUBMISSIONS_PER_ADDRESS", "1000000"),
    ("ACCOUNTS__LIMITS__SUBMISSIONS_PER_ACCOUNT", "1000000"),
    ("ACCOUNTS__LIMITS__SOCKETS_PER_ADDRESS", "1000000"),
    ("ACCOUNTS__LIMITS__SUBSCRIPTIONS_PER_ADDRESS", "1000000"),
    ("ACCOUNTS__LIMITS__SOCKETS_PER_ACCOUNT", "1000000"),
    ("ACCOUNTS__VERIFICATION__CODES_PER_HANDLE", "10000"),
    ("ACCOUNTS__VERIFICATION__PENDING_PER_ACCOUNT", "10000"),
];

/// An environment variable of the server.
pub type Setting<'a> = (&'a str, &'a str);

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// SQLite in a temporary folder, and an in-process bus
    Embedded,
    /// PostgreSQL and Redis, which `cargo xtask load` starts
    Production,
}

/// What every run needs to know about the server.
#[derive(clap::Args)]
pub struct ServerOptions {
    /// The accounts-center binary, built with --release
    #[arg(long, value_name = "PATH")]
    server: PathBuf,
    /// What is behind the server
    #[arg(long, value_enum, default_value_t = Kind::Embedded)]
    stack: Kind,
    /// An empty database of a PostgreSQL, for the production stack
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// A Redis, for the production stack
    #[arg(long, value_name = "URL")]
    redis_url: Option<String>,
    /// Seconds after which the run gives up
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    time_limit: u64,
}

impl ServerOptions {
    /// The stack behind the server, for the report.
    pub fn stack(&self) -> &'static str {
        match self.stack {
            Kind::Embedded => "SQLite, in-process bus",
            Kind::Production => "PostgreSQL, Redis",
        }
    }

    /// The PostgreSQL of the production stack; refuses the embedded one, in which one process has everything.
    pub fn postgres(&self) -> anyhow::Result<&str> {
        match (self.stack, &self.database_url) {
            (Kind::Production, Some(url)) => Ok(url),
            _ => bail!("this run is about PostgreSQL and Redis: --stack production"),
        }
    }

    /// Starts the sandbox, drives `work` to its end, to the time limit or to a signal, whichever comes first, and
    /// ends what is left. Where it fails it shows what the servers said.
    pub async fn run<T>(&self, work: impl AsyncFnOnce(&Stack<'_>) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let given = self.database_url.is_some() && self.redis_url.is_some();
        let none = self.database_url.is_none() && self.redis_url.is_none();
        match self.stack {
            Kind::Production if !given => bail!("`--stack production` takes --database-url and --redis-url"),
            Kind::Embedded if !none => bail!("--database-url and --redis-url go with `--stack production`"),
            _ => {}
        }
        let folder = TempDir::new()?;
        let whole = async {
            let stack = Stack::start(self, folder.path()).await?;
            let done = work(&stack).await?;
            stack.sandbox.stop().await?;
            Ok(done)
        };
        let outcome = bounded(self.time_limit, Box::pin(whole)).await;
        if outcome.is_err() {
            show_logs(folder.path());
        }
        outcome
    }
}

/// Drives a run to its end, to the limit of seconds or to a signal, whichever comes first.
pub async fn bounded<T>(limit: u64, run: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        outcome = run => outcome,
        () = sleep(Duration::from_secs(limit)) => Err(anyhow!("not done within the time limit of {limit} s")),
        _ = tokio::signal::ctrl_c() => Err(anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow!("terminated")),
    }
}

pub struct Stack<'a> {
    options: &'a ServerOptions,
    /// For data and logs.
    pub folder: &'a Path,
    sandbox: Process,
    phones: Arc<Phones>,
}

impl<'a> Stack<'a> {
    async fn start(options: &'a ServerOptions, folder: &'a Path) -> anyhow::Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(&options.server);
        command.arg("sandbox").arg("--listen").arg(address.to_string());
        command.arg("--data").arg(folder.join("sandbox"));
        let log = folder.join("sandbox.log");
        let start = Start { command, address, ready: Ready::Answers("/sandbox/clock"), log: &log };
        let sandbox = Process::start(start).await?;
        let phones = Arc::new(Phones::new(address)?);
        Ok(Self { options, folder, sandbox, phones })
    }

    /// Starts a server and waits until it is ready. One of the same name has the same data on the embedded stack;
    /// on the production stack all have.
    pub async fn server(&self, name: &str, settings: &[Setting<'_>]) -> anyhow::Result<Process> {
        self.serve(name, &[], settings).await
    }

    /// The same without a worker: what it asks the database is for the requests that it got.
    pub async fn idle_server(&self, name: &str, settings: &[Setting<'_>]) -> anyhow::Result<Process> {
        self.serve(name, &["--without", "worker"], settings).await
    }

    async fn serve(
        &self,
        name: &str,
        arguments: &[&str],
        settings: &[Setting<'_>],
    ) -> anyhow::Result<Process> {
        let address = free_address()?;
        let mut command = self.command(name, "serve", settings);
        command.arg("--listen").arg(address.to_string()).args(arguments);
        Process::start(Start { command, address, ready: Ready::Answers("/ready"), log: &self.log(name) })
            .await
    }

    /// Starts a gateway of its own and waits until it is ready.
    pub async fn gateway(&self, name: &str, settings: &[Setting<'_>]) -> anyhow::Result<Process> {
        let address = free_address()?;
        let mut command = self.command(name, "gateway", settings);
        command.arg("--listen").arg(address.to_string());
        Process::start(Start { command, address, ready: Ready::Answers("/ready"), log: &self.log(name) })
            .await
    }

    /// What a router shows to the server of this name.
    pub async fn router_token(&self, name: &str) -> anyhow::Result<String> {
        let mut command = self.command(name, "token", &[]);
        command.args(["--router", "load", "--days", "1"]).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.context("cannot start `accounts-center token`")?;
        ensure!(
            output.status.success(),
            "`accounts-center token` failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// The supergraph of these settings.
    pub async fn supergraph(&self, settings: &[Setting<'_>]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.options.server);
        command.args(["schema", "compose"]).envs(settings.iter().copied());
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
        ensure!(
            output.status.success(),
            "`accounts-center schema compose` failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Starts a worker and waits until it runs.
    pub async fn worker(&self, name: &str, settings: &[Setting<'_>]) -> anyhow::Result<Process> {
        let command = self.command(name, "worker", settings);
        let nowhere = (Ipv4Addr::UNSPECIFIED, 0).into();
        let ready = Ready::Says("Worker runs;");
        Process::start(Start { command, address: nowhere, ready, log: &self.log(name) }).await
    }

    /// The output of the server or worker of this name.
    pub fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// Fills the database with generated accounts, so that its tables are not small. Nobody can sign in to these.
    pub async fn seed(&self, name: &str, accounts: usize) -> anyhow::Result<()> {
        let mut command = self.command(name, "seed", &[]);
        command.arg("--accounts").arg(accounts.to_string()).arg("--seed").arg("1");
        command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let status = command.status().await.context("cannot start `accounts-center seed`")?;
        ensure!(status.success(), "`accounts-center seed` failed");
        Ok(())
    }

    /// Talks to `server`.
    pub fn api(&self, server: &Process) -> anyhow::Result<Api> {
        Api::new(server.address, self.phones.clone())
    }

    fn command(&self, name: &str, subcommand: &str, settings: &[Setting<'_>]) -> Command {
        let mut command = Command::new(&self.options.server);
        command.arg(subcommand).arg("--data").arg(self.folder.join(name));
        // Other settings pass through from the environment. These two do not: a run fills its
        // database with accounts, and must not find somebody's own one by accident.
        for (key, url) in [
            ("ACCOUNTS__DATABASE__URL", &self.options.database_url),
            ("ACCOUNTS__REDIS__URL", &self.options.redis_url),
        ] {
            match url {
                Some(url) => command.env(key, url),
                None => command.env_remove(key),
            };
        }
        command.env("ACCOUNTS__SANDBOX__URL", format!("http://{}", self.sandbox.address));
        command.envs([LONG_TOKENS, WITHOUT_EXAMPLE]).envs(WITHOUT_LIMITS).envs(settings.iter().copied());
        command
    }
}

/// Writes the end of each process's output to stderr; the files go away with the run.
pub fn show_logs(folder: &Path) {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    for log in files.filter(|file| file.extension().is_some_and(|extension| extension == "log")) {
        let text = fs::read(&log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let name = log.file_stem().unwrap_or_default().to_string_lossy();
        for line in &lines[lines.len().saturating_sub(20)..] {
            eprintln!("{name} | {line}");
        }
    }
}
