//! The accounts graph behind `@apollo/gateway`, beside the example in Node.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::whatsapp_process::Whatsapp;
use super::{ask, errors};
use crate::routers::mint;
use crate::support::{ServerProcess, announced_url, needed, on_both_stacks};

const ADA: &str = "+4917139200042";
const EVE: &str = "+4917139200050";
const HUB: &str =
    "{ viewer { id displayName linkGraph { profiles { handle } } profiles { id handle status } } }";
const DEVICES: &str = "{ viewer { profiles { handle devices { name kind } } } }";
const DEVICE: &str = r#"{ whatsappDevice(id: "wa_ada.phone") { name profile { handle account { id } } } }"#;

struct Apollo {
    url: String,
    _child: Child,
}

impl Apollo {
    async fn start(accounts: &ServerProcess, whatsapp: &Whatsapp, router: &str) -> Self {
        let mut child = Self::command(accounts, whatsapp, router).stderr(Stdio::inherit()).spawn().unwrap();
        Self { url: announced_url(&mut child).await, _child: child }
    }

    fn command(accounts: &ServerProcess, whatsapp: &Whatsapp, router: &str) -> Command {
        let mut command = Command::new("node");
        command
            .arg("apollo_gateway.mjs")
            .current_dir(needed("ACCOUNTS_TEST_NODE_DIR"))
            .env("ACCOUNTS", format!("{}/graphql", accounts.url))
            .env("WHATSAPP", whatsapp.graphql())
            .env("ROUTER", router)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

on_both_stacks! {
    async fn s28_apollo_mounts_the_accounts_graph_beside_another_subgraph(place: Place) {
        let server = ServerProcess::start(&place).await;
        let ada = server.client().sign_in(&place, ADA).await;
        place.sandbox.add_profile("wa_eve", EVE).await;
        let eve = server.client().sign_in(&place, EVE).await;
        let token = |person: &crate::support::Person| person.client.token.clone().unwrap();
        let (ada_token, eve_token) = (token(&ada), token(&eve));
        // It takes what clients send, as this router has nothing else for it.
        let whatsapp = Whatsapp::start(&server.url, "accounts-center").await;
        let router = mint(&place).await;
        let apollo = Apollo::start(&server, &whatsapp, &router).await;
        let through = async |token: &str, query: &str| ask(&apollo.url, Some(token), query, json!({})).await;

        let hub = through(&ada_token, HUB).await;
        assert_eq!(hub["data"], ada.client.query(HUB).await.body["data"], "the same as without it");
        assert_eq!(hub["data"]["viewer"]["id"], ada.account);
        let phone = json!([{ "name": "Phone", "kind": "PHONE" }]);
        let profiles = json!([{ "handle": "+49 ··· ·· 42", "devices": phone }]);
        let devices = through(&ada_token, DEVICES).await;
        assert_eq!(devices, json!({ "data": { "viewer": { "profiles": profiles } } }));
        let device = json!({ "name": "Phone", "profile": { "handle": "+49 ··· ·· 42", "account": { "id": ada.account } } });
        assert_eq!(through(&ada_token, DEVICE).await, json!({ "data": { "whatsappDevice": device } }));

        // Nobody sees anything, and a stranger no more than that: not even where another subgraph says too much (S23).
        let nobody = ask(&apollo.url, None, DEVICES, json!({})).await;
        assert_eq!(nobody["data"]["viewer"], Value::Null, "{nobody:#}");
        assert_eq!(through(&eve_token, DEVICE).await, json!({ "data": { "whatsappDevice": null } }));
        let representation = json!([{ "__typename": "LinkedProfile", "platformKey": "whatsapp", "externalId": "wa_ada" }]);
        let show = "query($r: [_Any!]!) { _entities(representations: $r) { __typename } }";
        ask(&whatsapp.graphql(), Some(&eve_token), show, json!({ "r": representation })).await;
        let leaked = through(&eve_token, DEVICE).await;
        assert_eq!(leaked["data"]["whatsappDevice"], json!({ "name": "Phone", "profile": null }), "{leaked:#}");

        // A subgraph that wants tokens of its own is refused, not the operation.
        let strict = Whatsapp::start(&server.url, "whatsapp").await;
        let apollo = Apollo::start(&server, &strict, &router).await;
        let refused = ask(&apollo.url, Some(&ada_token), DEVICES, json!({})).await;
        assert_eq!(errors(&refused), [("UNAUTHENTICATED", r#"["viewer","profiles",0,"devices"]"#.to_owned())]);
        assert_eq!(refused["data"]["viewer"]["profiles"], json!([{ "handle": "+49 ··· ·· 42", "devices": null }]));

        // Without a token of its own it is no router, and cannot even compose.
        let mut stranger = Apollo::command(&server, &strict, "").stderr(Stdio::piped()).spawn().unwrap();
        let _stdin = stranger.stdin.take();
        let ended = stranger.wait_with_output().await.unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success() && said.contains("\"accounts\""), "{said}");
        strict.end().await;
        whatsapp.end().await;
    }
}
