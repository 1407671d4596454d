//! The federations of `tests/federation/`: a subgraph over HTTP for each of their schemas, the gateway in front of them as
//! a process, and one server that has everything, to compare with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use accounts_center::gateway::overrides::Overrides;
use accounts_center::gateway::plan::{self, normal::normalize};
use accounts_center::gateway::supergraph::Supergraph;
use hive_router_query_planner::utils::cancellation::CancellationToken;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{ChildStderr, Command};

use super::order::Orders;
use super::rows::Rows;
use super::shop::GatewayProcess;
use super::subgraph::Subgraph;
use super::types::Types;
use crate::support::announced_url;

/// The folder of all federations.
fn place(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/federation").join(name)
}

/// The schemas of a federation's subgraphs.
pub fn schemas(name: &str) -> Vec<(String, String)> {
    let schemas = std::fs::read_dir(place(name)).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        let subgraph = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (subgraph, std::fs::read_to_string(&path).unwrap())
    });
    schemas.collect()
}

pub struct Federation {
    pub subgraphs: BTreeMap<String, Subgraph>,
    pub types: Arc<Types>,
    /// One server with everything.
    whole: Rows,
    text: String,
    folder: TempDir,
}

/// A gateway in front of a federation.
pub struct Front {
    pub gateway: GatewayProcess,
    pub federation: Federation,
}

impl Federation {
    /// Subgraphs that all know the same rows, each of them what its schema has of them.
    pub async fn new(name: &str, rows: Rows) -> Self {
        Self::with(name, rows.clone(), |_| rows.clone()).await
    }

    /// Subgraphs of rows of their own.
    pub async fn with(name: &str, whole: Rows, of: impl Fn(&str) -> Rows) -> Self {
        Self::minding(name, whole, (false, of)).await
    }

    /// With subgraphs that mind nulls, or that answer them where their schema has none.
    pub async fn minding(name: &str, whole: Rows, behaviour: (bool, impl Fn(&str) -> Rows)) -> Self {
        let text = std::fs::read_to_string(place(&format!("{name}.graphql"))).unwrap();
        Self::of((text, schemas(name)), whole, behaviour).await
    }

    /// Of a supergraph and the schemas of its subgraphs.
    pub async fn of(
        (mut text, schemas): (String, Vec<(String, String)>),
        whole: Rows,
        (minds, of): (bool, impl Fn(&str) -> Rows),
    ) -> Self {
        let types = Arc::new(Types::of(&text));
        let mut subgraphs = BTreeMap::new();
        for (subgraph, schema) in schemas {
            let rows = of(&subgraph).within(Arc::new(Types::of(&schema)), types.clone(), minds);
            let served = Subgraph::start(rows).await;
            text = text.replace(&format!("http://{subgraph}.test/"), &served.url);
            subgraphs.insert(subgraph, served);
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("supergraph.graphql"), &text).unwrap();
        Self { subgraphs, whole: whole.unfederated(types.clone()), types, text, folder }
    }

    /// The command that starts the gateway, with more settings of it and of its environment.
    pub fn command(&self, settings: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_accounts-center"));
        command.arg("gateway").arg("--supergraph").arg(self.folder.path().join("supergraph.graphql"));
        command.args(["--listen", "127.0.0.1:0"]);
        // However busy the machine is.
        command.env("ACCOUNTS__GATEWAY__PLANS__MILLISECONDS", "20000");
        command.envs(settings.iter().map(|(name, value)| (format!("ACCOUNTS__GATEWAY__{name}"), *value)));
        command.stdout(Stdio::piped()).kill_on_drop(true);
        command
    }

    pub async fn front(self, settings: &[(&str, &str)]) -> Front {
        let command = self.command(settings);
        self.behind(command).await.0
    }

    /// A gateway as a command starts it, with what it says on standard error if that is piped.
    pub async fn behind(self, mut command: Command) -> (Front, Option<ChildStderr>) {
        let mut child = command.spawn().unwrap();
        let url = announced_url(&mut child).await;
        let stderr = child.stderr.take();
        (Front { gateway: GatewayProcess::new(url, child), federation: self }, stderr)
    }

    /// The plan of an operation, each line without its margin.
    pub fn plan(&self, query: &str) -> String {
        let supergraph = Supergraph::parse(&self.text).unwrap();
        let token = CancellationToken::new();
        let plan = normalize(&supergraph, (query, None, &[]), 10_000, &token)
            .and_then(|normal| plan::make(&supergraph, normal, Overrides::default().context(), &token));
        trimmed(&plan.unwrap_or_else(|refusal| panic!("{:?}", refusal.0)).tree.to_string())
    }
}

/// Lines without margins, so that a plan may be indented as it fits.
fn trimmed(text: &str) -> String {
    text.trim_end()
        .trim_end_matches(',')
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

impl Front {
    pub async fn new(name: &str, rows: Rows) -> Self {
        Federation::new(name, rows).await.front(&[]).await
    }

    /// The operation has this plan.
    #[track_caller]
    pub fn planned(&self, query: &str, plan: &str) -> &Self {
        let made = self.federation.plan(query);
        assert!(made == trimmed(plan), "the plan of {query} is\n@@@\n{made}\n@@@");
        self
    }

    /// The operation is answered without errors and as without a federation, and calls each subgraph so often. Gives
    /// the data.
    pub async fn answered(&self, query: &str, calls: &[(&str, usize)]) -> Value {
        self.answered_with(query, &json!({}), calls).await
    }

    pub async fn answered_with(&self, query: &str, variables: &Value, calls: &[(&str, usize)]) -> Value {
        self.clear();
        let request = json!({ "query": query, "variables": variables });
        let text = self.gateway.send_for_text(&request, &[]).await;
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        assert!(answer.get("errors").is_none(), "{query}: {answer:#}");
        let (unfederated, orders) = self.federation.whole.answer_in_order(query, variables);
        assert_eq!(answer["data"], unfederated["data"], "{query}");
        let wanted = orders.text(&unfederated["data"]);
        assert_eq!(text, format!("{{\"data\":{wanted}}}"), "{query}: the order");
        assert_eq!(self.calls(), owned(calls), "{query}");
        answer["data"].take()
    }

    /// What one server with everything answers.
    pub fn unfederated(&self, query: &str, variables: &Value) -> Value {
        self.federation.whole.answer(query, variables)
    }

    /// The same, with the order of keys.
    pub fn unfederated_in_order(&self, query: &str, variables: &Value) -> (Value, Orders) {
        self.federation.whole.answer_in_order(query, variables)
    }

    /// How often each subgraph was called since this was asked the last time, if it was.
    pub fn calls(&self) -> BTreeMap<String, usize> {
        let counted =
            self.federation.subgraphs.iter().map(|(name, subgraph)| (name.clone(), subgraph.calls().len()));
        counted.filter(|(_, count)| *count > 0).collect()
    }

    /// The representations that a subgraph got since it was asked the last time.
    pub fn representations(&self, subgraph: &str) -> Vec<Value> {
        let calls = self.federation.subgraphs[subgraph].calls();
        let variables = calls.into_iter().filter_map(|call| call.variables.as_object().cloned());
        let lists = variables.flatten().filter(|(name, _)| name.contains("rep"));
        lists.filter_map(|(_, list)| list.as_array().cloned()).flatten().collect()
    }

    fn clear(&self) {
        self.federation.subgraphs.values().for_each(|subgraph| drop(subgraph.calls()));
    }
}

pub fn owned(calls: &[(&str, usize)]) -> BTreeMap<String, usize> {
    calls.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}
