//! The supergraph of the accounts graph and the subgraphs of the configuration.

use std::io::Write;
use std::process::ExitCode;

use crate::config::Config;
use crate::gateway::compose::SubgraphSdl;
use crate::gateway::supergraph::subgraphs::Subgraphs;
use crate::{graph, tls};

/// What the accounts graph is called among subgraphs.
const ACCOUNTS: &str = "accounts";

/// The accounts graph as a subgraph, where it is.
pub fn accounts(config: &Config) -> SubgraphSdl {
    let url = config.gateway.subgraphs.get(ACCOUNTS).and_then(|own| own.url.clone()).unwrap_or_default();
    SubgraphSdl { name: ACCOUNTS.to_owned(), url, sdl: graph::subgraph_sdl() }
}

/// Prints the supergraph that the configuration is composed to; fails with a line for each problem.
pub async fn compose(config: &Config) -> anyhow::Result<ExitCode> {
    tls::choose_library();
    config.gateway.check()?;
    let subgraphs = Subgraphs::new(accounts(config), &config.gateway, None)?;
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
