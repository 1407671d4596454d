//! Where a test happens: a stack, an empty database, and a sandbox of its own.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use sea_orm::{ConnectionTrait, Database, DatabaseConnection};

use super::{SandboxProcess, TestApp};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// SQLite, and everything in the process.
    Embedded,
    /// PostgreSQL and Redis.
    Production,
}

const EXTRA: &str = include_str!("../one_graph/extra.graphql");

/// Whether every operation goes through the engine, by the environment.
fn is_planned() -> bool {
    std::env::var("ACCOUNTS_TEST_WAY").is_ok_and(|way| way == "planned")
}

/// A stack with an empty database, a data folder and a sandbox process.
pub struct Place {
    pub stack: Stack,
    pub sandbox: SandboxProcess,
    pub folder: tempfile::TempDir,
    /// Settings for servers here, as environment variables; a test may change them.
    pub settings: Vec<(&'static str, String)>,
}

impl Place {
    pub async fn new(stack: Stack) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = SandboxProcess::start().await;
        let mut settings = vec![
            ("ACCOUNTS__HTTP__LISTEN", "127.0.0.1:0".to_owned()),
            ("ACCOUNTS__DATA__DIR", folder.path().join("data").display().to_string()),
            ("ACCOUNTS__SANDBOX__URL", sandbox.url.clone()),
            ("ACCOUNTS__DEMO__ENABLED", "false".to_owned()),
            ("ACCOUNTS__HTTP__DRAIN_SECONDS", "3".to_owned()),
            // A test is one address, and in a hurry.
            ("ACCOUNTS__LIMITS__STARTS_PER_ADDRESS", "100000".to_owned()),
            ("ACCOUNTS__LIMITS__STARTS_PER_ACCOUNT", "100000".to_owned()),
            ("ACCOUNTS__LIMITS__SUBMISSIONS_PER_ADDRESS", "100000".to_owned()),
            ("ACCOUNTS__LIMITS__SUBMISSIONS_PER_ACCOUNT", "100000".to_owned()),
            ("ACCOUNTS__VERIFICATION__CODES_PER_HANDLE", "1000".to_owned()),
            ("ACCOUNTS__VERIFICATION__PENDING_PER_ACCOUNT", "1000".to_owned()),
            ("ACCOUNTS__OAUTH__REDIRECT_URIS", super::oauth::REDIRECT.to_owned()),
        ];
        if is_planned() {
            // Nobody is there: the operations of these tests need nothing of it.
            let sdl = folder.path().join("extra.graphql");
            std::fs::write(&sdl, EXTRA).unwrap();
            settings.push(("ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__SDL", sdl.display().to_string()));
            settings.push(("ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__URL", "http://127.0.0.1:9/".to_owned()));
            settings.push(("ACCOUNTS__GATEWAY__DIRECT", "false".to_owned()));
            settings.push(("ACCOUNTS__GATEWAY__PLANS__MILLISECONDS", "20000".to_owned()));
        }
        if stack == Stack::Production {
            let name = fresh_name();
            let admin =
                Database::connect(postgres_url()).await.expect("PostgreSQL of the tests is not there");
            admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
            admin.close().await.unwrap();
            settings.push(("ACCOUNTS__DATABASE__URL", replace_database(&postgres_url(), &name)));
            settings.push(("ACCOUNTS__DATABASE__MAX_CONNECTIONS", "8".to_owned()));
            settings.push(("ACCOUNTS__REDIS__URL", redis_url()));
            settings.push(("ACCOUNTS__REDIS__PREFIX", name));
        }
        Self { stack, sandbox, folder, settings }
    }

    /// An application in this process, with a clock that stands still and seeded ids.
    pub async fn app(&self) -> TestApp {
        TestApp::start(self, 1).await
    }

    /// A second replica of it, with ids of its own.
    pub async fn replica(&self) -> TestApp {
        assert_eq!(self.stack, Stack::Production, "the embedded stack is one process");
        TestApp::start(self, 2).await
    }

    /// Sets a setting for servers that are started from now on.
    pub fn set(&mut self, key: &'static str, value: impl ToString) {
        self.settings.retain(|(known, _)| *known != key);
        self.settings.push((key, value.to_string()));
    }

    pub fn setting(&self, key: &str) -> &str {
        &self.settings.iter().find(|(known, _)| *known == key).expect(key).1
    }

    /// Takes a copy of the database, which no server here may use meanwhile.
    pub async fn back_up(&self) {
        match self.stack {
            Stack::Embedded => {
                copy_file(&self.folder.path().join("data"), &self.folder.path().join("backup"));
            }
            Stack::Production => copy_database(&self.database_name(), &self.backup_name()).await,
        }
    }

    /// Puts the copy in the place of the database, under servers that run as well where there can be several.
    pub async fn restore(&self) {
        match self.stack {
            Stack::Embedded => {
                copy_file(&self.folder.path().join("backup"), &self.folder.path().join("data"));
            }
            Stack::Production => copy_database(&self.backup_name(), &self.database_name()).await,
        }
    }

    fn database_name(&self) -> String {
        let url: url::Url = self.setting("ACCOUNTS__DATABASE__URL").parse().unwrap();
        url.path().trim_start_matches('/').to_owned()
    }

    fn backup_name(&self) -> String {
        format!("{}_backup", self.database_name())
    }

    /// A connection to the database past all servers, to look at what is stored and to plant what is wrong.
    pub async fn database(&self) -> DatabaseConnection {
        let url = match self.stack {
            Stack::Embedded => {
                format!("sqlite://{}/data/accounts.sqlite?mode=rw", self.folder.path().display())
            }
            Stack::Production => self.setting("ACCOUNTS__DATABASE__URL").to_owned(),
        };
        Database::connect(url).await.unwrap()
    }
}

/// The file, which is the whole database once its server has stopped: whoever stops writes the log into it.
fn copy_file(from: &Path, to: &Path) {
    assert!(!from.join("accounts.sqlite-wal").exists(), "{} is in use", from.display());
    std::fs::create_dir_all(to).unwrap();
    let _ = std::fs::remove_file(to.join("accounts.sqlite"));
    std::fs::copy(from.join("accounts.sqlite"), to.join("accounts.sqlite")).unwrap();
}

async fn copy_database(from: &str, to: &str) {
    let admin = Database::connect(postgres_url()).await.unwrap();
    admin.execute_unprepared(&format!("DROP DATABASE IF EXISTS {to} WITH (FORCE)")).await.unwrap();
    // Who has just gone may still be leaving.
    super::eventually("the database is copied", async || {
        admin.execute_unprepared(&format!("CREATE DATABASE {to} TEMPLATE {from}")).await.ok().map(|_| ())
    })
    .await;
    admin.close().await.unwrap();
}

fn fresh_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn replace_database(url: &str, name: &str) -> String {
    let mut url: url::Url = url.parse().unwrap();
    url.set_path(name);
    url.to_string()
}

fn postgres_url() -> String {
    needed("ACCOUNTS_TEST_POSTGRES_URL")
}

fn redis_url() -> String {
    needed("ACCOUNTS_TEST_REDIS_URL")
}

/// A server that the test command starts. Without it a test fails and says so: skipped is not passed.
pub fn needed(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run the tests by `cargo xtask test`"))
}
