//! The queue of jobs as the jobs run finds and leaves it: planted in the database, because no client can make a
//! million jobs by the front door.

use anyhow::{Context, ensure};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};

/// A real kind of job. Of a verification that there is not, it takes one statement and finds nothing to do.
const KIND: &str = "erase_expired_verification";

/// What is in the queue before a measurement.
#[derive(Clone, Copy)]
pub struct Content {
    pub streams: u64,
    pub due: u64,
    /// Due in a day.
    pub scheduled: u64,
    /// Whether the first stream has half of each, rather than as much as the others.
    pub uneven: bool,
}

pub struct Queue(DatabaseConnection);

impl Queue {
    pub async fn open(url: &str) -> anyhow::Result<Self> {
        Ok(Self(Database::connect(url).await.context("cannot connect to --database-url")?))
    }

    /// Replaces all that is in the queue.
    pub async fn fill(&self, content: &Content) -> anyhow::Result<()> {
        self.run("TRUNCATE job, job_stream").await?;
        self.plant(content, content.due, "0 days").await?;
        self.plant(content, content.scheduled, "1 day").await?;
        self.run(
            "INSERT INTO job_stream (stream_id, next_at) SELECT stream_id, min(run_at) FROM job GROUP BY stream_id",
        )
        .await?;
        // As it is after some time, when autovacuum has been there.
        self.run("VACUUM (ANALYZE) job").await?;
        self.run("VACUUM (ANALYZE) job_stream").await
    }

    async fn plant(&self, content: &Content, rows: u64, later: &str) -> anyhow::Result<()> {
        let Content { streams, uneven, .. } = content;
        let stream = if *uneven {
            format!("CASE WHEN n % 2 = 0 THEN 0 ELSE (n / 2) % {streams} END")
        } else {
            format!("n % {streams}")
        };
        self.run(&format!(
            "INSERT INTO job (id, kind, payload, stream_id, run_at, attempts, created_at)
             SELECT gen_random_uuid(), '{KIND}', jsonb_build_object('verification', gen_random_uuid()),
                 lpad(to_hex({stream}), 32, '0')::uuid, now() + interval '{later}', 0, now()
             FROM generate_series(1, {rows}::bigint) AS n"
        ))
        .await
    }

    /// How many jobs are left, none of which may be half done.
    pub async fn left(&self) -> anyhow::Result<u64> {
        let sql =
            "SELECT count(*) AS jobs, count(leased_until) AS leased, count(last_error) AS failed FROM job";
        let counts = self.0.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
        let counts = counts.context("count(*) gave no row")?;
        let count = |name| counts.try_get::<i64>("", name);
        let (leased, failed) = (count("leased")?, count("failed")?);
        ensure!(leased == 0 && failed == 0, "{leased} jobs are left with a lease, and {failed} have failed");
        Ok(u64::try_from(count("jobs")?)?)
    }

    async fn run(&self, sql: &str) -> anyhow::Result<()> {
        self.0.execute_unprepared(sql).await.context("the queue cannot be filled")?;
        Ok(())
    }
}
