//! A backup takes the database's place under a server that has not noticed yet.

use std::process::Stdio;

use accounts_center::clock::Clock;
use accounts_center_entity::{account, event, job, stream, verification};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait, PaginatorTrait, QueryFilter,
    Statement, TransactionTrait,
};
use serde_json::json;

use crate::support::{Client, Place, ServerProcess, Stack, ended, eventually, on_both_stacks};

const ADA: &str = "+4917139200042";
const RENAME: &str =
    "mutation($input: UpdateAccountInput!) { updateAccount(input: $input) { userErrors { code } } }";

/// A server that would notice in an hour, with its log.
async fn unaware(place: &mut Place) -> ServerProcess {
    place.set("ACCOUNTS__KEYS__SECRET", "a secret of the tests, 32 characters");
    place.set("ACCOUNTS__EVENTS__POLL_SECONDS", 3600);
    let log = std::fs::File::create(place.folder.path().join("log")).unwrap();
    ServerProcess::start_logging(place, &[], Stdio::from(log)).await
}

async fn renew_epoch(place: &Place, db: &DatabaseConnection) {
    match place.stack {
        Stack::Production => {
            let renewed = ended(ServerProcess::bare(place).args(["migrate", "new-epoch"])).await;
            assert!(renewed.status.success(), "{}", String::from_utf8_lossy(&renewed.stderr));
        }
        // The program asks that the server is stopped first.
        Stack::Embedded => {
            let renew = "UPDATE deployment SET value = '00000000000000ff' WHERE name = 'epoch'";
            db.execute_unprepared(renew).await.unwrap();
        }
    }
}

/// All that a command could have left.
async fn rows(db: &DatabaseConnection) -> (Vec<stream::Model>, Vec<account::Model>, [u64; 3]) {
    let events = event::Entity::find().count(db).await.unwrap();
    let jobs = job::Entity::find().count(db).await.unwrap();
    let verifications = verification::Entity::find().count(db).await.unwrap();
    let streams = stream::Entity::find().all(db).await.unwrap();
    (streams, account::Entity::find().all(db).await.unwrap(), [events, jobs, verifications])
}

/// The rows once no job is due any more: the sign-in left some, which have nothing to do with what comes next.
async fn rows_at_rest(db: &DatabaseConnection) -> (Vec<stream::Model>, Vec<account::Model>, [u64; 3]) {
    eventually("the jobs of the sign-in are done", async || {
        let due = job::Entity::find().filter(job::Column::RunAt.lte(Clock::system().now()));
        (due.count(db).await.unwrap() == 0).then_some(())
    })
    .await;
    rows(db).await
}

async fn rename(client: &Client) -> crate::support::Answer {
    client.mutate(RENAME, json!({ "displayName": "Of the past" })).await
}

async fn ends_with_an_error(place: &Place, mut server: ServerProcess) {
    assert!(!server.ended().await.success(), "a supervisor starts it again");
    let log = std::fs::read_to_string(place.folder.path().join("log")).unwrap();
    assert!(log.contains("the database has a new epoch") && !log.contains("panicked"), "{log}");
}

on_both_stacks! {
    async fn s41_a_server_that_has_not_noticed_a_restore_writes_nothing(place: Place) {
        let mut place = place;
        let server = unaware(&mut place).await;
        let ada = server.client().sign_in(&place, ADA).await.client;
        let db = place.database().await;
        let before = rows_at_rest(&db).await;
        renew_epoch(&place, &db).await;
        let refused = rename(&ada).await;
        assert_eq!(refused.error_code(), "SERVICE_UNAVAILABLE", "{:#}", refused.body);
        assert_eq!(rows(&db).await, before);
        ends_with_an_error(&place, server).await;
        // Whoever is started now is of the present.
        let server = ServerProcess::start(&place).await;
        assert_eq!(rename(&ada.at(&server.url)).await.user_errors(), [""; 0]);
    }

    /// What is on no stream yet is refused just so.
    async fn s41_a_server_that_has_not_noticed_a_restore_begins_nothing(place: Place) {
        let mut place = place;
        let server = unaware(&mut place).await;
        server.client().query("{ platforms { key } }").await.field();
        let db = place.database().await;
        renew_epoch(&place, &db).await;
        let refused = server.client().start_sign_in(ADA).await;
        assert_eq!(refused.error_code(), "SERVICE_UNAVAILABLE", "{:#}", refused.body);
        assert_eq!(rows(&db).await, (vec![], vec![], [0; 3]));
        ends_with_an_error(&place, server).await;
    }
}

/// Commands that run end before the epoch is renewed, and those that come meanwhile are of the past.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s41_no_command_overlaps_a_new_epoch() {
    let mut place = Place::new(Stack::Production).await;
    let server = unaware(&mut place).await;
    let ada = server.client().sign_in(&place, ADA).await.client;
    let db = place.database().await;
    let before = rows_at_rest(&db).await;
    let running = db.begin().await.unwrap();
    running.execute_unprepared("SELECT id FROM stream FOR UPDATE").await.unwrap();
    let renewing = ServerProcess::bare(&place).args(["migrate", "new-epoch"]).spawn().unwrap();
    waits_for_a_lock(&db, "LOCK TABLE stream%").await;
    let late = tokio::spawn(async move { rename(&ada).await });
    waits_for_a_lock(&db, "SELECT \"stream\"%FOR UPDATE%").await;
    running.rollback().await.unwrap();
    assert!(renewing.wait_with_output().await.unwrap().status.success());
    let refused = late.await.unwrap();
    assert_eq!(refused.error_code(), "SERVICE_UNAVAILABLE", "{:#}", refused.body);
    assert_eq!(rows(&db).await, before);
    ends_with_an_error(&place, server).await;
}

async fn waits_for_a_lock(db: &DatabaseConnection, statement: &str) {
    let ask = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
        AND query LIKE $1";
    eventually("a statement waits for a lock", async || {
        let ask = Statement::from_sql_and_values(DbBackend::Postgres, ask, [statement.into()]);
        db.query_one_raw(ask).await.unwrap().map(|_| ())
    })
    .await;
}
