//! Jobs that failed for good.

use chrono::SecondsFormat;
use uuid::Uuid;

use super::{open_prepared, print};
use crate::app;
use crate::clock::Clock;
use crate::config::Config;
use crate::store;

/// Which dead jobs come back to life.
pub enum Replay {
    These(Vec<Uuid>),
    All { kind: Option<String> },
}

/// Lists the dead jobs, a line each, and counts them.
pub async fn list_dead_jobs(config: &Config, kind: Option<&str>) -> anyhow::Result<()> {
    let (db, _lock) = open_prepared(config).await?;
    let (mut count, mut last) = (0, None);
    loop {
        let page = store::dead_jobs(&db, kind, last.as_ref()).await.map_err(app::explain)?;
        count += page.len();
        for job in &page {
            print(format_args!("{}", dead_job_line(job)))?;
        }
        last = page.into_iter().next_back();
        if last.is_none() {
            return print(format_args!("{count} dead job(s)"));
        }
    }
}

/// Columns that stay as they are: id, kind, stream, attempts, when it died, and to the end of the line why.
fn dead_job_line(job: &accounts_center_entity::job::Model) -> String {
    let died = job.dead_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)).unwrap_or_default();
    let error = job.last_error.as_deref().unwrap_or_default().replace(char::is_control, " ");
    format!("{}  {:<30}  {}  {:>2}  {died}  {error}", job.id, job.kind, job.stream_id, job.attempts)
}

/// Brings dead jobs back to life: those with these ids, or all of a kind.
pub async fn replay_jobs(config: &Config, which: Replay) -> anyhow::Result<()> {
    let (db, _lock) = open_prepared(config).await?;
    let now = Clock::system().now();
    let replayed = match which {
        Replay::All { kind } => store::replay_all(&db, kind.as_deref(), now).await.map_err(app::explain)?,
        Replay::These(ids) => {
            let ids = ids.into_iter().collect();
            store::replay(&db, &ids, now).await.map_err(app::explain)?.map_err(|unknown| {
                let unknown: Vec<String> = unknown.iter().map(ToString::to_string).collect();
                anyhow::anyhow!(
                    "no dead job has the id {}, and nothing was replayed; `accounts-center jobs list` has them all",
                    unknown.join(", ")
                )
            })?
        }
    };
    db.close().await;
    print(format_args!("{replayed} job(s) replayed"))
}
