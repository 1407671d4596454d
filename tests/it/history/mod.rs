//! The history checker, in the spirit of Jepsen: many clients change, query and follow a few accounts on two
//! replicas while everything around them fails, and what they saw is held against the rules and the database.
//!
//! **What happens** comes from a seed (`plan.rs`): what clients do (`clients.rs`), what subscribers do
//! (`subscriber.rs`), the faults (`nemesis.rs`: Redis is killed, flushed, paused, slow, half-open and cut;
//! PostgreSQL is slow, half-open and cut; replicas are killed with -9; clients' connections are cut; by failpoints
//! hints are lost, doubled and late, and fillers slow), and a backup that is restored (`restore.rs`). A third replica
//! in this process changes connections and looks at what Redis holds (`house.rs`). The interleaving is the
//! machine's: a seed that failed fails again soon, not always at the same operation.
//!
//! **What is asserted:**
//! - One version has one content, whoever shows it: an answer, an event, Redis (`checks.rs`).
//! - No read of a client goes backwards: at any replica with a minimum version, at one replica without. What a client
//!   wrote, it sees. Every answer tells its version.
//! - A subscriber gets each event once and in order, with its objects at its version or later, across replicas; the
//!   last one at most 10 s after its commit and the last fault. Its cursor expires by a restore, and only so.
//! - What Redis holds does not go back while Redis lives.
//! - At the end (`replay.rs`, `settle.rs`): the events say for every version what was seen at it; every acknowledged
//!   write is there once, between its request and its answer, and nothing is there that nobody wrote; each session is
//!   told of once when it was opened and once when it has ended, and each warning stands once behind what it warns of;
//!   each subscriber has exactly the events of the table; replicas, Redis and the rows agree.
//!
//! **That it can fail** was tried with each defence switched off, `cargo xtask soak core --seed N --plant NAME`. Each
//! of these seeds is clean without:
//!
//! | defence | what was switched off | seed | rule that was found broken | after | found |
//! | --- | --- | --- | --- | --- | --- |
//! | `floor` | an entry below the version that was heard of is a miss | 24 | no read goes backwards | 2 s | 4 of 4 |
//! | `compare` | the script sets an entry only over a lower version | 24 | Redis does not go backwards | 2 s | 4 of 4 |
//! | `poll` | each replica asks for the versions of followed streams | 17 | the last event comes within 10 s | 25 to 45 s | 4 of 4 |
//! | `snapshot` | a graph is read in one snapshot | 24 | one version has one content | 1 s | 4 of 4 |
//! | `cursor-epoch` | a cursor is of the database's epoch | 78 | a restore expires cursors | 30 s | 4 of 4 |
//! | `key-epoch` | keys in Redis bear the epoch | 78 | nothing is made up | 30 s | 4 of 4 |
//! | `hint-epoch` | a hint is of the epoch | 78 | none | | 0 of 2 |
//!
//! `epoch` is the last three together. Hints of before a restore are said again after it (`echo.rs`), and without
//! `hint-epoch` nothing was found broken: a floor above the database is taken back by the next read, and a reader that
//! is woken in vain looks again every second. So that check spares loads, as far as the checker sees.

mod checks;
mod clients;
mod cluster;
mod echo;
mod followed;
mod house;
mod nemesis;
mod plan;
mod replay;
mod report;
mod restore;
mod settle;
mod setup;
mod subscriber;
mod wire;

use std::future::Future;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use accounts_center::store::failpoint::DEFENCES;
use rand::RngExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::checks::{Account, Broken};
use self::clients::Client;
use self::cluster::Cluster;
use self::echo::Echo;
use self::nemesis::Lane;
use self::plan::{Dice, Plan, planted};
use self::report::{Report, Tally, Verdict, Weather};
use self::restore::Backup;
use self::subscriber::Subscriber;
use crate::support::{Stack, needed};

