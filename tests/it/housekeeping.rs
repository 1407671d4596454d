//! What is old goes, and says up to where it went.

use accounts_center::store::{Command, Outcome, Store, StreamEvent};
use accounts_center::verification;
use accounts_center_entity::{
    event, event_purge, idempotency_record, job, job_stream, stream, verification as row, webhook_receipt,
};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseConnection, EntityTrait,
    PaginatorTrait, QueryFilter, QueryOrder, TransactionTrait,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Place, START, Stack, TestApp, eventually, on_both_stacks};

const ADA: &str = "+4917139200042";
const GRACE: &str = "+4917139200043";

#[derive(Serialize, Deserialize)]
struct Happening {}

impl StreamEvent for Happening {
    const KIND: &'static str = "happening";
    const CHANGES_GRAPH: bool = false;
    const RECORDED: bool = false;
}

on_both_stacks! {
    /// The whole of it, by the clock: a link's events go after a week, and a mark says so; its successors stay.
    async fn what_is_old_goes_by_itself(place: Place) {
        let mut place = place;
        place.set("ACCOUNTS__RETENTION__PERIOD_SECONDS", 1);
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        let account = uuid(&ada.account);
        ada.client.link(&place, GRACE).await.field();
        let db = place.database().await;
        let before = numbers(&db, account).await;
        let up_to = *before.last().unwrap();
        assert!(idempotency_record::Entity::find().count(&db).await.unwrap() > 0);
        app.advance(&place, 6 * 24 * 3600).await;
        eventually("the idempotency record is gone", async || {
            (idempotency_record::Entity::find().count(&db).await.unwrap() == 0).then_some(())
        })
        .await;
        assert_eq!(numbers(&db, account).await, before, "six days are no week");
        app.advance(&place, 24 * 3600 + 1).await;
        eventually("the events are gone", async || numbers(&db, account).await.is_empty().then_some(())).await;
        assert_eq!(marks(&db, account).await.iter().map(|mark| mark.1).max(), Some(up_to));
        // What happens next goes on where they ended, and stays.
        let number = happen(&app, account).await;
        assert_eq!(number, up_to + 1);
        // A month later the verifications are gone as well, and who was proved by them is still there.
        assert!(row::Entity::find().count(&db).await.unwrap() >= 2);
        app.advance(&place, 24 * 24 * 3600).await;
        eventually("the verifications are gone", async || {
            (row::Entity::find().count(&db).await.unwrap() == 0).then_some(())
        })
        .await;
        eventually("and their streams", async || {
            let left = stream::Entity::find().all(&db).await.unwrap();
            (left.iter().map(|stream| stream.id).collect::<Vec<_>>() == [account]).then_some(())
        })
        .await;
        let again = app.client().sign_in(&place, GRACE).await;
        assert_eq!(again.account, ada.account);
        let profiles = again.client.query("{ viewer { profiles { handle } } }").await;
        assert_eq!(profiles.field()["profiles"].as_array().unwrap().len(), 2);
    }

    /// An event may be younger than one of its kind with a higher number. It waits for its age behind the mark.
    async fn marks_are_of_a_kind_and_never_go_back(place: Place) {
        let (place, app) = quiet(place).await;
        let db = place.database().await;
        let (stream, other) = (planted_stream(&db, 1).await, planted_stream(&db, 2).await);
        plant(&db, stream, &[(1, "a", 9), (2, "b", 9), (3, "a", 1), (4, "a", 8), (5, "b", 6), (6, "c", 6)]).await;
        plant(&db, other, &[(1, "a", 6)]).await;
        let store = &app.app().store;
        assert_eq!(store.purge_events(days_ago(7)).await.unwrap(), 3);
        assert_eq!(numbers(&db, stream).await, [3, 5, 6]);
        assert_eq!(marks(&db, stream).await, [("a".to_owned(), 4), ("b".to_owned(), 2)]);
        assert_eq!((numbers(&db, other).await, marks(&db, other).await), (vec![1], vec![]));
        assert_eq!(store.purge_events(days_ago(7)).await.unwrap(), 0);
        // Now the young one is old: it goes, and the mark stays where it is.
        assert_eq!(store.purge_events(days_ago(0)).await.unwrap(), 4);
        assert_eq!(numbers(&db, stream).await, [0; 0]);
        let all = [("a".to_owned(), 4), ("b".to_owned(), 5), ("c".to_owned(), 6)];
        assert_eq!(marks(&db, stream).await, all);
    }

    /// Exactly as old as is allowed is not too old.
    async fn only_what_is_older_goes(place: Place) {
        let (place, app) = quiet(place).await;
        let db = place.database().await;
        for (n, age) in [0, 1].into_iter().enumerate() {
            let at = days_ago(7) - TimeDelta::milliseconds(age);
            webhook_receipt::ActiveModel {
                platform: Set("whatsapp".into()),
                id: Set(format!("w{n}")),
                received_at: Set(at),
            }
            .insert(&db)
            .await
            .unwrap();
            idempotency_record::ActiveModel {
                scope: Set(Uuid::from_u128(n as u128)),
                operation: Set("startProfileLink".into()),
                key_hash: Set(vec![1]),
                input_hash: Set(vec![2]),
                result_id: Set(Uuid::from_u128(3)),
                created_at: Set(at),
            }
            .insert(&db)
            .await
            .unwrap();
        }
        let store = &app.app().store;
        assert_eq!(store.purge_webhook_receipts(days_ago(7)).await.unwrap(), 1);
        assert_eq!(store.purge_idempotency_records(days_ago(7)).await.unwrap(), 1);
        let receipts = webhook_receipt::Entity::find().all(&db).await.unwrap();
        assert_eq!(receipts.into_iter().map(|receipt| receipt.id).collect::<Vec<_>>(), ["w0"]);
        let records = idempotency_record::Entity::find().all(&db).await.unwrap();
        assert_eq!(records.into_iter().map(|record| record.scope).collect::<Vec<_>>(), [Uuid::from_u128(0)]);
    }

    /// More than a batch, by two at once, while the same streams go on: nothing is lost and nobody is refused.
    async fn many_are_purged_by_several_at_once(place: Place) {
        let (place, app) = quiet(place).await;
        let second = match place.stack {
            Stack::Embedded => None,
            Stack::Production => Some(place.replica().await),
        };
        let db = place.database().await;
        let mut streams = Vec::new();
        for n in 0..7 {
            let stream = planted_stream(&db, n).await;
            let old: Vec<_> = (1..=300).map(|number| (number, ["a", "b"][number as usize % 2], 8)).collect();
            plant(&db, stream, &old).await;
            streams.push(stream);
        }
        let purge = async |store: Store| {
            let mut purged = 0;
            loop {
                match store.purge_events(days_ago(7)).await.unwrap() {
                    0 => return purged,
                    rows => purged += rows,
                }
            }
        };
        let commands = async {
            for n in 0..60 {
                happen(&app, streams[n % streams.len()]).await;
            }
        };
        let store = app.app().store.clone();
        let other = second.as_ref().map_or_else(|| store.clone(), |second| second.app().store.clone());
        let (first, second, ()) = tokio::join!(purge(store.clone()), purge(other), commands);
        // One that met the other may have left early.
        let rest = purge(store).await;
        assert_eq!(first + second + rest, 7 * 300);
        for (n, stream) in streams.into_iter().enumerate() {
            assert_eq!(marks(&db, stream).await, [("a".to_owned(), 300), ("b".to_owned(), 299)]);
            let happened = if n < 60 % 7 { 9 } else { 8 };
            assert_eq!(numbers(&db, stream).await, (301..301 + happened).collect::<Vec<i64>>());
        }
    }

    /// The verification of a signed-out device is a stream of its own and goes with it; jobs that still have to run
    /// there keep it, and dead ones do not.
    async fn the_streams_of_signed_out_devices_go_with_their_verifications(place: Place) {
        let (place, app) = quiet(place).await;
        let db = place.database().await;
        for handle in [ADA, GRACE] {
            app.client().start_sign_in(handle).await.field();
        }
        // Neither is ever delivered: the jobs of one are dead, those of the other a newer release's.
        let streams = stream::Entity::find().order_by_asc(stream::Column::Id).all(&db).await.unwrap();
        let [dead, waiting] = [streams[0].id, streams[1].id];
        for (stream, change) in [(dead, "dead_at = created_at"), (waiting, "kind = 'from_a_newer_release'")] {
            let jobs = job::Entity::find().filter(job::Column::StreamId.eq(stream)).all(&db).await.unwrap();
            assert!(!jobs.is_empty());
            for job in jobs {
                let update = format!("UPDATE job SET {change} WHERE id = ");
                execute(&db, &update, job.id).await;
            }
            job_stream::Entity::delete_by_id(stream).exec(&db).await.unwrap();
            job_stream::ActiveModel { stream_id: Set(stream), next_at: Set(START), turns: Set(0) }.insert(&db).await.unwrap();
        }
        let store = &app.app().store;
        assert_eq!(verification::purge(store, days_ago(0)).await.unwrap(), 0, "nothing has expired yet");
        let expired = START + TimeDelta::days(1);
        assert_eq!(verification::purge(store, expired).await.unwrap(), 1);
        assert_eq!(streams_left(&db).await, [waiting]);
        assert_eq!(row::Entity::find().one(&db).await.unwrap().unwrap().stream_id, waiting);
        assert_eq!(job_stream::Entity::find().one(&db).await.unwrap().unwrap().stream_id, waiting);
        assert!(job::Entity::find().filter(job::Column::StreamId.eq(dead)).count(&db).await.unwrap() > 0);
        assert_eq!(verification::purge(store, expired).await.unwrap(), 0);
        job::Entity::delete_many().filter(job::Column::StreamId.eq(waiting)).exec(&db).await.unwrap();
        assert_eq!(verification::purge(store, expired).await.unwrap(), 1);
        assert!(streams_left(&db).await.is_empty());
        assert_eq!(job_stream::Entity::find().count(&db).await.unwrap(), 0);
    }

    /// Those that must stay do not stand in the way of those that may go.
    async fn what_waits_holds_up_nothing_else(place: Place) {
        let (place, app) = quiet(place).await;
        let db = place.database().await;
        for handle in [ADA, GRACE] {
            app.client().start_sign_in(handle).await.field();
        }
        let all = row::Entity::find().all(&db).await.unwrap();
        job::Entity::delete_many().filter(job::Column::StreamId.eq(all[1].stream_id)).exec(&db).await.unwrap();
        // Six hundred with live jobs are older than the one without.
        let mut template = all[0].clone();
        for n in 0..600 {
            let stream = planted_stream_of(&db, "verification", 1000 + n).await;
            let job = job::Entity::find().one(&db).await.unwrap().unwrap();
            template.id = stream;
            template.stream_id = stream;
            template.expires_at = START - TimeDelta::days(1);
            row::Entity::insert(row::ActiveModel::from(template.clone())).exec_without_returning(&db).await.unwrap();
            let job = job::Model { id: stream, stream_id: stream, ..job };
            job::Entity::insert(job::ActiveModel::from(job)).exec_without_returning(&db).await.unwrap();
        }
        assert_eq!(verification::purge(&app.app().store, START + TimeDelta::days(1)).await.unwrap(), 1);
        assert!(!streams_left(&db).await.contains(&all[1].stream_id));
    }
}

