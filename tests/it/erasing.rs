//! What was known of a person for a proof is erased when the proof is over, and a session goes some time after its end.

use accounts_center::session;
use accounts_center_entity::{job, session as session_row, verification};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{START, TestApp, eventually, on_both_stacks, uuid_of};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";
/// A handle that is public is not masked.
const PUBLIC: &str = "grace.hopper";

on_both_stacks! {
    async fn where_a_code_went_is_forgotten_with_its_proof(place: Place) {
        let app = place.app().await;
        place.sandbox.add_profile("wa_public", PUBLIC).await;
        let person = app.client().sign_in(&place, ADA).await;
        let ada = &person.client;
        let row = async |id: &Value| {
            let db = place.database().await;
            verification::Entity::find_by_id(uuid_of(id.as_str().unwrap())).one(&db).await.unwrap().unwrap()
        };
        // It succeeds.
        let good = ada.start_link(PUBLIC).await;
        let good = &good.field()["verification"];
        assert_eq!(good["challenge"]["destination"], PUBLIC);
        let code = place.sandbox.nth_code(PUBLIC, 1).await;
        assert_eq!(ada.submit(&good["id"], &Value::Null, &code).await.user_errors(), [""; 0]);
        assert_forgotten(&row(&good["id"]).await);
        // It fails.
        let bad = ada.start_link(PUBLIC).await.field()["verification"]["id"].clone();
        place.sandbox.nth_code(PUBLIC, 2).await;
        for _ in 0..5 {
            ada.submit(&bad, &Value::Null, "nonsense").await.field();
        }
        assert_eq!(row(&bad).await.status, verification::Status::Failed);
        assert_forgotten(&row(&bad).await);
        // Nobody ends it: its time runs out.
        let left = ada.start_link(GRACE).await.field()["verification"]["id"].clone();
        place.sandbox.nth_code(GRACE, 1).await;
        eventually("the platform has said who it is", async || row(&left).await.sealed_claim.map(|_| ())).await;
        assert_eq!(row(&left).await.destination, "+49 ··· ·· 43");
        app.advance(&place, 600).await;
        eventually("it is erased", async || row(&left).await.sealed_handle.is_none().then_some(())).await;
        assert_forgotten(&row(&left).await);
        let look = "query($id: ID!) { verification(id: $id) { status challenge { __typename } } }";
        let seen = app.renewed(&person).run(look, json!({ "id": left })).await;
        assert_eq!(seen.field(), &json!({ "status": "EXPIRED", "challenge": null }));
    }

    /// By the clock: a session lives for its days, is kept for a month more, and goes.
    async fn sessions_go_a_month_after_they_expired(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__RETENTION__PERIOD_SECONDS", 1);
        let app = place.app().await;
        let old = app.client().sign_in(&place, ADA).await;
        let db = place.database().await;
        let sessions = async || {
            let rows = session_row::Entity::find().all(&db).await.unwrap();
            rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
        };
        let lives = session_row::Entity::find().one(&db).await.unwrap().unwrap().expires_at - START;
        app.advance(&place, (lives + TimeDelta::days(30)).num_seconds()).await;
        let young = app.client().sign_in(&place, ADA).await;
        assert!(sessions().await.contains(&uuid_of(&old.session)), "exactly a month is not over a month");
        app.advance(&place, 1).await;
        eventually("it is gone", async || (sessions().await == [uuid_of(&young.session)]).then_some(())).await;
        let node = "query($id: ID!) { node(id: $id) { id } }";
        assert_eq!(young.client.run(node, json!({ "id": old.session })).await.field(), &Value::Null);
        young.client.start_link(GRACE).await.field();
    }

    /// A thousand of each, by batches, the oldest first; those that are young or alive stay.
    async fn sessions_and_dead_jobs_are_purged_in_batches(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__JOBS__CONCURRENCY", 0);
        let app = place.app().await;
        let ada = app.client();
        ada.start_sign_in(ADA).await.field();
        let db = place.database().await;
        let account = planted_account(&app).await;
        let template = job::Entity::find().one(&db).await.unwrap().unwrap();
        let count = job::Entity::find().count(&db).await.unwrap();
        for chunk in 0..10_i64 {
            let numbers = chunk * 100..chunk * 100 + 100;
            let sessions = numbers.clone().map(|n| planted_session(account, days_ago(31) - TimeDelta::seconds(n)));
            session_row::Entity::insert_many(sessions).exec_without_returning(&db).await.unwrap();
            let jobs = numbers.map(|n| {
                let (id, dead_at) = (random(&app), Some(days_ago(91) - TimeDelta::seconds(n)));
                job::ActiveModel::from(job::Model { id, dead_at, ..template.clone() })
            });
            job::Entity::insert_many(jobs).exec_without_returning(&db).await.unwrap();
        }
        planted_session(account, days_ago(30)).insert(&db).await.unwrap();
        let young = job::Model { id: random(&app), dead_at: Some(days_ago(90)), ..template.clone() };
        job::Entity::insert(job::ActiveModel::from(young)).exec_without_returning(&db).await.unwrap();

        let store = &app.app().store;
        let mut purged = Vec::new();
        for _ in 0..3 {
            purged.push((
                session::purge(store, days_ago(30)).await.unwrap(),
                store.purge_dead_jobs(days_ago(90)).await.unwrap(),
            ));
        }
        assert_eq!(purged, [(500, 500), (500, 500), (0, 0)]);
        assert_eq!(session_row::Entity::find().count(&db).await.unwrap(), 1);
        let dead = job::Entity::find().filter(job::Column::DeadAt.is_not_null());
        assert_eq!(dead.count(&db).await.unwrap(), 1);
        assert_eq!(job::Entity::find().count(&db).await.unwrap(), count + 1, "none that is alive");
    }
}

