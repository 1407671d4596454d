//! The schema's way up and down, and indexes that are built while others write.

use std::collections::BTreeSet;

use accounts_center_migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, TransactionTrait};
use tokio::process::Child;

use crate::support::{Place, ServerProcess, Stack, ended, eventually, on_both_stacks};

/// Every column with its table and type, and every index with what it is on: a line each. What the migrations
/// themselves are noted in is left out.
async fn schema(db: &DatabaseConnection) -> BTreeSet<String> {
    let query = match db.get_database_backend() {
        DbBackend::Postgres => {
            "SELECT table_name || '.' || column_name || ' ' || data_type || ' null: ' || is_nullable
                || ' default: ' || coalesce(column_default, 'none') AS line
            FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'seaql_migrations'
            UNION ALL SELECT indexdef FROM pg_indexes
            WHERE schemaname = 'public' AND tablename <> 'seaql_migrations'
            UNION ALL SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
            WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'seaql_migrations'"
        }
        _ => {
            "SELECT made.name || '.' || col.name || ' ' || col.type || ' notnull: ' || col.\"notnull\"
                || ' default: ' || coalesce(col.dflt_value, 'none') AS line
            FROM sqlite_master AS made JOIN pragma_table_info(made.name) AS col
            WHERE made.type = 'table' AND made.name <> 'seaql_migrations'
            UNION ALL SELECT replace(sql, 'IF NOT EXISTS ', '') FROM sqlite_master
            WHERE type = 'index' AND sql IS NOT NULL"
        }
    };
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), query)).await.unwrap();
    rows.iter().map(|row| row.try_get("", "line").unwrap()).collect()
}

async fn run(place: &Place, arguments: &[&str]) -> String {
    let output = ended(ServerProcess::bare(place).args(arguments)).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

on_both_stacks! {
    /// Each step back leaves what was there before the step forward: tables, columns, indexes.
    async fn a_schema_goes_up_and_down(place: Place) {
        assert!(run(&place, &["migrate", "status"]).await.lines().all(|line| line.starts_with("pending")));
        let db = place.database().await;
        let mut stages = vec![schema(&db).await];
        for _ in Migrator::known() {
            Migrator::up(&db, Some(1)).await.unwrap();
            stages.push(schema(&db).await);
        }
        assert!(stages[0].is_empty(), "{:?}", stages[0]);
        assert!(stages.windows(2).all(|pair| pair[0] != pair[1]), "each step changes something");
        let whole = stages.pop().unwrap();
        for named in ["job.stream_id ", "linked_profile.unlinks_at ", "INDEX job_of_stream ON "] {
            assert!(whole.iter().any(|line| line.contains(named)), "{named} is not in {whole:#?}");
        }
        assert!(run(&place, &["migrate", "status"]).await.lines().all(|line| line.starts_with("applied")));
        for stage in stages.iter().rev() {
            run(&place, &["migrate", "down"]).await;
            let now = schema(&db).await;
            let differs: Vec<_> = now.symmetric_difference(stage).collect();
            assert!(differs.is_empty(), "{differs:#?}");
        }
        assert!(run(&place, &["migrate", "status"]).await.lines().all(|line| line.starts_with("pending")));
        run(&place, &["migrate", "up"]).await;
        assert_eq!(schema(&db).await, whole);
        ServerProcess::start(&place).await.client().query("{ platforms { key } }").await.field();
    }
}

/// A database with the tables of the core, whose indexes are still to be built, and a transaction that has written to
/// one of them and goes on.
async fn before_the_indexes() -> (Place, DatabaseConnection) {
    let place = Place::new(Stack::Production).await;
    let db = place.database().await;
    Migrator::up(&db, Some(3)).await.unwrap();
    write(&db, 1).await.unwrap();
    (place, db)
}

/// What a command does: it appends an event.
async fn write(db: &impl ConnectionTrait, nth: u32) -> Result<(), sea_orm::DbErr> {
    let stream = format!(
        "INSERT INTO stream (id, kind, version, graph_version, created_at) \
        VALUES ('00000000-0000-0000-0000-{nth:012}', 'account', 1, 1, now())"
    );
    let event = format!(
        "INSERT INTO event (stream_id, number, kind, payload, occurred_at) \
        VALUES ('00000000-0000-0000-0000-{nth:012}', 1, 'something', '{{}}', now())"
    );
    db.execute_unprepared(&stream).await?;
    db.execute_unprepared(&event).await.map(|_| ())
}

fn begin_to_migrate(place: &Place) -> Child {
    ServerProcess::bare(place).args(["migrate", "up"]).spawn().unwrap()
}

/// The process of PostgreSQL that has been building an index for some seconds and waits.
async fn building(db: &DatabaseConnection, seconds: u32) -> i32 {
    let ask = format!(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
        AND wait_event_type = 'Lock' AND query LIKE 'CREATE INDEX%event_age%' \
        AND query_start < clock_timestamp() - interval '{seconds} seconds'"
    );
    eventually("an index waits for who writes", async || {
        let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, ask.as_str())).await.unwrap();
        row.map(|row| row.try_get("", "pid").unwrap())
    })
    .await
}