/// A stream that a command holds is left to the next time, and so is not waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_stream_is_passed_over() {
    let (place, app) = quiet(Place::new(Stack::Production).await).await;
    let db = place.database().await;
    let (busy, free) = (planted_stream(&db, 1).await, planted_stream(&db, 2).await);
    plant(&db, busy, &[(1, "a", 9)]).await;
    plant(&db, free, &[(1, "a", 8)]).await;
    let command = db.begin().await.unwrap();
    let lock = format!("SELECT 1 FROM stream WHERE id = '{busy}' FOR UPDATE");
    command.execute_unprepared(&lock).await.unwrap();
    let store = &app.app().store;
    assert_eq!(store.purge_events(days_ago(7)).await.unwrap(), 1);
    assert_eq!((numbers(&db, busy).await, numbers(&db, free).await), (vec![1], vec![]));
    assert_eq!(store.purge_events(days_ago(7)).await.unwrap(), 0);
    command.rollback().await.unwrap();
    assert_eq!(store.purge_events(days_ago(7)).await.unwrap(), 1);
}

/// A server whose housekeeping and jobs leave what a test plants alone.
async fn quiet(place: Place) -> (Place, TestApp) {
    let mut place = place;
    place.set("ACCOUNTS__JOBS__CONCURRENCY", 0);
    let app = place.app().await;
    (place, app)
}

