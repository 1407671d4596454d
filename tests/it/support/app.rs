//! The application in this process, on port 0, with a clock that stands still and seeded ids.

use std::sync::Arc;

use accounts_center::app::{self, App, Running};
use accounts_center::clock::Clock;
use accounts_center::config::Config;
use accounts_center::ids::Ids;
use accounts_center::session::Viewer;
use accounts_center::store::{Outcome, StreamEvent};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::uuid_of;
use super::{Client, Person, Place, eventually};

/// When every test happens: 2027-01-15 08:00:00 UTC.
pub const START: DateTime<Utc> = DateTime::from_timestamp(1_800_000_000, 0).unwrap();

pub struct TestApp {
    pub url: String,
    running: Running,
}

impl TestApp {
    pub async fn start(place: &Place, seed: u64) -> Self {
        Self::start_with(&place.settings, seed).await
    }

    pub async fn start_with(settings: &[(&'static str, String)], seed: u64) -> Self {
        let settings = settings.iter().map(|(key, value)| (*key, value.clone()));
        let config = Config::from_pairs(settings).unwrap().checked().unwrap();
        let running = app::start(config, Clock::fixed(START), Ids::seeded(seed)).await.unwrap();
        Self { url: format!("http://{}", running.address), running }
    }

    /// A server that does nothing by itself: all its statements are for those who ask.
    pub async fn start_quiet(place: &Place, seed: u64) -> Self {
        let mut settings = place.settings.clone();
        for (key, value) in [
            ("ACCOUNTS__JOBS__CONCURRENCY", "0"),
            ("ACCOUNTS__EVENTS__POLL_SECONDS", "3600"),
            ("ACCOUNTS__GRAPH__NEAR_SECONDS", "3600"),
        ] {
            settings.push((key, value.to_owned()));
        }
        Self::start_with(&settings, seed).await
    }

    /// What `act` answers the second time, and how many statements that took a quiet server.
    pub async fn statements_of<T>(&self, mut act: impl AsyncFnMut() -> T) -> (T, u64) {
        self.while_heard(async || {
            act().await;
            let before = self.app().store.db().statements();
            let answer = act().await;
            (answer, self.app().store.db().statements() - before)
        })
        .await
    }

    /// Counts something. On a machine so busy that hints seem to get lost, a server asks the database again, and rightly
    /// so: what was counted then does not count.
    pub async fn while_heard<T>(&self, mut count: impl AsyncFnMut() -> T) -> T {
        for _ in 0..20 {
            self.hears().await;
            let unbroken = self.app().store.bus_health().unbroken();
            let counted = count().await;
            if unbroken.is_some() && self.app().store.bus_health().unbroken() == unbroken {
                return counted;
            }
        }
        panic!("the bus is never heard for long enough to count");
    }

    pub fn client(&self) -> Client {
        Client::new(&self.url)
    }

    pub fn app(&self) -> &Arc<App> {
        &self.running.app
    }

    /// The same session with a new access token.
    pub fn renewed(&self, person: &Person) -> Client {
        let viewer = Viewer { account: uuid_of(&person.account), session: uuid_of(&person.session) };
        let access = self.app().tokens.sign(viewer, &self.app().ids).unwrap();
        person.client.at(&self.url).with_token(&access.token)
    }

    /// Lets something happen to an account, all in one command.
    pub async fn happen<E: StreamEvent>(&self, account: Uuid, events: &[E]) {
        let emit = async |command: &mut accounts_center::store::Command| {
            for event in events {
                command.emit(account, event)?;
            }
            Ok(Outcome::Commit(()))
        };
        self.app().store.command(account, emit).await.unwrap().unwrap();
    }

    /// Moves the time of the sandbox, and waits until this server has followed.
    pub async fn advance(&self, place: &Place, seconds: i64) {
        let clock = self.app().clock.clone();
        let target = clock.offset() + seconds;
        place.sandbox.advance(seconds).await;
        eventually("the server follows the sandbox's clock", async || {
            (clock.offset() == target).then_some(())
        })
        .await;
    }

    /// Waits until it hears its bus, and so trusts its cache.
    pub async fn hears(&self) {
        eventually("the bus is heard", async || self.app().store.bus_health().unbroken().map(|_| ())).await;
    }

    pub async fn stop(self) {
        self.running.stop().await;
    }
}
