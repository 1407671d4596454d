//! What operators count of the gateway.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::subgraph::Failure;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    subgraph: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSubgraph {
    subgraph: String,
}

/// How a plan came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planned {
    /// By its text; or somebody was at it.
    Known,
    /// Another text means the same.
    SameOperation,
    Made,
    Refused,
}

impl Planned {
    fn name(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::SameOperation => "same_operation",
            Self::Made => "made",
            Self::Refused => "refused",
        }
    }
}

/// The numbers, kept where they are read.
pub struct Metrics {
    registry: Registry,
    operations: Family<Outcome, Counter>,
    plans: Family<Outcome, Counter>,
    calls: Family<CallLabels, Counter>,
    seconds: Family<OfSubgraph, Histogram>,
    loads: Family<Outcome, Counter>,
    is_refused: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("accounts_center_gateway");
        let metrics = Self {
            operations: Family::default(),
            plans: Family::default(),
            calls: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 14))),
            loads: Family::default(),
            is_refused: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("operations", "Operations of clients", metrics.operations.clone());
        registry.register("plans", "Plans that were asked for", metrics.plans.clone());
        registry.register(
            "subgraph_calls",
            "Calls of subgraphs, tries of one call counted once",
            metrics.calls.clone(),
        );
        let help = "How long calls of subgraphs took";
        registry.register_with_unit("subgraph_call_duration", help, Unit::Seconds, metrics.seconds.clone());
        registry.register("supergraph_loads", "Supergraphs that were read", metrics.loads.clone());
        let help = "1 while the newest supergraph is refused and the one before is served";
        registry.register("supergraph_refused", help, metrics.is_refused.clone());
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// Counts a client's operation.
    pub fn answered(&self, outcome: &'static str) {
        self.operations.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts a plan that was asked for.
    pub fn planned(&self, how: Planned) {
        self.plans.get_or_create(&Outcome { outcome: how.name() }).inc();
    }

    /// Counts a call of a subgraph.
    pub fn called(&self, subgraph: &str, outcome: Result<(), Failure>, took: Duration) {
        let outcome = outcome.map_or_else(Failure::name, |()| "answered");
        let subgraph = subgraph.to_owned();
        self.calls.get_or_create(&CallLabels { subgraph: subgraph.clone(), outcome }).inc();
        self.seconds.get_or_create(&OfSubgraph { subgraph }).observe(took.as_secs_f64());
    }

    /// Counts a supergraph that was read, and tells whether it is served.
    pub fn loaded(&self, is_served: bool) {
        let outcome = if is_served { "served" } else { "refused" };
        self.loads.get_or_create(&Outcome { outcome }).inc();
        self.is_refused.set(i64::from(!is_served));
    }

    /// Whether the newest supergraph is refused.
    pub fn is_refused(&self) -> bool {
        self.is_refused.get() != 0
    }

    /// All of it as text (OpenMetrics 1.0).
    pub fn text(&self) -> String {
        let mut text = String::new();
        // It fails only where text cannot be written to a string.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