fn days_ago(days: i64) -> DateTime<Utc> {
    START - TimeDelta::days(days)
}

fn uuid(account: &str) -> Uuid {
    account.split_once('_').unwrap().1.parse().unwrap()
}

async fn happen(app: &TestApp, stream: Uuid) -> i64 {
    let done = app.app().store.command(stream, async |command: &mut Command| {
        Ok(Outcome::Commit(command.emit(stream, &Happening {})?))
    });
    done.await.unwrap().unwrap()
}

async fn planted_stream(db: &DatabaseConnection, n: u128) -> Uuid {
    planted_stream_of(db, "account", n).await
}

async fn planted_stream_of(db: &DatabaseConnection, kind: &str, n: u128) -> Uuid {
    let id = Uuid::from_u128(0x0193_f000_0000_7000_8000_0000_0000_0000 + n);
    let row = stream::ActiveModel {
        id: Set(id),
        kind: Set(kind.to_owned()),
        version: Set(300),
        graph_version: Set(0),
        created_at: Set(START),
    };
    stream::Entity::insert(row).exec_without_returning(db).await.unwrap();
    id
}

/// Events by number, kind and age in days, and an hour.
async fn plant(db: &DatabaseConnection, stream: Uuid, events: &[(i64, &str, i64)]) {
    let rows = events.iter().map(|&(number, kind, days)| event::ActiveModel {
        stream_id: Set(stream),
        number: Set(number),
        kind: Set(kind.to_owned()),
        payload: Set(json!({})),
        occurred_at: Set(days_ago(days) - TimeDelta::hours(1)),
    });
    event::Entity::insert_many(rows).exec_without_returning(db).await.unwrap();
}

