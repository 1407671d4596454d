//! Backups that come back, and deploys with a migration in them.

use std::process::{Output, Stdio};

use accounts_center::store::Database;
use accounts_center_entity::{event, job, job_stream, stream};
use accounts_center_migration::{Migrator, MigratorTrait, require};
use chrono::DateTime;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait,
    Statement,
};
use sea_orm_migration::prelude::*;
use serde_json::json;
use uuid::Uuid;

use crate::support::{
    Client, Place, START, ServerProcess, Socket, SocketMessage, Stack, TestApp, ended, on_both_stacks,
    uuid_of,
};

const ADA: &str = "+4917139200042";
const HUB: &str = "{ viewer { version eventCursor profiles { handle } linkGraph { version } } }";
const SECRET: (&str, &str) = ("ACCOUNTS__KEYS__SECRET", "a secret of the tests, 32 characters");
/// The next migration, which this program does not know.
const NEXT: &str = "m20990101_000001_next";
const FROM_A_NEWER_RELEASE: &str = "from_a_newer_release";

/// The program that comes after this one: it expands the schema.
struct Newer;

/// And the one after that, which contracts it again.
struct Newest;

struct Expands;
struct Contracts;

impl MigratorTrait for Newer {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut all = <Migrator as MigratorTrait>::migrations();
        all.push(Box::new(Expands));
        all
    }
}

impl MigratorTrait for Newest {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut all = Newer::migrations();
        all.push(Box::new(Contracts));
        all
    }
}

impl MigrationName for Expands {
    fn name(&self) -> &str {
        NEXT
    }
}

impl MigrationName for Contracts {
    fn name(&self) -> &str {
        "m20990201_000001_contract"
    }
}

/// Every table gets a column: statements that were prepared before must still work.
const TABLES: [&str; 23] = [
    "account",
    "activity",
    "code_allowance",
    "deployment",
    "dismissed_suggestion",
    "event",
    "event_purge",
    "experience_grant",
    "idempotency_record",
    "job",
    "job_stream",
    "linked_profile",
    "passkey",
    "passkey_registration",
    "profile_claim",
    "profile_connection",
    "profile_containment",
    "profile_refresh",
    "security_alert",
    "session",
    "stream",
    "verification",
    "webhook_receipt",
];

