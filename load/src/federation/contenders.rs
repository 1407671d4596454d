//! The gateways of the federation run, each a process of its own over the same subgraphs.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::process::Command;

use super::Options;
use super::store::{HEAVY, NAMES, SUPERGRAPH};
use crate::apollo;
use crate::contender::Contender;
use crate::drive::{self, Target};
use crate::server::{Process, Ready, Start, free_address};

/// What may be done once for several who ask at the same time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shared {
    Nothing,
    SubgraphCalls,
    ClientQueries,
}

impl Shared {
    pub const ALL: [Self; 3] = [Self::Nothing, Self::SubgraphCalls, Self::ClientQueries];

    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing shared",
            Self::SubgraphCalls => "subgraph calls shared",
            Self::ClientQueries => "client queries shared",
        }
    }
}

/// Where everything of a run is.
pub struct Ground<'a> {
    pub options: &'a Options,
    pub folder: &'a Path,
    pub subgraphs: SocketAddr,
}

impl Ground<'_> {
    /// The supergraph, with the subgraphs where they are.
    pub fn supergraph(&self) -> anyhow::Result<PathBuf> {
        let mut text = SUPERGRAPH.to_owned();
        for name in NAMES {
            text =
                text.replace(&format!("http://{name}.test/"), &format!("http://{}/{name}", self.subgraphs));
        }
        let file = self.folder.join("supergraph.graphql");
        fs::write(&file, text)?;
        Ok(file)
    }

    pub async fn ours(&self, shared: Shared) -> anyhow::Result<Contender> {
        let address = free_address()?;
        let mut command = Command::new(&self.options.server);
        command.arg("gateway").arg("--supergraph").arg(self.supergraph()?);
        command.arg("--listen").arg(address.to_string());
        command.env("ACCOUNTS__GATEWAY__SUBGRAPH__SHARE", (shared != Shared::Nothing).to_string());
        command.env("ACCOUNTS__GATEWAY__SHARE_QUERIES", (shared == Shared::ClientQueries).to_string());
        let log = self.log(&format!("ours, {}", shared.name()));
        let start = Start { command, address, ready: Ready::Answers("/ready"), log: &log };
        contender(Process::start(start).await?, "/live").await
    }

    pub async fn hive(&self, program: &Path, shared: Shared) -> anyhow::Result<Contender> {
        let address = free_address()?;
        let config = serde_json::json!({
            "supergraph": { "source": "file", "path": self.supergraph()? },
            "http": { "host": address.ip().to_string(), "port": address.port() },
            "log": { "level": "error" },
            "traffic_shaping": {
                "all": { "dedupe_enabled": shared != Shared::Nothing },
                "router": { "dedupe": { "enabled": shared == Shared::ClientQueries } },
            },
        });
        let file = self.folder.join(format!("hive-{}.json", address.port()));
        fs::write(&file, config.to_string())?;
        let mut command = Command::new(program);
        command.env("ROUTER_CONFIG_FILE_PATH", file).current_dir(self.folder);
        let log = self.log(&format!("hive, {}", shared.name()));
        let start = Start { command, address, ready: Ready::Answers("/health"), log: &log };
        contender(Process::start(start).await?, "/health").await
    }

    /// `packages` is a copy of `load/peers` with its packages.
    pub async fn apollo(&self, packages: &Path) -> anyhow::Result<Contender> {
        let address = free_address()?;
        let command = apollo::gateway(packages, &self.supergraph()?, address);
        let log = self.log("apollo");
        let start = Start { command, address, ready: Ready::Answers("/live"), log: &log };
        contender(Process::start(start).await?, "/live").await
    }

    /// A reverse proxy to a constant of `answer`. Gives the constant, too.
    pub async fn limit(&self, answer: &[u8]) -> anyhow::Result<(Contender, Process)> {
        let (upstream, address) = (free_address()?, free_address()?);
        let body = self.folder.join("answer");
        fs::write(&body, answer)?;
        let own = std::env::current_exe()?;
        let mut command = Command::new(&own);
        command.arg("constant").arg("--listen").arg(upstream.to_string()).arg("--body").arg(body);
        command.arg("--content-type").arg("application/graphql-response+json");
        let log = self.log("constant");
        let start = Start { command, address: upstream, ready: Ready::Answers("/live"), log: &log };
        let constant = Process::start(start).await?;
        let mut command = Command::new(&own);
        command.arg("proxy").arg("--listen").arg(address.to_string());
        command.arg("--upstream").arg(upstream.to_string());
        let log = self.log("proxy");
        let start = Start { command, address, ready: Ready::Answers("/live"), log: &log };
        Ok((contender(Process::start(start).await?, "/live").await?, constant))
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }
}

pub fn target(address: SocketAddr) -> Target {
    let body = serde_json::json!({ "query": HEAVY }).to_string().into();
    Target { address, body, tokens: ["nobody".to_owned()].into() }
}

/// Takes a process whose first answer has no errors.
async fn contender(process: Process, probe: &'static str) -> anyhow::Result<Contender> {
    let target = target(process.address);
    let answer = drive::fetch(&target).await?;
    data(&answer.body)?;
    Ok(Contender::new(process, target, answer.body.len(), false).at(probe))
}

/// The data of an answer that has no errors.
pub fn data(answer: &[u8]) -> anyhow::Result<Value> {
    let mut answer: Value = serde_json::from_slice(answer).context("an answer that is no JSON")?;
    ensure!(answer.get("errors").is_none(), "an answer with errors: {}", answer["errors"]);
    Ok(answer["data"].take())
}
