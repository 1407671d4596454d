//! `cargo xtask load`: client and server are built for release and run as separate processes.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::workspace;

#[derive(clap::Args)]
pub struct Options {
    /// The measurement, as in `hub` or `sockets`
    name: String,
    /// Arguments for it
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let status = workspace::cargo()
        .args(["build", "--release", "-p", "accounts-center", "-p", "load"])
        .status()
        .context("cargo cannot be started")?;
    ensure!(status.success(), "the release build failed");

    let programs = workspace::target_dir()?.join("release");
    let client = programs.join("load");
    // It takes our place, and with it signals and the exit code.
    let error = Command::new(&client)
        .arg(&options.name)
        .args(&options.args)
        .arg("--server")
        .arg(programs.join("accounts-center"))
        .exec();
    Err(error).with_context(|| format!("cannot start {}", client.display()))
}
