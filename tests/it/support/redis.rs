//! A Redis of a test's own, for what the common one cannot show.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::eventually;

/// A running `redis-server`; dropping it kills it.
pub struct RedisProcess {
    pub port: u16,
    /// Where it keeps what it keeps, if it does.
    pub folder: tempfile::TempDir,
    child: Child,
}

impl RedisProcess {
    /// Starts one with more arguments, which are given its folder and its port.
    pub async fn start(arguments: impl Fn(&Path, u16) -> Vec<String>) -> Self {
        // Somebody else may take the port in between.
        for _ in 0..5 {
            let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
            let arguments = arguments(folder.path(), port);
            let mut child = Command::new("redis-server")
                .args(&arguments)
                .current_dir(folder.path())
                .stdout(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .expect("redis-server can be started");
            let answers = eventually("Redis answers or ends", async || {
                if child.try_wait().unwrap().is_some() {
                    return Some(false);
                }
                TcpStream::connect(("127.0.0.1", port)).await.ok().map(|_| true)
            });
            if answers.await {
                return Self { port, folder, child };
            }
        }
        panic!("redis-server does not start: is it installed?");
    }

    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }
}

/// What every one is started with that keeps nothing.
pub fn plain(port: u16) -> Vec<String> {
    let port = port.to_string();
    ["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"].map(str::to_owned).into()
}

/// A port that is free, below those that the system gives to others, and so is the one 10,000 above it: a cluster's
/// nodes speak to each other there.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = 10_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    loop {
        let port = 10_000 + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free(port) && is_free(port + 10_000) {
            return port;
        }
    }
}
