//! When the faults are over: everybody hears the last event in time, and all agree with the database.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use accounts_center_entity::stream;
use hyper::body::Bytes;
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::World;
use super::checks::{Account, Broken, broken};
use super::cluster::Replica;
use super::followed::Follows;
use super::replay::{Truth, judge, read_events, read_truth};
use super::wire::{self, Answer, Line, Lost};
use crate::support::{Announced, Stack};

/// How late the last event may be, after its commit and after the last fault.
const LATE: Duration = Duration::from_secs(10);
/// How long a commit whose answer was lost may still be on its way; nothing waits longer in the server.
const ON_ITS_WAY: Duration = Duration::from_secs(25);
const IN_TIME: &str = "the last event comes within 10 s";
const AGREE: &str = "in the end all agree with the database";

/// Says who has not heard of a commit although all has been calm for long enough, while a phase goes on.
pub async fn watch_lateness(world: std::sync::Arc<World>, phase: CancellationToken) {
    while !phase.is_cancelled() {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let Some(horizon) = Instant::now().checked_sub(LATE) else { continue };
        if world.weather.calm_since().is_none_or(|since| since > horizon) {
            continue;
        }
        let of_everything = world.subscribers.iter().filter(|one| one.follows == Follows::Everything);
        for subscriber in of_everything {
            let account = &world.accounts[subscriber.account];
            let expected = account.acknowledged_at(horizon);
            let (position, at) = {
                let heard = subscriber.heard();
                (heard.position, heard.at)
            };
            if position < expected {
                let how = format!(
                    "subscriber {} at {at:?} stands at {position}; {expected} was acknowledged over 10 s ago",
                    subscriber.number
                );
                world.blame(Some(account), &Broken { rule: IN_TIME, how });
            }
        }
    }
}

/// Waits until all subscribers have all events, and judges everything that was seen.
pub async fn settle(world: &World) {
    let db = world.cluster.place.database().await;
    hear_out(world, &db).await;
    for account in &world.accounts {
        if !world.broken.is_cancelled()
            && let Err(broken) = judge_account(world, &db, account).await
        {
            world.blame(Some(account), &broken);
        }
    }
    db.close().await.unwrap();
    world.subscribers.iter().for_each(|subscriber| subscriber.judged());
}

