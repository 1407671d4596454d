//! The look at the versions of all streams that somebody follows.

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use uuid::Uuid;

use crate::support::{Place, Stack, TestApp};

/// A connection keeps each text prepared, and readers come and go: there is one text, however many they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_at_the_versions_is_one_text() {
    let mut place = Place::new(Stack::Production).await;
    place.set("ACCOUNTS__DATABASE__MAX_CONNECTIONS", 2);
    let app = TestApp::start_quiet(&place, 1).await;
    let store = &app.app().store;
    let mut readers = Vec::new();
    for number in 1..=20 {
        readers.push(store.watch(Uuid::from_u128(number)));
        store.poll_watched().await.unwrap();
    }
    let prepared = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%\"graph_version\" FROM \"stream\"%' \
        AND statement NOT LIKE '%pg_prepared%'";
    let mut seen = 0;
    for _ in 0..20 {
        let count = Statement::from_string(DbBackend::Postgres, prepared);
        let row = store.db().read().query_one_raw(count).await.unwrap().unwrap();
        let count: i64 = row.try_get_by_index(0).unwrap();
        seen += count;
        assert!(count <= 1, "{count} texts on one connection");
    }
    assert!(seen > 0, "the text is looked for under another form");
}
