//! What a run checks: replicas as processes, each behind proxies of its own, and a Redis that can be killed.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use super::house::House;
use super::plan::Plan;
use crate::support::{Fault, Place, Proxy, ServerProcess, Stack};

const DATABASE: &str = "ACCOUNTS__DATABASE__URL";
const REDIS: &str = "ACCOUNTS__REDIS__URL";

pub struct Cluster {
    pub place: Place,
    pub replicas: Vec<Replica>,
    /// Only on the production stack, as is the next one.
    pub redis: Option<OwnRedis>,
    pub house: House,
}

/// A replica as a process. It comes back with another address.
pub struct Replica {
    pub number: usize,
    pub postgres: Option<Proxy>,
    pub redis: Option<Proxy>,
    settings: Vec<(&'static str, String)>,
    process: tokio::sync::Mutex<Option<ServerProcess>>,
    address: Mutex<Option<Address>>,
    lives: AtomicU32,
    log: PathBuf,
}

/// Where a replica listens, in one of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    pub replica: usize,
    pub life: u32,
    pub socket: SocketAddr,
}

impl Address {
    pub fn url(&self) -> String {
        format!("http://{}", self.socket)
    }
}

impl Cluster {
    /// An empty place with its servers, and no replica yet.
    pub async fn prepare(plan: &Plan) -> Self {
        let mut place = Place::new(plan.stack).await;
        place.set("ACCOUNTS__KEYS__SECRET", "a secret of the tests, 32 characters");
        place.set("ACCOUNTS__SESSIONS__ACCESS_TOKEN_MINUTES", 1440);
        place.set("ACCOUNTS__SESSIONS__STEP_UP_MINUTES", 1440);
        place.set("ACCOUNTS__HTTP__DRAIN_SECONDS", 1);
        place.set("ACCOUNTS__GRAPH__NEAR_SECONDS", plan.near_seconds);
        place.set("ACCOUNTS__LOG__FILTER", "warn");
        if !plan.remembers_answers {
            place.set("ACCOUNTS__GRAPH__ANSWER_BYTES", 0);
        }
        let mut redis = None;
        if plan.stack == Stack::Production {
            let own = OwnRedis::start(&place.folder.path().join("redis")).await;
            place.set(REDIS, &own.url);
            redis = Some(own);
        }
        let count = if plan.stack == Stack::Production { 2 } else { 1 };
        let mut replicas = Vec::new();
        for number in 0..count {
            replicas.push(Replica::new(number, &place, plan.failpoints()).await);
        }
        Self { place, replicas, redis, house: House::default() }
    }

    /// Starts every replica that is not there.
    pub async fn start(&self) {
        let starting = self.replicas.iter().map(|replica| replica.start(&self.place));
        futures_util::future::join_all(starting).await;
        if self.place.stack == Stack::Production {
            self.house.open(&self.place).await;
        }
    }

    /// Ends all that holds the database open, by `kill -9` where it is a process.
    pub async fn stop(&self) {
        self.house.close().await;
        for replica in &self.replicas {
            replica.kill().await;
        }
    }

    /// Ends every fault. Who was killed is started by whoever did it.
    pub fn heal(&self) {
        for replica in &self.replicas {
            for proxy in [&replica.postgres, &replica.redis].into_iter().flatten() {
                proxy.set(Fault::None);
            }
        }
    }

    /// A replica that has seen nothing yet: what it knows it has from Redis and the database. No fault is near it.
    pub async fn newcomer(&self) -> ServerProcess {
        let log = File::create(self.place.folder.path().join("newcomer.log")).unwrap();
        ServerProcess::start_logging(&self.place, &[], Stdio::from(log)).await
    }