#[async_trait::async_trait]
impl MigrationTrait for Expands {
    /// Each table by itself: holding one while it waits for another, it could wait for a command for ever.
    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for table in TABLES {
            db.execute_unprepared(&format!("ALTER TABLE {table} ADD COLUMN next text")).await?;
        }
        db.execute_unprepared("CREATE TABLE next (id integer PRIMARY KEY)").await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        db.execute_unprepared("DROP TABLE next").await?;
        for table in TABLES {
            db.execute_unprepared(&format!("ALTER TABLE {table} DROP COLUMN next")).await?;
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Contracts {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        require(manager, Some(NEXT)).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        require(manager, None).await
    }
}

on_both_stacks! {
    /// Redis still holds what was ahead of the backup, and clients hold cursors of it.
    async fn s41_after_a_restore_nothing_of_the_lost_time_is_believed(place: Place) {
        let mut place = place;
        place.set(SECRET.0, SECRET.1);
        let mut people = People::new(&place);
        let app = TestApp::start(&place, 1).await;
        let ada = app.client().sign_in(&place, ADA).await.client;
        people.link(&ada).await;
        let kept = ada.query(HUB).await.field().clone();
        app.stop().await;
        place.back_up().await;

        let app = TestApp::start(&place, 2).await;
        let ada = ada.at(&app.url);
        for _ in 0..3 {
            people.link(&ada).await;
        }
        let lost = ada.query(HUB).await.field().clone();
        // Each link, and the alert that warns of it.
        assert_eq!(lost["version"].as_i64(), kept["version"].as_i64().map(|version| version + 6));
        app.stop().await;
        if place.stack == Stack::Production {
            // Another replica takes it from Redis: it is there, and would be believed.
            let app = TestApp::start(&place, 3).await;
            app.hears().await;
            assert_eq!(ada.at(&app.url).query(HUB).await.field(), &lost);
            assert_eq!(layers(&app)[2..], [1, 0], "by Redis");
            app.stop().await;
        }

        place.restore().await;
        let printed = succeeded(&place, &["migrate", "new-epoch"]).await;
        assert!(printed.contains("CURSOR_EXPIRED") && printed.contains("new epoch"), "{printed}");
        let app = TestApp::start(&place, 4).await;
        if place.stack == Stack::Production {
            app.hears().await;
        }
        let ada = ada.at(&app.url);
        let now = ada.query(HUB).await.field().clone();
        assert_eq!(layers(&app)[2..], [0, 1], "by the database");
        assert_eq!((&now["version"], &now["profiles"]), (&kept["version"], &kept["profiles"]));
        for expired in [&kept, &lost] {
            assert_eq!(refusal(&ada, expired["eventCursor"].as_str().unwrap()).await, "CURSOR_EXPIRED");
        }
        // The numbers of the lost time are given again, to other things, and each is shown as it is now.
        let mut tab = follow(&ada, now["eventCursor"].as_str()).await;
        for _ in 0..3 {
            let handle = people.link(&ada).await;
            let event = tab.link_event().await;
            assert_eq!(event["profile"]["handle"], handle);
            let hub = ada.query(HUB).await;
            let profiles = hub.field()["profiles"].as_array().unwrap().clone();
            assert!(profiles.iter().any(|profile| profile["handle"] == handle), "{profiles:?}");
        }
        assert_eq!(ada.query(HUB).await.field()["version"], lost["version"]);
    }

    /// Every table changes under servers that run, another program's jobs and events appear, and it all goes back.
    async fn s42_a_deploy_with_a_migration_and_its_way_back(place: Place) {
        let mut place = place;
        place.set(SECRET.0, SECRET.1);
        let mut people = People::new(&place);
        let mut servers = vec![start(&place, &[]).await];
        let ada = servers[0].client().sign_in(&place, ADA).await;
        let (account, ada) = (uuid_of(&ada.account), ada.client);
        for _ in 0..3 {
            all_serve(&mut people, &servers, &ada).await;
        }
        let begin = ada.query(HUB).await.field()["eventCursor"].as_str().unwrap().to_owned();
        let db = place.database().await;
        Newer::up(&db, None).await.unwrap();
        all_serve(&mut people, &servers, &ada).await;
        // A server that begins on it.
        if place.stack == Stack::Embedded {
            assert!(servers.remove(0).interrupt().await.success());
        }
        servers.push(start(&place, &[]).await);
        if place.stack == Stack::Production {
            servers.push(start(&place, &of_production()).await);
        }
        all_serve(&mut people, &servers, &ada).await;
        let planted = plant(&db, account).await;
        all_serve(&mut people, &servers, &ada).await;
        for server in &servers {
            everything_is_read(&ada.at(&server.url), &begin).await;
        }
        let left = job::Entity::find_by_id(planted).one(&db).await.unwrap().unwrap();
        assert_eq!((left.attempts, left.leased_until, left.dead_at), (0, None, None));
        // The newer program is taken back, and its migration with it.
        Newer::down(&db, Some(1)).await.unwrap();
        all_serve(&mut people, &servers, &ada).await;
        for mut server in servers {
            assert!(server.interrupt().await.success());
        }
        let again = [start(&place, &[]).await];
        all_serve(&mut people, &again, &ada).await;
        let log = std::fs::read_to_string(place.folder.path().join("log")).unwrap();
        let wrong = |line: &&str| line.contains("ERROR") || line.contains("panicked");
        assert_eq!(log.lines().filter(wrong).collect::<Vec<_>>(), [""; 0]);
        assert!(log.contains("an event of an unknown kind is passed over"), "{log}");
    }

    async fn s42_the_older_program_keeps_what_it_does_not_know(place: Place) {
        succeeded(&place, &["migrate", "up"]).await;
        let db = place.database().await;
        Newer::up(&db, None).await.unwrap();
        let status = succeeded(&place, &["migrate", "status"]).await;
        assert!(status.contains(&format!("applied  {NEXT}  unknown to this program")), "{status}");
        assert_eq!(status.lines().filter(|line| line.contains("unknown")).count(), 1);
        let up = succeeded(&place, &["migrate", "up"]).await;
        assert!(up.contains("1 migration(s) of a newer one"), "{up}");
        for steps in ["1", "2"] {
            let refused = failed(&place, &["migrate", "down", "--steps", steps]).await;
            assert!(refused.contains(NEXT) && refused.contains("unknown to this program"), "{refused}");
        }
        assert_eq!(succeeded(&place, &["migrate", "status"]).await, status, "nothing has changed");
        Newer::down(&db, Some(1)).await.unwrap();
        let down = succeeded(&place, &["migrate", "down"]).await;
        assert!(down.contains("taken back  m2026") && down.contains("1 migration(s) taken back"), "{down}");
    }

    /// What is contracted names the oldest program that may still begin; those that run go on.
    async fn s42_a_contracted_schema_is_for_programs_that_know_it(place: Place) {
        let mut place = place;
        place.set(SECRET.0, SECRET.1);
        let mut people = People::new(&place);
        let mut running = ServerProcess::start(&place).await;
        let ada = running.client().sign_in(&place, ADA).await.client;
        let db = place.database().await;
        Newest::up(&db, None).await.unwrap();
        all_serve(&mut people, std::slice::from_ref(&running), &ada).await;
        assert!(running.interrupt().await.success());
        let refused = failed(&place, &["serve"]).await;
        assert!(refused.contains(NEXT) && refused.contains("newer release"), "{refused}");
        if place.stack == Stack::Production {
            let mut strict = ServerProcess::bare(&place);
            let refused = failure(ended(strict.arg("serve").envs(of_production())).await);
            assert!(refused.contains(NEXT) && refused.contains("newer release"), "{refused}");
        }
        Newest::down(&db, Some(1)).await.unwrap();
        let again = [ServerProcess::start(&place).await];
        all_serve(&mut people, &again, &ada).await;
    }

    async fn an_empty_database_has_no_epoch_to_renew(place: Place) {
        let refused = failed(&place, &["migrate", "new-epoch"]).await;
        assert!(refused.contains("restore the backup first"), "{refused}");
        assert!(succeeded(&place, &["migrate", "status"]).await.lines().all(|line| line.starts_with("pending")));
    }
}

/// Replicas that run while the database is exchanged notice, and make way for others that begin anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s41_replicas_that_run_do_not_go_on_after_a_restore() {
    let mut place = Place::new(Stack::Production).await;
    place.set(SECRET.0, SECRET.1);
    let mut people = People::new(&place);
    let mut first = ServerProcess::start(&place).await;
    let ada = first.client().sign_in(&place, ADA).await.client;
    assert!(first.interrupt().await.success());
    place.back_up().await;
    let log = place.folder.path().join("log");
    let file = Stdio::from(std::fs::File::create(&log).unwrap());
    let mut server = ServerProcess::start_logging(&place, &[], file).await;
    let mut worker = ServerProcess::start_worker(&place).await;
    let ada = ada.at(&server.url);
    let mut tab = follow(&ada, None).await;
    people.link(&ada).await;
    let lost = tab.link_event().await;
    place.restore().await;
    succeeded(&place, &["migrate", "new-epoch"]).await;
    assert_eq!(tab.next().await, SocketMessage::Closed(1012), "come back, to another one");
    assert!(!server.ended().await.success(), "a supervisor starts it again");
    assert!(!worker.ended().await.success());
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("new epoch") && !text.contains("panicked"), "{text}");
    let server = ServerProcess::start(&place).await;
    let ada = ada.at(&server.url);
    assert_eq!(ada.query(HUB).await.field()["version"], 2);
    assert_eq!(refusal(&ada, lost["cursor"].as_str().unwrap()).await, "CURSOR_EXPIRED");
}