async fn count(db: &DatabaseConnection, query: &str) -> i64 {
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, query)).await.unwrap();
    row.unwrap().try_get("", "count").unwrap()
}

async fn migrated(child: Child) {
    let output = child.wait_with_output();
    let output =
        tokio::time::timeout(std::time::Duration::from_secs(20), output).await.expect("it hangs").unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

const INVALID: &str = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";

/// It waits for those who write, for longer than others wait for a lock, and they do not wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_on_a_table_in_use_stops_nobody() {
    let (place, db) = before_the_indexes().await;
    let open = db.begin().await.unwrap();
    write(&open, 2).await.unwrap();
    let migrating = begin_to_migrate(&place);
    building(&db, 6).await;
    let other = db.begin().await.unwrap();
    other.execute_unprepared("SET LOCAL lock_timeout = '1s'").await.unwrap();
    write(&other, 3).await.expect("a writer was held up");
    other.commit().await.unwrap();
    open.commit().await.unwrap();
    migrated(migrating).await;
    assert_eq!(count(&db, INVALID).await, 0);
    assert_eq!(count(&db, "SELECT count(*) FROM pg_indexes WHERE indexname = 'event_age'").await, 1);
    assert_eq!(count(&db, "SELECT count(*) FROM event").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_was_cut_short_is_built_anew() {
    let (place, db) = before_the_indexes().await;
    let open = db.begin().await.unwrap();
    write(&open, 2).await.unwrap();
    let migrating = begin_to_migrate(&place);
    let process = building(&db, 0).await;
    db.execute_unprepared(&format!("SELECT pg_cancel_backend({process})")).await.unwrap();
    let failed = migrating.wait_with_output().await.unwrap();
    assert!(!failed.status.success());
    let error = String::from_utf8(failed.stderr).unwrap();
    assert!(error.contains("CREATE INDEX CONCURRENTLY event_age"), "{error}");
    open.rollback().await.unwrap();
    assert_eq!(count(&db, INVALID).await, 1, "it has left one behind");
    assert!(run(&place, &["migrate", "status"]).await.contains("pending  m20261123_000004_indexes"));
    run(&place, &["migrate", "up"]).await;
    assert_eq!(count(&db, INVALID).await, 0);
    assert_eq!(count(&db, "SELECT count(*) FROM pg_indexes WHERE indexname = 'event_age'").await, 1);
    run(&place, &["migrate", "down"]).await;
    run(&place, &["migrate", "up"]).await;
}

/// Who waits for its turn must not be what the index waits for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_migrate_take_turns() {
    let (place, db) = before_the_indexes().await;
    let open = db.begin().await.unwrap();
    write(&open, 2).await.unwrap();
    let first = begin_to_migrate(&place);
    building(&db, 0).await;
    let second = begin_to_migrate(&place);
    let turns = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
        AND query LIKE 'SELECT pg_try_advisory%'";
    eventually("the second one waits for its turn", async || (count(&db, turns).await == 2).then_some(()))
        .await;
    open.commit().await.unwrap();
    tokio::join!(migrated(first), migrated(second));
    assert_eq!(count(&db, INVALID).await, 0);
}
