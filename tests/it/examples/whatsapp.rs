//! The example in Node.

use std::time::{Duration, Instant};

use accounts_center::clock::Clock;
use serde_json::{Value, json};

use super::issuer::{Issuer, bad_tokens, claims, sign};
use super::whatsapp_process::Whatsapp;
use super::{ENTITIES, ask, errors};
use crate::support::{Socket, SocketMessage};

const FIELDS: &str = "devices { id name kind profile { platformKey externalId } }";
const FOLLOW: &str =
    "subscription($id: String!, $after: String) { whatsappDeviceChanged(externalId: $id, after: $after) {
    cursor kind device { name profile { platformKey externalId } } } }";

fn now() -> i64 {
    Clock::system().now().timestamp()
}

/// Who has these profiles; of a client of another router nobody says which.
fn token_of(account: &str, profiles: Value) -> String {
    let mut claims = claims("whatsapp", now() + 60);
    (claims["sub"], claims["profiles"]) = (json!(account), profiles);
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    sign(1, &claims)
}

fn ada() -> String {
    token_of("account_ada", json!({ "whatsapp": ["wa_ada"] }))
}

async fn entities(whatsapp: &Whatsapp, token: Option<&str>) -> Value {
    let representations = json!([
        { "__typename": "LinkedProfile", "platformKey": "whatsapp", "externalId": "wa_ada" },
        { "__typename": "LinkedProfile", "platformKey": "instagram", "externalId": "ig_ada" },
    ]);
    let query = ENTITIES.replace("FIELDS", FIELDS).replace("... on InstagramMedia { likeCount }", "");
    ask(&whatsapp.graphql(), token, &query, json!({ "r": representations })).await
}

