//! The supergraph of the accounts graph and the subgraphs of the configuration.

use std::io::Write;
use std::process::ExitCode;

use crate::config::Config;
use crate::gateway::supergraph::subgraphs::Subgraphs;
use crate::{graph, tls};

/// Prints the supergraph that the configuration is composed to; fails with a line for each problem.
pub async fn compose(config: &Config) -> anyhow::Result<ExitCode> {
    tls::choose_library();
    config.gateway.check()?;
    let subgraphs = Subgraphs::new(graph::as_subgraph(&config.gateway), &config.gateway, None)?;
    match subgraphs.compose().await {
        Ok(composed) => {
            for hint in &composed.hints {
                writeln!(std::io::stderr(), "hint: {hint}")?;
            }
            super::print(format_args!("{}", composed.supergraph.trim_end()))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            for problem in problems.lines() {
                writeln!(std::io::stderr(), "{problem}")?;
            }
            Ok(ExitCode::FAILURE)
        }
    }
}
