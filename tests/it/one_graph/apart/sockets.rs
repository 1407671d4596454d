//! Subscriptions over a gateway of its own, and how its sockets end.

use std::process::Stdio;

use accounts_center::clock::Clock;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio_tungstenite::tungstenite::Error;

use super::super::following::{answer, code};
use super::super::guards::{GUARDED, told};
use super::super::hostile::claims as token_claims;
use super::super::{Subgraph, join, subgraph};
use super::{ADA, Apart, front, front_at, refused, socket};
use crate::examples::issuer::{Issuer, bad_tokens, claims, sign};
use crate::routers::mint;
use crate::support::{Place, Socket, SocketMessage, Stack, eventually, needed, on_both_stacks};

/// Named, as clients name theirs, though there is no other.
const FOLLOWED: &str = "subscription Followed { followed { externalId followers status unlinksAt } }";
const REVOKE: &str =
    "mutation($input: RevokeSessionInput!) { revokeSession(input: $input) { revokedSessionId } }";

async fn closed(socket: &mut Socket) -> u16 {
    match socket.next().await {
        SocketMessage::Closed(code) => code,
        SocketMessage::Json(message) => panic!("{message}"),
    }
}

/// The answer that ends an operation.
async fn last_of(socket: &mut Socket, id: &str) -> Value {
    let SocketMessage::Json(last) = socket.next().await else { panic!("closed") };
    assert_eq!((&last["type"], &last["id"]), (&json!("next"), &json!(id)), "{last:#}");
    assert_eq!(socket.next().await, SocketMessage::Json(json!({ "type": "complete", "id": id })));
    last["payload"].clone()
}

fn init(token: &str) -> Value {
    json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {token}") } })
}

/// How a socket that shows `token` goes on.
async fn welcome(url: &str, token: &str) -> SocketMessage {
    let mut socket = Socket::connect(url, None).await.unwrap();
    socket.send(init(token)).await;
    socket.next().await
}

