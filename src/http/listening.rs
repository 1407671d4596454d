//! Connections: taken, bounded in the time that they may say or take nothing, and let go of.

use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use axum::Router;
use axum_server::accept::Accept;
use axum_server::{Handle, Server};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The headers of a request, from the end of the request before; of the first one it is at most [`FIRST`].
    pub headers: Duration,
    /// A client that takes nothing of what is sent to it.
    pub send: Duration,
    /// Requests that are under way when the server is to stop.
    pub drain: Duration,
}

/// From a connection's first moment to its first request.
const FIRST: Duration = Duration::from_secs(10);

/// How long sockets may take to end behind the requests.
const SOCKETS: Duration = Duration::from_secs(1);

/// Between two lines of the log that say that connections cannot be taken.
const QUIET: Duration = Duration::from_secs(10);

/// Serves until told to stop, then lets requests under way end.
pub async fn serve(listener: TcpListener, router: Router, patience: Patience, stop: CancellationToken) {
    raise_limit();
    let handle = Handle::<SocketAddr>::new();
    let acceptor = Acceptor { send: patience.send };
    let mut server = Server::from_listener(listener).acceptor(acceptor).handle(handle.clone());
    let builder = server.http_builder();
    builder.http1().header_read_timeout(patience.headers);
    // No browser speaks it without TLS; a proxy may, and keeps its connections as long as it answers.
    builder.http2().keep_alive_interval(patience.headers).max_concurrent_streams(100);
    let server =
        server.first_request_timeout(patience.headers.min(FIRST)).accept_error_handler(log_now_and_then());
    let serving = server.serve(router.into_make_service_with_connect_info::<SocketAddr>());
    let stopping = async {
        stop.cancelled().await;
        handle.graceful_shutdown(Some(patience.drain));
        Instant::now()
    };
    let (served, stopped) = tokio::join!(serving, stopping);
    if let Err(error) = served {
        tracing::error!(%error, "serving ended");
    }
    if stopped.elapsed() >= patience.drain {
        tracing::warn!("requests were still under way when the time to end them was over");
    }
}

/// The same where requests may become sockets, which get a moment longer.
pub async fn serve_with_sockets(
    listener: TcpListener,
    router: Router,
    patience: Patience,
    (stop, sockets): (CancellationToken, TaskTracker),
) {
    let serving = async {
        serve(listener, router, patience, stop.clone()).await;
        sockets.close();
        sockets.wait().await;
    };
    let out_of_time = async {
        stop.cancelled().await;
        // The requests' own end comes first.
        tokio::time::sleep(patience.drain + SOCKETS).await;
    };
    tokio::select! {
        () = serving => {}
        () = out_of_time => tracing::warn!("sockets were still open when the time to end was over"),
    }
}

/// Each socket is a file, and the limit that most shells and service managers begin with is a thousand.
fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
    {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

fn log_now_and_then() -> impl Fn(Option<&SocketAddr>, &io::Error) + Send + Sync {
    let last = Mutex::new(None::<Instant>);
    move |_, error| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= QUIET) {
            *last = Some(Instant::now());
            tracing::warn!(%error, "connections cannot be taken");
        }
    }
}

/// Takes connections as they are to be served.
#[derive(Clone)]
struct Acceptor {
    send: Duration,
}

impl<S> Accept<TcpStream, S> for Acceptor {
    /// Its timers are pinned.
    type Stream = Pin<Box<TimeoutStream<TcpStream>>>;
    type Service = S;
    type Future = Ready<io::Result<(Self::Stream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        // Small frames go out at once: Nagle's algorithm would hold an event back for some 40 ms.
        if let Err(error) = stream.set_nodelay(true) {
            return ready(Err(error));
        }
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.send));
        ready(Ok((Box::pin(stream), service)))
    }
}
