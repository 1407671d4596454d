//! A gateway of its own in front of accounts replicas: it has no database, and knows its callers by their tokens.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use super::guards::{EVERYTHING, GUARDED, refused, told};
use super::{join_with, sdl_file};
use crate::gateway::shop::GatewayProcess;
use crate::support::{Place, eventually, on_both_stacks};

const ADA: &str = "+4917139200042";

async fn front(place: &Place, accounts: &str, extra: &str, router: &str) -> GatewayProcess {
    let mut command = Command::new(env!("CARGO_BIN_EXE_accounts-center"));
    command.args(["gateway", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).kill_on_drop(true);
    let sdl = sdl_file(place).display().to_string();
    let (graphql, keys) = (format!("{accounts}/graphql"), format!("{accounts}/.well-known/jwks.json"));
    for (setting, value) in [
        ("PLANS__MILLISECONDS", "20000"),
        ("SHARE_QUERIES", "true"),
        ("JWKS_URL", &keys),
        ("SUBGRAPHS__ACCOUNTS__URL", &graphql),
        ("SUBGRAPHS__ACCOUNTS__ROUTER_TOKEN", router),
        ("SUBGRAPHS__EXTRA__SDL", &sdl),
        ("SUBGRAPHS__EXTRA__URL", extra),
        ("SUBGRAPHS__EXTRA__PLATFORMS", "whatsapp"),
    ] {
        command.env(format!("ACCOUNTS__GATEWAY__{setting}"), value);
    }
    command.env("ACCOUNTS__DATA__DIR", place.folder.path().join("gateway"));
    GatewayProcess::start(command).await
}

on_both_stacks! {
    async fn a_gateway_in_front_of_replicas_guards_by_their_tokens(place: Place) {
        let mut place = place;
        let subgraph = join_with(&mut place, GUARDED).await;
        place.set("ACCOUNTS__SESSIONS__SCOPES__FOLLOWERS", "*");
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let router = crate::routers::mint(&place).await;
        let gateway = front(&place, &app.url, &format!("{}/graphql", subgraph.url), &router).await;
        let query = json!({ "query": EVERYTHING });
        let ask = async |token: Option<&str>| -> Value {
            let bearer = token.map(|token| format!("Bearer {token}")).unwrap_or_default();
            let headers: Vec<_> = token.iter().map(|_| ("authorization", bearer.as_str())).collect();
            gateway.send(&query, &headers).await
        };
        let token = ada.client.token.clone().unwrap();
        // Until it has seen the keys nobody is signed in.
        let full = eventually("the gateway knows its callers", async || {
            let answer = ask(Some(&token)).await;
            (answer["data"]["greeting"] == "hello").then_some(answer)
        })
        .await;
        let profiles = json!([{ "externalId": "wa_ada", "followers": 6 }]);
        assert_eq!((&full["data"]["viewer"]["profiles"], full.get("errors")), (&profiles, None), "{full:#}");
        for call in subgraph.calls() {
            assert!(!format!("{call:?}").contains(&token) && !call.headers.contains_key("authorization"), "{call:?}");
        }
        // Nobody, and what is no token of the replicas.
        let none = ask(None).await;
        assert_eq!(none["data"], json!({ "viewer": null, "greeting": null }), "{none:#}");
        assert_eq!(refused(&none), [told(json!(["greeting"]), "UNAUTHENTICATED")]);
        for pretended in ["x", &token[1..], &format!("{}x", &token[..token.len() - 1]), &router] {
            let refusal = ask(Some(pretended)).await;
            assert_eq!(refusal["data"]["greeting"], Value::Null, "{refusal:#}");
            assert!(refused(&refusal).contains(&told(json!(["greeting"]), "UNAUTHENTICATED")), "{refusal:#}");
        }
        assert!(subgraph.calls().is_empty());
    }
}
