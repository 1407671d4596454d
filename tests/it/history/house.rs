//! A third replica, in this process: it changes connections, which no mutation does yet, and looks at what Redis
//! holds with the eyes of one that remembers nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use accounts_center::app::{self, App, Running};
use accounts_center::clock::Clock;
use accounts_center::config::Config;
use accounts_center::error::Error;
use accounts_center::ids::Ids;
use accounts_center::link_graph::LinkGraph;
use accounts_center::link_graph::connection::set_grant;
use accounts_center::link_graph::graphql::{Experience, LinkStatus};
use accounts_center::store::{Command, Outcome};
use rand::RngExt;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::World;
use super::checks::{Account, Broken, EXPERIENCES, Edges, PROFILES, Sight, Statuses, broken};
use super::plan::Role;
use super::report::{Did, Entry, Got, Who};
use super::wire::Lost;
use crate::support::Place;

/// Between two changes of connections, and between two looks at Redis.
const PACE: Duration = Duration::from_millis(25);
/// As which replica it stands in stories.
pub const AT: (usize, u32) = (9, 0);
/// After Redis was away: until everybody is connected to it again and what it holds only rises.
pub const RECOVERY: Duration = Duration::from_secs(5);

#[derive(Default)]
pub struct House(tokio::sync::Mutex<Option<Running>>);

impl House {
    pub async fn open(&self, place: &Place) {
        let mut running = self.0.lock().await;
        if running.is_none() {
            *running = Some(start(place).await);
        }
    }

    pub async fn close(&self) {
        if let Some(running) = self.0.lock().await.take() {
            running.stop().await;
        }
    }

    pub async fn app(&self) -> Option<Arc<App>> {
        self.0.lock().await.as_ref().map(|running| running.app.clone())
    }
}

/// The application in this process, with the time and the ids of the world outside.
pub async fn start(place: &Place) -> Running {
    let mut settings = place.settings.clone();
    settings.push(("ACCOUNTS__JOBS__CONCURRENCY", "0".to_owned()));
    let config = Config::from_pairs(settings).unwrap().checked().unwrap();
    app::start(config, Clock::system(), Ids::random()).await.unwrap()
}

/// Turns experiences on and off until the end of the phase.
pub async fn change_connections(world: Arc<World>, phase: CancellationToken, number: usize) {
    let Some(app) = world.cluster.house.app().await else { return };
    let mut dice = world.plan.dice(Role::House, number);
    while !phase.is_cancelled() {
        tokio::time::sleep(PACE).await;
        let account = &world.accounts[dice.random_range(0..world.accounts.len())];
        let source = dice.random_range(0..PROFILES);
        let target = (source + dice.random_range(1..PROFILES)) % PROFILES;
        let experience = EXPERIENCES[dice.random_range(0..EXPERIENCES.len())];
        let on = dice.random_bool(0.5);
        let sent = world.began.elapsed();
        let got = grant(&app, account, (source, target), experience, on).await;
        if let Got::Version(version) = got {
            account.acknowledge(version);
        }
        let did = Did::Grant(format!("{experience:?} {source} to {target}: {on}"));
        world.tally.count("operations", did.kind());
        let answered = world.began.elapsed();
        account.log(Entry { sent, answered, who: Who::House, at: AT, did, min: None, got });
    }
}

async fn grant(
    app: &App,
    account: &Account,
    (source, target): (usize, usize),
    experience: Experience,
    on: bool,
) -> Got {
    let (source, target) = (account.profiles[source].0, account.profiles[target].0);
    let done = app.store.command(account.id, async |command: &mut Command| {
        Ok(match set_grant(command, source, target, experience.into(), on).await? {
            Ok(_) => Outcome::Commit(command.version(account.id)),
            Err(errors) => Outcome::CommitAndReject(errors),
        })
    });
    match done.await {
        Ok(Ok(version)) => Got::Version(version),
        Ok(Err(errors)) => Got::Rejected(format!("{errors:?}")),
        Err(Error::Unavailable(_)) => Got::Lost(Lost::Unavailable),
        Err(_) => Got::Lost(Lost::Internal),
    }
}

/// Reads accounts as a replica would that has just started, until the end of the phase: what it sees is mostly what
/// Redis holds, and that does not go back while all is well with Redis.
pub async fn look_into_redis(world: Arc<World>, phase: CancellationToken, number: usize) {
    let Some(app) = world.cluster.house.app().await else { return };
    let mut dice = world.plan.dice(Role::House, number);
    // What Redis had of each account, and when that read began.
    let mut seen = vec![(0, Instant::now()); world.accounts.len()];
    while !phase.is_cancelled() {
        tokio::time::sleep(PACE / 5).await;
        let account = &world.accounts[dice.random_range(0..world.accounts.len())];
        let began = Instant::now();
        let Some(version) = look(&world, &app, account).await else { continue };
        let (before, at) = seen[account.number];
        if at > world.weather.redis_disturbed() && version < before {
            let how = format!("Redis had version {before}, and then version {version}");
            world.blame(Some(account), &Broken { rule: "Redis does not go backwards", how });
        }
        seen[account.number] = (version, began);
    }
}

/// The version that Redis has of an account; `None` if the database was asked, or it is not sure who was.
async fn look(world: &World, app: &App, account: &Account) -> Option<i64> {
    let before = app.graphs.counts().by_layer();
    app.graphs.forget();
    let graph = app.graphs.get(account.id, 0).await.ok()?;
    world.tally.count("looked at", "a cold read");
    let seen = match &graph {
        Some(graph) => sight(account, graph).and_then(|sight| account.see(&sight)),
        None => broken("nothing is lost", "the account is gone"),
    };
    if let Err(broken) = seen {
        world.blame(Some(account), &broken);
    }
    let after = app.graphs.counts().by_layer();
    let read = |layer| {
        let count =
            |counts: [(&str, u64); 4]| counts.iter().find(|(name, _)| *name == layer).map(|(_, n)| *n);
        count(after) > count(before)
    };
    let from_redis = read("redis") && !read("database") && !read("checked");
    world.tally.add("looked at", "Redis", u64::from(from_redis));
    graph.filter(|_| from_redis).map(|graph| graph.version)
}

fn sight<'a>(account: &Account, graph: &'a LinkGraph) -> Result<Sight<'a>, Broken> {
    let index = |id: Uuid| account.profiles.iter().position(|(known, _)| *known == id);
    let mut statuses = Statuses::default();
    for profile in &graph.profiles {
        let Some(index) = index(profile.id) else { return broken("only one's own is shown", "a profile") };
        statuses[index] = Some(LinkStatus::from(profile.status));
    }
    let mut edges = Edges::default();
    for known in &graph.edges {
        let (Some(source), Some(target)) = (index(known.source), index(known.target)) else {
            return broken("only one's own is shown", "a connection");
        };
        for grant in &known.grants {
            edges.set(source, target, grant.experience.into(), true);
        }
    }
    Ok(Sight {
        version: graph.version,
        name: Some(&graph.account.display_name),
        statuses: Some(statuses),
        edges: Some(edges),
        graph_version: Some(graph.graph_version),
        profile: None,
    })
}
