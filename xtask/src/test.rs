//! `cargo xtask test`: every test on both stacks, with servers that live as long as the run.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::process::{self, Interrupt};
use crate::{install, node, postgres, redis, workspace};

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

    let missing = install::missing_packages(with_node);
    if !missing.is_empty() {
        if options.skip_install {
            bail!("missing, and not installed because of --skip-install: {}", missing.join(", "));
        }
        install::install(&missing, &interrupt)?;
    }
    let programs = postgres::find_programs().context("no PostgreSQL server found")?;

    let mut cargo = workspace::cargo();
    if with_node {
        let folder = node::prepare(&node_sources, &workspace::target_dir()?, &interrupt)?;
        cargo.env("ACCOUNTS_TEST_NODE_DIR", folder);
    }

    // Declared before the servers, and so removed after they have ended.
    let folder = tempfile::Builder::new()
        .prefix("accounts-center-test-")
        .tempdir()
        .context("cannot create a temporary folder")?;
    // The user `postgres` has to enter it, whatever the umask.
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    let postgres = postgres::start(&programs, folder.path(), &interrupt)?;
    let redis = redis::start(folder.path(), &interrupt)?;
    let postgres_url = format!("postgres://accounts@127.0.0.1:{}/postgres", postgres.port);
    let redis_url = format!("redis://127.0.0.1:{}/", redis.port);

    cargo
        .args(["test", "--workspace", "--features", "accounts-center/failpoints"])
        .args(&options.name)
        .arg("--")
        .args(&options.args)
        .env("ACCOUNTS_TEST_POSTGRES_URL", postgres_url)
        .env("ACCOUNTS_TEST_REDIS_URL", redis_url);
    let status = process::run(&mut cargo, &interrupt)?;
    Ok(process::exit_code(status))
}
