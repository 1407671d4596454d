//! The timing run: whether the time of an answer tells a known handle from an unknown one (S11).
//!
//! Both are asked for one after the other over one connection, in pairs of random order, so that whatever else the machine
//! does falls on both. What counts is how often the known one of two random answers took longer: 0.5 tells nothing.

use std::time::Instant;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

use crate::client::Api;
use crate::count::count;
use crate::proof;
use crate::report::{self, Goal, Machine, Percentiles, ReportOptions};
use crate::stack::{ServerOptions, Stack};

/// How far from 0.5 the share may be: with 5,000 pairs chance alone keeps it within 0.012 in 95 of 100 runs.
const GOAL: f64 = 0.02;
const WARM_UP: usize = 200;
/// Handles of each kind, so that none is asked for too often.
const HANDLES: usize = 100;
const SEED: u64 = 1;

#[derive(clap::Args)]
pub struct Options {
    /// How many handles of each kind are tried
    #[arg(long, default_value_t = 5_000, value_parser = count(100..=100_000))]
    tries: usize,
    #[command(flatten)]
    report: ReportOptions,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Serialize)]
struct Results {
    run: &'static str,
    stack: &'static str,
    machine: Machine,
    tries: usize,
    operations: Vec<Compared>,
}

#[derive(Serialize)]
struct Compared {
    operation: &'static str,
    known: Percentiles,
    unknown: Percentiles,
    /// Of all pairs of a known and an unknown one, the share in which the known one took longer.
    known_longer: f64,
    distance_from_half: Goal,
}

/// What is asked for.
#[derive(Clone, Copy)]
enum Operation<'a> {
    SignIn,
    Link { token: &'a str },
}

impl Operation<'_> {
    fn name(self) -> &'static str {
        match self {
            Self::SignIn => "startSignIn",
            Self::Link { .. } => "startProfileLink",
        }
    }

    /// Gives the time of the answer in µs.
    async fn time(self, api: &Api, handle: &str, number: usize) -> anyhow::Result<i64> {
        let begin = Instant::now();
        match self {
            Self::SignIn => drop(proof::start_sign_in(api, handle).await?),
            Self::Link { token } => {
                drop(proof::start_link(api, token, (handle, &format!("timing {number}"))).await?);
            }
        }
        Ok(i64::try_from(begin.elapsed().as_micros())?)
    }
}

pub async fn run(options: Options) -> anyhow::Result<()> {
    let results = options.server.run(async |stack| measure(&options, stack).await).await?;
    let mut table =
        report::table(&["operation", "known p50 / p99", "unknown p50 / p99", "known longer", "goal"]);
    for Compared { operation, known, unknown, known_longer, distance_from_half } in &results.operations {
        let times =
            |times: &Percentiles| format!("{} / {}", report::time(times.p50_us), report::time(times.p99_us));
        table.add_row([
            (*operation).to_owned(),
            times(known),
            times(unknown),
            format!("{known_longer:.4}"),
            format!("0.5, {}", distance_from_half.verdict()),
        ]);
    }
    let about = format!("{} tries of each, {}; {}", results.tries, results.stack, results.machine);
    options.report.publish(&about, &table, &results)
}

async fn measure(options: &Options, stack: &Stack<'_>) -> anyhow::Result<Results> {
    let server = stack.server("server", &[]).await?;
    let api = stack.api(&server)?;
    let token = proof::sign_up(&api).await?;
    let mut known = Vec::new();
    for _ in 0..HANDLES {
        known.push(api.phones.add_profile().await?);
    }
    let unknown: Vec<String> = (0..HANDLES).map(|n| format!("+49301{n:07}")).collect();
    let mut operations = Vec::new();
    for operation in [Operation::SignIn, Operation::Link { token: &token }] {
        operations.push(compare(&api, operation, (&known, &unknown), options.tries).await?);
    }
    server.stop().await?;
    let (stack, machine) = (options.server.stack(), Machine::this()?);
    Ok(Results { run: "timing", stack, machine, tries: options.tries, operations })
}

async fn compare(
    api: &Api,
    operation: Operation<'_>,
    (known, unknown): (&[String], &[String]),
    tries: usize,
) -> anyhow::Result<Compared> {
    let mut random = StdRng::seed_from_u64(SEED);
    let (mut times, mut number) = ([Vec::new(), Vec::new()], 0);
    let bar = report::bar(operation.name(), tries)?;
    for pair in 0..WARM_UP + tries {
        let known_first = random.random_bool(0.5);
        for is_known in [known_first, !known_first] {
            let handles = if is_known { known } else { unknown };
            number += 1;
            let time = operation.time(api, &handles[pair % handles.len()], number).await?;
            if pair >= WARM_UP {
                times[usize::from(!is_known)].push(time);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let [known, unknown] = times;
    let known_longer = share_longer(&known, &unknown);
    Ok(Compared {
        operation: operation.name(),
        distance_from_half: Goal::at_most(GOAL, (known_longer - 0.5).abs()),
        known: Percentiles::of(known)?,
        unknown: Percentiles::of(unknown)?,
        known_longer,
    })
}

/// Of all pairs of one of `a` and one of `b` the share in which that of `a` is longer; equal ones count half (the
/// statistic of Mann and Whitney, divided by the number of pairs).
fn share_longer(a: &[i64], b: &[i64]) -> f64 {
    let mut sorted = b.to_vec();
    sorted.sort_unstable();
    let halves: usize = a
        .iter()
        .map(|time| {
            let shorter = sorted.partition_point(|other| other < time);
            let not_longer = sorted.partition_point(|other| other <= time);
            shorter + not_longer
        })
        .sum();
    halves as f64 / 2.0 / (a.len() * b.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_longer_is_seen() {
        assert_eq!(share_longer(&[1, 2, 3], &[1, 2, 3]), 0.5);
        assert_eq!(share_longer(&[4, 5], &[1, 2, 3]), 1.0);
        assert_eq!(share_longer(&[1, 1], &[2]), 0.0);
        assert_eq!(share_longer(&[2, 4], &[1, 3]), 0.75);
    }
}