async fn numbers(db: &DatabaseConnection, stream: Uuid) -> Vec<i64> {
    let rows = event::Entity::find()
        .filter(event::Column::StreamId.eq(stream))
        .order_by_asc(event::Column::Number)
        .all(db)
        .await
        .unwrap();
    rows.into_iter().map(|row| row.number).collect()
}

async fn marks(db: &DatabaseConnection, stream: Uuid) -> Vec<(String, i64)> {
    let rows = event_purge::Entity::find()
        .filter(event_purge::Column::StreamId.eq(stream))
        .order_by_asc(event_purge::Column::Kind)
        .all(db)
        .await
        .unwrap();
    rows.into_iter().map(|row| (row.kind, row.up_to)).collect()
}

async fn streams_left(db: &DatabaseConnection) -> Vec<Uuid> {
    stream::Entity::find().all(db).await.unwrap().into_iter().map(|stream| stream.id).collect()
}

async fn execute(db: &DatabaseConnection, statement: &str, id: Uuid) {
    let backend = db.get_database_backend();
    let place = if backend == sea_orm::DbBackend::Postgres { "$1" } else { "?" };
    let statement =
        sea_orm::Statement::from_sql_and_values(backend, format!("{statement}{place}"), [id.into()]);
    assert_eq!(db.execute_raw(statement).await.unwrap().rows_affected(), 1);
}
