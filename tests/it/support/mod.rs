//! The harness: servers, clients and faults for tests.

mod announced;
mod app;
pub mod authenticator;
mod graphql;
pub mod links;
pub mod oauth;
mod process;
mod proxy;
mod redis;
mod sandbox;
mod stack;
pub mod webhooks;
mod websocket;

pub use announced::Announced;
pub use app::{START, TestApp};
pub use graphql::{Answer, Client, Person, SUBMIT, uuid_of};
pub use process::{ServerProcess, ended};
pub use proxy::{Fault, Proxy};
pub use redis::{RedisProcess, plain};
pub use sandbox::{SandboxProcess, announced_url};
pub use stack::{Place, Stack, needed};
pub use websocket::{Socket, SocketMessage};

use std::time::{Duration, Instant};

/// How long something may take that is sure to come: a busy machine stands still for seconds.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` gives something.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(begin.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A test that hangs says so and fails; without, it holds up the whole run and nobody sees which one it was.
pub async fn whole(test: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(600), test).await.expect("the test hangs");
}

/// Makes a test for each stack of `async fn name(place: Place)`, which begins on an empty database.
macro_rules! on_both_stacks {
    ($($(#[$attribute:meta])* async fn $name:ident($place:ident: Place) $body:block)+) => {$(
        mod $name {
            #[allow(unused_imports, reason = "what a test of this file imports, another may not")]
            use super::*;

            async fn test($place: $crate::support::Place) $body

            $(#[$attribute])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn embedded() {
                $crate::support::whole(test($crate::support::Place::new($crate::support::Stack::Embedded).await)).await;
            }

            $(#[$attribute])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn production() {
                $crate::support::whole(test($crate::support::Place::new($crate::support::Stack::Production).await)).await;
            }
        }
    )+};
}
pub(crate) use on_both_stacks;
