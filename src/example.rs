//! The example subgraph of development mode: a platform team's, on a port of its own, over real HTTP.

use std::net::SocketAddr;

use anyhow::Context;
use example_instagram::{Issuer, Verifier};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Config;
use crate::gateway::settings::Differences;

/// What it is called, and which platform it is of.
const NAME: &str = "instagram";

/// An example that is listened for, and not served yet.
pub struct Example {
    listener: TcpListener,
    pub address: SocketAddr,
    verifier: Verifier,
}

impl Example {
    /// Takes a port for it and adds it to the subgraphs of `config`, where one is wanted: in development mode, unless the
    /// operator has a subgraph of that name or a supergraph that is ready. `ours` is where this process serves.
    pub async fn add(config: &mut Config, ours: SocketAddr, clock: &Clock) -> anyhow::Result<Option<Self>> {
        let is_wanted = config.is_development() && config.demo.enabled && config.demo.subgraph;
        let gateway = &mut config.gateway;
        if !is_wanted || !gateway.supergraph.is_empty() || gateway.subgraphs.contains_key(NAME) {
            return Ok(None);
        }
        let listener = TcpListener::bind((ours.ip(), 0)).await;
        let listener = listener.context("there is no port for the example subgraph")?;
        let address = listener.local_addr()?;
        let from = Issuer {
            jwks_url: format!("http://{ours}/.well-known/jwks.json"),
            issuer: config.sessions.issuer.clone(),
            audience: NAME.to_owned(),
        };
        let clock = clock.clone();
        let verifier = Verifier::new(from, move || clock.now().timestamp())?;
        let differences = Differences {
            url: Some(format!("http://{address}/graphql")),
            platforms: Some(vec![NAME.to_owned()]),
            ..Differences::default()
        };
        gateway.subgraphs.insert(NAME.to_owned(), differences);
        Ok(Some(Self { listener, address, verifier }))
    }

    /// Serves until told to stop.
    pub async fn serve(self, stop: CancellationToken) {
        if let Err(error) = example_instagram::serve(self.listener, stop, self.verifier).await {
            tracing::warn!(%error, "the example subgraph has ended");
        }
    }
}
