//! A gateway of its own in front of accounts replicas: it has no database, and knows its callers by their tokens.

mod alone;
mod browsers;
mod sockets;
mod told;

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use super::guards::{EVERYTHING, GUARDED, refused, told};
use super::hostile::claims;
use super::{Subgraph, join_with, sdl_file};
use crate::gateway::shop::GatewayProcess;
use crate::routers::mint;
use crate::support::{Client, Place, Socket, TestApp, eventually, on_both_stacks};

const ADA: &str = "+4917139200042";

/// What stands together.
struct Apart {
    /// The only replica.
    app: TestApp,
    subgraph: Subgraph,
    gateway: GatewayProcess,
}

impl Apart {
    /// Over a subgraph with this schema.
    async fn start(place: &mut Place, schema: &str, settings: &[(&str, &str)]) -> Self {
        let subgraph = join_with(place, schema).await;
        // The gateway says who asks.
        place.set("ACCOUNTS__HTTP__TRUSTED_PROXIES", "127.0.0.1");
        let app = place.app().await;
        let router = mint(place).await;
        let gateway = front(place, (&app.url, &router), &subgraph, settings).await;
        Self { app, subgraph, gateway }
    }

    /// Somebody in front of the gateway.
    fn client(&self) -> Client {
        Client::new(&self.gateway.url)
    }
}

/// A gateway in front of accounts replicas at `accounts`, to which it is a router by its token.
async fn front(
    place: &Place,
    (accounts, router): (&str, &str),
    extra: &Subgraph,
    settings: &[(&str, &str)],
) -> GatewayProcess {
    front_at("127.0.0.1:0", place, (accounts, router), extra, settings).await
}

/// The same at an address.
async fn front_at(
    listen: &str,
    place: &Place,
    (accounts, router): (&str, &str),
    extra: &Subgraph,
    settings: &[(&str, &str)],
) -> GatewayProcess {
    let sdl = sdl_file(place).display().to_string();
    let (url, events) = (format!("{}/graphql", extra.url), format!("{}/ws", extra.url));
    let mut all = vec![
        ("ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__SDL", &*sdl),
        ("ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__URL", &url),
        ("ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__SUBSCRIPTIONS_URL", &events),
        ("ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__PLATFORMS", "whatsapp"),
    ];
    all.extend(settings);
    gateway_before(listen, place, (accounts, router), &all).await
}

/// A gateway before accounts replicas, over the subgraphs in `settings`.
pub async fn gateway_before(
    listen: &str,
    place: &Place,
    (accounts, router): (&str, &str),
    settings: &[(&str, &str)],
) -> GatewayProcess {
    let mut command = Command::new(env!("CARGO_BIN_EXE_accounts-center"));
    command.arg("gateway").env("ACCOUNTS__HTTP__LISTEN", listen).stdout(Stdio::piped()).kill_on_drop(true);
    for (setting, value) in [
        ("PLANS__MILLISECONDS", "20000".to_owned()),
        ("SHARE_QUERIES", "true".to_owned()),
        ("ACCOUNTS_URL", accounts.to_owned()),
        ("SUBGRAPHS__ACCOUNTS__URL", format!("{accounts}/graphql")),
        ("SUBGRAPHS__ACCOUNTS__ROUTER_TOKEN", router.to_owned()),
    ] {
        command.env(format!("ACCOUNTS__GATEWAY__{setting}"), value);
    }
    command.env("ACCOUNTS__DATA__DIR", place.folder.path().join("gateway"));
    command.envs(settings.iter().copied());
    GatewayProcess::start(command).await
}

/// A socket of somebody whom the gateway knows: before it has seen the keys it knows nobody.
async fn socket(client: &Client) -> Socket {
    let token = client.token.clone().unwrap();
    eventually("the gateway knows its callers", async || Socket::try_open(&client.url, &token).await).await
}

on_both_stacks! {
    async fn a_gateway_in_front_of_replicas_guards_by_their_tokens(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__SESSIONS__SCOPES__FOLLOWERS", "*");
        let Apart { app, subgraph, gateway } = Apart::start(&mut place, GUARDED, &[]).await;
        let ada = app.client().sign_in(&place, ADA).await;
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
        // S43: it gets a token of its own, which the replicas have made, and never the client's.
        let calls = subgraph.calls();
        assert!(!calls.is_empty());
        for call in calls {
            assert!(!format!("{call:?}").contains(&token), "{call:?}");
            let (_, claims) = claims(&call.headers["authorization"]);
            assert_eq!((&claims["aud"], &claims["sub"]), (&json!("extra"), &json!(ada.account)), "{claims}");
            assert_eq!(claims["profiles"], json!({ "whatsapp": ["wa_ada"] }), "{claims}");
        }
        // Nobody, and what is no token of the replicas.
        let none = ask(None).await;
        assert_eq!(none["data"], json!({ "viewer": null, "greeting": null }), "{none:#}");
        assert_eq!(refused(&none), [told(json!(["greeting"]), "UNAUTHENTICATED")]);
        let router = mint(&place).await;
        for pretended in ["x", &token[1..], &format!("{}x", &token[..token.len() - 1]), &router] {
            let refusal = ask(Some(pretended)).await;
            assert_eq!(refusal["data"]["greeting"], Value::Null, "{refusal:#}");
            assert!(refused(&refusal).contains(&told(json!(["greeting"]), "UNAUTHENTICATED")), "{refusal:#}");
        }
        assert!(subgraph.calls().is_empty());
    }
}