/// An index on a large table takes longer than a client waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moving_the_schema_may_take_its_time_but_not_wait_for_locks() {
    let place = Place::new(Stack::Production).await;
    let url = place.setting("ACCOUNTS__DATABASE__URL").to_owned().into();
    let (serving, migrating) =
        tokio::join!(Database::connect_postgres(&url, 2), Database::connect_postgres_to_migrate(&url));
    for (db, expected) in [(serving, ["10s", "5s"]), (migrating, ["0", "5s"])] {
        let query = "SELECT current_setting('statement_timeout') AS statement, current_setting('lock_timeout') AS lock";
        let query = Statement::from_string(DbBackend::Postgres, query);
        let row = db.unwrap().write().query_one_raw(query).await.unwrap().unwrap();
        let limits = ["statement", "lock"].map(|name| row.try_get::<String>("", name).unwrap());
        assert_eq!(limits, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_on_sqlite_has_to_stop_before_its_schema_or_epoch_is_moved() {
    let place = Place::new(Stack::Embedded).await;
    let _server = ServerProcess::start(&place).await;
    for command in ["new-epoch", "down", "up", "status"] {
        let refused = failed(&place, &["migrate", command]).await;
        assert!(refused.contains("another accounts-center uses the data folder"), "{refused}");
    }
}

/// Starts a server that appends to the log of its place.
async fn start(place: &Place, more: &[(&str, String)]) -> ServerProcess {
    let log = std::fs::File::options().create(true).append(true).open(place.folder.path().join("log"));
    ServerProcess::start_logging(place, more, log.unwrap().into()).await
}

/// Profiles to link, each of them once.
struct People<'a> {
    place: &'a Place,
    linked: u32,
}

impl<'a> People<'a> {
    fn new(place: &'a Place) -> Self {
        Self { place, linked: 0 }
    }

    /// Links the next profile. Gives its handle as it is shown.
    async fn link(&mut self, client: &Client) -> String {
        self.linked += 1;
        let handle = format!("+49171392004{:02}", self.linked);
        self.place.sandbox.add_profile(&format!("wa_person_{}", self.linked), &handle).await;
        let linked = client.link(self.place, &handle).await;
        assert_eq!(linked.user_errors(), [""; 0]);
        linked.field()["outcome"]["profile"]["handle"].as_str().unwrap().to_owned()
    }
}

/// Links a profile at each server, and each one hears of each.
async fn all_serve(people: &mut People<'_>, servers: &[ServerProcess], ada: &Client) {
    let mut tabs = Vec::new();
    for server in servers {
        tabs.push(follow(&ada.at(&server.url), None).await);
    }
    for server in servers {
        people.link(&ada.at(&server.url)).await;
        let mut seen = Vec::new();
        for tab in &mut tabs {
            let event = tab.link_event().await;
            assert_eq!(event["linkStatus"], "ACTIVE");
            seen.push(event);
        }
        assert!(seen.iter().all(|event| event == &seen[0]), "{seen:?}");
    }
    for server in servers {
        let version = &ada.at(&server.url).query(HUB).await.field()["version"].clone();
        assert_eq!(version, &ada.at(&servers[0].url).query(HUB).await.field()["version"]);
    }
}

/// All events behind a cursor, up to the present one and without an error.
async fn everything_is_read(ada: &Client, after: &str) {
    let version = ada.query(HUB).await.field()["linkGraph"]["version"].as_i64().unwrap();
    let mut socket = ada.socket().await;
    let query = "subscription($after: String) { accountEvents(after: $after) {
        __typename ... on LinkStatusChange { graphVersion } ... on SecurityAlertRaised { alert { kind } } } }";
    socket.subscribe("all", query, json!({ "after": after })).await;
    let warning = json!({ "__typename": "SecurityAlertRaised", "alert": { "kind": "PROFILE_LINKED" } });
    let mut last = 0;
    while last < version {
        let event = socket.event("all", "accountEvents").await;
        last = event["graphVersion"].as_i64().unwrap_or_else(|| panic!("{event:#}"));
        assert_eq!(socket.event("all", "accountEvents").await, warning, "behind the link {last}");
    }
    assert_eq!(last, version);
}

