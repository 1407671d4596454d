//! What a person does with a link, and what is stored of it.

use accounts_center::link_graph::event::{ConnectionChanged, LinkStatusChanged};
use accounts_center::link_graph::graphql::{LinkStatus, LinkStatusReason};
use accounts_center::store::StreamEvent;
use accounts_center_entity::{event, experience_grant, linked_profile, profile_connection};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter, QueryOrder,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::graphql::{Answer, uuid_of};
use super::{Client, eventually};

const UNLINK: &str = "mutation($input: UnlinkProfileInput!) { unlinkProfile(input: $input) {
    profile { id status statusReason statusChangedAt unlinksAt displayName }
    account { id version profiles { id status } } userErrors { code message path } } }";
const KEEP: &str = "mutation($input: KeepProfileInput!) { keepProfile(input: $input) {
    profile { id status statusReason unlinksAt } account { id version } userErrors { code message path } } }";

pub const CONTAIN: &str = "mutation($input: ContainProfileInput!) { containProfile(input: $input) {
    profile { id status statusReason } account { id version } userErrors { code message path } } }";
const RELEASE: &str = "mutation($input: ReleaseProfileInput!) { releaseProfile(input: $input) {
    profile { id status statusReason } account { id version } userErrors { code message path } } }";
const SIGN_IN: &str = "mutation($input: SetProfileSignInInput!) { setProfileSignIn(input: $input) {
    profile { id status signInEnabled } account { id version } userErrors { code message path } } }";
const REVERIFY: &str =
    "mutation($input: StartProfileReverificationInput!) { startProfileReverification(input: $input) {
    verification { id purpose method profile { id } challenge { ... on OneTimeCodeChallenge { destination } } }
    userErrors { code message path } } }";
const STEP_UP: &str = "mutation($input: StartStepUpInput!) { startStepUp(input: $input) {
    verification { id purpose method profile { id } challenge { ... on OneTimeCodeChallenge { destination } } }
    userErrors { code message path } } }";

impl Client {
    pub async fn contain(&self, profile: &str) -> Answer {
        self.mutate(CONTAIN, json!({ "profileId": profile })).await
    }

    pub async fn release(&self, profile: &str) -> Answer {
        self.mutate(RELEASE, json!({ "profileId": profile })).await
    }

    pub async fn set_sign_in(&self, profile: &str, enabled: bool) -> Answer {
        self.mutate(SIGN_IN, json!({ "profileId": profile, "enabled": enabled })).await
    }

    /// Starts to prove a profile again.
    pub async fn start_reverification(&self, profile: &str) -> Answer {
        self.mutate(REVERIFY, json!({ "profileId": profile })).await
    }

    /// Starts to step up by a profile.
    pub async fn start_step_up(&self, profile: &str) -> Answer {
        self.mutate(STEP_UP, json!({ "methodId": method_of(profile) })).await
    }

    /// Proves a profile again by the code that the sandbox phone gets. Gives the answer to the proof.
    pub async fn reverify(&self, place: &super::Place, profile: &str, handle: &str) -> Answer {
        let before = place.sandbox.codes(handle).await.len();
        let started = self.start_reverification(profile).await;
        self.prove(place, &started, handle, before).await
    }

    /// Steps up by the code that the sandbox phone gets. Gives the answer to the proof.
    pub async fn step_up(&self, place: &super::Place, profile: &str, handle: &str) -> Answer {
        let before = place.sandbox.codes(handle).await.len();
        let started = self.start_step_up(profile).await;
        self.prove(place, &started, handle, before).await
    }

    async fn prove(&self, place: &super::Place, started: &Answer, handle: &str, before: usize) -> Answer {
        let verification = started.field()["verification"]["id"].clone();
        let code = place.sandbox.nth_code(handle, before + 1).await;
        self.submit(&verification, &Value::Null, &code).await
    }

    pub async fn unlink(&self, profile: &str) -> Answer {
        self.mutate(UNLINK, json!({ "profileId": profile })).await
    }

