//! What is of no more use to anybody is purged from time to time, by every process that runs jobs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use crate::app::App;
use crate::error::Error;
use crate::{passkey, profile, security, session, store, verification};

/// Batches of one thing in one round; if anything is left then, the next round begins at once.
const BATCHES: usize = 1000;
/// After its start a process waits for no longer than this, however long the period is: it may not live that long.
const FIRST: Duration = Duration::from_secs(60);

/// Purges, round after round, for ever.
pub async fn run(app: Arc<App>) {
    let period = Duration::from_secs(app.config.retention.period_seconds);
    // Replicas that start together do not purge together.
    let [random] = app.store.random::<1>();
    tokio::time::sleep(period.min(FIRST) * u32::from(random) / 256).await;
    loop {
        if round(&app).await {
            tokio::time::sleep(period).await;
        }
    }
}

/// What there is to purge.
#[derive(Clone, Copy, Debug)]
enum Chore {
    /// Jobs in whose stream nobody looks.
    Jobs,
    Events,
    IdempotencyRecords,
    WebhookReceipts,
    /// Those that could not be settled; their verifications go afterwards.
    Claims,
    Verifications,
    CodeAllowances,
    PasskeyRegistrations,
    Sessions,
    Alerts,
    DeadJobs,
}

impl Chore {
    const ALL: [Self; 11] = [
        Self::Jobs,
        Self::Events,
        Self::IdempotencyRecords,
        Self::WebhookReceipts,
        Self::Claims,
        Self::Verifications,
        Self::CodeAllowances,
        Self::PasskeyRegistrations,
        Self::Sessions,
        Self::Alerts,
        Self::DeadJobs,
    ];

    /// Purges a batch. Gives how many rows it were.
    async fn batch(self, app: &App) -> Result<u64, Error> {
        let (store, kept, now) = (&app.store, &app.config.retention, app.clock.now());
        let days = |days: u32| now - TimeDelta::days(i64::from(days));
        match self {
            Self::Jobs => store.call_forgotten_streams().await,
            Self::Events => store.purge_events(days(kept.events_days)).await,
            Self::IdempotencyRecords => store.purge_idempotency_records(now - store::IDEMPOTENCY_KEPT).await,
            Self::WebhookReceipts => store.purge_webhook_receipts(days(kept.webhook_receipts_days)).await,
            Self::Claims => profile::purge_claims(store, now).await,
            Self::Verifications => verification::purge(store, days(kept.verifications_days)).await,
            Self::CodeAllowances => verification::purge_allowances(store, now).await,
            Self::PasskeyRegistrations => passkey::purge_registrations(store, now).await,
            Self::Sessions => session::purge(store, days(kept.sessions_days)).await,
            Self::Alerts => security::purge(store, days(kept.alerts_days)).await,
            Self::DeadJobs => store.purge_dead_jobs(days(kept.dead_jobs_days)).await,
        }
    }
}

/// Does each chore until nothing is left to do, or for so long. Says whether nothing is left.
async fn round(app: &App) -> bool {
    let mut is_done = true;
    for chore in Chore::ALL {
        let mut purged = 0;
        for batch in 1..=BATCHES {
            let begin = Instant::now();
            match store::bounded(chore.batch(app)).await {
                Ok(0) => break,
                Ok(rows) => {
                    purged += rows;
                    is_done &= batch < BATCHES;
                }
                Err(error) => {
                    error.log();
                    break;
                }
            }
            // As much time for everybody else.
            tokio::time::sleep(begin.elapsed()).await;
        }
        if purged > 0 {
            tracing::info!(?chore, purged, "old rows are gone");
        }
    }
    is_done
}
