//! The faults: several lanes of them side by side, each with one fault at a time.
//!
//! Hints that are lost, doubled and late, and slow fillers, are not here: they happen all the time, by failpoints in
//! the replicas (`Plan::failpoints`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;
use tokio_util::sync::CancellationToken;

use super::World;
use super::cluster::{OwnRedis, Replica};
use super::house::RECOVERY;
use super::plan::{Dice, Role, between};
use crate::support::{Fault, Proxy};

/// A sequence of faults of one thing.
pub struct Lane {
    thing: Thing,
    dice: Dice,
}

#[derive(Clone, Copy)]
enum Thing {
    /// It, and its ways to PostgreSQL and Redis.
    Replica(usize),
    Redis,
    /// The connections of clients and subscribers.
    Clients,
}

impl Lane {
    /// The lanes of a world, as many as it has things that can fail.
    pub fn all(world: &World) -> Vec<Self> {
        let replicas = (0..world.cluster.replicas.len()).map(Thing::Replica);
        let redis = world.cluster.redis.as_ref().map(|_| Thing::Redis);
        let things = replicas.chain(redis).chain([Thing::Clients]);
        let lane = |(number, thing)| Self { thing, dice: world.plan.dice(Role::Lane, number) };
        things.enumerate().map(lane).collect()
    }

    /// Fault after fault until the end of the phase; then everything is well again.
    pub async fn run(mut self, world: Arc<World>, phase: CancellationToken) -> Self {
        loop {
            let pause = between(&mut self.dice, world.plan.calm);
            if wait(&phase, pause).await {
                return self;
            }
            match self.thing {
                Thing::Replica(number) => self.break_replica(&world, number, &phase).await,
                Thing::Redis => {
                    if let Some(redis) = &world.cluster.redis {
                        self.break_redis(&world, redis, &phase).await;
                    }
                }
                Thing::Clients => {
                    world.tally.count("faults", "clients' connections cut");
                    world.weather.note("connections of clients and subscribers are cut");
                    world.cuts.send_modify(|cuts| *cuts += 1);
                }
            }
        }
    }

    async fn break_replica(&mut self, world: &World, number: usize, phase: &CancellationToken) {
        let replica = &world.cluster.replicas[number];
        let Some((proxy, fault, name)) = self.choose(replica) else {
            return self.kill_replica(world, number, phase).await;
        };
        let mut time = between(&mut self.dice, world.plan.fault);
        // A replica that could not say what it has committed deletes the entry later, and an older one may follow.
        let disturbs = replica.redis.as_ref().is_some_and(|redis| std::ptr::eq(redis, proxy));
        let disturb = |time| {
            if disturbs {
                world.weather.disturb_redis(Instant::now() + time + RECOVERY);
            }
        };
        if !disturbs {
            // Without the database nearly everything waits, and nothing is learnt.
            time /= 3;
        }
        disturb(time);
        world.tally.count("faults", name);
        let what = format!("{name} for replica {number} for {time:?}");
        world.weather.begin(&what);
        proxy.set(fault);
        wait(phase, time).await;
        proxy.set(Fault::None);
        disturb(Duration::ZERO);
        world.weather.end(&what);
    }

    /// A fault of one of its two ways; `None` for its own.
    fn choose<'a>(&mut self, replica: &'a Replica) -> Option<(&'a Proxy, Fault, &'static str)> {
        let slow = Fault::Delay(Duration::from_millis(self.dice.random_range(1..60)));
        let (proxy, names) = match self.dice.random_range(0..7) {
            0..3 => (&replica.postgres, ["PostgreSQL cut", "PostgreSQL half-open", "PostgreSQL slow"]),
            3..6 => (&replica.redis, ["Redis cut", "Redis half-open", "Redis slow"]),
            _ => return None,
        };
        let choice = self.dice.random_range(0..3);
        Some((proxy.as_ref()?, [Fault::Cut, Fault::Drop, slow][choice], names[choice]))
    }

    async fn kill_replica(&mut self, world: &World, number: usize, phase: &CancellationToken) {
        let replica = &world.cluster.replicas[number];
        let time = between(&mut self.dice, world.plan.fault);
        world.tally.count("faults", "replica killed");
        let what = format!("replica {number} killed for {time:?}");
        world.weather.begin(&what);
        replica.kill().await;
        wait(phase, time).await;
        replica.start(&world.cluster.place).await;
        world.weather.end(&what);
    }

    async fn break_redis(&mut self, world: &World, redis: &OwnRedis, phase: &CancellationToken) {
        let time = between(&mut self.dice, world.plan.fault);
        match self.dice.random_range(0..4) {
            0 => {
                world.tally.count("faults", "Redis killed");
                let what = format!("Redis killed for {time:?}");
                world.weather.begin(&what);
                world.weather.disturb_redis(Instant::now() + time + RECOVERY);
                redis.kill().await;
                wait(phase, time).await;
                redis.revive().await;
                world.weather.disturb_redis(Instant::now() + RECOVERY);
                world.weather.end(&what);
            }
            1 => {
                world.tally.count("faults", "Redis paused");
                let what = format!("Redis paused for {time:?}");
                world.weather.begin(&what);
                world.weather.disturb_redis(Instant::now() + time + RECOVERY);
                redis.pause(time).await;
                // It wakes by itself.
                tokio::time::sleep(time).await;
                world.weather.end(&what);
            }
            _ => {
                world.tally.count("faults", "Redis flushed");
                world.weather.begin("Redis flushed");
                let before = world.weather.redis_disturbed();
                world.weather.disturb_redis(Instant::now() + Duration::from_secs(3));
                redis.flush().await;
                // What is read from now on is not of before.
                world.weather.flushed(before);
                world.weather.end("Redis flushed");
            }
        }
    }
}

/// Waits; true if the phase ended first.
async fn wait(phase: &CancellationToken, time: Duration) -> bool {
    tokio::time::timeout(time, phase.cancelled()).await.is_ok()
}
