//! `cargo xtask test`: every test on both stacks, with servers that live as long as the run.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::process::Interrupt;
use crate::server::Server;
use crate::{install, node, planned, postgres, redis, suite, workspace};

#[derive(clap::Args)]
pub struct Options {
    /// Run only the tests with this in their name
    name: Option<String>,
    /// Fail rather than install a program that is missing
    #[arg(long)]
    skip_install: bool,
    /// Arguments for the test programs
    #[arg(last = true)]
    args: Vec<String>,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    let node_sources = workspace::root().join("tests/node");
    let with_node = node_sources.is_dir();

    let programs = prepare(with_node, options.skip_install, &interrupt)?;

    let mut environment = Vec::new();
    if with_node {
        let target = workspace::target_dir()?;
        let example = workspace::root().join("examples/whatsapp");
        for (variable, sources, name) in [
            ("ACCOUNTS_TEST_NODE_DIR", &node_sources, "node-tests"),
            ("ACCOUNTS_TEST_WHATSAPP_DIR", &example, "example-whatsapp"),
        ] {
            let folder = node::prepare(sources, target.join(name), &interrupt)?;
            environment.push((variable, folder.into_os_string()));
        }
    }
    let servers = Servers::start(&programs, &interrupt)?;
    environment.extend(servers.environment().map(|(name, url)| (name, url.into())));
    let cargo = |targets: &[&str], name: &[&str]| {
        let mut cargo = workspace::cargo();
        cargo.envs(environment.iter().cloned()).arg("test").args(targets);
        cargo.args(["--features", "accounts-center/failpoints", "--no-fail-fast"]).args(name).arg("--");
        cargo
    };
    let name: Vec<&str> = options.name.iter().map(String::as_str).collect();
    let args: Vec<&str> = options.args.iter().map(String::as_str).collect();
    let first = |args: &[&str]| {
        let name: &[&str] = if args.contains(&suite::EXACT) { &[] } else { &name };
        let mut cargo = cargo(&["--workspace"], name);
        cargo.args(args);
        cargo
    };
    let code = suite::run(first, &args, &interrupt)?;
    if code != ExitCode::SUCCESS {
        return Ok(code);
    }
    // Once more through the federation engine, as if each operation needed it.
    // Of the whole workspace, as before: by itself the package has other features, and would be built anew.
    let targets = ["--workspace", "--test", "it"];
    let listed = cargo(&targets, &name).args(&args).arg("--list").stderr(Stdio::inherit()).output();
    let listed = listed.context("the tests cannot be listed")?;
    ensure!(listed.status.success(), "the tests cannot be listed");
    let list = String::from_utf8(listed.stdout).context("a test has a name that is no UTF-8")?;
    let planned = planned::of_list(&list);
    if planned.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    // What skips any of them has done so in the list.
    let again = |args: &[&str]| {
        let mut cargo = cargo(&targets, &[]);
        cargo.args(args).env("ACCOUNTS_TEST_WAY", "planned");
        cargo
    };
    let mut args = args;
    if !args.contains(&suite::EXACT) {
        args.push(suite::EXACT);
    }
    args.extend(planned);
    suite::run(again, &args, &interrupt)
}

/// Installs what tests need and is missing, unless that is unwanted; gives PostgreSQL's programs.
pub fn prepare(with_node: bool, skip_install: bool, interrupt: &Interrupt) -> Result<PathBuf> {
    let missing = install::missing_packages(with_node);
    if !missing.is_empty() {
        if skip_install {
            bail!("missing, and not installed because of --skip-install: {}", missing.join(", "));
        }
        install::install(&missing, interrupt)?;
    }
    postgres::find_programs().context("no PostgreSQL server found")
}

/// The servers that tests need, in a folder that goes with them.
pub struct Servers {
    // In this order: the folder is removed after they have ended.
    postgres: Server,
    redis: Server,
    _folder: TempDir,
}

impl Servers {
    /// Starts PostgreSQL from `programs`, and Redis.
    pub fn start(programs: &Path, interrupt: &Interrupt) -> Result<Self> {
        Self::start_with(postgres::start, programs, interrupt)
    }

    /// The same with a PostgreSQL that is as careful as in production.
    pub fn start_durable(programs: &Path, interrupt: &Interrupt) -> Result<Self> {
        Self::start_with(postgres::start_durable, programs, interrupt)
    }

    fn start_with(
        start_postgres: fn(&Path, &Path, &Interrupt) -> Result<Server>,
        programs: &Path,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("accounts-center-test-")
            .tempdir()
            .context("cannot create a temporary folder")?;
        // The user `postgres` has to enter it, whatever the umask.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let postgres = start_postgres(programs, folder.path(), interrupt)?;
        let redis = redis::start(folder.path(), interrupt)?;
        Ok(Self { postgres, redis, _folder: folder })
    }

    /// Where they are, for the tests.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        let [postgres, redis] = self.urls();
        [("ACCOUNTS_TEST_POSTGRES_URL", postgres), ("ACCOUNTS_TEST_REDIS_URL", redis)]
    }

    /// Where PostgreSQL and Redis are.
    pub fn urls(&self) -> [String; 2] {
        let postgres = format!("postgres://accounts@127.0.0.1:{}/postgres", self.postgres.port);
        [postgres, format!("redis://127.0.0.1:{}/", self.redis.port)]
    }
}
