//! A backup, and how it comes back: the database goes back to that moment, and gets a new epoch.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use serde_json::json;

use super::World;
use super::checks::{Account, Broken, broken};
use super::echo::Echo;
use super::replay::read_truth;
use super::settle::ask;
use super::wire::Answer;
use crate::support::{Place, ServerProcess, Socket, SocketMessage, Stack, ended, eventually, needed};

const EXPIRED: &str = "a restore expires cursors";

/// The database of a moment at which nothing changed, with a cursor of each account from then.
pub struct Backup {
    cursors: Vec<String>,
    /// Hears what is said from then on.
    echo: Option<Echo>,
}

impl Backup {
    /// Takes it while nobody is there, and lets everybody come back.
    pub async fn take(world: &World) -> Self {
        let mut cursors = Vec::new();
        let address = world.cluster.replicas[0].address().expect("all replicas are there");
        for account in &world.accounts {
            let bytes = ask(address.socket, account, None).await.expect("nothing is wrong now");
            let answer: Answer<'_> = serde_json::from_slice(&bytes).expect("an answer");
            let viewer = answer.data.and_then(|data| data.viewer).expect("an account");
            cursors.push(viewer.event_cursor.expect("it was asked for").to_owned());
        }
        world.weather.note("a backup is taken");
        world.cluster.stop().await;
        let place = &world.cluster.place;
        match place.stack {
            Stack::Production => copy_database(place, "backup").await,
            Stack::Embedded => copy_files(&data(place), &place.folder.path().join("backup")),
        }
        world.cluster.start().await;
        let redis = world.cluster.redis.as_ref();
        Self { cursors, echo: redis.map(|redis| Echo::listen(place, &redis.url)) }
    }

    /// Brings it back. What was done since has not happened, and nobody may remember it.
    /// Gives who will say again what was said.
    pub async fn restore(self, world: &World) -> Option<Echo> {
        world.tally.count("faults", "backup restored");
        world.weather.note("the backup is restored");
        world.cluster.stop().await;
        let place = &world.cluster.place;
        match place.stack {
            Stack::Production => bring_back_database(place, "backup").await,
            Stack::Embedded => {
                fs::remove_dir_all(data(place)).unwrap();
                copy_files(&place.folder.path().join("backup"), &data(place));
            }
        }
        let renewed = ended(ServerProcess::bare(place).args(["migrate", "new-epoch"])).await;
        let complaint = String::from_utf8_lossy(&renewed.stderr);
        assert!(renewed.status.success(), "`migrate new-epoch` failed: {complaint}");
        let db = place.database().await;
        for account in &world.accounts {
            account.begin(&read_truth(&db, account).await.sight());
        }
        db.close().await.unwrap();
        world.restores.fetch_add(1, Ordering::Release);
        world.cluster.start().await;
        for (account, cursor) in world.accounts.iter().zip(&self.cursors) {
            if let Err(broken) = expect_expiry(world, account, cursor).await {
                world.blame(Some(account), &broken);
                break;
            }
        }
        self.echo
    }
}

/// A cursor of before is refused, also one whose events are still there.
async fn expect_expiry(world: &World, account: &Account, cursor: &str) -> Result<(), Broken> {
    let replica = &world.cluster.replicas[account.number % world.cluster.replicas.len()];
    let address = replica.address().expect("all replicas are there");
    let mut socket = Socket::try_open(&address.url(), &account.token).await.expect("nothing is wrong now");
    let query = "subscription($after: String) { accountEvents(after: $after) { cursor } }";
    let payload = json!({ "query": query, "variables": { "after": cursor } });
    socket.try_send(&json!({ "type": "subscribe", "id": "1", "payload": payload })).await;
    world.tally.count("looked at", "cursor of before the restore");
    match socket.next_within(Duration::from_secs(3)).await {
        Some(SocketMessage::Json(message))
            if message["payload"]["errors"][0]["extensions"]["code"] == "CURSOR_EXPIRED" =>
        {
            Ok(())
        }
        other => broken(EXPIRED, format!("replica {} took an old one: {other:?}", address.replica)),
    }
}

fn data(place: &Place) -> PathBuf {
    place.folder.path().join("data")
}

/// With the journal beside the database: a server that was killed has left it there.
fn copy_files(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.file_name().to_string_lossy().starts_with("accounts.sqlite") {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

async fn copy_database(place: &Place, suffix: &str) {
    let (admin, name) = (admin().await, database_name(place));
    eventually("nobody is connected to the database", async || {
        disconnect_all(&admin, &name).await;
        admin.execute_unprepared(&format!("CREATE DATABASE {name}_{suffix} TEMPLATE {name}")).await.ok()
    })
    .await;
    admin.close().await.unwrap();
}

async fn bring_back_database(place: &Place, suffix: &str) {
    let (admin, name) = (admin().await, database_name(place));
    admin.execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
    let rename = format!("ALTER DATABASE {name}_{suffix} RENAME TO {name}");
    admin.execute_unprepared(&rename).await.unwrap();
    admin.close().await.unwrap();
}

/// Removes what the run has made outside of its folder.
pub async fn clean_up(place: &Place) {
    if place.stack == Stack::Production {
        let (admin, name) = (admin().await, database_name(place));
        for database in [name.clone(), format!("{name}_backup")] {
            let drop = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)");
            admin.execute_unprepared(&drop).await.unwrap();
        }
        admin.close().await.unwrap();
    }
}

async fn disconnect_all(admin: &DatabaseConnection, name: &str) {
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    admin.execute_unprepared(&end).await.unwrap();
}

async fn admin() -> DatabaseConnection {
    Database::connect(needed("ACCOUNTS_TEST_POSTGRES_URL")).await.unwrap()
}

fn database_name(place: &Place) -> String {
    let url: url::Url = place.setting("ACCOUNTS__DATABASE__URL").parse().unwrap();
    url.path().trim_start_matches('/').to_owned()
}
