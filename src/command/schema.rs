//! The schema: all of it, what a contract shows of it, and what a change of it would break.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use super::print;
use crate::gateway::contract::Contract;
use crate::gateway::supergraph::Supergraph;
use crate::graph;
use crate::schema_check::{self, Severity};

/// Prints the schema as SDL.
pub async fn print_schema(subgraph: bool, example: bool) -> anyhow::Result<()> {
    let sdl = match (subgraph, example) {
        (_, true) => example_instagram::sdl(),
        (true, false) => graph::subgraph_sdl(),
        (false, false) => graph::api_sdl(),
    };
    print(format_args!("{}", sdl.trim_end()))
}

/// Prints what clients see under a contract: of a supergraph in a file, or of the accounts graph.
pub async fn print_contract(supergraph: Option<&Path>, contract: &Contract) -> anyhow::Result<()> {
    let (api, tagged) = shown_of(supergraph)?;
    let sdl = contract.apply(&api, &tagged)?;
    print(format_args!("{}", sdl.trim_end()))
}

/// What clients see of a supergraph in a file, or of the accounts graph; and the schema with its directives.
fn shown_of(supergraph: Option<&Path>) -> anyhow::Result<(String, String)> {
    let Some(file) = supergraph else { return Ok((graph::api_sdl(), graph::subgraph_sdl())) };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the supergraph {}", file.display()))?;
    let supergraph =
        Supergraph::parse(&text).with_context(|| format!("{} cannot be served", file.display()))?;
    Ok((supergraph.planner.consumer_schema.document.to_string(), text))
}

/// Tells what would change for a client of the schema in `against` that comes to a supergraph in a file, or to the accounts graph,
/// and fails if that would break it.
pub async fn check_schema(against: &Path, supergraph: Option<&Path>) -> anyhow::Result<ExitCode> {
    let before =
        std::fs::read_to_string(against).with_context(|| format!("cannot read {}", against.display()))?;
    let changes = schema_check::compare(&before, &shown_of(supergraph)?.0)
        .with_context(|| format!("{} is no GraphQL schema", against.display()))?;
    for change in &changes {
        print(format_args!("{change}"))?;
    }
    let breaking = changes.iter().filter(|change| change.severity == Severity::Breaking).count();
    let dangerous = changes.iter().filter(|change| change.severity == Severity::Dangerous).count();
    print(format_args!(
        "{breaking} breaking, {dangerous} dangerous, {} safe",
        changes.len() - breaking - dangerous
    ))?;
    Ok(if breaking == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