    pub async fn keep(&self, profile: &str) -> Answer {
        self.mutate(KEEP, json!({ "profileId": profile })).await
    }

    /// The global id of the profile that a link has just made.
    pub async fn linked(&self, place: &super::Place, handle: &str) -> String {
        let answer = self.link(place, handle).await;
        answer.field()["outcome"]["profile"]["id"].as_str().unwrap().to_owned()
    }

    /// The global ids of the linked profiles, oldest first.
    pub async fn profiles(&self) -> Vec<String> {
        let answer = self.query("{ viewer { profiles { id } } }").await;
        let profiles = answer.field()["profiles"].as_array().unwrap().clone();
        profiles.iter().map(|profile| profile["id"].as_str().unwrap().to_owned()).collect()
    }

    /// A profile as its owner reads it by its id.
    pub async fn profile(&self, id: &str) -> Value {
        let query = "query($id: ID!) { node(id: $id) { ... on LinkedProfile {
            id handle externalId displayName avatarUrl status statusReason unlinksAt signInEnabled
            platform { key } account { id } } } }";
        self.run(query, json!({ "id": id })).await.field().clone()
    }
}

/// The id of a profile as a way to sign in.
pub fn method_of(profile: &str) -> String {
    profile.replace("profile_", "sign_in_method_")
}

/// The row of a profile.
pub async fn profile_row(db: &DatabaseConnection, id: &str) -> linked_profile::Model {
    linked_profile::Entity::find_by_id(uuid_of(id)).one(db).await.unwrap().unwrap()
}

/// Waits until a profile stands so in the database.
pub async fn until_status(db: &DatabaseConnection, id: &str, status: linked_profile::LinkStatus) {
    let what = format!("the profile is {status:?}");
    eventually(&what, async || (profile_row(db, id).await.status == status).then_some(())).await;
}

/// Turns experiences on from one profile to another. Gives the connection.
pub async fn connect(
    db: &DatabaseConnection,
    source: &str,
    target: &str,
    experiences: &[experience_grant::Experience],
) -> Uuid {
    let now = super::START;
    let connection = profile_connection::ActiveModel {
        id: Set(Uuid::from_u128(uuid_of(source).as_u128() ^ (uuid_of(target).as_u128() >> 1))),
        account_id: Set(profile_row(db, source).await.account_id),
        source_id: Set(uuid_of(source)),
        target_id: Set(uuid_of(target)),
        created_at: Set(now),
    };
    let id = connection.insert(db).await.unwrap().id;
    for experience in experiences {
        let grant = experience_grant::ActiveModel {
            connection_id: Set(id),
            experience: Set(*experience),
            granted_at: Set(now),
        };
        grant.insert(db).await.unwrap();
    }
    id
}

/// An event of a link, without its number.
#[derive(Debug, PartialEq)]
pub enum LinkEvent {
    Status(Option<LinkStatus>, LinkStatus, LinkStatusReason),
    /// Of this connection; whether it is enabled.
    Connection(Uuid, bool),
}

/// What happened to the links of `account` behind event number `after`, in order.
pub async fn link_events(db: &DatabaseConnection, account: &str, after: i64) -> Vec<LinkEvent> {
    let rows = event::Entity::find()
        .filter(event::Column::StreamId.eq(uuid_of(account)))
        .filter(event::Column::Number.gt(after))
        .order_by_asc(event::Column::Number)
        .all(db)
        .await
        .unwrap();
    let events = rows.into_iter().filter_map(|row| match row.kind.as_str() {
        LinkStatusChanged::KIND => {
            let event: LinkStatusChanged = serde_json::from_value(row.payload).unwrap();
            Some(LinkEvent::Status(event.previous, event.status, event.reason))
        }
        ConnectionChanged::KIND => {
            let event: ConnectionChanged = serde_json::from_value(row.payload).unwrap();
            Some(LinkEvent::Connection(event.connection, event.enabled))
        }
        _ => None,
    });
    events.collect()
}