/// No run takes longer, whatever hangs.
const LIMIT: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_history_is_clean_on_the_embedded_stack() {
    let report = run(Plan::small(1, Stack::Embedded, false)).await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_history_is_clean_on_the_production_stack() {
    let report = run(Plan::small(2, Stack::Production, true)).await;
    assert!(report.is_clean(), "{report}");
}

/// Run after run, each with the next seed, until there were `SOAK_OPERATIONS`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes as long as it is told: `cargo xtask soak core --seed N --operations N`"]
#[expect(clippy::print_stdout, reason = "whoever waits for an hour wants to see what happens")]
async fn soak() {
    let number = |variable| needed(variable).parse::<u64>().expect("a number");
    let (mut seed, mut left) = (number("SOAK_SEED"), number("SOAK_OPERATIONS"));
    let defence = std::env::var("SOAK_PLANT").ok();
    let plant = defence.as_deref().map(planted).unwrap_or_default();
    assert!(defence.is_none() || !plant.is_empty(), "the defences that can be switched off are {DEFENCES:?}");
    // In the replica in this process, too.
    plant.iter().for_each(|point| fail::cfg(*point, "return").expect("failpoints are compiled in"));
    let stack = if std::env::var_os("SOAK_EMBEDDED").is_some() { Stack::Embedded } else { Stack::Production };
    while left > 0 {
        let report = run(Plan::soak(seed, stack, plant.clone())).await;
        println!("{report}");
        assert!(report.is_clean(), "seed {seed} broke a rule; what happened stands above");
        left = left.saturating_sub(report.operations);
        seed += 1;
    }
}

/// What all tasks of a run share.
pub struct World {
    plan: Plan,
    began: Instant,
    accounts: Vec<Account>,
    subscribers: Vec<Arc<Subscriber>>,
    cluster: Cluster,
    weather: Weather,
    tally: Tally,
    verdict: Verdict,
    /// Operations that are left of this phase, and when it ends anyway.
    budget: AtomicI64,
    deadline: Mutex<Instant>,
    restores: AtomicU32,
    /// Changes when connections of clients and subscribers are cut: those of every fourth.
    cuts: watch::Sender<usize>,
    /// A rule was broken.
    broken: CancellationToken,
    /// Subscribers end too.
    over: CancellationToken,
}

impl World {
    async fn new(plan: Plan) -> Self {
        let cluster = Cluster::prepare(&plan).await;
        let maker = house::start(&cluster.place).await;
        let mut accounts = Vec::new();
        for number in 0..plan.accounts {
            accounts.push(setup::account(&maker.app, number).await);
        }
        // On SQLite there is one process.
        maker.stop().await;
        let db = cluster.place.database().await;
        for account in &accounts {
            account.begin(&replay::read_truth(&db, account).await.sight());
        }
        db.close().await.unwrap();
        cluster.start().await;
        let began = Instant::now();
        let subscribers = (0..plan.subscribers).map(|n| Arc::new(Subscriber::new(n, plan.accounts)));
        Self {
            subscribers: subscribers.collect(),
            plan,
            began,
            accounts,
            cluster,
            weather: Weather::new(began),
            tally: Tally::default(),
            verdict: Verdict::default(),
            budget: AtomicI64::new(0),
            deadline: Mutex::new(began),
            restores: AtomicU32::new(0),
            cuts: watch::channel(0).0,
            broken: CancellationToken::new(),
            over: CancellationToken::new(),
        }
    }

    /// A rule is broken: the run ends, and tells it.
    pub fn blame(&self, account: Option<&Account>, broken: &Broken) {
        self.verdict.blame(account, broken, &self.weather);
        self.broken.cancel();
    }

    pub fn goes_on(&self) -> bool {
        !self.broken.is_cancelled() && Instant::now() < *self.deadline.lock().unwrap()
    }

    /// Takes one of the operations that are left; false if there is none.
    pub fn take_one(&self) -> bool {
        self.budget.fetch_sub(1, Ordering::Relaxed) > 0
    }

    /// Returns once the connection of `number` is cut.
    pub async fn cut(&self, cuts: &mut watch::Receiver<usize>, number: usize) {
        while cuts.changed().await.is_ok() {
            if (*cuts.borrow_and_update() + number).is_multiple_of(4) {
                return;
            }
        }
    }

    /// Lets one of an account's subscribers subscribe anew.
    pub fn poke_subscribers(&self, account: usize, dice: &mut Dice) {
        let of_account: Vec<_> = self.subscribers.iter().filter(|one| one.account == account).collect();
        if !of_account.is_empty() {
            of_account[dice.random_range(0..of_account.len())].poked.notify_one();
        }
    }
}

async fn run(plan: Plan) -> Report {
    let seed = plan.seed;
    let run = tokio::time::timeout(LIMIT, whole_run(plan));
    run.await.unwrap_or_else(|_| panic!("the run of seed {seed} did not end within {LIMIT:?}"))
}

async fn whole_run(plan: Plan) -> Report {
    let begin = Instant::now();
    let mut run = Run::begin(plan).await;
    if run.world.plan.restores {
        let third = run.world.plan.operations / 3;
        run.phase(third).await;
        if let Some(backup) = run.calm(Backup::take).await {
            run.phase(third).await;
            run.echo = run.calm(|world| backup.restore(world)).await.flatten();
            run.clients.iter_mut().for_each(Client::forget);
            run.phase(third).await;
        }
    } else {
        run.phase(run.world.plan.operations).await;
    }
    run.end(begin).await
}

struct Run {
    world: Arc<World>,
    clients: Vec<Client>,
    lanes: Vec<Lane>,
    subscribers: JoinSet<()>,
    /// There after a restore.
    echo: Option<Echo>,
}

impl Run {
    async fn begin(plan: Plan) -> Self {
        let world = Arc::new(World::new(plan).await);
        let clients =
            (0..world.accounts.len() * clients::PER_ACCOUNT).map(|n| Client::new(&world, n)).collect();
        let mut subscribers = JoinSet::new();
        for subscriber in &world.subscribers {
            subscribers.spawn(subscriber.clone().follow(world.clone()));
        }
        Self { clients, lanes: Lane::all(&world), subscribers, echo: None, world }
    }

    /// Clients do so many operations amid faults; then the faults end, and everything that was seen is judged.
    async fn phase(&mut self, operations: u64) {
        let world = &self.world;
        if world.broken.is_cancelled() {
            return;
        }
        world.budget.store(i64::try_from(operations).expect("a number of operations"), Ordering::Relaxed);
        *world.deadline.lock().unwrap() = Instant::now() + world.plan.phase_at_most;
        let phase = CancellationToken::new();
        let mut lanes = JoinSet::new();
        for lane in self.lanes.drain(..) {
            lanes.spawn(lane.run(world.clone(), phase.clone()));
        }
        let mut watchers = JoinSet::new();
        watchers.spawn(settle::watch_lateness(world.clone(), phase.clone()));
        watchers.spawn(house::change_connections(world.clone(), phase.clone(), 0));
        watchers.spawn(house::look_into_redis(world.clone(), phase.clone(), 1));
        if let Some(echo) = self.echo.take() {
            watchers.spawn(echo.repeat(world.clone(), phase.clone()));
        }
        let mut clients = JoinSet::new();
        for client in self.clients.drain(..) {
            clients.spawn(client.run(world.clone()));
        }
        self.clients = clients.join_all().await;
        phase.cancel();
        self.lanes = lanes.join_all().await;
        watchers.join_all().await;
        world.cluster.heal();
        for replica in &world.cluster.replicas {
            if replica.has_ended().await {
                let how = format!("replica {} did, in its life {:?}", replica.number, replica.address());
                world.blame(None, &Broken { rule: "no replica ends by itself", how });
            }
        }
        settle::settle(world).await;
    }

    /// Does something while nothing else happens, unless a rule was broken before.
    async fn calm<'a, T, F>(&'a self, work: impl FnOnce(&'a World) -> F) -> Option<T>
    where
        F: Future<Output = T>,
    {
        if self.world.broken.is_cancelled() {
            return None;
        }
        Some(work(&self.world).await)
    }

    async fn end(self, begin: Instant) -> Report {
        let Self { world, mut subscribers, .. } = self;
        settle::ask_newcomer(&world).await;
        let mut stories = world.verdict.stories();
        if stories.is_empty() {
            stories.extend(shows_nothing(&world));
        }
        world.over.cancel();
        while let Some(ended) = subscribers.join_next().await {
            ended.expect("a subscriber ends as it should");
        }
        if !stories.is_empty() {
            stories.push(world.cluster.logs());
        }
        world.cluster.stop().await;
        restore::clean_up(&world.cluster.place).await;
        let plan = &world.plan;
        Report::new(plan.seed, &plan.describe(), begin.elapsed(), &world.tally, stories)
    }
}

/// Why a run without a broken rule proves little.
fn shows_nothing(world: &World) -> Option<String> {
    let tally = &world.tally;
    let count = |kind| tally.get("operations", kind) - tally.get("rejected", kind);
    let (all, lost) = (tally.sum("operations"), tally.sum("lost"));
    let events = tally.get("subscribers", "events");
    let enough = [count("rename"), count("unlink"), count("keep"), events].iter().all(|count| *count >= 5);
    let lacks = !enough || lost * 2 > all;
    lacks.then(|| "  rule broken: a run shows something; too little of this one was answered\n".to_owned())
}
