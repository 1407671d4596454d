//! How a run tells its results: a table for people, JSON for machines, bars while it goes.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

#[derive(clap::Args)]
pub struct ReportOptions {
    /// Write the results to this file as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A number from DESIGN.md beside the one that came out. Missing it is a result, not a failure.
#[derive(Serialize)]
pub struct Goal {
    pub at_most: f64,
    pub value: f64,
    pub met: bool,
}

impl Goal {
    pub fn at_most(at_most: f64, value: f64) -> Self {
        Self { at_most, value, met: value <= at_most }
    }

    pub fn verdict(&self) -> String {
        let word = if self.met { "met" } else { "missed" };
        format!("at most {}: {word}", self.at_most)
    }
}

/// Exact percentiles of times in µs. They may be negative, which rules a histogram out: an event can
/// be here before the answer to the request that caused it.
#[derive(Serialize)]
pub struct Percentiles {
    pub p50_us: i64,
    pub p99_us: i64,
    pub max_us: i64,
}

impl Percentiles {
    /// Of at least one time.
    pub fn of(mut times: Vec<i64>) -> anyhow::Result<Self> {
        times.sort_unstable();
        let max_us = *times.last().context("nothing was measured")?;
        // Nearest rank: the smallest time that at least `percent` of all do not exceed.
        let rank = |percent: usize| times[(times.len() * percent).div_ceil(100) - 1];
        Ok(Self { p50_us: rank(50), p99_us: rank(99), max_us })
    }
}

/// The machine that the numbers belong to.
#[derive(Serialize)]
pub struct Machine {
    pub cpus: usize,
    pub model: String,
}

impl Machine {
    pub fn this() -> anyhow::Result<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
        let model = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map_or("unknown", |(_, model)| model.trim());
        Ok(Self { cpus: std::thread::available_parallelism()?.get(), model: model.to_owned() })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client and servers share {} CPUs, {}", self.cpus, self.model)
    }
}

/// An empty table with these column heads; all but the first column is aligned to the right.
pub fn table(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(heads);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

impl ReportOptions {
    /// Prints the table to stdout, under a line about the circumstances, and writes the JSON file.
    pub fn publish(&self, about: &str, table: &Table, results: &impl Serialize) -> anyhow::Result<()> {
        println!("{about}\n\n{table}");
        match &self.json {
            Some(path) => write_json(path, results),
            None => Ok(()),
        }
    }
}

fn write_json(path: &Path, results: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(results)?;
    text.push('\n');
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// A bar on stderr, which shows only where that is a terminal.
pub fn bar(what: &'static str, steps: usize) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{msg:24} {wide_bar} {pos}/{len} {elapsed}")?;
    Ok(ProgressBar::new(u64::try_from(steps)?).with_style(style).with_message(what))
}

/// µs for people: `840 µs`, `12.3 ms`, `-1.20 ms`.
pub fn time(us: i64) -> String {
    let ms = us as f64 / 1000.0;
    match us.abs() {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{ms:.2} ms"),
        _ => format!("{ms:.1} ms"),
    }
}

/// How many came to one, for people: `0.002`.
pub fn per(count: u64, each: usize) -> String {
    format!("{:.3}", count as f64 / each as f64)
}

/// KiB for people, in MiB.
pub fn memory(kib: u64) -> String {
    format!("{:.1} MiB", kib as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::Percentiles;

    #[test]
    fn percentiles_are_nearest_ranks_and_may_be_negative() {
        let Percentiles { p50_us, p99_us, max_us } = Percentiles::of((-50..=149).rev().collect()).unwrap();
        assert_eq!((p50_us, p99_us, max_us), (49, 147, 149));
        let one = Percentiles::of(vec![-3]).unwrap();
        assert_eq!((one.p50_us, one.p99_us, one.max_us), (-3, -3, -3));
        assert!(Percentiles::of(Vec::new()).is_err());
    }
}