    /// The last lines that each replica has logged.
    pub fn logs(&self) -> String {
        let mut all = String::new();
        for replica in &self.replicas {
            let log = std::fs::read_to_string(&replica.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            all += &format!("  the end of the log of replica {}:\n", replica.number);
            for line in &lines[lines.len().saturating_sub(15)..] {
                all += &format!("    {}\n", line.chars().take(300).collect::<String>());
            }
        }
        all
    }
}

impl Replica {
    async fn new(number: usize, place: &Place, failpoints: String) -> Self {
        let mut replica = Self {
            number,
            postgres: None,
            redis: None,
            settings: Vec::new(),
            process: tokio::sync::Mutex::default(),
            address: Mutex::default(),
            lives: AtomicU32::new(0),
            log: place.folder.path().join(format!("replica-{number}.log")),
        };
        if !failpoints.is_empty() {
            replica.settings.push(("FAILPOINTS", failpoints));
        }
        if place.stack == Stack::Production {
            let (database, redis) = (place.setting(DATABASE), place.setting(REDIS));
            let (to_postgres, to_redis) = (Proxy::before(database).await, Proxy::before(redis).await);
            replica.settings.push((DATABASE, to_postgres.instead_of(database)));
            replica.settings.push((REDIS, to_redis.instead_of(redis)));
            replica.postgres = Some(to_postgres);
            replica.redis = Some(to_redis);
        }
        replica
    }

    /// Where it is now, if it is.
    pub fn address(&self) -> Option<Address> {
        *self.address.lock().unwrap()
    }

    /// Starts it, unless it is there.
    pub async fn start(&self, place: &Place) {
        let mut process = self.process.lock().await;
        if process.is_some() {
            return;
        }
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let started = ServerProcess::start_logging(place, &self.settings, Stdio::from(log)).await;
        let life = self.lives.fetch_add(1, Ordering::Relaxed) + 1;
        let socket = started.url.trim_start_matches("http://").parse().expect("host and port");
        *self.address.lock().unwrap() = Some(Address { replica: self.number, life, socket });
        *process = Some(started);
    }

    /// What `kill -9` does.
    pub async fn kill(&self) {
        let mut process = self.process.lock().await;
        *self.address.lock().unwrap() = None;
        if let Some(mut process) = process.take() {
            process.kill_if_alive().await;
        }
    }

    /// How it ended, if it did so by itself.
    pub async fn has_ended(&self) -> bool {
        match &mut *self.process.lock().await {
            Some(process) => process.has_ended(),
            None => false,
        }
    }
}

/// A Redis of this run alone, which keeps its port when it is killed and comes back empty.
pub struct OwnRedis {
    pub url: String,
    port: u16,
    folder: PathBuf,
    child: tokio::sync::Mutex<Option<Child>>,
}

impl OwnRedis {
    async fn start(folder: &std::path::Path) -> Self {
        std::fs::create_dir(folder).unwrap();
        // Free a moment ago, and with luck still.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("redis://127.0.0.1:{port}/");
        let redis = Self { url, port, folder: folder.to_owned(), child: tokio::sync::Mutex::default() };
        redis.revive().await;
        redis
    }

    pub async fn kill(&self) {
        if let Some(mut child) = self.child.lock().await.take() {
            child.kill().await.unwrap();
        }
    }

    /// Starts it, empty, unless it is there.
    pub async fn revive(&self) {
        let mut child = self.child.lock().await;
        if child.is_some() {
            return;
        }
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(&self.folder)
            .stdout(Stdio::null())
            .kill_on_drop(true);
        *child = Some(command.spawn().expect("redis-server is installed"));
        let begin = Instant::now();
        // A loop of its own, because a future with an asynchronous closure in it cannot be given to another thread.
        while self.say(&["PING"]).await.is_none() {
            assert!(begin.elapsed() < Duration::from_secs(15), "waited in vain until Redis answers");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn flush(&self) {
        self.say(&["FLUSHALL"]).await;
    }

    /// Lets everybody wait.
    pub async fn pause(&self, time: Duration) {
        self.say(&["CLIENT", "PAUSE", &time.as_millis().to_string(), "ALL"]).await;
    }

    async fn say(&self, words: &[&str]) -> Option<()> {
        let client = redis::Client::open(self.url.as_str()).unwrap();
        let said = async {
            let mut connection = client.get_multiplexed_async_connection().await.ok()?;
            let mut command = redis::cmd(words[0]);
            command.arg(&words[1..]);
            command.query_async::<redis::Value>(&mut connection).await.ok()
        };
        tokio::time::timeout(Duration::from_secs(2), said).await.ok()?.map(|_| ())
    }
}