/// A job and an event of the newer release. Gives the job's id.
async fn plant(db: &DatabaseConnection, account: Uuid) -> Uuid {
    let id = Uuid::from_u128(7);
    job::ActiveModel {
        id: Set(id),
        kind: Set(FROM_A_NEWER_RELEASE.to_owned()),
        payload: Set(json!({ "of": "another kind" })),
        stream_id: Set(account),
        run_at: Set(DateTime::UNIX_EPOCH),
        attempts: Set(0),
        leased_until: Set(None),
        dead_at: Set(None),
        last_error: Set(None),
        created_at: Set(START),
    }
    .insert(db)
    .await
    .unwrap();
    job_stream::Entity::delete_by_id(account).exec(db).await.unwrap();
    job_stream::ActiveModel { stream_id: Set(account), next_at: Set(DateTime::UNIX_EPOCH), turns: Set(0) }
        .insert(db)
        .await
        .unwrap();
    let row = stream::Entity::find_by_id(account).one(db).await.unwrap().unwrap();
    let number = row.version + 1;
    event::ActiveModel {
        stream_id: Set(account),
        number: Set(number),
        kind: Set(FROM_A_NEWER_RELEASE.to_owned()),
        payload: Set(json!({ "of": "another kind" })),
        occurred_at: Set(START),
    }
    .insert(db)
    .await
    .unwrap();
    let mut row: stream::ActiveModel = row.into();
    row.version = Set(number);
    row.update(db).await.unwrap();
    id
}

