//! What operators count, for Prometheus (OpenMetrics 1.0 text).

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Wire;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Layer {
    layer: &'static str,
}

/// All that is counted, as it is now.
pub(super) async fn metrics(State(wire): State<Wire>) -> impl IntoResponse {
    let mut text = String::new();
    // It fails only where text cannot be written to a string.
    let _ = encode(&mut text, &registry(&wire));
    ([(header::CONTENT_TYPE, OPEN_METRICS)], text)
}

/// The numbers are kept where they arise; here they get their names.
fn registry(wire: &Wire) -> Registry {
    let mut registry = Registry::with_prefix("accounts_center");
    let counts = wire.app.graphs.counts();
    let reads = Family::<Layer, prometheus_client::metrics::counter::Counter>::default();
    for (layer, count) in counts.by_layer() {
        reads.get_or_create(&Layer { layer }).inc_by(count);
    }
    registry.register("link_graph_reads", "Reads of a link graph, by the layer that answered", reads);
    let statements = prometheus_client::metrics::counter::Counter::<u64>::default();
    statements.inc_by(wire.app.store.db().statements());
    registry.register("statements", "Statements sent to the database", statements);
    let mut gauge = |name: &str, help: &str, value: usize| {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    };
    gauge("sockets", "Open WebSockets", wire.sockets.len());
    gauge("streams_followed", "Streams that have a subscriber here", wire.app.store.followed());
    let hears = wire.app.store.bus_health().unbroken().is_some();
    gauge("bus_heard", "1 while hints of other replicas arrive", usize::from(hears));
    registry
}
