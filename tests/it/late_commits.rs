//! A commit whose answer is lost while it is still under way.

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::json;

use crate::support::{Fault, Place, Proxy, Stack, eventually};

const ADA: &str = "+4917139200042";

/// S39: it is waited for, and then told of: nobody shows for long what was before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s39_a_commit_that_comes_after_its_answer_was_lost_is_heard_of() {
    let mut place = Place::new(Stack::Production).await;
    let postgres = Proxy::before(place.setting("ACCOUNTS__DATABASE__URL")).await;
    let db = place.database().await;
    let through = postgres.instead_of(place.setting("ACCOUNTS__DATABASE__URL"));
    place.set("ACCOUNTS__DATABASE__URL", through);
    // No look at the versions tells of it, nor does an entry that has grown old.
    place.set("ACCOUNTS__EVENTS__POLL_SECONDS", 3600);
    place.set("ACCOUNTS__GRAPH__NEAR_SECONDS", 3600);
    let app = place.app().await;
    let ada = app.client().sign_in(&place, ADA).await.client;
    let name =
        async || ada.query("{ viewer { displayName } }").await.body["data"]["viewer"]["displayName"].clone();
    let before = name().await;
    for statement in [
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3); RETURN NEW; END $$",
        "CREATE CONSTRAINT TRIGGER slow_commit AFTER UPDATE ON account DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION wait()",
    ] {
        db.execute_unprepared(statement).await.unwrap();
    }
    let (renaming, client) = (
        "mutation($input: UpdateAccountInput!) { updateAccount(input: $input) { userErrors { code } } }",
        ada.clone(),
    );
    let late = tokio::spawn(async move { client.mutate(renaming, json!({ "displayName": "Late" })).await });
    eventually("the commit is under way", async || {
        let sleeps =
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
        let asked = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sleeps)).await;
        asked.unwrap().map(|_| ())
    })
    .await;
    postgres.set(Fault::Cut);
    assert_eq!(late.await.unwrap().error_code(), "SERVICE_UNAVAILABLE");
    postgres.set(Fault::None);
    // What is cached is read anew meanwhile, as it is before the commit.
    assert_eq!(
        eventually("the database is back", async || Some(name().await).filter(|name| !name.is_null())).await,
        before
    );
    eventually("the commit is heard of", async || (name().await == "Late").then_some(())).await;
}
