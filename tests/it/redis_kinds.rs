//! The bus and the cache over every kind of Redis that can be configured. The poll that makes up for lost hints comes
//! once an hour here: what is heard came by Redis.

use std::path::Path;

use accounts_center::bus::connect::RedisServers;
use accounts_center::config::Config;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use redis::AsyncCommands;
use tokio::process::Command;

use crate::support::{Person, Place, RedisProcess, Stack, TestApp, eventually, plain};

const ADA: &str = "+4917139200042";
const PASSWORD: &str = "of-the-tests";
const URL: &str = "ACCOUNTS__REDIS__URL";
const CA_FILE: &str = "ACCOUNTS__REDIS__CA_FILE";

/// Two replicas, and somebody who is signed in at both.
struct Two {
    place: Place,
    apps: [TestApp; 2],
    ada: Person,
    linked: u32,
}

impl Two {
    /// Starts both with the settings of `place`; the second with `other` beside them.
    async fn start(place: Place, other: &[(&'static str, String)]) -> Self {
        let mut place = place;
        place.set("ACCOUNTS__EVENTS__POLL_SECONDS", 3600);
        let first = place.app().await;
        for (key, value) in other {
            place.set(key, value);
        }
        let apps = [first, place.replica().await];
        for app in &apps {
            app.hears().await;
        }
        let ada = apps[0].client().sign_in(&place, ADA).await;
        Self { place, apps, ada, linked: 0 }
    }

    /// What is done at either is heard at the other, and the other shows it.
    async fn hear_each_other(&mut self) {
        for (speaker, hearer) in [(0, 1), (1, 0)] {
            let (speaker, hearer) = (&self.apps[speaker], &self.apps[hearer]);
            let there = self.ada.client.at(&hearer.url);
            let mut tab = there.socket().await;
            tab.follow_links(None).await;
            self.linked += 1;
            let handle = format!("+49171392005{:02}", self.linked);
            self.place.sandbox.add_profile(&format!("wa_kind_{}", self.linked), &handle).await;
            let linked = self.ada.client.at(&speaker.url).link(&self.place, &handle).await;
            assert_eq!(linked.user_errors(), [""; 0]);
            // Behind the link comes the alert that warns of it.
            let version = tab.link_event().await["graphVersion"].as_i64().unwrap() + 1;
            assert_eq!(there.query("{ viewer { version } }").await.field()["version"], version);
        }
    }

    /// A replica that begins finds in Redis what the others have put there.
    async fn share_a_cache(&self) {
        let hub = "{ viewer { version profiles { handle } } }";
        let known = self.ada.client.query(hub).await;
        let third = TestApp::start(&self.place, 3).await;
        third.hears().await;
        assert_eq!(self.ada.client.at(&third.url).query(hub).await.field(), known.field());
        let [.., redis, database] = third.app().graphs.counts().by_layer().map(|(_, count)| count);
        assert_eq!((redis, database), (1, 0), "by Redis");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_tls_with_a_private_authority() {
    let mut place = Place::new(Stack::Production).await;
    let certificates = certificates();
    let redis = RedisProcess::start(|_, port| tls(certificates.path(), port)).await;
    place.set(URL, format!("rediss://:{PASSWORD}@localhost:{}", redis.port));
    // Nobody believes a stranger.
    for authority in [String::new(), file(certificates.path(), "stranger.pem")] {
        place.set(CA_FILE, &authority);
        let error = servers(&place).commands().await.err().expect("not believed").to_string();
        assert!(error.to_lowercase().contains("certificate"), "{error}");
        assert!(servers(&place).pubsub().await.is_err());
    }
    place.set(CA_FILE, file(certificates.path(), "ca.pem"));
    let mut two = Two::start(place, &[]).await;
    two.hear_each_other().await;
    two.share_a_cache().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_a_socket_in_this_machine_and_by_valkeys_scheme() {
    let mut place = Place::new(Stack::Production).await;
    let redis = RedisProcess::start(|folder, port| {
        let socket = file(folder, "socket");
        [plain(port), words(&["--unixsocket", &socket, "--requirepass", PASSWORD])].concat()
    })
    .await;
    place.set(URL, format!("unix://{}?pass={PASSWORD}", file(redis.folder.path(), "socket")));
    let valkey = format!("valkey://default:{PASSWORD}@127.0.0.1:{}/0?protocol=resp3", redis.port);
    let mut two = Two::start(place, &[(URL, valkey)]).await;
    two.hear_each_other().await;
    two.share_a_cache().await;
}

/// A sentinel that takes a connection and says nothing costs more time than a reader has; the next one has Redis.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_sentinels_of_which_one_is_silent() {
    let mut place = Place::new(Stack::Production).await;
    let master = RedisProcess::start(|_, port| {
        [plain(port), words(&["--requirepass", PASSWORD, "--masterauth", PASSWORD])].concat()
    })
    .await;
    let sentinel = RedisProcess::start(|folder, port| sentinel(folder, port, &master.port.to_string())).await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    place.set(URL, format!("redis://:{PASSWORD}@any"));
    place.set("ACCOUNTS__REDIS__SENTINEL_MASTER", "accounts");
    let first = format!("redis://{}", silent.local_addr().unwrap());
    place.set("ACCOUNTS__REDIS__SENTINELS", format!("{first}, redis://127.0.0.1:{}", sentinel.port));
    let app = TestApp::start(&place, 1).await;
    app.hears().await;
    let ada = app.client().sign_in(&place, ADA).await.client;
    eventually("graphs come from Redis", async || {
        app.app().graphs.forget();
        ada.query("{ viewer { version profiles { handle } } }").await.field();
        let [_, _, redis, _] = app.app().graphs.counts().by_layer().map(|(_, count)| count);
        (redis > 0).then_some(())
    })
    .await;
}

/// The master dies, a replica takes its place, and both hear each other again without being told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_sentinels_and_through_a_failover() {
    let mut place = Place::new(Stack::Production).await;
    let secured =
        |port| [plain(port), words(&["--requirepass", PASSWORD, "--masterauth", PASSWORD])].concat();
    let mut master = RedisProcess::start(|_, port| secured(port)).await;
    let from = master.port.to_string();
    let replica =
        RedisProcess::start(|_, port| [secured(port), words(&["--replicaof", "127.0.0.1", &from])].concat())
            .await;
    let sentinel = RedisProcess::start(|folder, port| sentinel(folder, port, &from)).await;
    place.set(URL, format!("redis://:{PASSWORD}@any"));
    place.set("ACCOUNTS__REDIS__SENTINEL_MASTER", "accounts");
    // The first of them is down.
    let sentinels = format!("redis://127.0.0.1:1, redis://127.0.0.1:{}", sentinel.port);
    place.set("ACCOUNTS__REDIS__SENTINELS", sentinels);
    let mut two = Two::start(place, &[]).await;
    two.hear_each_other().await;
    two.share_a_cache().await;
    // Before that the sentinel does not know who could take over.
    eventually("the sentinel knows the replica", async || {
        let known = ask(sentinel.port, &["SENTINEL", "REPLICAS", "accounts"]).await;
        (known.contains(&replica.port.to_string()) && known.contains("master-link-status\nok")).then_some(())
    })
    .await;

    master.kill().await;
    for app in &two.apps {
        eventually("the loss is noticed", async || {
            app.app().store.bus_health().unbroken().is_none().then_some(())
        })
        .await;
    }
    for app in &two.apps {
        app.hears().await;
    }
    let role = ask(replica.port, &["-a", PASSWORD, "--no-auth-warning", "ROLE"]).await;
    assert!(role.starts_with("master"), "{role}");
    two.hear_each_other().await;
    two.share_a_cache().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_a_cluster() {
    let mut place = Place::new(Stack::Production).await;
    let node = |_: &Path, port| {
        let cluster =
            ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--requirepass", PASSWORD];
        [plain(port), words(&cluster), words(&["--masterauth", PASSWORD])].concat()
    };
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(RedisProcess::start(node).await);
    }
    let addresses = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect::<Vec<_>>();
    let create = ["-a", PASSWORD, "--no-auth-warning", "--cluster-yes", "--cluster", "create"];
    let created = Command::new("redis-cli").args(create).args(&addresses).output().await.unwrap();
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stdout));
    let url = |address: &str| format!("redis://:{PASSWORD}@{address}");
    place.set("ACCOUNTS__REDIS__CLUSTER", "true");
    place.set(URL, url(&addresses[0]));
    // The second knows one node that is down, and hears at another one than the first.
    let other = [(URL, url("127.0.0.1:1")), ("ACCOUNTS__REDIS__CLUSTER_NODES", url(&addresses[2]))];
    eventually("the cluster serves", async || {
        let mut commands = servers(&place).commands().await.ok()?;
        // Of all three nodes' slots.
        for key in ["a", "b", "c", "d", "e", "f"] {
            commands.set::<_, _, ()>(key, key).await.ok()?;
        }
        Some(())
    })
    .await;
    let mut two = Two::start(place, &other).await;
    two.hear_each_other().await;
    two.share_a_cache().await;
}

fn servers(place: &Place) -> RedisServers {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let settings = place.settings.iter().map(|(key, value)| (*key, value.clone()));
    RedisServers::from_config(&Config::from_pairs(settings).unwrap().redis).unwrap().unwrap()
}

/// What a Redis answers.
async fn ask(port: u16, arguments: &[&str]) -> String {
    let port = port.to_string();
    let output = Command::new("redis-cli").args(["-p", &port]).args(arguments).output().await.unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn file(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

fn tls(certificates: &Path, port: u16) -> Vec<String> {
    let port = port.to_string();
    let [certificate, key, authority] =
        ["server.pem", "server.key", "ca.pem"].map(|name| file(certificates, name));
    words(&[
        "--port",
        "0",
        "--tls-port",
        &port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &authority,
        "--tls-auth-clients",
        "no",
        "--save",
        "",
        "--requirepass",
        PASSWORD,
    ])
}

/// A sentinel's settings are a file, because it writes them itself.
fn sentinel(folder: &Path, port: u16, master: &str) -> Vec<String> {
    let settings = format!(
        "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor accounts 127.0.0.1 {master} 1\n\
         sentinel auth-pass accounts {PASSWORD}\nsentinel down-after-milliseconds accounts 1000\n\
         sentinel failover-timeout accounts 5000\n",
        folder.display()
    );
    std::fs::write(folder.join("sentinel.conf"), settings).unwrap();
    words(&[&file(folder, "sentinel.conf"), "--sentinel"])
}

/// An authority, a server's certificate that it signed, and another authority that did not.
fn certificates() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    let authority = || {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let ours = authority();
    write("ca.pem", ours.pem());
    write("stranger.pem", authority().pem());
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    write("server.pem", params.signed_by(&key, &ours).unwrap().pem());
    write("server.key", key.serialize_pem());
    folder
}
