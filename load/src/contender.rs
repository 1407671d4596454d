//! A server in a run that compares several, with what its rounds have measured so far.

use std::mem::take;
use std::time::Duration;

use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::drive::{Connections, Target, of_length};
use crate::metrics::Counters;
use crate::report::Percentiles;
use crate::server::Process;

/// The kernel counts CPU in steps of 10 ms.
const LEAST_CPU: Duration = Duration::from_millis(20);

pub struct Contender {
    process: Process,
    /// What it asks for its answers, where that counts as well.
    behind: Option<Process>,
    target: Target,
    /// Where it says that it lives.
    probe: &'static str,
    /// Of each right answer, in bytes.
    length: usize,
    /// CPU of each round, and what of it was behind.
    cpu: Vec<Duration>,
    cpu_behind: Duration,
    elapsed: Duration,
    latencies: Vec<i64>,
    /// What it counted meanwhile; absent if it counts nothing.
    counted: Option<Counters>,
}

/// What came out for one server.
#[derive(Serialize)]
pub struct Side {
    pub requests: usize,
    pub cpu_us_per_request: f64,
    /// What of it the process behind took.
    pub cpu_us_behind: f64,
    /// CPU per request in each round, in µs.
    pub cpu_us_by_round: Vec<f64>,
    pub requests_per_second: f64,
    pub latency: Percentiles,
    pub resident_kib: u64,
    pub counted: Option<Counters>,
}

impl Contender {
    /// One that answers `target` with `length` bytes, and tells its counters if `counts`.
    pub fn new(process: Process, target: Target, length: usize, counts: bool) -> Self {
        Self {
            process,
            behind: None,
            target,
            probe: "/live",
            length,
            cpu: Vec::new(),
            cpu_behind: Duration::ZERO,
            elapsed: Duration::ZERO,
            latencies: Vec::new(),
            counted: counts.then(Counters::default),
        }
    }

    /// One that says elsewhere that it lives.
    pub fn at(self, probe: &'static str) -> Self {
        Self { probe, ..self }
    }

    /// One that asks `behind` for its answers, whose CPU is counted with its own.
    pub fn before(self, behind: Process) -> Self {
        Self { behind: Some(behind), ..self }
    }

    fn behind(&self) -> anyhow::Result<Duration> {
        self.behind.as_ref().map_or(Ok(Duration::ZERO), Process::cpu)
    }

    /// Answers for a while before anything is measured.
    pub async fn warm_up(&self, connections: usize, requests: usize) -> anyhow::Result<()> {
        let connections = Connections::open_at(self.process.address, self.probe, connections).await?;
        let silent = ProgressBar::hidden();
        connections.round(&self.target, requests, of_length(self.length), &silent).await?;
        Ok(())
    }

    pub async fn round(
        &mut self,
        connections: usize,
        requests: usize,
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
        let connections = Connections::open_at(self.process.address, self.probe, connections).await?;
        let counted_before = match &self.counted {
            Some(_) => Some(Counters::of(&self.process).await?),
            None => None,
        };
        let (cpu_before, behind_before) = (self.process.cpu()?, self.behind()?);
        let round = connections.round(&self.target, requests, of_length(self.length), bar).await?;
        let behind = self.behind()? - behind_before;
        let cpu = self.process.cpu()? - cpu_before + behind;
        self.cpu_behind += behind;
        if let (Some(counted), Some(before)) = (&mut self.counted, counted_before) {
            counted.add(Counters::of(&self.process).await?.since(&before));
        }
        ensure!(
            cpu >= LEAST_CPU,
            "too few requests: the kernel counts CPU in steps of 10 ms, and a round took less than two of them"
        );
        self.cpu.push(cpu / u32::try_from(requests).context("too many requests in a round")?);
        self.elapsed += round.elapsed;
        self.latencies.extend(round.latencies);
        Ok(())
    }

    /// What the rounds have measured; stops the process.
    pub async fn side(mut self) -> anyhow::Result<Side> {
        let side = self.measured()?;
        self.stop().await?;
        Ok(side)
    }

    pub async fn stop(self) -> anyhow::Result<()> {
        for process in [self.process].into_iter().chain(self.behind) {
            process.stop().await?;
        }
        Ok(())
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What the rounds have measured since this was asked the last time.
    pub fn measured(&mut self) -> anyhow::Result<Side> {
        let (cpu, latencies) = (take(&mut self.cpu), take(&mut self.latencies));
        let requests = latencies.len();
        let cpu_us_by_round: Vec<f64> = cpu.iter().map(|cpu| cpu.as_secs_f64() * 1e6).collect();
        Ok(Side {
            // The rounds are of one size, but for a request more or less.
            cpu_us_per_request: cpu_us_by_round.iter().sum::<f64>() / cpu_us_by_round.len() as f64,
            cpu_us_by_round,
            cpu_us_behind: take(&mut self.cpu_behind).as_secs_f64() * 1e6 / requests as f64,
            requests,
            requests_per_second: requests as f64 / take(&mut self.elapsed).as_secs_f64(),
            latency: Percentiles::of(latencies)?,
            resident_kib: self.process.resident_kib()?,
            counted: self.counted.as_mut().map(take),
        })
    }
}