/// Until everybody has heard everything.
async fn hear_out(world: &World, db: &DatabaseConnection) {
    let mut before = HashMap::new();
    let mut changed = Instant::now();
    while !world.broken.is_cancelled() {
        let versions = versions(world, db).await;
        if versions != before {
            (before, changed) = (versions.clone(), Instant::now());
        }
        let late = changed.elapsed() > LATE;
        // Cheap, and mostly the last to be true.
        let near = world
            .subscribers
            .iter()
            .filter(|one| one.follows == Follows::Everything)
            .all(|one| Some(&one.heard().position) == versions.get(&world.accounts[one.account].id));
        if near || late {
            let lacking = first_lack(world, db).await;
            match lacking {
                None => return,
                Some((account, how)) if late => {
                    world.blame(Some(account), &Broken { rule: IN_TIME, how });
                    return;
                }
                Some(_) => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn first_lack<'a>(world: &'a World, db: &DatabaseConnection) -> Option<(&'a Account, String)> {
    for account in &world.accounts {
        let events = read_events(db, account).await;
        let followers = world.subscribers.iter().filter(|one| one.account == account.number);
        for subscriber in followers {
            if let Some(lack) = subscriber.lacks(world, &events) {
                return Some((account, lack));
            }
        }
    }
    None
}

async fn versions(world: &World, db: &DatabaseConnection) -> HashMap<Uuid, i64> {
    let ids = world.accounts.iter().map(|account| account.id);
    let rows = stream::Entity::find().filter(stream::Column::Id.is_in(ids)).all(db).await.unwrap();
    rows.into_iter().map(|row| (row.id, row.version)).collect()
}

async fn judge_account(world: &World, db: &DatabaseConnection, account: &Account) -> Result<(), Broken> {
    become_fresh(world, db, account).await?;
    let began = Instant::now();
    loop {
        let truth = read_truth(db, account).await;
        let events = read_events(db, account).await;
        let announced = Announced::read(db, account.id).await;
        let agreed = agree(world, account, &truth).await?;
        // A commit whose answer was lost may come this late.
        if agreed && read_truth(db, account).await.version == truth.version {
            account.see(&truth.sight())?;
            if let Some(how) = announced.complaint() {
                return broken("each session and each alert is told of once", how);
            }
            return judge(account, &events, &truth);
        }
        if began.elapsed() > ON_ITS_WAY {
            return broken(AGREE, format!("a replica shows what the database never gets; it has {truth:?}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Without being asked for a version, too, each replica shows the last one in time: it hears of it, or reads anew.
async fn become_fresh(world: &World, db: &DatabaseConnection, account: &Account) -> Result<(), Broken> {
    let began = Instant::now();
    for replica in &world.cluster.replicas {
        loop {
            let truth = read_truth(db, account).await;
            // Whoever died may have taken the hint along, and what was not acknowledged may be its last word.
            let by = account.committed_by(truth.version);
            let lives = |by| {
                let mut addresses = world.cluster.replicas.iter().filter_map(Replica::address);
                addresses.any(|address| (address.replica, address.life) == by)
            };
            let Some(address) = replica.address() else { return broken(AGREE, "a replica is not there") };
            if world.plan.lets_replicas_be_old() || !by.is_some_and(lives) {
                break;
            }
            world.tally.count("looked at", "freshness");
            let version = look(address.socket, account, None).await?;
            if version >= truth.version {
                break;
            }
            if began.elapsed() > LATE {
                let how = format!(
                    "replica {} still shows {version}; {} was committed by {by:?} over 10 s ago",
                    replica.number, truth.version
                );
                return broken("a replica hears of what is committed", how);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

/// Whether each replica shows the database's version, asked for it and then just so; false if one is ahead of what
/// was read.
async fn agree(world: &World, account: &Account, truth: &Truth) -> Result<bool, Broken> {
    for replica in &world.cluster.replicas {
        let Some(address) = replica.address() else { return broken(AGREE, "a replica is not there") };
        for min in [Some(truth.version), None] {
            world.tally.count("looked at", "replica against database");
            let version = look(address.socket, account, min).await?;
            if version > truth.version {
                return Ok(false);
            }
            if version < truth.version {
                let how = format!(
                    "replica {} asked with {min:?} shows {version}; the database has {}",
                    replica.number, truth.version
                );
                return broken(AGREE, how);
            }
        }
    }
    Ok(true)
}

/// A replica that has just started shows what Redis has: the same, or, where a hint and what it brought were lost,
/// what lives a minute at most; and never what no version has been.
pub async fn ask_newcomer(world: &World) {
    if world.cluster.place.stack != Stack::Production || world.broken.is_cancelled() {
        return;
    }
    let db = world.cluster.place.database().await;
    let mut newcomer = world.cluster.newcomer().await;
    let socket = newcomer.url.trim_start_matches("http://").parse().expect("host and port");
    for account in &world.accounts {
        if let Err(broken) = compare_newcomer(world, &db, account, socket).await {
            world.blame(Some(account), &broken);
        }
    }
    newcomer.kill().await;
    db.close().await.unwrap();
}

async fn compare_newcomer(
    world: &World,
    db: &DatabaseConnection,
    account: &Account,
    socket: SocketAddr,
) -> Result<(), Broken> {
    let truth = read_truth(db, account).await;
    let first = look(socket, account, None).await?;
    let how = if first < truth.version { "entry in Redis behind" } else { "entry in Redis" };
    world.tally.count("looked at", how);
    for min in [Some(truth.version), None] {
        let version = look(socket, account, min).await?;
        if version != truth.version {
            let how = format!(
                "a new replica asked with {min:?} shows {version}, and {first} at first; the database has {}",
                truth.version
            );
            return broken(AGREE, how);
        }
    }
    Ok(())
}

/// The version that a replica shows of an account, whose content is seen.
async fn look(socket: SocketAddr, account: &Account, min: Option<i64>) -> Result<i64, Broken> {
    let began = Instant::now();
    loop {
        let last = match ask(socket, account, min).await {
            Ok(bytes) => match seen(account, &bytes)? {
                Ok(version) => return Ok(version),
                Err(refusal) => refusal,
            },
            Err(lost) => lost.name().to_owned(),
        };
        if began.elapsed() > LATE {
            return broken("without faults there is an answer", format!("for 10 s there was none: {last}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn seen(account: &Account, bytes: &[u8]) -> Result<Result<i64, String>, Broken> {
    let text = || String::from_utf8_lossy(bytes).into_owned();
    let Ok(answer) = serde_json::from_slice::<Answer<'_>>(bytes) else {
        return broken("answers are as the schema says", text());
    };
    let Some(viewer) = answer.data.and_then(|data| data.viewer) else { return Ok(Err(text())) };
    let sight = account.read(&viewer)?;
    account.see(&sight)?;
    Ok(Ok(sight.version))
}

/// All that there is to see of an account.
pub async fn ask(socket: SocketAddr, account: &Account, min: Option<i64>) -> Result<Bytes, Lost> {
    let mut line = Line::open(socket).await.ok_or(Lost::Refused)?;
    line.post(wire::body(wire::WHOLE, &json!({})), &account.bearer, min).await
}
