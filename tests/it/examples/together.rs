//! Both examples and the accounts graph as one graph, served by one process.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::errors;
use super::instagram::Instagram;
use super::whatsapp_process::Whatsapp;
use crate::one_graph::apart::gateway_before;
use crate::routers::mint;
use crate::support::{Client, Place, SocketMessage, on_both_stacks};

const ADA: &str = "+4917139200042";
const EVE: &str = "+4917139200050";
const WHATSAPP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/whatsapp/schema.graphql");
const INSTAGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/instagram/schema.graphql");
const PROFILES: &str = "{ viewer { id profiles { handle status platform { key } devices { name kind }
    followers(first: 1) { totalCount } recentMedia(first: 1) { id profile { handle account { id } } } } } }";
const FOLLOW: &str =
    "subscription($id: String!) { whatsappDeviceChanged(externalId: $id) { kind device { name
    profile { handle status account { id } } } } }";

/// A port that is free, and that nobody is given by chance before it is used: those begin at 32768.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(std::process::id() % 8_000).unwrap();
    let mut ports =
        std::iter::repeat_with(|| 20_000 + begin + NEXT.fetch_add(1, Ordering::Relaxed)).take(1_000);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}

on_both_stacks! {
    async fn one_operation_and_one_event_cross_all_of_them(place: Place) {
        let mut place = place;
        // The examples ask the server for its keys, and it has to be told first where they are.
        let own = format!("127.0.0.1:{}", free_port());
        let whatsapp = Whatsapp::start(&format!("http://{own}"), "whatsapp").await;
        let instagram = Instagram::start(&format!("http://{own}")).await;
        for (setting, value) in [
            ("ACCOUNTS__HTTP__LISTEN", own),
            ("ACCOUNTS__GATEWAY__PLANS__MILLISECONDS", "20000".to_owned()),
            ("ACCOUNTS__GATEWAY__SUBGRAPHS__WHATSAPP__SDL", WHATSAPP.to_owned()),
            ("ACCOUNTS__GATEWAY__SUBGRAPHS__WHATSAPP__URL", whatsapp.graphql()),
            ("ACCOUNTS__GATEWAY__SUBGRAPHS__WHATSAPP__PLATFORMS", "whatsapp".to_owned()),
            ("ACCOUNTS__GATEWAY__SUBGRAPHS__INSTAGRAM__SDL", INSTAGRAM.to_owned()),
            ("ACCOUNTS__GATEWAY__SUBGRAPHS__INSTAGRAM__URL", instagram.url.clone()),
            ("ACCOUNTS__GATEWAY__SUBGRAPHS__INSTAGRAM__PLATFORMS", "instagram".to_owned()),
        ] {
            place.set(setting, value);
        }
        let app = place.app().await;
        cross(&place, &app.client(), &whatsapp).await;
        whatsapp.end().await;
    }

    /// The same where the accounts graph is elsewhere: its replicas make the tokens that the examples ask for.
    async fn they_are_crossed_by_a_gateway_of_its_own_as_well(place: Place) {
        let app = place.app().await;
        let whatsapp = Whatsapp::start(&app.url, "whatsapp").await;
        let instagram = Instagram::start(&app.url).await;
        let router = mint(&place).await;
        let (devices, pictures) = (whatsapp.graphql(), instagram.url.clone());
        let settings = [
            ("ACCOUNTS__GATEWAY__SUBGRAPHS__WHATSAPP__SDL", WHATSAPP),
            ("ACCOUNTS__GATEWAY__SUBGRAPHS__WHATSAPP__URL", &*devices),
            ("ACCOUNTS__GATEWAY__SUBGRAPHS__WHATSAPP__PLATFORMS", "whatsapp"),
            ("ACCOUNTS__GATEWAY__SUBGRAPHS__INSTAGRAM__SDL", INSTAGRAM),
            ("ACCOUNTS__GATEWAY__SUBGRAPHS__INSTAGRAM__URL", &*pictures),
            ("ACCOUNTS__GATEWAY__SUBGRAPHS__INSTAGRAM__PLATFORMS", "instagram"),
        ];
        let gateway = gateway_before("127.0.0.1:0", &place, (&app.url, &router), &settings).await;
        cross(&place, &Client::new(&gateway.url), &whatsapp).await;
        whatsapp.end().await;
    }
}

/// Goes from each of the three to the others, by an operation and by an event.
async fn cross(place: &Place, client: &Client, whatsapp: &Whatsapp) {
    let ada = client.sign_in(place, ADA).await;
    ada.client.oauth_link("instagram", "ig_ada").await.field();
    let answer = ada.client.query(PROFILES).await.body;
    assert_eq!(answer.get("errors"), None, "{answer:#}");
    let profiles = answer["data"]["viewer"]["profiles"].as_array().unwrap();
    // The clock stands still, so they were linked at the same moment.
    let of = |platform: &str| profiles.iter().find(|profile| profile["platform"]["key"] == platform).unwrap();
    let (phone, pictures) = (of("whatsapp"), of("instagram"));
    assert_eq!(phone["devices"], json!([{ "name": "Phone", "kind": "PHONE" }]));
    assert_eq!((&phone["followers"], &phone["recentMedia"]), (&Value::Null, &Value::Null));
    assert_eq!(pictures["devices"], Value::Null);
    assert!(pictures["followers"]["totalCount"].as_i64().unwrap() >= 40, "{pictures:#}");
    // What leads back is the accounts graph's to say.
    let back = json!({ "handle": pictures["handle"], "account": { "id": ada.account } });
    assert_eq!(pictures["recentMedia"][0]["profile"], back);

    // An event of the subgraph, with what the accounts graph knows of its profile.
    let mut socket = ada.client.socket().await;
    socket.subscribe("1", FOLLOW, json!({ "id": "wa_ada" })).await;
    socket.ask("{ viewer { id } }").await;
    let event = loop {
        // Nobody says when it is followed.
        whatsapp.add_device("wa_ada", "Laptop").await;
        let event = socket.event("1", "whatsappDeviceChanged");
        if let Ok(event) = tokio::time::timeout(Duration::from_secs(1), event).await {
            break event;
        }
    };
    let profile = json!({ "handle": phone["handle"], "status": "ACTIVE", "account": { "id": ada.account } });
    assert_eq!(event, json!({ "kind": "ADDED", "device": { "name": "Laptop", "profile": profile } }));

    // Somebody else sees nothing of all that.
    place.sandbox.add_profile("wa_eve", EVE).await;
    let eve = client.sign_in(place, EVE).await;
    let media = pictures["recentMedia"][0]["id"].as_str().unwrap();
    let named = format!(
        r#"{{ whatsappDevice(id: "wa_ada.phone") {{ name }} instagramMedia(id: "{media}") {{ caption }} }}"#
    );
    let hidden = eve.client.query(&named).await.body;
    assert_eq!(hidden["data"], json!({ "whatsappDevice": null, "instagramMedia": null }), "{hidden:#}");
    assert!(errors(&hidden).is_empty(), "{hidden:#}");
    let mut socket = eve.client.socket().await;
    socket.subscribe("1", FOLLOW, json!({ "id": "wa_ada" })).await;
    let SocketMessage::Json(refused) = socket.next().await else { panic!("closed") };
    assert_eq!(refused["payload"]["errors"][0]["extensions"]["code"], "FORBIDDEN", "{refused:#}");
}
