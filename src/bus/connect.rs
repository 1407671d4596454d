//! Connections to Redis: to one server, to the master that sentinels name, or to a cluster.
//!
//! **Invariants.** Nothing that is said here quotes a URL: it could hold a password. A connection that is lost is
//! made anew by the next command; the command that met the loss fails, and at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig, PubSub};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::{TcpSettings, socket2};
use redis::{
    Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisError, RedisFuture,
    RedisResult, TlsCertificates, Value,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use secrecy::{ExposeSecret, SecretString};

use super::sentinel::{MasterConnection, Sentinels};
use crate::config;

/// How long a server may take to answer, and to be reached.
const ANSWER: Duration = Duration::from_millis(500);
const REACH: Duration = Duration::from_secs(1);

/// The Redis servers of a configuration. Cheap to clone.
#[derive(Clone)]
pub struct RedisServers(Servers);

#[derive(Clone)]
enum Servers {
    One(Box<Client>),
    Sentinels(Arc<Sentinels>),
    Cluster(Arc<Cluster>),
}

struct Cluster {
    client: ClusterClient,
    /// The nodes that are configured, each by itself.
    nodes: Vec<Client>,
    /// With which of them the next subscription begins to look.
    next: AtomicUsize,
}

/// A connection that runs commands, whatever is behind it. Cheap to clone; all clones share it.
#[derive(Clone)]
pub enum Commands {
    One(ConnectionManager),
    Master(MasterConnection),
    Cluster(ClusterConnection),
}

impl RedisServers {
    /// Those that `config` names; `None` if it names none. Nothing is connected yet.
    ///
    /// # Errors
    /// Name the setting at fault and what would be right, without its value.
    pub fn from_config(config: &config::Redis) -> anyhow::Result<Option<Self>> {
        if config.url.expose_secret().is_empty() {
            check_empty(config)?;
            return Ok(None);
        }
        let authority = authority(config)?;
        let url = Address { setting: "redis.url", authority: authority.as_ref() };
        let server = url.read(&config.url)?;
        let sentinels =
            Address { setting: "redis.sentinels", authority: authority.as_ref() }.all(&config.sentinels)?;
        let nodes = Address { setting: "redis.cluster_nodes", authority: authority.as_ref() }
            .all(&config.cluster_nodes)?;
        let anywhere_tls = std::iter::once(&server).chain(&sentinels).chain(&nodes).any(is_tls);
        ensure!(
            authority.is_none() || anywhere_tls,
            "redis.ca_file is set, but nothing is reached by TLS: redis.url must then begin with rediss://"
        );
        ensure!(
            sentinels.is_empty() == config.sentinel_master.is_empty(),
            "redis.sentinels and redis.sentinel_master go together: give both, or neither"
        );
        let servers = match (sentinels.is_empty(), config.cluster) {
            (true, false) => {
                ensure!(nodes.is_empty(), "redis.cluster_nodes is set, but redis.cluster is false");
                Servers::One(Box::new(url.client(server)?))
            }
            (false, false) => {
                ensure!(nodes.is_empty(), "redis.cluster_nodes and redis.sentinels exclude each other");
                let master = config.sentinel_master.clone();
                Servers::Sentinels(Arc::new(Sentinels::new(sentinels, master, &server, authority)?))
            }
            (true, true) => Servers::Cluster(Arc::new(Cluster::new(server, nodes, authority)?)),
            (false, true) => bail!("redis.cluster and redis.sentinels exclude each other"),
        };
        Ok(Some(Self(servers)))
    }

    /// A connection for commands, to whoever takes them now.
    pub async fn commands(&self) -> RedisResult<Commands> {
        match &self.0 {
            Servers::One(client) => {
                // No tries of its own: while they last, every command would wait for them.
                let config = ConnectionManagerConfig::new()
                    .set_number_of_retries(0)
                    .set_response_timeout(Some(ANSWER))
                    .set_connection_timeout(Some(REACH));
                Ok(Commands::One(ConnectionManager::new_with_config(Client::clone(client), config).await?))
            }
            Servers::Sentinels(sentinels) => {
                Ok(Commands::Master(MasterConnection::open(sentinels.clone()).await?))
            }
            Servers::Cluster(cluster) => Ok(Commands::Cluster(cluster.client.get_async_connection().await?)),
        }
    }

    /// A connection for subscriptions of its own: to the present master where there are sentinels, to any node of
    /// a cluster, whose nodes tell each other everything that is published.
    pub async fn pubsub(&self) -> RedisResult<PubSub> {
        match &self.0 {
            Servers::One(client) => subscriber(client).await,
            Servers::Sentinels(sentinels) => subscriber(&sentinels.master().await?).await,
            Servers::Cluster(cluster) => cluster.pubsub().await,
        }
    }
}

impl Cluster {
    fn new(
        first: ConnectionInfo,
        more: Vec<ConnectionInfo>,
        authority: Option<TlsCertificates>,
    ) -> anyhow::Result<Self> {
        let addresses: Vec<_> = std::iter::once(first).chain(more).collect();
        for address in &addresses {
            ensure!(
                !matches!(address.addr(), ConnectionAddr::Unix(_)),
                "redis.url is a socket in this machine; redis.cluster needs redis:// or rediss://"
            );
            ensure!(
                address.redis_settings().db() == 0,
                "redis.url names a database; a cluster has only number 0: leave the path out"
            );
        }
        let mut builder = ClusterClient::builder(addresses.clone())
            .connection_timeout(REACH)
            .response_timeout(ANSWER)
            .overall_response_timeout(Some(REACH))
            // Enough to follow a slot to where it went, and no waiting for a cluster that is gone.
            .retries(3)
            .min_retry_wait(10)
            .max_retry_wait(100)
            .tcp_settings(tcp_settings());
        if let Some(authority) = authority {
            builder = builder.certs(authority);
        }
        let client = builder.build().map_err(|_| {
            anyhow::anyhow!(
                "redis.cluster_nodes differ from redis.url: user, password and TLS must be the same for all nodes"
            )
        })?;
        let nodes = addresses.into_iter().map(Client::open).collect::<RedisResult<_>>();
        Ok(Self {
            client,
            nodes: nodes.map_err(|_| anyhow::anyhow!("redis.url cannot be used"))?,
            next: AtomicUsize::new(0),
        })
    }

    async fn pubsub(&self) -> RedisResult<PubSub> {
        // Each time from another one on: a node that takes subscriptions may still be cut off from the rest.
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut last = RedisError::from((redis::ErrorKind::Io, "no node"));
        for offset in 0..self.nodes.len() {
            match subscriber(&self.nodes[(first + offset) % self.nodes.len()]).await {
                Ok(subscriber) => return Ok(subscriber),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// The library bounds the making of other connections, and not of this one.
async fn subscriber(client: &Client) -> RedisResult<PubSub> {
    let silent = |_| RedisError::from((redis::ErrorKind::Io, "no answer in time"));
    tokio::time::timeout(REACH + ANSWER, client.get_async_pubsub()).await.map_err(silent)?
}

/// How the URLs of one setting are read.
struct Address<'a> {
    setting: &'static str,
    authority: Option<&'a TlsCertificates>,
}

impl Address<'_> {
    fn read(&self, url: &SecretString) -> anyhow::Result<ConnectionInfo> {
        let setting = self.setting;
        // The cause could quote the URL.
        let address = url.expose_secret().into_connection_info().map_err(|_| {
            anyhow::anyhow!(
                "{setting} must be a URL like redis://user:password@host:6379/0 (rediss:// for TLS), \
                 valkey:// or unix:///path"
            )
        })?;
        if let ConnectionAddr::TcpTls { insecure: true, .. } = address.addr() {
            bail!("{setting} ends in #insecure; name the servers' certificate authority in redis.ca_file");
        }
        let address = address.set_tcp_settings(tcp_settings());
        Ok(self.client(address)?.get_connection_info().clone())
    }

    fn all(&self, urls: &[SecretString]) -> anyhow::Result<Vec<ConnectionInfo>> {
        urls.iter().map(|url| self.read(url)).collect()
    }

    fn client(&self, address: ConnectionInfo) -> anyhow::Result<Client> {
        let client = match self.authority {
            Some(authority) if is_tls(&address) => Client::build_with_tls(address, authority.clone()),
            _ => Client::open(address),
        };
        client.map_err(|_| anyhow::anyhow!("{} cannot be used", self.setting))
    }
}

pub(super) fn is_tls(address: &ConnectionInfo) -> bool {
    matches!(address.addr(), ConnectionAddr::TcpTls { .. })
}

/// What vanishes without a word is noticed in seconds, not after the system's quarter of an hour.
pub(super) fn tcp_settings() -> TcpSettings {
    let alive =
        socket2::TcpKeepalive::new().with_time(Duration::from_secs(5)).with_interval(Duration::from_secs(2));
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(alive);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(Duration::from_secs(10));
    settings
}

/// The private authority whose certificates are believed, and no other's.
fn authority(config: &config::Redis) -> anyhow::Result<Option<TlsCertificates>> {
    let file = &config.ca_file;
    if file.as_os_str().is_empty() {
        return Ok(None);
    }
    let pem = std::fs::read(file)
        .with_context(|| format!("redis.ca_file: the file {} cannot be read", file.display()))?;
    let mut roots = rustls::RootCertStore::empty();
    let read = CertificateDer::pem_slice_iter(&pem)
        .all(|certificate| certificate.is_ok_and(|certificate| roots.add(certificate).is_ok()));
    ensure!(
        read && !roots.is_empty(),
        "redis.ca_file: the file {} has no certificate in PEM form",
        file.display()
    );
    Ok(Some(TlsCertificates { client_tls: None, root_cert: Some(pem) }))
}

fn check_empty(config: &config::Redis) -> anyhow::Result<()> {
    let without = [
        ("redis.ca_file", config.ca_file.as_os_str().is_empty()),
        ("redis.sentinels", config.sentinels.is_empty()),
        ("redis.sentinel_master", config.sentinel_master.is_empty()),
        ("redis.cluster", !config.cluster),
        ("redis.cluster_nodes", config.cluster_nodes.is_empty()),
    ];
    for (setting, unset) in without {
        ensure!(unset, "{setting} is set, but redis.url is empty");
    }
    Ok(())
}

impl ConnectionLike for Commands {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(command),
            Self::Master(connection) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Master(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            Self::Master(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(settings: &[(&str, &str)]) -> anyhow::Result<Option<RedisServers>> {
        let pairs = settings.iter().map(|&(key, value)| (key, value.to_owned()));
        RedisServers::from_config(&config::Config::from_pairs(pairs)?.redis)
    }

    fn error(settings: &[(&str, &str)]) -> String {
        let text = format!("{:#}", servers(settings).err().expect("refused"));
        assert!(!text.contains("hunter2"), "{text}");
        text
    }

    const URL: &str = "ACCOUNTS__REDIS__URL";
    const CA: &str = "ACCOUNTS__REDIS__CA_FILE";
    const SENTINELS: &str = "ACCOUNTS__REDIS__SENTINELS";
    const MASTER: &str = "ACCOUNTS__REDIS__SENTINEL_MASTER";
    const CLUSTER: &str = "ACCOUNTS__REDIS__CLUSTER";
    const NODES: &str = "ACCOUNTS__REDIS__CLUSTER_NODES";

    #[test]
    fn every_form_of_url_is_taken() {
        assert!(servers(&[]).unwrap().is_none());
        for url in [
            "redis://user:p%40ss@cache:6380/3",
            "rediss://cache",
            "valkey://cache/",
            "valkeys://cache",
            "unix:///run/redis.sock?db=2",
            "redis+unix:///run/redis.sock",
            "redis://[::1]:6379/?protocol=resp3",
        ] {
            let one = servers(&[(URL, url)]).unwrap().expect(url);
            assert!(matches!(one.0, Servers::One(_)), "{url}");
        }
        let by_sentinels = [
            (URL, "rediss://user:hunter2@any/2"),
            (SENTINELS, "redis://:hunter2@s1:26379, redis://:hunter2@s2:26379"),
            (MASTER, "accounts"),
        ];
        assert!(matches!(servers(&by_sentinels).unwrap().unwrap().0, Servers::Sentinels(_)));
        let cluster =
            [(URL, "redis://n1:7000"), (CLUSTER, "true"), (NODES, "redis://n2:7000,redis://n3:7000")];
        let Servers::Cluster(cluster) = servers(&cluster).unwrap().unwrap().0 else { panic!("a cluster") };
        assert_eq!(cluster.nodes.len(), 3);
    }

    #[test]
    fn bad_urls_are_refused_without_being_quoted() {
        for url in [
            "cache:6379",
            "http://u:hunter2@cache",
            "redis://u:hunter2@cache/zero",
            "redis://u:hunter2@cache:port",
            "redis://u:hunter2@0.0.0.0/",
            "rediss://u:hunter2@cache/#hunter2",
        ] {
            let text = error(&[(URL, url)]);
            assert!(text.contains("redis.url must be a URL like redis://"), "{text}");
        }
        assert!(error(&[(URL, "rediss://u:hunter2@cache/#insecure")]).contains("redis.ca_file"));
        let sentinel = [(URL, "redis://any"), (SENTINELS, "s1:hunter2"), (MASTER, "m")];
        assert!(error(&sentinel).contains("redis.sentinels must be a URL"));
    }

    #[test]
    fn settings_that_do_not_go_together_are_refused() {
        let one = (URL, "redis://u:hunter2@cache");
        let sentinels = (SENTINELS, "redis://s1:26379");
        assert!(error(&[(CLUSTER, "true")]).contains("redis.cluster is set, but redis.url is empty"));
        assert!(error(&[sentinels]).contains("redis.sentinels is set, but redis.url is empty"));
        assert!(error(&[one, sentinels]).contains("redis.sentinel_master go together"));
        assert!(error(&[one, (MASTER, "m")]).contains("redis.sentinel_master go together"));
        assert!(error(&[one, sentinels, (MASTER, "m"), (CLUSTER, "true")]).contains("exclude each other"));
        assert!(error(&[one, (NODES, "redis://n2")]).contains("redis.cluster is false"));
        assert!(error(&[(URL, "redis://cache/2"), (CLUSTER, "true")]).contains("only number 0"));
        assert!(error(&[(URL, "unix:///run/r"), (CLUSTER, "true")]).contains("socket in this machine"));
        let stranger = (NODES, "redis://u:other@n2");
        assert!(error(&[one, (CLUSTER, "true"), stranger]).contains("must be the same for all nodes"));
        let strangers = (SENTINELS, "redis://a:hunter2@s1,redis://b:hunter2@s2");
        assert!(error(&[one, strangers, (MASTER, "m")]).contains("user and password"));
        assert!(
            error(&[(URL, "unix:///run/r"), sentinels, (MASTER, "m")]).contains("socket in this machine")
        );
    }

    #[test]
    fn a_private_authority_must_be_one_and_be_used() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let missing = folder.path().join("missing");
        let tls = (URL, "rediss://u:hunter2@cache");
        assert!(error(&[tls, (CA, missing.to_str().unwrap())]).contains("cannot be read"));
        assert!(error(&[tls, (CA, &file("empty", ""))]).contains("no certificate in PEM form"));
        assert!(error(&[tls, (CA, &file("text", "hunter2"))]).contains("no certificate in PEM form"));
        let garbage = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        assert!(error(&[tls, (CA, &file("garbage", garbage))]).contains("no certificate in PEM form"));
        let certificate = rcgen::generate_simple_self_signed(["cache".to_owned()]).unwrap().cert.pem();
        let good = file("good", &certificate);
        assert!(servers(&[tls, (CA, &good)]).unwrap().is_some());
        assert!(error(&[(URL, "redis://cache"), (CA, &good)]).contains("nothing is reached by TLS"));
    }
}
