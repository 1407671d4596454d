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

/// Waits until `condition` gives something, up to 15 seconds.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(begin.elapsed() < Duration::from_secs(15), "waited in vain until {what}");
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
