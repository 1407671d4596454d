//! `@apollo/gateway` as a peer.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::process::Command;

#[derive(clap::Args)]
pub struct ApolloOptions {
    /// A copy of load/peers in which `npm ci` was run, with `@apollo/gateway` as a peer
    #[arg(long = "apollo", value_name = "DIR")]
    pub packages: Option<PathBuf>,
}

/// What starts it over a supergraph; it answers `/live` once it is there.
pub fn gateway(packages: &Path, supergraph: &Path, address: SocketAddr) -> Command {
    let mut command = Command::new("node");
    command.arg(packages.join("apollo-gateway.mjs")).arg(supergraph).arg(address.port().to_string());
    command.env("NODE_ENV", "production");
    command
}
