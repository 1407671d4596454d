//! The program as its user starts it: what it prints, and what it says when it cannot start.

use std::net::TcpListener;
use std::process::{Output, Stdio};
use std::time::Duration;

use accounts_center_entity::job;
use chrono::DateTime;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use uuid::Uuid;

use crate::support::oauth::Started;
use crate::support::{Place, ServerProcess, Socket, Stack, ended, eventually, on_both_stacks};

/// What an operator configures, beside the database and Redis.
pub const PRODUCTION: [(&str, &str); 9] = [
    ("ACCOUNTS__MODE", "production"),
    ("ACCOUNTS__KEYS__SECRET", "a secret of the tests, 32 characters"),
    ("ACCOUNTS__SANDBOX__URL", ""),
    ("ACCOUNTS__PLATFORMS__FACEBOOK__ENABLED", "false"),
    ("ACCOUNTS__PLATFORMS__INSTAGRAM__ENABLED", "false"),
    ("ACCOUNTS__PLATFORMS__WHATSAPP__BASE_URL", "https://whatsapp.invalid"),
    ("ACCOUNTS__PLATFORMS__WHATSAPP__CREDENTIAL", "from the platform"),
    ("ACCOUNTS__PLATFORMS__WHATSAPP__WEBHOOK_SECRET", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
    ("ACCOUNTS__HTTP__ALLOWED_ORIGINS", "https://www.example.com"),
];

on_both_stacks! {
    async fn ctrl_c_drains_and_ends(place: Place) {
        let mut server = ServerProcess::start(&place).await;
        server.client().query("{ platforms { key } }").await.field();
        let begin = std::time::Instant::now();
        assert!(server.interrupt().await.success());
        assert!(begin.elapsed() < Duration::from_secs(10), "the drain has a limit");
    }

    async fn what_it_cannot_open_is_one_clear_line(place: Place) {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        assert_says(&failed(&place, &["--listen", &address], &[]).await, &[&address, "in use", "--listen"]);
        assert_says(&failed(&place, &["--listen", "0.0.0.0:0"], &[]).await, &["http.listen", "loopback"]);
        assert_says(&failed(&place, &["--config", "/nowhere.toml"], &[]).await, &["/nowhere.toml"]);
        let file = place.folder.path().join("bad.toml");
        std::fs::write(&file, "[http]\nlisten_on = \"x\"\n").unwrap();
        let file = file.display().to_string();
        assert_says(&failed(&place, &["--config", &file], &[]).await, &["http", "listen_on", "expected", "listen"]);
        std::fs::write(&file, "[http\n").unwrap();
        assert_says(&failed(&place, &["--config", &file], &[]).await, &["bad.toml"]);
        let redis = [("ACCOUNTS__DATABASE__URL", "postgres://nobody:hidden@127.0.0.1:1/none"), ("ACCOUNTS__REDIS__URL", "redis://127.0.0.1:1/")];
        let unreachable = failed(&place, &[], &redis).await;
        assert_says(&unreachable, &["database.url", "cannot be reached"]);
        assert!(!unreachable.contains("hidden"), "{unreachable}");
        let not_redis = [("ACCOUNTS__DATABASE__URL", "postgres://127.0.0.1:1/none"), ("ACCOUNTS__REDIS__URL", "http://:hidden@x")];
        assert!(!failed(&place, &[], &not_redis).await.contains("hidden"));
        assert_says(&failed(&place, &["serve", "--port", "1"], &[]).await, &["--port"]);
    }

    async fn dead_jobs_are_listed_and_replayed(place: Place) {
        printed(&place, &["migrate", "up"]).await;
        let db = place.database().await;
        let (erase, other) = ("erase_expired_verification", "of_another_release");
        for (n, kind) in [erase, erase, other].into_iter().enumerate() {
            dead_job(n as u128, kind).insert(&db).await.unwrap();
        }
        let list = printed(&place, &["jobs", "list"]).await;
        let lines: Vec<_> = list.lines().collect();
        assert_eq!(lines[0], "00000000-0000-0000-0000-000000000000  erase_expired_verification      \
            00000000-0000-0000-0000-000000000007   8  2026-01-01T00:00:00Z  it failed in two lines");
        assert!(lines[2].starts_with("00000000-0000-0000-0000-000000000002  of_another_release "), "{list}");
        assert_eq!(lines[3..], ["3 dead job(s)"]);
        assert_eq!(printed(&place, &["jobs", "list", "--kind", other]).await.lines().count(), 2);
        assert_eq!(printed(&place, &["jobs", "list", "--kind", "none"]).await, "0 dead job(s)\n");

        // All that are named, or none.
        let id = |n: u128| Uuid::from_u128(n).to_string();
        assert_says(&failed(&place, &["jobs", "replay", &id(0), &id(9)], &[]).await, &[&id(9), "jobs list"]);
        assert!(printed(&place, &["jobs", "list"]).await.ends_with("3 dead job(s)\n"));
        assert_says(&failed(&place, &["jobs", "replay"], &[]).await, &["--all"]);
        assert_says(&failed(&place, &["jobs", "replay", "7"], &[]).await, &["7", "UUID"]);
        assert_says(&failed(&place, &["jobs", "replay", &id(0), "--kind", erase], &[]).await, &["--kind", "IDS"]);

        assert_eq!(printed(&place, &["jobs", "replay", &id(0), &id(0)]).await, "1 job(s) replayed\n");
        assert_eq!(printed(&place, &["jobs", "replay", "--all", "--kind", erase]).await, "1 job(s) replayed\n");
        let jobs = job::Entity::find().filter(job::Column::Kind.eq(erase)).all(&db).await.unwrap();
        assert!(jobs.iter().all(|job| job.dead_at.is_none() && job.attempts == 0), "{jobs:?}");
        // They are in the queue again: a server runs them, and they succeed, for there is nothing to erase.
        let _server = ServerProcess::start(&place).await;
        eventually("the replayed jobs have run", async || {
            let left = job::Entity::find().all(&db).await.unwrap();
            (left.len() == 1 && left[0].kind == other).then_some(())
        }).await;
        if place.stack == Stack::Embedded {
            assert_says(&failed(&place, &["jobs", "list"], &[]).await, &["another accounts-center", "--data"]);
        } else {
            assert_eq!(printed(&place, &["jobs", "replay", "--all"]).await, "1 job(s) replayed\n");
        }
    }

    async fn s36_production_refuses_what_was_made_up(place: Place) {
        let mode = ("ACCOUNTS__MODE", "production");
        assert_says(&failed(&place, &[], &[mode, ("ACCOUNTS__DATABASE__URL", ""), ("ACCOUNTS__REDIS__URL", "")]).await, &["keys.secret"]);
        assert_says(&failed(&place, &["sandbox", "--listen", "127.0.0.1:0"], &[mode]).await, &["production"]);
    }
}

/// A server that leaves background work to others, and a worker that does it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_does_what_a_server_leaves_to_it() {
    let (ada, grace) = ("+4917139200042", "+4917139200043");
    let place = Place::new(Stack::Production).await;
    let server = ServerProcess::start_arguing(&place, &["--without", "worker"]).await;
    let started = server.client().start_sign_in(ada).await;
    let started = started.field();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(place.sandbox.codes(ada).await.is_empty(), "somebody has sent a code");

    let mut worker = ServerProcess::start_worker(&place).await;
    let code = place.sandbox.nth_code(ada, 1).await;
    server.client().submit(&started["verification"]["id"], &started["clientSecret"], &code).await.field();
    let ada = server.client().sign_in(&place, ada).await.client;
    let mut tab = ada.socket().await;
    tab.follow_links(None).await;
    assert_eq!(ada.link(&place, grace).await.field()["outcome"]["__typename"], "ProfileLinked");
    assert_eq!(tab.link_event().await["graphVersion"], 5);

    assert!(worker.interrupt().await.success());
    ada.start_link("+4917139200001").await.field();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(place.sandbox.codes("+4917139200001").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_says_what_it_needs() {
    let embedded = Place::new(Stack::Embedded).await;
    assert_says(&failed(&embedded, &["worker"], &[]).await, &["database.url", "SQLite"]);
    assert_says(&failed(&embedded, &["--without", "worker"], &[]).await, &["database.url", "SQLite"]);
    assert_says(&failed(&embedded, &["serve", "--without", "worker,bus"], &[]).await, &["bus", "worker"]);
    let place = Place::new(Stack::Production).await;
    let no_sandbox = [("ACCOUNTS__SANDBOX__URL", "")];
    assert_says(&failed(&place, &["worker"], &no_sandbox).await, &["sandbox.url", "accounts-center sandbox"]);
    let idle = [("ACCOUNTS__JOBS__CONCURRENCY", "0")];
    assert_says(&failed(&place, &["worker"], &idle).await, &["jobs.concurrency"]);
}

/// A Redis behind TLS that does not speak it: the bus tries again and again, and nothing panics.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_with_tls_is_tried_and_does_not_panic() {
    let mut place = Place::new(Stack::Production).await;
    let plain = place.setting("ACCOUNTS__REDIS__URL").to_owned();
    place.set("ACCOUNTS__REDIS__URL", plain.replacen("redis://", "rediss://", 1));
    let log = place.folder.path().join("log");
    let file = Stdio::from(std::fs::File::create(&log).unwrap());
    let mut server = ServerProcess::start_logging(&place, &[], file).await;
    server.client().start_sign_in("+4917139200042").await.field();
    eventually("the bus was tried", async || {
        std::fs::read_to_string(&log).unwrap().contains("the bus is gone").then_some(())
    })
    .await;
    assert!(server.interrupt().await.success());
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(!text.contains("panicked"), "{text}");
}

/// Production as an operator sets it up: migrated on purpose, and nothing of development in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s36_production_has_nothing_of_development() {
    let mut place = Place::new(Stack::Production).await;
    for (key, value) in PRODUCTION {
        place.set(key, value);
    }
    assert_says(&failed(&place, &["serve"], &[]).await, &["migrate up"]);
    let migrated = ended(ServerProcess::bare(&place).args(["migrate", "up"])).await;
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    assert_says(&failed(&place, &["sandbox", "--listen", "127.0.0.1:0"], &[]).await, &["development"]);
    let server = ServerProcess::start(&place).await;
    let http =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for (path, status) in [
        ("/live", 200),
        ("/dev/sign-in", 404),
        ("/dev/link", 404),
        ("/dev/callback", 404),
        ("/sandbox/clock", 404),
        ("/sandbox/whatsapp/state", 404),
        ("/sandbox/facebook/authorize", 404),
    ] {
        assert_eq!(
            http.get(format!("{}{path}", server.url)).send().await.unwrap().status(),
            status,
            "{path}"
        );
    }
    assert!(Socket::connect(&server.url, Some("https://www.example.com")).await.is_ok());
    assert!(Socket::connect(&server.url, Some(&server.url)).await.is_err(), "its own address is no origin");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_folder_is_for_one_process_and_must_be_writable() {
    let place = Place::new(Stack::Embedded).await;
    let _first = ServerProcess::start(&place).await;
    assert_says(&failed(&place, &[], &[]).await, &["another accounts-center", "--data"]);
    let file = place.folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let inside = file.join("data").display().to_string();
    assert_says(&failed(&place, &["--data", &inside], &[]).await, &[&inside, "cannot be written", "--data"]);
    let damaged = place.folder.path().join("damaged");
    std::fs::create_dir(&damaged).unwrap();
    std::fs::write(
        damaged.join("accounts.sqlite"),
        "this is no database, but long enough to be taken for one".repeat(20),
    )
    .unwrap();
    let damaged = damaged.display().to_string();
    assert_says(&failed(&place, &["--data", &damaged], &[]).await, &[&damaged]);
}

/// With no configuration at all: the sandbox inside, the demo account, and the one-click sign-in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_configuration_everything_is_there() {
    let home = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_accounts-center"))
        .args(["--listen", "127.0.0.1:0"])
        .env("HOME", home.path())
        .env_remove("XDG_DATA_HOME")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || lines.next_line().await.unwrap().unwrap();
    let base = next().await.rsplit_once(' ').unwrap().1.to_owned();
    let links = [next().await, next().await, next().await, next().await, next().await];
    let links = links.map(|line| line.rsplit_once(' ').unwrap().1.to_owned());
    assert!(home.path().join(".local/share/accounts-center/accounts.sqlite").is_file());

    let http =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    assert_eq!(http.get(&links[0]).send().await.unwrap().status(), 200);
    assert_eq!(http.get(&links[4]).send().await.unwrap().status(), 200);
    let signed_in = http.get(&links[1]).send().await.unwrap();
    let location = signed_in.headers()["location"].to_str().unwrap().to_owned();
    let token = location.strip_prefix("/#access_token=").unwrap();
    let linking = http.get(&links[2]).send().await.unwrap();
    assert!(linking.headers()["location"].to_str().unwrap().starts_with("/dev/link#access_token="));
    let demo = crate::support::Client::new(&base).with_token(token);
    assert_eq!(demo.query("{ viewer { displayName } }").await.field()["displayName"], "Demo");
    // The example subgraph has its own port, and is a part of the graph.
    let alone = http.post(&links[3]).json(&serde_json::json!({ "query": "{ _service { sdl } }" }));
    let alone: serde_json::Value = alone.send().await.unwrap().json().await.unwrap();
    assert!(alone["data"]["_service"]["sdl"].as_str().unwrap().contains("followers"), "{alone:#}");
    let whole = demo.query("{ viewer { displayName profiles { followers { totalCount } } } }").await;
    assert_eq!(whole.field()["profiles"][0]["followers"], serde_json::Value::Null, "it is of WhatsApp");
    // And it takes what this server says of who asks.
    let back = format!("{base}/dev/callback");
    let started = Started::of(&demo.try_oauth_link("instagram", &back, "instagram").await);
    let linked = demo.submit_oauth(&started, &started.approve("ig_ada").await).await;
    assert_eq!(linked.user_errors(), [""; 0], "{:#}", linked.body);
    let both = "{ viewer { profiles { externalId followers(first: 3) { totalCount nodes { username } } } } }";
    let both = demo.query(both).await;
    let profiles = both.field()["profiles"].as_array().unwrap();
    let instagram = profiles.iter().find(|profile| profile["externalId"] == "ig_ada").unwrap();
    assert!(instagram["followers"]["totalCount"].as_u64().unwrap() > 0, "{instagram:#}");
    assert_eq!(instagram["followers"]["nodes"].as_array().unwrap().len(), 3, "{instagram:#}");
    // A code reaches the phone of the sandbox inside.
    demo.start_link("+4917139200042").await.field();
    eventually("the phone has a code", async || {
        let inbox = http.get(format!("{base}/sandbox/whatsapp/inbox")).query(&[("handle", "+4917139200042")]);
        let inbox: serde_json::Value = inbox.send().await.unwrap().json().await.unwrap();
        (!inbox["codes"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
}

/// What the program prints when it succeeds.
pub async fn printed(place: &Place, arguments: &[&str]) -> String {
    let output = ended(ServerProcess::bare(place).args(arguments)).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A job of a verification that there is not, which has failed for good.
fn dead_job(n: u128, kind: &str) -> job::ActiveModel {
    let at = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
    job::ActiveModel {
        id: Set(Uuid::from_u128(n)),
        kind: Set(kind.to_owned()),
        payload: Set(serde_json::json!({ "verification": Uuid::from_u128(n) })),
        stream_id: Set(Uuid::from_u128(7)),
        run_at: Set(at),
        attempts: Set(8),
        leased_until: Set(None),
        dead_at: Set(Some(at)),
        last_error: Set(Some("it failed\nin two lines".to_owned())),
        created_at: Set(at),
    }
}

/// The error of a program that does not succeed.
pub async fn failed(place: &Place, arguments: &[&str], more: &[(&str, &str)]) -> String {
    let mut command = ServerProcess::bare(place);
    command.args(arguments).envs(more.iter().copied());
    let Output { status, stderr, .. } = tokio::time::timeout(crate::support::PATIENCE, command.output())
        .await
        .expect("it neither served nor failed")
        .unwrap();
    assert!(!status.success(), "{arguments:?} has succeeded");
    String::from_utf8(stderr).unwrap()
}

#[track_caller]
pub fn assert_says(error: &str, words: &[&str]) {
    for word in words {
        assert!(error.contains(word), "no {word:?} in: {error}");
    }
    assert!(!error.contains("panicked"), "{error}");
}
