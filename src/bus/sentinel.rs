//! The master that sentinels name, found anew whenever it is lost: another server may be master by then.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, Pipeline, RedisConnectionInfo, RedisError,
    RedisFuture, RedisResult, ServerErrorKind, TlsCertificates, TlsMode, Value,
};

use super::connect::{is_tls, tcp_settings};

/// How long all sentinels together may take to name a master that answers.
const SEARCH: Duration = Duration::from_secs(3);

/// The sentinels, and what is needed to reach those whom they name.
pub(super) struct Sentinels {
    addresses: Vec<ConnectionAddr>,
    /// Who we are to them.
    login: RedisConnectionInfo,
    master: String,
    /// Who we are to the servers behind them.
    server: RedisConnectionInfo,
    tls: bool,
    authority: Option<TlsCertificates>,
}

impl Sentinels {
    /// `server` is an address whose host does not count: it says how to reach a master.
    pub(super) fn new(
        sentinels: Vec<ConnectionInfo>,
        master: String,
        server: &ConnectionInfo,
        authority: Option<TlsCertificates>,
    ) -> anyhow::Result<Self> {
        ensure!(
            !matches!(server.addr(), ConnectionAddr::Unix(_)),
            "redis.url is a socket in this machine; with redis.sentinels it must be redis:// or rediss://"
        );
        let login = sentinels.first().map(|first| first.redis_settings().clone()).unwrap_or_default();
        for sentinel in &sentinels {
            let settings = sentinel.redis_settings();
            ensure!(
                (settings.username(), settings.password()) == (login.username(), login.password()),
                "redis.sentinels must all have the same user and password"
            );
            ensure!(settings.db() == 0, "redis.sentinels have no databases: leave the path out");
        }
        let (server, tls) = (server.redis_settings().clone(), is_tls(server));
        let addresses = sentinels.into_iter().map(|sentinel| sentinel.addr().clone()).collect();
        let sentinels = Self { addresses, login, master, server, tls, authority };
        // What it will be built from is checked now, and not when Redis is first needed.
        sentinels.client().map_err(|_| anyhow::anyhow!("redis.sentinels cannot be used"))?;
        Ok(sentinels)
    }

    fn client(&self) -> RedisResult<SentinelClient> {
        let addresses = self.addresses.iter().cloned();
        let mut builder = SentinelClientBuilder::new(addresses, &self.master, SentinelServerType::Master)?
            .set_client_to_redis_db(self.server.db())
            .set_client_to_redis_protocol(self.server.protocol())
            .set_client_to_redis_tcp_settings(tcp_settings())
            .set_client_to_sentinel_tcp_settings(tcp_settings());
        if let Some(username) = self.server.username() {
            builder = builder.set_client_to_redis_username(username);
        }
        if let Some(password) = self.server.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        if let Some(username) = self.login.username() {
            builder = builder.set_client_to_sentinel_username(username);
        }
        if let Some(password) = self.login.password() {
            builder = builder.set_client_to_sentinel_password(password);
        }
        if self.tls {
            builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
            if let Some(authority) = &self.authority {
                builder = builder.set_client_to_redis_certificates(authority.clone());
            }
        }
        builder.build()
    }

    /// Asks who is master now; whoever it is has said itself that it is.
    pub(super) async fn master(&self) -> RedisResult<Client> {
        let silent = |_| RedisError::from((ErrorKind::Io, "the sentinels name no master in time"));
        let mut client = self.client()?;
        tokio::time::timeout(SEARCH, client.async_get_client()).await.map_err(silent)?
    }

    async fn connect(self: Arc<Self>) -> RedisResult<MultiplexedConnection> {
        self.master().await?.get_multiplexed_async_connection().await
    }
}

/// A connection to the present master. Commands that come while it is being looked for wait for the one search.
#[derive(Clone)]
pub struct MasterConnection(Arc<Inner>);

struct Inner {
    sentinels: Arc<Sentinels>,
    search: Mutex<Search>,
}

#[derive(Clone)]
struct Search {
    /// Counts up, so that of many commands that meet one loss the first begins the next search.
    number: u64,
    connection: Shared<BoxFuture<'static, RedisResult<MultiplexedConnection>>>,
}

impl Search {
    fn begin(number: u64, sentinels: Arc<Sentinels>) -> Self {
        // A task of its own: it gets on even if whoever wanted it first gives up.
        let search = tokio::spawn(sentinels.connect());
        let ended = |_| RedisError::from((ErrorKind::Io, "the search for the master was given up"));
        let connection = search.map(move |found| found.map_err(ended)?).boxed().shared();
        Self { number, connection }
    }
}

impl MasterConnection {
    pub(super) async fn open(sentinels: Arc<Sentinels>) -> RedisResult<Self> {
        let search = Search::begin(0, sentinels.clone());
        search.connection.clone().await?;
        Ok(Self(Arc::new(Inner { sentinels, search: Mutex::new(search) })))
    }

    fn search(&self) -> Search {
        self.0.search.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Passes an answer on, and has the master looked for anew if the one of search `number` is none any more.
    fn judge<T>(&self, number: u64, answer: RedisResult<T>) -> RedisResult<T> {
        let lost = |error: &RedisError| {
            error.is_io_error()
                || error.is_unrecoverable_error()
                || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
        };
        if answer.as_ref().is_err_and(lost) {
            let mut search = self.0.search.lock().unwrap_or_else(PoisonError::into_inner);
            if search.number == number {
                *search = Search::begin(number + 1, self.0.sentinels.clone());
            }
        }
        answer
    }
}

impl ConnectionLike for MasterConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        async move {
            let search = self.search();
            let answer = match search.connection.await {
                Ok(mut connection) => connection.req_packed_command(command).await,
                Err(error) => Err(error),
            };
            self.judge(search.number, answer)
        }
        .boxed()
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        async move {
            let search = self.search();
            let answer = match search.connection.await {
                Ok(mut connection) => connection.req_packed_commands(pipeline, offset, count).await,
                Err(error) => Err(error),
            };
            self.judge(search.number, answer)
        }
        .boxed()
    }

    fn get_db(&self) -> i64 {
        self.0.sentinels.server.db()
    }
}