on_both_stacks! {
    async fn an_event_of_the_replicas_is_completed_by_a_subgraph(place: Place) {
        let mut place = place;
        let apart = Apart::start(&mut place, subgraph::SDL, &[]).await;
        let ada = apart.client().sign_in(&place, ADA).await;
        let mut socket = socket(&ada.client).await;
        let cursor = socket.ask("{ viewer { eventCursor } }").await["viewer"]["eventCursor"].clone();
        let query = "subscription($after: String) { linkStatusChanged(after: $after) {
            linkStatus profile { externalId followers handle } } }";
        socket.subscribe("s", query, json!({ "after": cursor })).await;
        place.sandbox.add_profile("wa_second", "+4917139200077").await;
        assert_eq!(ada.client.link(&place, "+4917139200077").await.user_errors(), [""; 0]);
        let event = answer(&mut socket).await.unwrap();
        let profile = json!({ "externalId": "wa_second", "followers": 9, "handle": "+49 ··· ·· 77" });
        let wanted = json!({ "linkStatus": "ACTIVE", "profile": profile });
        assert_eq!(event["data"]["linkStatusChanged"], wanted, "{event:#}");
        // What is asked over the same socket beside that is answered, and what is refused says why.
        socket.subscribe("q", "{ greeting nope }", json!({})).await;
        let SocketMessage::Json(error) = socket.next().await else { panic!("closed") };
        assert_eq!((&error["type"], &error["id"]), (&json!("error"), &json!("q")), "{error:#}");
        assert_eq!(error["payload"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
        assert_eq!(socket.ask("{ greeting }").await, json!({ "greeting": "hello" }));
    }

    async fn an_event_of_a_subgraph_is_completed_by_the_replicas(place: Place) {
        let mut place = place;
        let apart = Apart::start(&mut place, subgraph::SDL, &[]).await;
        let (ada, subgraph) = (apart.client().sign_in(&place, ADA).await, &apart.subgraph);
        let mut socket = socket(&ada.client).await;
        socket.subscribe("s", FOLLOWED, json!({})).await;
        subgraph.until_followed_by(1).await;
        subgraph.tell("wa_ada");
        let event = answer(&mut socket).await.unwrap();
        let wanted = json!({ "externalId": "wa_ada", "followers": 6, "status": "ACTIVE", "unlinksAt": null });
        assert_eq!((&event["data"]["followed"], event.get("errors")), (&wanted, None), "{event:#}");
        // Nobody sees of it what is hers.
        let mut nobodys = Socket::open(&apart.gateway.url, None).await;
        nobodys.subscribe("s", FOLLOWED, json!({})).await;
        subgraph.until_followed_by(2).await;
        subgraph.tell("wa_ada");
        let event = answer(&mut nobodys).await.unwrap();
        assert_eq!(event["data"]["followed"]["status"], Value::Null, "{event:#}");
        assert!(event.get("errors").is_some() && answer(&mut socket).await.is_some(), "{event:#}");
        // And the subgraph has not seen who she is.
        let token = ada.client.token.as_ref().unwrap();
        for call in subgraph.calls() {
            assert!(!format!("{call:?}").contains(token.as_str()), "{call:?}");
        }
        subgraph.cut();
        assert_eq!(code(&answer(&mut socket).await.unwrap()), "SUBGRAPH_SUBSCRIPTION_INTERRUPTED");
        assert_eq!(answer(&mut socket).await, None);
        subgraph.until_followed_by(0).await;
    }

    async fn s15_a_session_that_has_ended_ends_its_sockets_at_a_gateway_as_well(place: Place) {
        let mut place = place;
        let apart = Apart::start(&mut place, GUARDED, &[]).await;
        let first = apart.client().sign_in(&place, ADA).await;
        let second = apart.client().sign_in(&place, ADA).await;
        let (mut idle, mut follows) = (socket(&first.client).await, socket(&first.client).await);
        follows.subscribe("s", "subscription { followed { externalId } }", json!({})).await;
        apart.subgraph.until_followed_by(1).await;
        let mut other = socket(&second.client).await;
        let greet = "{ greeting }";
        assert_eq!(first.client.query(greet).await.body, json!({ "data": { "greeting": "hello" } }));
        let revoked = second.client.mutate(REVOKE, json!({ "sessionId": first.session })).await;
        assert_eq!(revoked.field()["revokedSessionId"], first.session.as_str());
        assert_eq!((closed(&mut idle).await, closed(&mut follows).await), (4403, 4403));
        apart.subgraph.until_followed_by(0).await;
        let answer = first.client.query(greet).await.body;
        assert_eq!(refused(&answer), [told(json!(["greeting"]), "UNAUTHENTICATED")], "{answer:#}");
        let token = first.client.token.as_ref().unwrap();
        assert_eq!(welcome(&apart.gateway.url, token).await, SocketMessage::Closed(4403));
        // Nobody else is touched.
        assert_eq!(other.ask(greet).await, json!({ "greeting": "hello" }));
    }

    /// Each of them is a socket of the gateway's at a replica, and none of hers.
    async fn somebody_may_have_more_subscriptions_than_sockets(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__LIMITS__SOCKETS_PER_ACCOUNT", 2);
        place.set("ACCOUNTS__LIMITS__SUBSCRIPTIONS_PER_ACCOUNT", 4);
        let apart = Apart::start(&mut place, subgraph::SDL, &[]).await;
        let ada = apart.client().sign_in(&place, ADA).await;
        let mut socket = socket(&ada.client).await;
        let cursor = socket.ask("{ viewer { eventCursor } }").await["viewer"]["eventCursor"].clone();
        let query = "subscription Links($after: String) { linkStatusChanged(after: $after) { linkStatus } }";
        for id in ["1", "2", "3", "4"] {
            socket.subscribe(id, query, json!({ "after": cursor })).await;
        }
        place.sandbox.add_profile("wa_second", "+4917139200077").await;
        ada.client.link(&place, "+4917139200077").await.field();
        let mut told = Vec::new();
        for _ in 0..4 {
            let SocketMessage::Json(message) = socket.next().await else { panic!("closed") };
            assert_eq!(message["payload"]["data"]["linkStatusChanged"]["linkStatus"], "ACTIVE", "{message:#}");
            told.push(message["id"].as_str().unwrap().to_owned());
        }
        told.sort_unstable();
        assert_eq!(told, ["1", "2", "3", "4"]);
        // What the replicas do not allow her is her own matter: it is no fault of theirs.
        for _ in 0..60 {
            socket.subscribe("5", query, json!({ "after": cursor })).await;
            let last = last_of(&mut socket, "5").await;
            assert_eq!(last["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{last:#}");
        }
        assert!(ada.client.query("{ viewer { id } }").await.body.get("errors").is_none());
    }

    /// The replica ends what it brings at once, though nobody has told the gateway.
    async fn s17_nothing_of_a_subgraph_flows_behind_an_unlinking_at_a_gateway_as_well(place: Place) {
        let mut place = place;
        let apart = Apart::start(&mut place, subgraph::SDL, &[]).await;
        let (ada, subgraph) = (apart.client().sign_in(&place, ADA).await, &apart.subgraph);
        place.sandbox.add_profile("wa_second", "+4917139200077").await;
        let linked = ada.client.link(&place, "+4917139200077").await;
        let second = linked.field()["outcome"]["profile"]["id"].as_str().unwrap().to_owned();
        let mut socket = socket(&ada.client).await;
        socket.subscribe("s", FOLLOWED, json!({})).await;
        subgraph.until_followed_by(1).await;
        subgraph.tell("wa_second");
        assert_eq!(answer(&mut socket).await.unwrap()["data"]["followed"]["externalId"], "wa_second");
        ada.client.unlink(&second).await.field();
        // What a token names is asked anew after some seconds.
        let last = eventually("it ends", async || {
            subgraph.tell("wa_second");
            let last = answer(&mut socket).await.unwrap();
            (last["data"] == Value::Null).then_some(last)
        })
        .await;
        assert_eq!(code(&last), "CALLER_CHANGED", "{last:#}");
        assert_eq!(answer(&mut socket).await, None);
        subgraph.until_followed_by(0).await;
    }

    async fn a_session_that_has_ended_is_refused_and_nobody_else(place: Place) {
        let mut place = place;
        // So that nobody tells it, and it knows nobody.
        let settings = [("ACCOUNTS__GATEWAY__ACCOUNTS_URL", "")];
        let apart = Apart::start(&mut place, subgraph::SDL, &settings).await;
        let first = apart.client().sign_in(&place, ADA).await;
        let second = apart.client().sign_in(&place, ADA).await;
        let mut socket = socket(&first.client).await;
        let cursor = socket.ask("{ viewer { eventCursor } }").await["viewer"]["eventCursor"].clone();
        let query = "subscription Links($after: String) { linkStatusChanged(after: $after) { linkStatus } }";
        socket.subscribe("s", query, json!({ "after": cursor })).await;
        // It is open where a second one on its heels is answered.
        eventually("the replica is followed", async || {
            let metrics = reqwest::get(format!("{}/metrics", apart.app.url)).await.unwrap().text().await.unwrap();
            metrics.contains("accounts_center_sockets 1").then_some(())
        })
        .await;
        second.client.mutate(REVOKE, json!({ "sessionId": first.session })).await.field();
        for id in std::iter::once("s").chain(std::iter::repeat_n("again", 60)) {
            if id == "again" {
                socket.subscribe(id, query, json!({ "after": cursor })).await;
            }
            let last = last_of(&mut socket, id).await;
            assert_eq!(last["errors"][0]["extensions"]["code"], "SUBGRAPH_SUBSCRIPTION_REFUSED", "{last:#}");
        }
        assert!(second.client.query("{ viewer { id } }").await.body.get("errors").is_none());
    }

    async fn tokens_of_subgraphs_are_made_for_routers(place: Place) {
        let app = place.app().await;
        let (ada, router) = (app.client().sign_in(&place, ADA).await, mint(&place).await);
        let token = format!("Bearer {}", ada.client.token.as_ref().unwrap());
        let ask = async |headers: &[(&'static str, &str)], query: &str| {
            let mut request = reqwest::Client::new().get(format!("{}/subgraph-token?{query}", app.url));
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.json::<Value>().await.unwrap())
        };
        let (shows, hers) = (("accounts-center-router", &*router), ("authorization", &*token));
        let forged = ("authorization", "Bearer x.y.z");
        for (headers, query, status, code) in [
            (&[hers][..], "subgraph=a", 401, "UNAUTHENTICATED"),
            (&[("accounts-center-router", "x"), hers], "subgraph=a", 401, "UNAUTHENTICATED"),
            (&[shows, forged], "subgraph=a", 401, "UNAUTHENTICATED"),
            (&[shows, hers], "", 400, "BAD_USER_INPUT"),
            (&[shows, hers], "subgraph=a&platform=whatsapp", 400, "BAD_USER_INPUT"),
        ] {
            let (told, answer) = ask(headers, query).await;
            assert_eq!((told, &answer["errors"][0]["extensions"]["code"]), (status, &json!(code)), "{query}: {answer}");
            assert!(answer.get("authorization").is_none());
        }
        let claims = |answer: &Value| {
            let (_, claims) = token_claims(&answer["authorization"].as_str().unwrap().parse().unwrap());
            claims
        };
        // What is told of one is not told of the next, though they are called the same.
        for (platforms, profiles, named) in [
            ("&platforms=whatsapp,instagram", json!({ "whatsapp": ["wa_ada"], "instagram": [] }), json!(["whatsapp wa_ada"])),
            ("&platforms=instagram", json!({ "instagram": [] }), json!([])),
            ("", Value::Null, json!([])),
        ] {
            let (status, answer) = ask(&[shows, hers], &format!("subgraph=a{platforms}")).await;
            let told = claims(&answer);
            assert_eq!((status, &told["aud"], &told["sub"]), (200, &json!("a"), &json!(ada.account)), "{answer}");
            assert_eq!((&told["profiles"], &answer["named"]), (&profiles, &named), "{told}");
        }
        let (_, nobodys) = ask(&[shows], "subgraph=a&platforms=whatsapp").await;
        assert!(claims(&nobodys).get("sub").is_none() && nobodys["named"] == json!([]), "{nobodys}");
    }

    async fn which_sessions_have_ended_is_for_routers(place: Place) {
        let app = place.app().await;
        let (ada, router) = (app.client().sign_in(&place, ADA).await, mint(&place).await);
        let ask = async |name: &'static str, value: &str| {
            let request = reqwest::Client::new().get(format!("{}/sessions/ended", app.url));
            let response = request.header(name, value).send().await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        };
        let token = ada.client.token.as_ref().unwrap();
        for (name, value) in [
            ("accept", "*/*"),
            ("authorization", &*format!("Bearer {token}")),
            ("authorization", &*format!("Bearer {router}")),
            ("accounts-center-router", token),
            ("accounts-center-router", "x"),
        ] {
            let (status, body) = ask(name, value).await;
            assert!(status == 401 && body.contains("UNAUTHENTICATED") && !body.contains("sessions\""), "{name}: {body}");
        }
        let told = json!({ "sessions": [] }).to_string();
        eventually("it is known", async || {
            (ask("accounts-center-router", &router).await == (200, told.clone())).then_some(())
        })
        .await;
        ada.client.mutate(REVOKE, json!({ "sessionId": ada.session })).await.field();
        let ended = json!({ "sessions": [ada.session] }).to_string();
        eventually("it is told", async || {
            (ask("accounts-center-router", &router).await == (200, ended.clone())).then_some(())
        })
        .await;
    }

    async fn a_router_may_ask_for_entities_over_a_socket_as_well(place: Place) {
        place.sandbox.add_profile("wa_eve", "+4917139200050").await;
        let app = place.app().await;
        let router = mint(&place).await;
        let sdl = "{ _service { sdl } }";
        let mut plain = Socket::open(&app.url, None).await;
        plain.subscribe("1", sdl, json!({})).await;
        let SocketMessage::Json(error) = plain.next().await else { panic!("closed") };
        assert_eq!(error["payload"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
        let shows = |token: &str| [("accounts-center-router", token.to_owned())];
        let mut routers = Socket::connect_with(&app.url, &shows(&router)).await.unwrap();
        routers.send(json!({ "type": "connection_init" })).await;
        assert_eq!(routers.next().await, SocketMessage::Json(json!({ "type": "connection_ack" })));
        assert!(routers.ask(sdl).await["_service"]["sdl"].as_str().unwrap().contains("@key"));
        // S23: what it asks for is answered as the socket's speaker may see it.
        let eve = app.client().sign_in(&place, "+4917139200050").await;
        let ada = app.client().sign_in(&place, ADA).await;
        for (person, handle) in [(&ada, json!({ "handle": "+49 ··· ·· 42" })), (&eve, Value::Null)] {
            let mut routers = Socket::connect_with(&app.url, &shows(&router)).await.unwrap();
            routers.send(init(person.client.token.as_ref().unwrap())).await;
            assert_eq!(routers.next().await, SocketMessage::Json(json!({ "type": "connection_ack" })));
            let entities = "{ _entities(representations: [{ __typename: \"LinkedProfile\",
                platformKey: \"whatsapp\", externalId: \"wa_ada\" }]) { ... on LinkedProfile { handle } } }";
            assert_eq!(routers.ask(entities).await["_entities"], json!([handle]));
        }
        match Socket::connect_with(&app.url, &shows("x")).await {
            Err(Error::Http(response)) => assert_eq!(response.status(), 401),
            _ => panic!("it was let in"),
        }
    }

    async fn graphql_ws_comes_back_to_a_gateway_that_was_started_anew(place: Place) {
        let mut place = place;
        let mut apart = Apart::start(&mut place, subgraph::SDL, &[]).await;
        let ada = apart.app.client().sign_in(&place, ADA).await.client;
        socket(&ada.at(&apart.gateway.url)).await;
        let mut node = Command::new("node")
            .arg("follow_links.mjs")
            .current_dir(needed("ACCOUNTS_TEST_NODE_DIR"))
            .env("URL", apart.gateway.url.replacen("http", "ws", 1) + "/graphql")
            .env("TOKEN", ada.token.as_deref().unwrap())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is not installed");
        let mut lines = BufReader::new(node.stdout.take().unwrap()).lines();
        let mut next = async || {
            let line = tokio::time::timeout(std::time::Duration::from_secs(20), lines.next_line());
            line.await.expect("the client said nothing for 20 s").unwrap().expect("the client ended")
        };
        assert_eq!(next().await, "connected");
        ada.link(&place, "+4917139200043").await.field();
        assert_eq!(next().await, "ACTIVE VERIFIED 3 +49 ··· ·· 43");
        assert!(apart.gateway.interrupt().await.success());
        assert_eq!(next().await, "closed 1012");
        let address = apart.gateway.url.strip_prefix("http://").unwrap();
        let router = mint(&place).await;
        let _again = front_at(address, &place, (&apart.app.url, &router), &apart.subgraph, &[]).await;
        assert_eq!(next().await, "connected");
        place.sandbox.add_profile("wa_more", "+4917139200055").await;
        ada.link(&place, "+4917139200055").await.field();
        assert_eq!(next().await, "ACTIVE VERIFIED 5 +49 ··· ·· 55");
    }
}

/// A gateway that takes the tokens of `issuer`, with settings.
async fn alone(issuer: &Issuer, settings: &[(&str, &str)]) -> (Place, Subgraph, super::GatewayProcess) {
    let mut place = Place::new(Stack::Embedded).await;
    let subgraph = join(&mut place).await;
    // Who has issued the keys makes no tokens.
    let mut all = vec![("ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__MINT_TOKENS", "false")];
    all.extend(settings);
    let gateway = front(&place, (&issuer.url, "x"), &subgraph, &all).await;
    (place, subgraph, gateway)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_ends_with_its_token() {
    let issuer = Issuer::start().await;
    issuer.publish(&[]);
    let (_place, subgraph, gateway) = alone(&issuer, &[]).await;
    let now = Clock::system().now().timestamp();
    let good = sign(1, &claims("accounts-center", now + 600));
    // As long as there are no keys it may be good.
    assert_eq!(welcome(&gateway.url, &good).await, SocketMessage::Closed(1013));
    issuer.publish(&[1]);
    let acknowledged = SocketMessage::Json(json!({ "type": "connection_ack" }));
    eventually("there are keys", async || (welcome(&gateway.url, &good).await == acknowledged).then_some(()))
        .await;
    for (why, token) in bad_tokens("accounts-center", now) {
        if why != "of the Accounts Center itself" {
            assert_eq!(welcome(&gateway.url, &token).await, SocketMessage::Closed(4403), "{why}");
        }
    }
    // What takes its time is done before: the other one has little of it.
    let mut lasting = Socket::open(&gateway.url, Some(&good)).await;
    lasting.subscribe("s", FOLLOWED, json!({})).await;
    subgraph.until_followed_by(1).await;
    lasting.send(json!({ "type": "complete", "id": "s" })).await;
    subgraph.until_followed_by(0).await;
    let exp = Clock::system().now().timestamp() + 6;
    let short = sign(1, &claims("accounts-center", exp));
    let mut socket = Socket::open(&gateway.url, Some(&short)).await;
    socket.subscribe("s", FOLLOWED, json!({})).await;
    subgraph.until_followed_by(1).await;
    assert_eq!(closed(&mut socket).await, 4403);
    assert!(Clock::system().now().timestamp() >= exp - 1);
    subgraph.until_followed_by(0).await;
    assert_eq!(lasting.ask("{ greeting }").await, json!({ "greeting": "hello" }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_to_a_gateway_is_let_go() {
    let issuer = Issuer::start().await;
    let (_place, _subgraph, gateway) = alone(&issuer, &[("ACCOUNTS__HTTP__INIT_TIMEOUT_SECONDS", "1")]).await;
    let mut socket = Socket::connect(&gateway.url, None).await.unwrap();
    assert_eq!(closed(&mut socket).await, 4408);
}

/// Its subscriptions are opened, though nobody takes what comes of its queries: what half of them waits for is no fault of the
/// subgraph, and nobody else waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s46_a_socket_that_is_not_read_holds_nobody_up_at_a_gateway() {
    let issuer = Issuer::start().await;
    let (_place, subgraph, gateway) = alone(&issuer, &[("ACCOUNTS__HTTP__SEND_SECONDS", "600")]).await;
    let large =
        "{ __schema { types { name description fields { name description type { name kind ofType { name } }
        args { name description type { name kind } } } enumValues { name description } } } }";
    let mut unread = Socket::open(&gateway.url, None).await;
    for n in 0..45 {
        unread.subscribe(&format!("q{n}"), large, json!({})).await;
    }
    for n in 0..45 {
        unread.subscribe(&format!("s{n}"), FOLLOWED, json!({})).await;
    }
    subgraph.until_followed_by(45).await;
    let mut other = Socket::open(&gateway.url, None).await;
    other.subscribe("s", FOLLOWED, json!({})).await;
    subgraph.until_followed_by(46).await;
    assert_eq!(other.ask("{ greeting }").await, json!({ "greeting": "hello" }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_of_a_gateway_are_opened_and_counted_as_those_of_the_replicas() {
    let issuer = Issuer::start().await;
    let limits = [
        ("ACCOUNTS__HTTP__INIT_TIMEOUT_SECONDS", "600"),
        ("ACCOUNTS__HTTP__TRUSTED_PROXIES", "127.0.0.1"),
        ("ACCOUNTS__HTTP__ALLOWED_ORIGINS", "https://www.example.com"),
        ("ACCOUNTS__LIMITS__SOCKETS_PER_ADDRESS", "2"),
        ("ACCOUNTS__LIMITS__SUBSCRIPTIONS_PER_ADDRESS", "1"),
    ];
    let (_place, subgraph, mut gateway) = alone(&issuer, &limits).await;
    let url = &gateway.url;
    let status = async |headers: &[(&'static str, String)]| match Socket::connect_with(url, headers).await {
        Ok(socket) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    };
    let of = |address: &str| ("x-forwarded-for", address.to_owned());
    let from = |origin: &str| ("origin", origin.to_owned());
    for bad in ["https://evil.example", "null"] {
        assert_eq!(status(&[from(bad)]).await.err(), Some(403), "{bad}");
    }
    assert!(status(&[from("https://www.example.com")]).await.is_ok());
    assert!(status(&[from(url)]).await.is_ok(), "our own, in development");
    // Each address has two.
    let one = status(&[of("192.0.2.7")]).await.ok();
    let two = status(&[of("192.0.2.7")]).await.ok();
    assert!(one.is_some() && two.is_some());
    assert_eq!(status(&[of("192.0.2.7")]).await.err(), Some(429));
    // Each address has one subscription, over all of its sockets.
    let mut sockets = Vec::new();
    for _ in 0..2 {
        let mut socket = status(&[of("192.0.2.9")]).await.ok().unwrap();
        socket.send(json!({ "type": "connection_init" })).await;
        assert_eq!(socket.next().await, SocketMessage::Json(json!({ "type": "connection_ack" })));
        socket.subscribe("s", FOLLOWED, json!({})).await;
        sockets.push(socket);
        subgraph.until_followed_by(1).await;
    }
    let SocketMessage::Json(refused) = sockets[1].next().await else { panic!("closed") };
    assert_eq!(refused["payload"][0]["extensions"]["code"], "BAD_USER_INPUT");
    sockets[0].subscribe("s", FOLLOWED, json!({})).await;
    assert_eq!(closed(&mut sockets[0]).await, 4409);
    // No socket keeps a great deal of headers, and none that nobody asks for.
    let large = |name| (name, "x".repeat(10_000));
    assert_eq!(status(&[large("user-agent")]).await.err(), Some(431));
    assert!(status(&[of("192.0.2.8"), large("x-other")]).await.is_ok());
    // A gateway that stops says so.
    let (stopped, farewell) = tokio::join!(gateway.interrupt(), closed(&mut sockets[1]));
    assert!(stopped.success() && farewell == 1012);
}
