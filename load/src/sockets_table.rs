//! How the sockets run tells its results.

use crate::change::Event;
use crate::metrics;
use crate::plan::Plan;
use crate::report::{self, Goal, Percentiles};
use crate::sockets::Results;

pub fn about(results: &Results) -> String {
    let Results { plan: Plan { replicas, sockets, accounts, commits }, .. } = results;
    let Results { machine, stack, events, event, rate, .. } = results;
    let pace = match rate {
        Some(rate) => format!("{rate} per second"),
        None => "one by one".to_owned(),
    };
    let followed = match event {
        Event::Account => "accountEvents",
        Event::Link => "linkStatusChanged",
        Event::Completed => "accountEvents with a field of a subgraph",
        Event::Told => "loadTold of a subgraph",
    };
    format!(
        "sockets: {sockets} on {followed} of {accounts} accounts over {replicas} replica(s), {commits} commits \
         {pace}, {events} events; {stack}; {machine}"
    )
}

pub fn table(results: &Results) -> comfy_table::Table {
    let mut table = report::table(&["", "result", "goal"]);
    let Results { without_sockets, with_sockets, kib_per_subscription, plan, .. } = results;
    let mut row = |what: &str, result: String, goal: String| {
        table.add_row([what.to_owned(), result, goal]);
    };
    let none = String::new;
    row("memory at 0 sockets", report::memory(without_sockets.resident_kib), none());
    row("memory with all, idle", report::memory(with_sockets.resident_kib), none());
    row(
        "KiB per idle subscription",
        format!("{:.2}", kib_per_subscription.value),
        kib_per_subscription.verdict(),
    );
    row("files open at 0 sockets", without_sockets.descriptors.to_string(), none());
    row("files open with all", with_sockets.descriptors.to_string(), none());
    row("sockets opened per second", format!("{:.0}", results.opened_per_second), none());
    if let Some(rate) = results.rate {
        row("commits per second", format!("{:.1} of {rate}", results.commits_per_second), none());
    }
    for (from, delay) in [
        ("request sent → answer", &results.commit_latency),
        ("request sent → event", &results.delay_from_request),
        ("answer here → event", &results.delay_from_answer),
    ] {
        let Percentiles { p50_us, p99_us, max_us } = *delay;
        for (name, us) in [("p50", p50_us), ("p99", p99_us), ("max", max_us)] {
            row(&format!("{from}, {name}"), report::time(us), none());
        }
    }
    if let Some(delay) = &results.delay {
        row("goal: request sent → event, p99 in ms", format!("{:.1}", delay.value), Goal::verdict(delay));
    }
    for name in metrics::moved([&results.counted]) {
        row(&format!("{name} per commit"), report::per(results.counted.get(name), plan.commits), none());
    }
    table
}