/// What makes a replica here one of production. It leaves jobs to those that have a sandbox.
fn of_production() -> Vec<(&'static str, String)> {
    [
        ("ACCOUNTS__MODE", "production"),
        ("ACCOUNTS__SANDBOX__URL", ""),
        ("ACCOUNTS__JOBS__CONCURRENCY", "0"),
        ("ACCOUNTS__PLATFORMS__FACEBOOK__ENABLED", "false"),
        ("ACCOUNTS__PLATFORMS__INSTAGRAM__ENABLED", "false"),
        ("ACCOUNTS__PLATFORMS__WHATSAPP__BASE_URL", "https://whatsapp.invalid"),
        ("ACCOUNTS__PLATFORMS__WHATSAPP__CREDENTIAL", "from the platform"),
        ("ACCOUNTS__PLATFORMS__WHATSAPP__WEBHOOK_SECRET", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
    ]
    .map(|(key, value)| (key, value.to_owned()))
    .into()
}

/// How often near, a check, Redis and the database gave the answer.
fn layers(app: &TestApp) -> [u64; 4] {
    app.app().graphs.counts().by_layer().map(|(_, count)| count)
}

async fn follow(client: &Client, after: Option<&str>) -> Socket {
    let mut tab = client.socket().await;
    tab.follow_links(after).await;
    tab
}

/// The code that a subscription is refused with.
async fn refusal(client: &Client, after: &str) -> String {
    let mut socket = client.socket().await;
    let query = "subscription($after: String) { linkStatusChanged(after: $after) { cursor } }";
    socket.subscribe("links", query, json!({ "after": after })).await;
    let SocketMessage::Json(message) = socket.next().await else { panic!("closed") };
    let code = &message["payload"]["errors"][0]["extensions"]["code"];
    code.as_str().unwrap_or_else(|| panic!("{message}")).to_owned()
}

async fn succeeded(place: &Place, arguments: &[&str]) -> String {
    let output = ended(ServerProcess::bare(place).args(arguments)).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn failed(place: &Place, arguments: &[&str]) -> String {
    failure(ended(ServerProcess::bare(place).args(arguments)).await)
}

#[track_caller]
fn failure(output: Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}
