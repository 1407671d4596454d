//! A gateway without replicas, whose callers' tokens a test makes.

use accounts_center::clock::Clock;
use serde_json::json;
use tokio_tungstenite::tungstenite::Error;

use super::super::{Subgraph, join};
use super::front;
use super::sockets::{FOLLOWED, closed, welcome};
use crate::examples::issuer::{Issuer, bad_tokens, claims, sign, sign_as};
use crate::gateway::shop::GatewayProcess;
use crate::support::{Place, Socket, SocketMessage, Stack, eventually};

/// A gateway that takes the tokens of `issuer`, with settings.
async fn alone(issuer: &Issuer, settings: &[(&str, &str)]) -> (Place, Subgraph, GatewayProcess) {
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
    // What was minted for a subgraph is not shown by its caller, whatever the subgraph is called (S43).
    let header = json!({ "alg": "EdDSA", "typ": "subgraph+jwt", "kid": "key 1" });
    let subgraphs = sign_as(&header, 1, &claims("accounts-center", now + 600));
    assert_eq!(welcome(&gateway.url, &subgraphs).await, SocketMessage::Closed(4403));
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

/// A client whose token nobody can judge yet is not told that it is signed out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_has_not_seen_the_keys_says_so() {
    let issuer = Issuer::start().await;
    issuer.publish(&[]);
    let (_place, _subgraph, gateway) = alone(&issuer, &[]).await;
    let good = sign(1, &claims("accounts-center", Clock::system().now().timestamp() + 600));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let ready = async || http.get(format!("{}/ready", gateway.url)).send().await.unwrap().status().as_u16();
    let ask = async |token: Option<&str>| {
        let client = crate::support::Client::new(&gateway.url);
        let client = token.map_or_else(|| client.clone(), |token| client.with_token(token));
        client.query("{ greeting }").await
    };
    assert_eq!(ready().await, 503);
    let refused = ask(Some(&good)).await;
    assert_eq!(
        (refused.status.as_u16(), refused.error_code()),
        (503, "SERVICE_UNAVAILABLE"),
        "{:#}",
        refused.body
    );
    assert_eq!(ask(None).await.field(), "hello");
    issuer.publish(&[1]);
    eventually("there are keys", async || (ready().await == 200).then_some(())).await;
    assert_eq!(ask(Some(&good)).await.field(), "hello");
}

/// A URL is kept in logs, and so must not bear a secret: no more at a gateway than at the replicas.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_does_not_come_to_a_gateway_by_get() {
    let issuer = Issuer::start().await;
    issuer.publish(&[1]);
    let (_place, _subgraph, gateway) = alone(&issuer, &[]).await;
    let query = "query($secret: Secret) { verification(id: \"x\", clientSecret: $secret) { id } }";
    let get = async |variables: &str| {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = http.get(format!("{}/graphql", gateway.url));
        let answer = request.query(&[("query", query), ("variables", variables)]).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, body) = get("{\"secret\":\"s3cret\"}").await;
    assert!(
        status == 405 && body.contains("$secret is a Secret") && !body.contains("s3cret"),
        "{status} {body}"
    );
    let (status, body) = get("{\"secret\":null}").await;
    assert!(status == 200, "{status} {body}");
}
