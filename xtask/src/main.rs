//! The tasks of this workspace, run as `cargo xtask TASK`.
#![expect(clippy::print_stderr, reason = "a task talks to whoever runs it")]

mod install;
mod load;
mod node;
mod planned;
mod postgres;
mod process;
mod redis;
mod schema;
mod server;
mod soak;
mod suite;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The tasks of this workspace")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run every test on both stacks, on a PostgreSQL and a Redis of its own
    Test(test::Options),
    /// Write the schema snapshots in `schema/`
    Schema(schema::Options),
    /// Build for release and run one load measurement
    Load(load::Options),
    /// Build for release and check histories of many clients amid faults, for as long as wanted
    Soak(soak::Options),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Test(options) => test::run(&options),
        Task::Schema(options) => schema::run(&options),
        Task::Load(options) => load::run(&options),
        Task::Soak(options) => soak::run(&options),
    };
    match outcome {
        Ok(code) => code,
        Err(error) if error.is::<process::Interrupted>() => {
            eprintln!("error: {error}");
            ExitCode::from(process::INTERRUPTED)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
