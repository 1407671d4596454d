//! The program as its user starts it: what it prints, and what it says when it cannot start.

use std::net::TcpListener;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::support::{Place, ServerProcess, Socket, Stack, eventually, on_both_stacks};

on_both_stacks! {
    async fn ctrl_c_drains_and_ends(place: Place) {
        let mut server = ServerProcess::start(&place).await;
        server.client().query("{ platforms { key } }").await.field();
        let begin = std::time::Instant::now();
        assert!(server.interrupt().await.success());
        assert!(begin.elapsed() < Duration::from_secs(10), "the drain has a limit");
    }

    async fn a_schema_goes_up_and_down(place: Place) {
        let run = async |arguments: &[&str]| {
            let output = ServerProcess::bare(&place).args(arguments).output().await.unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        assert!(run(&["migrate", "status"]).await.lines().all(|line| line.starts_with("pending")));
        run(&["migrate", "up"]).await;
        assert!(run(&["migrate", "status"]).await.lines().all(|line| line.starts_with("applied")));
        run(&["migrate", "down", "--steps", "3"]).await;
        assert!(run(&["migrate", "status"]).await.lines().all(|line| line.starts_with("pending")));
        run(&["migrate", "up"]).await;
        ServerProcess::start(&place).await.client().query("{ platforms { key } }").await.field();
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

    async fn s36_production_refuses_what_was_made_up(place: Place) {
        let mode = ("ACCOUNTS__MODE", "production");
        assert_says(&failed(&place, &[], &[mode, ("ACCOUNTS__DATABASE__URL", ""), ("ACCOUNTS__REDIS__URL", "")]).await, &["keys.secret"]);
        assert_says(&failed(&place, &["sandbox", "--listen", "127.0.0.1:0"], &[mode]).await, &["production"]);
    }
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
    for (key, value) in [
        ("ACCOUNTS__MODE", "production"),
        ("ACCOUNTS__KEYS__SECRET", "a secret of the tests, 32 characters"),
        ("ACCOUNTS__SANDBOX__URL", ""),
        ("ACCOUNTS__PLATFORMS__WHATSAPP__BASE_URL", "https://whatsapp.invalid"),
        ("ACCOUNTS__PLATFORMS__WHATSAPP__CREDENTIAL", "from the platform"),
        ("ACCOUNTS__HTTP__ALLOWED_ORIGINS", "https://www.example.com"),
    ] {
        place.set(key, value);
    }
    assert_says(&failed(&place, &["serve"], &[]).await, &["migrate up"]);
    let migrated = ServerProcess::bare(&place).args(["migrate", "up"]).output().await.unwrap();
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    assert_says(&failed(&place, &["sandbox", "--listen", "127.0.0.1:0"], &[]).await, &["development"]);
    let server = ServerProcess::start(&place).await;
    let http =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for (path, status) in
        [("/live", 200), ("/dev/sign-in", 404), ("/sandbox/clock", 404), ("/sandbox/whatsapp/state", 404)]
    {
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
    let links =
        [next().await, next().await, next().await].map(|line| line.rsplit_once(' ').unwrap().1.to_owned());
    assert!(home.path().join(".local/share/accounts-center/accounts.sqlite").is_file());

    let http =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    assert_eq!(http.get(&links[0]).send().await.unwrap().status(), 200);
    assert_eq!(http.get(&links[2]).send().await.unwrap().status(), 200);
    let signed_in = http.get(&links[1]).send().await.unwrap();
    let location = signed_in.headers()["location"].to_str().unwrap().to_owned();
    let token = location.strip_prefix("/#access_token=").unwrap();
    let demo = crate::support::Client::new(&base).with_token(token);
    assert_eq!(demo.query("{ viewer { displayName } }").await.field()["displayName"], "Demo");
    // A code reaches the phone of the sandbox inside.
    demo.start_link("+4917139200042").await.field();
    eventually("the phone has a code", async || {
        let inbox = http.get(format!("{base}/sandbox/whatsapp/inbox")).query(&[("handle", "+4917139200042")]);
        let inbox: serde_json::Value = inbox.send().await.unwrap().json().await.unwrap();
        (!inbox["codes"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
}

/// The error of a server that does not start.
async fn failed(place: &Place, arguments: &[&str], more: &[(&str, &str)]) -> String {
    let mut command = ServerProcess::bare(place);
    command.args(arguments).envs(more.iter().copied());
    let Output { status, stderr, .. } = tokio::time::timeout(Duration::from_secs(30), command.output())
        .await
        .expect("it neither served nor failed")
        .unwrap();
    assert!(!status.success());
    String::from_utf8(stderr).unwrap()
}

#[track_caller]
fn assert_says(error: &str, words: &[&str]) {
    for word in words {
        assert!(error.contains(word), "no {word:?} in: {error}");
    }
    assert!(!error.contains("panicked"), "{error}");
}
