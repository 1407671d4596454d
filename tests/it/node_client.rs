//! The client that people use: Node's `graphql-ws`, in a process of its own.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::support::{ServerProcess, needed, on_both_stacks};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";

/// Follows the links of one account, and comes back by itself.
pub struct NodeClient {
    lines: Lines<BufReader<ChildStdout>>,
    /// Ends with this.
    _node: Child,
}

impl NodeClient {
    /// At the server of `url`, as whoever the token speaks for.
    pub fn follow_links(url: &str, token: &str) -> Self {
        let mut node = Command::new("node")
            .arg("follow_links.mjs")
            .current_dir(needed("ACCOUNTS_TEST_NODE_DIR"))
            .env("URL", url.replacen("http", "ws", 1) + "/graphql")
            .env("TOKEN", token)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is not installed");
        Self { lines: BufReader::new(node.stdout.take().unwrap()).lines(), _node: node }
    }

    /// What it says next.
    pub async fn next(&mut self) -> String {
        let line = tokio::time::timeout(crate::support::PATIENCE, self.lines.next_line());
        line.await.expect("the client said nothing for 20 s").unwrap().expect("the client ended")
    }
}

on_both_stacks! {
    async fn graphql_ws_follows_links_through_a_restart(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__KEYS__SECRET", "a secret of the tests, 32 characters");
        let mut server = ServerProcess::start(&place).await;
        let port = server.url.rsplit_once(':').unwrap().1.to_owned();
        let ada = server.client().sign_in(&place, ADA).await.client;
        let mut node = NodeClient::follow_links(&server.url, ada.token.as_deref().unwrap());
        assert_eq!(node.next().await, "connected");
        ada.link(&place, GRACE).await.field();
        assert_eq!(node.next().await, "ACTIVE VERIFIED 3 +49 ··· ·· 43");

        // The server says 1012 and goes; the client comes back by itself, behind its last event.
        assert!(server.interrupt().await.success());
        assert_eq!(node.next().await, "closed 1012");
        place.set("ACCOUNTS__HTTP__LISTEN", format!("127.0.0.1:{port}"));
        let server = ServerProcess::start(&place).await;
        assert_eq!(node.next().await, "connected");
        let ada = ada.at(&server.url);
        place.sandbox.add_profile("wa_more", "+4917139200055").await;
        ada.link(&place, "+4917139200055").await.field();
        assert_eq!(node.next().await, "ACTIVE VERIFIED 5 +49 ··· ·· 55");
    }
}