#[track_caller]
fn assert_forgotten(row: &verification::Model) {
    assert_eq!(row.destination, "");
    assert_eq!((&row.external_id, &row.sealed_handle, &row.sealed_claim), (&None, &None, &None));
    assert_eq!(row.code_hash, None);
}

fn days_ago(days: i64) -> DateTime<Utc> {
    START - TimeDelta::days(days)
}

fn random(app: &TestApp) -> Uuid {
    app.app().ids.uuid(START)
}

async fn planted_account(app: &TestApp) -> Uuid {
    use accounts_center::account::{self, NewProfile};
    use accounts_center::platform::ProfileClaim;
    use accounts_center::sandbox::DEMO_PROFILE;
    use accounts_center::store::{Command, Outcome, StreamKind};
    let platform = app.app().platforms.get("whatsapp").unwrap().clone();
    let claim: ProfileClaim = DEMO_PROFILE.into();
    let id = random(app);
    let made = app.app().store.create(id, StreamKind::Account, async |command: &mut Command| {
        let new = NewProfile { platform: &platform.key, claim: &claim, sign_in_enabled: true };
        Ok(Outcome::Commit(account::fill(command, id, &new).await?.unwrap()))
    });
    made.await.unwrap().unwrap().account_id
}

fn planted_session(account: Uuid, expires_at: DateTime<Utc>) -> session_row::ActiveModel {
    session_row::ActiveModel {
        id: Set(Uuid::from_u128(expires_at.timestamp() as u128)),
        account_id: Set(account),
        opened_by_profile_id: Set(None),
        opened_by_passkey_id: Set(None),
        device: Set(None),
        ip_address: Set(None),
        created_at: Set(expires_at - TimeDelta::days(30)),
        authenticated_at: Set(expires_at - TimeDelta::days(30)),
        expires_at: Set(expires_at),
        revoked_at: Set(None),
        refresh_number: Set(0),
        refresh_hash: Set(None),
        refreshed_at: Set(None),
    }
}
