//! What operators count, for Prometheus (OpenMetrics 1.0 text).

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::operating::Process;
use crate::store::Backlog;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Layer {
    layer: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Switch {
    kind: String,
    key: String,
}

/// All that is counted, as it is now.
pub(super) async fn metrics(State(process): State<Process>) -> impl IntoResponse {
    let works = process.app.config.jobs.concurrency > 0;
    let backlog = if works { process.backlog.look(&process.app.store).await } else { None };
    let mut text = String::new();
    // It fails only where text cannot be written to a string.
    let _ = encode(&mut text, &registry(&process, backlog));
    if let Some(gateway) = &process.gateway {
        // One text, with one end.
        text.truncate(text.trim_end().trim_end_matches("# EOF").len());
        text.push_str(&gateway.metrics().text());
    }
    ([(header::CONTENT_TYPE, OPEN_METRICS)], text)
}

/// The numbers are kept where they arise; here they get their names.
fn registry(process: &Process, backlog: Option<Backlog>) -> Registry {
    let store = &process.app.store;
    let mut registry = Registry::with_prefix("accounts_center");
    let counts = process.app.graphs.counts();
    let reads = Family::<Layer, prometheus_client::metrics::counter::Counter>::default();
    for (layer, count) in counts.by_layer() {
        reads.get_or_create(&Layer { layer }).inc_by(count);
    }
    registry.register("link_graph_reads", "Reads of a link graph, by the layer that answered", reads);
    let statements = prometheus_client::metrics::counter::Counter::<u64>::default();
    statements.inc_by(store.db().statements());
    registry.register("statements", "Statements sent to the database", statements);
    let switched_off = Family::<Switch, Gauge>::default();
    for row in process.app.switches.off().iter() {
        switched_off.get_or_create(&Switch { kind: row.kind.clone(), key: row.key.clone() }).set(1);
    }
    registry.register("switched_off", "1 for what an operator has switched off", switched_off);
    let mut gauge = |name: &str, help: &str, value: i64| {
        let gauge = Gauge::<i64>::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    };
    if let Some(sockets) = &process.sockets {
        gauge("sockets", "Open WebSockets", as_count(sockets.len()));
        gauge("streams_followed", "Streams that have a subscriber here", as_count(store.followed()));
        let hears = store.bus_health().unbroken().is_some();
        gauge("bus_heard", "1 while hints of other replicas arrive", i64::from(hears));
    }
    if let Some(Backlog { due, dead, oldest }) = backlog {
        gauge("jobs_due", "Jobs of all processes whose time has come, counted up to 10000", due);
        gauge("jobs_dead", "Jobs of all processes that failed for good, counted up to 10000", dead);
        gauge("jobs_oldest_due_seconds", "For how long the first due job has been due", oldest.num_seconds());
    }
    registry
}

fn as_count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