#[tokio::test]
async fn s43_whatsapp_takes_its_own_tokens_only() {
    let issuer = Issuer::start().await;
    let whatsapp = Whatsapp::start(&issuer.url, "whatsapp").await;
    let tokens = bad_tokens("whatsapp", now()).into_iter().map(|(why, token)| (why, Some(token)));
    for (why, token) in tokens.chain([("none", None)]) {
        let refused = entities(&whatsapp, token.as_deref()).await;
        let at = |nth: usize| ("UNAUTHENTICATED", format!(r#"["_entities",{nth},"devices"]"#));
        assert_eq!(errors(&refused), [at(0), at(1)], "{why}: {refused:#}");
        assert_eq!(refused["data"]["_entities"][0]["devices"], Value::Null, "{why}");
    }
    // Who is not signed in has no devices to see.
    let mut anonymous = claims("whatsapp", now() + 60);
    anonymous.as_object_mut().unwrap().retain(|claim, _| claim != "sub" && claim != "profiles");
    assert_eq!(errors(&entities(&whatsapp, Some(&sign(1, &anonymous))).await).len(), 2);
    let service = ask(&whatsapp.graphql(), None, "{ _service { sdl } }", json!({})).await;
    assert!(service["data"]["_service"]["sdl"].as_str().unwrap().contains("WhatsappDevice"));

    let answer = entities(&whatsapp, Some(&ada())).await;
    let profile = json!({ "platformKey": "whatsapp", "externalId": "wa_ada" });
    let phone = json!({ "id": "wa_ada.phone", "name": "Phone", "kind": "PHONE", "profile": profile });
    let expected = json!({ "data": { "_entities": [
        { "__typename": "LinkedProfile", "externalId": "wa_ada", "devices": [phone] },
        { "__typename": "LinkedProfile", "externalId": "ig_ada", "devices": null },
    ] } });
    assert_eq!(answer, expected);

    // When the Accounts Center is away nothing is said of tokens.
    let alone = Whatsapp::start("http://127.0.0.1:1", "whatsapp").await;
    assert_eq!(errors(&entities(&alone, Some(&ada())).await)[0].0, "SERVICE_UNAVAILABLE");
    alone.end().await;
    whatsapp.end().await;
}

/// Also where another subgraph makes up the key of somebody else's profile, and the gateway asks for it with the caller's token.
#[tokio::test]
async fn s23_whatsapp_shows_devices_to_their_owner_alone() {
    let issuer = Issuer::start().await;
    let whatsapp = Whatsapp::start(&issuer.url, "whatsapp").await;
    let eve = token_of("account_eve", json!({ "whatsapp": ["wa_eve"], "instagram": ["wa_ada"] }));
    for _ in 0..2 {
        let answer = entities(&whatsapp, Some(&eve)).await;
        assert_eq!(answer["data"]["_entities"][0]["devices"], Value::Null, "{answer:#}");
        let by_id = "{ whatsappDevice(id: \"wa_ada.phone\") { name } }";
        let device = ask(&whatsapp.graphql(), Some(&eve), by_id, json!({})).await;
        assert_eq!(device, json!({ "data": { "whatsappDevice": null } }));
    }
    let mut socket = Socket::open(&whatsapp.url, Some(&eve)).await;
    socket.subscribe("1", FOLLOW, json!({ "id": "wa_ada" })).await;
    let SocketMessage::Json(refused) = socket.next().await else { panic!("closed") };
    assert_eq!(refused["payload"]["errors"][0]["extensions"]["code"], "FORBIDDEN", "{refused:#}");
    // Their owner need not ask for them first.
    let mut socket = Socket::open(&whatsapp.url, Some(&ada())).await;
    socket.subscribe("1", FOLLOW, json!({ "id": "wa_ada" })).await;
    assert_eq!(socket.ask("{ __typename }").await["__typename"], "Query");
    whatsapp.add_device("wa_ada", "Laptop").await;
    assert_eq!(socket.event("1", "whatsappDeviceChanged").await["device"]["name"], "Laptop");
    whatsapp.end().await;
}

#[tokio::test]
async fn behind_another_router_whatsapp_tells_of_devices_to_whom_it_has_shown_them() {
    let issuer = Issuer::start().await;
    let whatsapp = Whatsapp::start(&issuer.url, "whatsapp").await;
    let token = token_of("account_ada", Value::Null);
    let mut socket = Socket::open(&whatsapp.url, Some(&token)).await;
    let refusal = async |socket: &mut Socket, id: &str, after: Option<&str>| {
        socket.subscribe(id, FOLLOW, json!({ "id": "wa_ada", "after": after })).await;
        let SocketMessage::Json(refused) = socket.next().await else { panic!("closed") };
        let complete = json!({ "type": "complete", "id": id });
        assert_eq!(socket.next().await, SocketMessage::Json(complete), "nothing comes behind {refused:#}");
        refused["payload"]["errors"][0]["extensions"]["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(refusal(&mut socket, "1", None).await, "FORBIDDEN", "nothing was shown yet");
    entities(&whatsapp, Some(&token)).await;
    let mut eve = Socket::open(&whatsapp.url, Some(&token_of("account_eve", Value::Null))).await;
    assert_eq!(refusal(&mut eve, "1", None).await, "FORBIDDEN", "it was shown to another account");
    let mut nobody = Socket::open(&whatsapp.url, None).await;
    assert_eq!(refusal(&mut nobody, "1", None).await, "UNAUTHENTICATED");
    assert_eq!(refusal(&mut socket, "2", Some("another process.1")).await, "CURSOR_EXPIRED");

    socket.subscribe("3", FOLLOW, json!({ "id": "wa_ada" })).await;
    // An answer behind it says that it is open.
    assert_eq!(socket.ask("{ __typename }").await["__typename"], "Query");
    let laptop = whatsapp.add_device("wa_ada", "Laptop").await;
    whatsapp.add_device("wa_grace", "Not hers").await;
    whatsapp.add_device("wa_ada", "Tablet").await;
    let first = socket.event("3", "whatsappDeviceChanged").await;
    let profile = json!({ "platformKey": "whatsapp", "externalId": "wa_ada" });
    assert_eq!(
        (&first["kind"], &first["device"]),
        (&json!("ADDED"), &json!({ "name": "Laptop", "profile": profile }))
    );
    let second = socket.event("3", "whatsappDeviceChanged").await;
    assert_eq!(second["device"]["name"], "Tablet");
    // Behind the first one, once more.
    socket.subscribe("4", FOLLOW, json!({ "id": "wa_ada", "after": first["cursor"] })).await;
    assert_eq!(socket.event("4", "whatsappDeviceChanged").await, second);

    let by_id = "query($id: ID!) { whatsappDevice(id: $id) { name } }";
    let device = async |account: &str| {
        ask(&whatsapp.graphql(), Some(&token_of(account, Value::Null)), by_id, json!({ "id": laptop })).await
    };
    assert_eq!(device("account_ada").await["data"]["whatsappDevice"]["name"], "Laptop");
    assert_eq!(device("account_eve").await, json!({ "data": { "whatsappDevice": null } }));
    whatsapp.end().await;
}

/// Where nothing changes as well, so that nobody follows a profile for ever that has left them.
#[tokio::test]
async fn whatsapp_ends_a_subscription_when_its_time_is_over() {
    let issuer = Issuer::start().await;
    let whatsapp = Whatsapp::start_with(&issuer.url, "whatsapp", &[("FOLLOW_SECONDS", "1")]).await;
    let mut socket = Socket::open(&whatsapp.url, Some(&ada())).await;
    let begin = Instant::now();
    socket.subscribe("1", FOLLOW, json!({ "id": "wa_ada" })).await;
    let SocketMessage::Json(over) = socket.next().await else { panic!("closed") };
    assert_eq!(over["payload"]["errors"][0]["extensions"]["code"], "FORBIDDEN", "{over:#}");
    assert!(begin.elapsed() >= Duration::from_secs(1), "{:?}", begin.elapsed());
    assert_eq!(socket.next().await, SocketMessage::Json(json!({ "type": "complete", "id": "1" })));
    whatsapp.end().await;
}
