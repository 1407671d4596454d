//! What a process does by itself, beside answering.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::App;
use crate::account::{self, EraseAccount, ForgetErased};
use crate::bus::{self, Channel};
use crate::housekeeping;
use crate::profile::{
    self, EndGrace, EndOffer, HandOver, ReadPrivacy, RefreshProfile, RevokeLogins, SendNotice, SettleClaim,
    TellOwner,
};
use crate::sandbox::ClockFollower;
use crate::store::{self, Runner};
use crate::verification::{self, DeliverCode, EraseExpired, WarnOwner};

/// Hears of what happens from the other replicas, where there can be some.
pub(super) fn spawn_hearing(
    app: &Arc<App>,
    channel: Option<Channel>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) {
    if let Some(channel) = channel {
        tasks.spawn(bus::listen(channel, app.store.clone(), stop.clone()));
    }
}

/// Follows the sandbox's time, the database, and what is switched off.
pub(super) fn spawn_following(
    app: &Arc<App>,
    time: Option<ClockFollower>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) {
    if let Some(time) = time {
        tasks.spawn(until(stop.clone(), time.follow()));
    }
    tasks.spawn(until(stop.clone(), poll(app.clone())));
    tasks.spawn(until(stop.clone(), app.switches.clone().follow()));
}

/// What a process does in the background for all of them, unless it leaves that to others.
pub(super) fn spawn_work(app: &Arc<App>, stop: &CancellationToken, tasks: &TaskTracker) {
    if app.config.jobs.concurrency > 0 {
        tasks.spawn(job_runner(app).run(stop.clone()));
        tasks.spawn(until(stop.clone(), housekeeping::run(app.clone())));
    }
}

/// Heals every lost hint, and notices when a backup takes the database's place.
async fn poll(app: Arc<App>) {
    let (store, period) = (&app.store, Duration::from_secs(app.config.events.poll_seconds));
    loop {
        tokio::time::sleep(period).await;
        // A statement that never comes back must not end all polling.
        match store::bounded(store.is_same()).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => error.log(),
        }
        if let Err(error) = store::bounded(store.poll_watched()).await {
            error.log();
        }
    }
}

pub(super) async fn until(stop: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

fn job_runner(app: &Arc<App>) -> Runner {
    let drain = Duration::from_secs(app.config.http.drain_seconds);
    let mut runner = Runner::new(app.store.clone(), app.config.jobs.concurrency, drain);
    macro_rules! handle {
        ($($job:ty => $run:path),+ $(,)?) => {$(
            let own = app.clone();
            runner.handle(move |job: $job| {
                let app = own.clone();
                async move { $run(&app, job).await }
            });
        )+};
    }
    handle! {
        DeliverCode => verification::deliver,
        EraseExpired => verification::erase,
        WarnOwner => verification::warn_owner,
        EndGrace => profile::end_grace,
        RefreshProfile => profile::refresh,
        ReadPrivacy => profile::read_privacy,
        SendNotice => profile::send_notice,
        RevokeLogins => profile::revoke_logins,
        EndOffer => profile::end_offer,
        TellOwner => profile::tell_owner,
        SettleClaim => profile::settle_claim,
        HandOver => profile::hand_over,
        EraseAccount => account::end_deletion,
        ForgetErased => account::forget_erased,
    }
    runner
}
