//! Reading what a subscription tells, and letting something happen that it tells of.

use std::time::Duration;

use accounts_center::account::event::AccountChanged;
use accounts_center::link_graph::event::LinkStatusChanged;
use accounts_center::link_graph::graphql::{LinkStatus, LinkStatusReason};
use accounts_center_entity::experience_grant::Experience;
use accounts_center_entity::{event, event_purge};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, TransactionTrait};
use serde_json::{Value, json};

use super::ADA;
use crate::connections::connect;
use crate::support::{Client, PATIENCE, Person, Place, Socket, SocketMessage, TestApp, uuid_of};

/// Where the account stands.
pub async fn cursor(client: &Client) -> String {
    let answer = client.query("{ viewer { eventCursor } }").await;
    answer.field()["eventCursor"].as_str().unwrap().to_owned()
}

/// Links new profiles, numbered by `range`.
pub async fn link_some(place: &Place, client: &Client, range: std::ops::Range<u32>) {
    for n in range {
        let handle = format!("+49171392002{n:02}");
        place.sandbox.add_profile(&format!("wa_more_{n}"), &handle).await;
        let linked = client.link(place, &handle).await;
        assert_eq!(linked.user_errors(), [""; 0]);
    }
}

/// Exactly `count` events behind a cursor.
pub async fn read_from(client: &Client, after: &str, count: usize) -> Vec<Value> {
    let mut socket = Socket::open(&client.url, client.token.as_deref()).await;
    let query = "subscription($after: String!) { linkStatusChanged(after: $after) {
        cursor previousLinkStatus graphVersion profile { id } } }";
    socket.subscribe("links", query, json!({ "after": after })).await;
    let mut events = Vec::new();
    for _ in 0..count {
        events.push(socket.link_event().await);
    }
    assert_eq!(socket.next_within(Duration::from_millis(300)).await, None, "one event too many");
    events
}

pub fn versions(events: &[Value]) -> Vec<i64> {
    events.iter().map(|event| event["graphVersion"].as_i64().unwrap()).collect()
}

/// The code that a subscription is refused with.
pub async fn refusal(client: &Client, after: Option<&str>) -> String {
    let mut socket = client.socket().await;
    let query = "subscription($after: String) { linkStatusChanged(after: $after) { cursor } }";
    socket.subscribe("links", query, json!({ "after": after })).await;
    let SocketMessage::Json(message) = socket.next().await else { panic!("closed") };
    let code =
        message["payload"]["errors"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("{message}"));
    assert_eq!(socket.next().await, SocketMessage::Json(json!({ "type": "complete", "id": "links" })));
    code.to_owned()
}

/// A socket with one subscription.
pub struct Follower {
    pub socket: Socket,
    field: &'static str,
}

impl Follower {
    pub async fn open(client: &Client, field: &'static str, after: Option<&str>) -> Self {
        let mut socket = client.socket().await;
        let of_kinds =
            "__typename ... on LinkStatusChange { graphVersion } ... on ConnectionChange { graphVersion }";
        let query = match field {
            "accountEvents" => format!(
                "subscription($after: String) {{ accountEvents(after: $after) {{
                cursor {of_kinds} }} }}"
            ),
            "securityAlertRaised" => format!(
                "subscription($after: String) {{ {field}(after: $after) {{
                cursor __typename }} }}"
            ),
            _ => format!(
                "subscription($after: String) {{ {field}(after: $after) {{
                cursor __typename graphVersion }} }}"
            ),
        };
        socket.subscribe("follow", &query, json!({ "after": after })).await;
        Self { socket, field }
    }

    /// The next events, and no further one.
    pub async fn events(&mut self, count: usize) -> Vec<Value> {
        let mut events = Vec::new();
        for _ in 0..count {
            events.push(self.socket.event("follow", self.field).await);
        }
        assert_eq!(self.socket.next_within(Duration::from_millis(50)).await, None, "one event too many");
        events
    }
}

/// Events of every kind: what [`kind_and_version`] gives of them.
pub async fn make_mixed_events(place: &Place, app: &TestApp, ada: &Person) -> Vec<String> {
    link_some(place, &ada.client, 0..1).await;
    let hub = ada.client.query("{ viewer { profiles { id } } }").await;
    let ends = [0, 1].map(|n| uuid_of(hub.field()["profiles"][n]["id"].as_str().unwrap()));
    app.happen(ada.account_id(), &[AccountChanged {}]).await;
    for on in [true, false] {
        connect(app, ada.account_id(), ends, Experience::Messaging, on).await.unwrap();
        app.happen(ada.account_id(), &[status(&ada.client).await]).await;
    }
    app.happen(ada.account_id(), &[AccountChanged {}, AccountChanged {}]).await;
    connect(app, ada.account_id(), ends, Experience::SharedLogin, true).await.unwrap();
    app.client().sign_in(place, ADA).await;
    [
        "LinkStatusChange 3",
        "SecurityAlertRaised null",
        "AccountChange null",
        "ConnectionChange 6",
        "LinkStatusChange 7",
        "ConnectionChange 8",
        "LinkStatusChange 9",
        "AccountChange null",
        "AccountChange null",
        "ConnectionChange 12",
        "SessionChange null",
        "SecurityAlertRaised null",
    ]
    .map(str::to_owned)
    .to_vec()
}

pub fn kind_and_version(event: &Value) -> String {
    format!("{} {}", event["__typename"].as_str().unwrap(), event["graphVersion"])
}

/// A change of the status of the caller's first profile, which is not made.
pub async fn status(client: &Client) -> LinkStatusChanged {
    let hub = client.query("{ viewer { profiles { id } } }").await;
    LinkStatusChanged {
        profile: uuid_of(hub.field()["profiles"][0]["id"].as_str().unwrap()),
        previous: Some(LinkStatus::Suspended),
        status: LinkStatus::Active,
        reason: LinkStatusReason::PlatformReactivated,
    }
}

/// Purges the events of one kind up to a number, as housekeeping does.
pub async fn purge(place: &Place, person: &Person, kind: &str, up_to: i64) {
    let db = place.database().await;
    let tx = db.begin().await.unwrap();
    event::Entity::delete_many()
        .filter(event::Column::StreamId.eq(person.account_id()))
        .filter(event::Column::Kind.eq(kind))
        .filter(event::Column::Number.lte(up_to))
        .exec(&tx)
        .await
        .unwrap();
    let mark = event_purge::ActiveModel {
        stream_id: Set(person.account_id()),
        kind: Set(kind.to_owned()),
        up_to: Set(up_to),
    };
    mark.insert(&tx).await.unwrap();
    tx.commit().await.unwrap();
}

/// A subscription behind `after` is refused as expired, or else is open.
pub async fn expires(client: &Client, (field, after): (&str, &str), expired: bool) {
    let mut socket = client.socket().await;
    let query = format!("subscription($after: String) {{ {field}(after: $after) {{ cursor }} }}");
    socket.subscribe("follow", &query, json!({ "after": after })).await;
    let patience = if expired { PATIENCE } else { Duration::from_millis(500) };
    match socket.next_within(patience).await {
        // It says nothing because there is nothing to say, or tells of an event.
        None => assert!(!expired, "{field}"),
        Some(SocketMessage::Json(message)) => {
            let code = &message["payload"]["errors"][0]["extensions"]["code"];
            assert_eq!(code == "CURSOR_EXPIRED", expired, "{field}: {message}");
            assert!(expired || message["type"] == "next" && code.is_null(), "{field}: {message}");
        }
        Some(closed) => panic!("{closed:?}"),
    }
}
