//! How the federation run tells its results.

use super::contenders::Shared;
use super::{Measured, Results};
use crate::report;

/// The goals of DESIGN.md: milliseconds of CPU per request with nothing, calls and queries shared.
const CPU_GOALS: [(Shared, f64); 3] =
    [(Shared::Nothing, 0.95), (Shared::SubgraphCalls, 0.52), (Shared::ClientQueries, 0.07)];
/// Requests per second over one connection.
const ONE_CONNECTION: f64 = 450.0;
const MEMORY_MIB: f64 = 40.0;
const CALLS: usize = 7;
const WAVES: usize = 4;

pub fn about(results: &Results) -> String {
    let Results { requests, connections, machine, answer_bytes, .. } = results;
    format!(
        "federation: {requests} requests to each over {connections} connections, then {} over one; answers of \
         {answer_bytes} bytes; {machine}",
        requests / 2
    )
}

pub fn table(results: &Results) -> comfy_table::Table {
    let mut table = report::table(&[
        "over",
        "gateway",
        "shared",
        "CPU per request",
        "in the rounds",
        "times the proxy",
        "requests/s",
        "p50",
        "p99",
        "memory",
        "calls per request",
    ]);
    for (over, rows) in [(results.connections, &results.many), (1, &results.one)] {
        let limit = rows.first().map_or(f64::NAN, |proxy| proxy.side.cpu_us_per_request);
        for Measured { gateway, shared, side, calls_per_request } in rows {
            let rounds = || side.cpu_us_by_round.iter().copied();
            let (low, high) = (rounds().fold(f64::INFINITY, f64::min), rounds().fold(0.0, f64::max));
            table.add_row([
                over.to_string(),
                (*gateway).to_owned(),
                (*shared).to_owned(),
                format!("{:.3} ms", side.cpu_us_per_request / 1e3),
                format!("{:.3} to {:.3}", low / 1e3, high / 1e3),
                format!("{:.1}", side.cpu_us_per_request / limit),
                format!("{:.0}", side.requests_per_second),
                report::time(side.latency.p50_us),
                report::time(side.latency.p99_us),
                report::memory(side.resident_kib),
                format!("{calls_per_request:.2}"),
            ]);
        }
    }
    let mut goal = |what: String, verdict: String| {
        table.add_row(["goal".to_owned(), what, verdict]);
    };
    for (shared, most) in CPU_GOALS {
        let of = |gateway: &str| {
            let mut rows = results.many.iter();
            rows.find(|row| row.gateway == gateway && row.shared == shared.name())
                .map(|row| row.side.cpu_us_per_request / 1e3)
        };
        let Some(ours) = of("accounts-center") else { continue };
        goal(format!("{}, CPU", shared.name()), verdict(ours < most, format!("{ours:.3} ms, under {most}")));
        if let Some(peer) = of("Hive Router") {
            let ratio = ours / peer;
            let told = format!("{ratio:.2} of Hive Router's, under 1");
            goal(format!("{}, ratio", shared.name()), verdict(ratio < 1.0, told));
        }
        // Where Hive Router is not to be had, this stands for it.
        if let Some(apollo) = of("@apollo/gateway") {
            let ratio = ours / apollo;
            let told = format!("{ratio:.3} of @apollo/gateway's, under 0.07");
            goal(format!("{}, ratio", shared.name()), verdict(ratio < 0.07, told));
        }
    }
    let own = |rows: &[Measured]| {
        let mut rows = rows.iter();
        rows.find(|row| row.gateway == "accounts-center")
            .map(|row| (row.side.requests_per_second, row.side.resident_kib))
    };
    if let Some((per_second, _)) = own(&results.one) {
        let told = format!("{per_second:.0}/s, above {ONE_CONNECTION:.0}");
        goal("one connection".to_owned(), verdict(per_second > ONE_CONNECTION, told));
    }
    if let Some((_, kib)) = own(&results.many) {
        let mib = kib as f64 / 1024.0;
        goal("memory".to_owned(), verdict(mib < MEMORY_MIB, format!("{mib:.1} MiB, under {MEMORY_MIB:.0}")));
    }
    let calls = &results.calls;
    let told = format!("{} calls in {} waves, at most {CALLS} in {WAVES}", calls.count, calls.waves);
    goal("subgraph calls".to_owned(), verdict(calls.count <= CALLS && calls.waves <= WAVES, told));
    table
}

fn verdict(is_met: bool, told: String) -> String {
    format!("{told}: {}", if is_met { "met" } else { "missed" })
}
