//! What all calls to one platform go through: the operator's switch, the limit of how often, and how many at a time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use chrono::TimeDelta;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use recloser::{AsyncRecloser, Recloser};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::{PlatformError, PlatformKey};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::ids::Ids;
use crate::switches::{SwitchKind, Switches};
use crate::trace::Trace;

/// Once half of so many calls have failed, none is made for some time.
const CIRCUIT_CALLS: usize = 20;
const CIRCUIT_WAIT: Duration = Duration::from_secs(5);
/// How long a call waits for its turn that is not put back.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a job waits for others to end their calls, and for how long it is put back then.
const FOR_A_PLACE: Duration = Duration::from_millis(100);
const PUT_BACK: TimeDelta = TimeDelta::seconds(1);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// A job that has done nothing yet: it is put back rather than kept waiting.
    Job,
    /// A job that has made a call already. It waits for a moment.
    JobUnderWay,
    /// Somebody who waits for the answer, and not for long.
    Person,
}

/// What calls to all platforms share.
#[derive(Clone)]
pub(super) struct Calls {
    pub http: reqwest::Client,
    pub clock: Clock,
    ids: Ids,
    switches: Switches,
    /// Calls that jobs make to one platform at one time.
    places: usize,
}

impl Calls {
    pub fn new(config: &Config, (clock, ids): (Clock, Ids), switches: Switches) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(2))
            .timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent("accounts-center")
            .build()
            .context("no HTTP client")?;
        // A platform that hangs leaves half of them to the others.
        let places = config.jobs.concurrency.div_ceil(2).max(1);
        Ok(Self { http, clock, ids, switches, places })
    }

    /// The line to one platform.
    pub fn line(&self, key: &PlatformKey, platform: &config::Platform) -> Line {
        let calls = self.clone();
        let limiter = RateLimiter::direct(Quota::per_second(platform.calls_per_second));
        let places = Arc::new(Semaphore::new(self.places));
        Line { calls, key: key.clone(), limiter: Arc::new(limiter), places }
    }
}

/// A circuit that opens where too many calls fail.
pub(super) fn circuit() -> AsyncRecloser {
    let circuit = Recloser::custom()
        .error_rate(0.5)
        .closed_len(CIRCUIT_CALLS)
        .half_open_len(1)
        .open_wait(CIRCUIT_WAIT)
        .build();
    circuit.into()
}

/// What an open circuit says to a job.
pub(super) const CIRCUIT_OPEN: PlatformError =
    PlatformError::NotNow("too many calls have failed", TimeDelta::seconds(CIRCUIT_WAIT.as_secs() as i64));

/// The way to one platform, for all kinds of calls. Cheap to clone.
#[derive(Clone)]
pub(super) struct Line {
    pub calls: Calls,
    key: PlatformKey,
    /// Of this process: the platform counts them all.
    limiter: Arc<DefaultDirectRateLimiter>,
    places: Arc<Semaphore>,
}

impl Line {
    /// Whether an operator does not let the platform be called.
    pub fn is_off(&self) -> bool {
        self.calls.switches.is_off(SwitchKind::Platform, self.key.as_str())
    }

    /// Lets somebody call, for a job with the place that it holds until it is done.
    pub async fn admit(&self, caller: Caller) -> Result<Option<OwnedSemaphorePermit>, PlatformError> {
        if self.is_off() {
            return Err(PlatformError::SwitchedOff);
        }
        let place = if caller == Caller::Person { None } else { Some(self.place().await?) };
        let patience = if caller == Caller::Job { Duration::ZERO } else { PATIENCE };
        let until = Instant::now() + patience;
        while let Err(wait) = self.turn() {
            if Instant::now() + wait > until {
                let wait = TimeDelta::from_std(wait).unwrap_or(PUT_BACK).max(PUT_BACK);
                return Err(PlatformError::NotNow("it is called too often", wait));
            }
            tokio::time::sleep(wait).await;
        }
        Ok(place)
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, PlatformError> {
        match tokio::time::timeout(FOR_A_PLACE, self.places.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(PlatformError::NotNow("many calls to it are under way", PUT_BACK)),
        }
    }

    /// Counts a call; else how long there is to wait.
    fn turn(&self) -> Result<(), Duration> {
        self.limiter.check().map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }

    /// The headers by which a call is found again in the platform's log.
    pub fn headers(&self) -> HeaderMap {
        let id = self.calls.ids.uuid(self.calls.clock.now());
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
            headers.insert(REQUEST_ID, value);
        }
        // No client's trace goes on here: what it asked for has been answered. The trace has the request's own number.
        let (_, span) = id.as_u64_pair();
        Trace::of(&HeaderMap::new(), id.as_u128()).write(span, &mut headers);
        headers
    }
}
