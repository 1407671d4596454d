//! A shop of four subgraphs, and the gateway in front of it as a process.

use std::process::{ExitStatus, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::rows::Rows;
use super::subgraph::Subgraph;
use crate::support::announced_url;

pub const SUPERGRAPH: &str = include_str!("../../federation/shop.graphql");

/// All that the subgraphs know together.
pub fn rows() -> Value {
    let user = |id: &str| json!({ "__typename": "User", "id": id });
    let product = |upc: &str| json!({ "__typename": "Product", "upc": upc });
    let review = |id: &str| json!({ "__typename": "Review", "id": id });
    json!([
        {
            "__typename": "Query",
            "me": user("1"), "users": [user("1"), user("2")],
            "products": [product("a"), product("b"), product("c")], "product": product("a"),
            "latest": [review("r1"), review("r2"), review("r3")],
        },
        { "__typename": "Mutation", "addReview": review("r3"), "clearReviews": 3 },
        { "__typename": "User", "id": "1", "name": "Ada", "nick": null, "reviews": [review("r1"), review("r2")] },
        { "__typename": "User", "id": "2", "name": "Grace", "nick": "Amazing \"G\"", "reviews": [review("r3")] },
        { "__typename": "Product", "upc": "a", "title": "Alice", "kind": "BOOK", "price": 10, "weight": 2,
            "margin": 3, "inStock": true, "reviews": [review("r1"), review("r3")] },
        { "__typename": "Product", "upc": "b", "title": "Go", "kind": "GAME", "price": 20, "weight": 5,
            "margin": 4, "inStock": false, "reviews": [review("r2")] },
        { "__typename": "Product", "upc": "c", "title": "Cipher", "kind": "SECRET", "price": null, "weight": 1,
            "margin": 5, "inStock": null, "reviews": [] },
        { "__typename": "Review", "id": "r1", "body": "Curiouser", "author": user("1"), "product": product("a") },
        { "__typename": "Review", "id": "r2", "body": null, "author": user("1"), "product": product("b") },
        { "__typename": "Review", "id": "r3", "body": "Again", "author": user("2"), "product": product("a") },
    ])
}

/// What `shipping` is: the subgraph knows neither price nor weight by itself.
pub fn table() -> Rows {
    Rows::new(rows()).computed("Product", "shipping", |product, _| {
        match (product["price"].as_i64(), product["weight"].as_i64()) {
            (Some(price), Some(weight)) if price < 15 => json!(weight * 2),
            (Some(_), Some(_)) => json!(0),
            _ => Value::Null,
        }
    })
}

pub struct Shop {
    pub users: Subgraph,
    pub products: Subgraph,
    pub inventory: Subgraph,
    pub reviews: Subgraph,
    pub folder: TempDir,
}

impl Shop {
    pub async fn new() -> Self {
        Self::of(table()).await
    }

    /// With other rows.
    pub async fn of(rows: Rows) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("supergraph.graphql"), SUPERGRAPH).unwrap();
        Self {
            users: Subgraph::start(rows.clone()).await,
            products: Subgraph::start(rows.clone()).await,
            inventory: Subgraph::start(rows.clone()).await,
            reviews: Subgraph::start(rows).await,
            folder,
        }
    }

    /// Replaces the supergraph.
    pub fn publish(&self, supergraph: &str) {
        std::fs::write(self.folder.path().join("supergraph.graphql"), supergraph).unwrap();
    }

    /// The command that starts the gateway, with more settings.
    pub fn command(&self, settings: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_accounts-center"));
        let named = [
            ("USERS", &self.users),
            ("PRODUCTS", &self.products),
            ("INVENTORY", &self.inventory),
            ("REVIEWS", &self.reviews),
        ];
        for (name, subgraph) in named {
            command.env(format!("ACCOUNTS__GATEWAY__SUBGRAPHS__{name}__URL"), &subgraph.url);
        }
        command.arg("gateway").arg("--supergraph").arg(self.folder.path().join("supergraph.graphql"));
        command.args(["--listen", "127.0.0.1:0"]);
        command.env("ACCOUNTS__GATEWAY__POLL_SECONDS", "1");
        command.envs(settings.iter().map(|(name, value)| (format!("ACCOUNTS__GATEWAY__{name}"), *value)));
        command.stdout(Stdio::piped()).kill_on_drop(true);
        command
    }

    pub async fn gateway(&self, settings: &[(&str, &str)]) -> GatewayProcess {
        GatewayProcess::start(self.command(settings)).await
    }

    /// How often users, products, inventory and reviews were called.
    pub fn calls(&self) -> [usize; 4] {
        [&self.users, &self.products, &self.inventory, &self.reviews].map(|subgraph| subgraph.calls().len())
    }
}

pub struct GatewayProcess {
    pub url: String,
    pub http: reqwest::Client,
    child: Child,
}

impl GatewayProcess {
    pub fn new(url: String, child: Child) -> Self {
        Self { url, http: reqwest::Client::builder().no_proxy().build().unwrap(), child }
    }

    pub async fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let url = announced_url(&mut child).await;
        Self::new(url, child)
    }

    /// Asks it to stop, as an operator does, and waits until it has.
    pub async fn interrupt(&mut self) -> ExitStatus {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        tokio::time::timeout(crate::support::PATIENCE, self.child.wait()).await.expect("it runs on").unwrap()
    }

    /// How often plans came about in this way.
    pub async fn plans(&self, how: &str) -> usize {
        let (_, metrics) = self.get("/metrics").await;
        let name = format!("accounts_center_gateway_plans_total{{outcome=\"{how}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.map_or(0, |count| count.parse().unwrap())
    }

    /// The most memory that the process has ever had, in bytes.
    pub fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    /// The answer to a query without variables.
    pub async fn query(&self, query: &str) -> Value {
        self.send(&json!({ "query": query }), &[]).await
    }

    pub async fn send(&self, request: &Value, headers: &[(&str, &str)]) -> Value {
        serde_json::from_str(&self.send_for_text(request, headers).await).unwrap()
    }

    /// The answer as it is written.
    pub async fn send_for_text(&self, request: &Value, headers: &[(&str, &str)]) -> String {
        let mut sent = self.http.post(format!("{}/graphql", self.url)).json(request);
        for (name, value) in headers {
            sent = sent.header(*name, *value);
        }
        sent.send().await.unwrap().text().await.unwrap()
    }

    /// What a path says, with its status.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let response = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}
