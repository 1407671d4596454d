//! Who claims what, and what they are told.

use accounts_center_entity::job;
use accounts_center_entity::linked_profile::{self, LinkStatus};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

use super::{ADA, EVE, GRACE};
use crate::support::{Answer, Client, Person, Place, TestApp, eventually};

pub const CLAIM: &str = "mutation($input: ClaimProfileInput!) { claimProfile(input: $input) {
    verification { id status failure profile { id } platform { key } } userErrors { code message path } } }";
pub const ACTIVITY: &str =
    "{ viewer { activity(kinds: [SECURITY]) { nodes { description profile { id } } } } }";

/// Ada has a profile that Eve has proved in vain.
pub struct Claimed {
    pub ada: Person,
    pub eve: Person,
    pub profile: String,
    pub verification: Value,
}

impl Claimed {
    pub async fn make(place: &Place, app: &TestApp) -> Self {
        let ada = app.client().sign_in(place, ADA).await;
        let profile = ada.client.linked(place, GRACE).await;
        place.sandbox.add_profile("wa_eve", EVE).await;
        let eve = app.client().sign_in(place, EVE).await;
        let verification = proved_in_vain(place, &eve.client).await;
        Self { ada, eve, profile, verification }
    }
}

pub async fn proved_in_vain(place: &Place, eve: &Client) -> Value {
    let answer = eve.link(place, GRACE).await;
    assert_eq!(answer.user_errors(), ["PROFILE_LINKED_ELSEWHERE"]);
    answer.field()["verification"]["id"].clone()
}

/// The newest alert of a kind that somebody has.
pub async fn alert(client: &Client, kind: &str) -> Value {
    let query = "{ viewer { security { alerts { nodes { kind profile { id } session { id } } } } } }";
    let alerts = client.query(query).await.field()["security"]["alerts"]["nodes"].clone();
    let found = alerts.as_array().unwrap().iter().find(|alert| alert["kind"] == kind).cloned();
    found.unwrap_or_else(|| panic!("no {kind} in {alerts:#}"))
}

pub async fn checkup(client: &Client) -> Vec<String> {
    let answer = client.query("{ viewer { security { checkup { kind } } } }").await;
    let advice = answer.field()["security"]["checkup"].as_array().unwrap().clone();
    advice.iter().map(|advice| advice["kind"].as_str().unwrap().to_owned()).collect()
}

pub async fn revoke(client: &Client, session: &str) {
    let query =
        "mutation($input: RevokeSessionInput!) { revokeSession(input: $input) { userErrors { code } } }";
    assert_eq!(client.mutate(query, json!({ "sessionId": session })).await.user_errors(), [""; 0]);
}

pub async fn refreshed(client: &Client, token: &str) -> Answer {
    let query = "mutation($input: RefreshSessionInput!) { refreshSession(input: $input) { session { id } } }";
    client.mutate(query, json!({ "refreshToken": token })).await
}

pub async fn try_sign_in(place: &Place, client: &Client, handle: &str) -> Answer {
    let before = place.sandbox.codes(handle).await.len();
    let started = client.start_sign_in(handle).await.field().clone();
    let code = place.sandbox.nth_code(handle, before + 1).await;
    client.submit(&started["verification"]["id"], &started["clientSecret"], &code).await
}

/// Somebody who signs in, and the refresh token of their session.
pub async fn signed_in_with_refresh(place: &Place, app: &TestApp, handle: &str) -> (Person, String) {
    let done = try_sign_in(place, &app.client(), handle).await;
    let outcome = done.field()["outcome"].clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let client = app.client().with_token(&text(&outcome["tokens"]["accessToken"]));
    let (account, session) = (text(&outcome["account"]["id"]), text(&outcome["session"]["id"]));
    (Person { account, session, client }, text(&outcome["tokens"]["refreshToken"]))
}

/// Waits until a job of this kind has said that it has to wait.
pub async fn until_waits(db: &DatabaseConnection, kind: &str) {
    eventually("it waits", async || {
        let jobs = job::Entity::find().filter(job::Column::Kind.eq(kind)).all(db).await.unwrap();
        jobs.iter().any(|job| job.last_error.is_some()).then_some(())
    })
    .await;
}

pub async fn claim(client: &Client, verification: &Value) -> Answer {
    client.mutate(CLAIM, json!({ "verificationId": verification })).await
}

/// What somebody has been told of claims: what else their security is about names no profile.
pub async fn claims_in(client: &Client) -> Vec<Value> {
    let nodes = client.query(ACTIVITY).await.field()["activity"]["nodes"].as_array().unwrap().clone();
    nodes.into_iter().filter(|node| !node["profile"].is_null()).collect()
}

/// What the owner has been told, once it is something.
pub async fn told(owner: &Client) -> Vec<Value> {
    eventually("the owner is told", async || {
        let claims = claims_in(owner).await;
        (!claims.is_empty()).then_some(claims)
    })
    .await
}

/// Waits until no claim waits for its end.
pub async fn settled(db: &DatabaseConnection) {
    until_none(db, &["settle_claim", "hand_over_claimed", "tell_claimed_owner"]).await;
}

/// Waits until there are no jobs of these kinds.
pub async fn until_none(db: &DatabaseConnection, kinds: &[&str]) {
    eventually("those jobs are done", async || {
        let kinds = kinds.iter().copied();
        let left = job::Entity::find().filter(job::Column::Kind.is_in(kinds)).count(db).await.unwrap();
        (left == 0).then_some(())
    })
    .await;
}

pub async fn linked_of(db: &DatabaseConnection, person: &Person) -> Vec<linked_profile::Model> {
    let rows =
        linked_profile::Entity::find().filter(linked_profile::Column::AccountId.eq(person.account_id()));
    rows.filter(linked_profile::Column::Status.ne(LinkStatus::Unlinked)).all(db).await.unwrap()
}

/// Waits until GRACE's profile is linked to a person.
pub async fn until_linked(db: &DatabaseConnection, person: &Person) -> linked_profile::Model {
    eventually("it is linked", async || {
        linked_of(db, person).await.into_iter().find(|row| row.external_id == "wa_grace")
    })
    .await
}
