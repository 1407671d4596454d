//! `@override(label:)`: fields on their way from one subgraph to another, for some requests and not for others.

use std::collections::BTreeSet;

use axum::http::{HeaderMap, HeaderName};
use hive_router_query_planner::graph::PlannerOverrideContext;
use hive_router_query_planner::state::supergraph_state::ProgressiveOverrides;

/// A whole as the planner counts parts of it.
const WHOLE: u64 = 100 * 100_000_000;

/// Which labels hold for one request. Two requests with the same ones have the same plans.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Overrides {
    flags: BTreeSet<String>,
    /// Percentages above this hold.
    part: u64,
}

impl Overrides {
    /// For a request whose header `name` lists labels, and that chance has put at `chance` in the whole.
    pub fn of(
        known: &ProgressiveOverrides,
        name: Option<&HeaderName>,
        headers: &HeaderMap,
        chance: u64,
    ) -> Self {
        let values = name.into_iter().flat_map(|name| headers.get_all(name));
        let labels = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        // Others would only make plans that differ in nothing.
        let flags = labels.map(str::trim).filter(|label| known.flags.contains(*label)).map(str::to_owned);
        let at = chance % WHOLE;
        let part = known.percentages.iter().copied().filter(|percentage| *percentage <= at).max();
        Self { flags: flags.collect(), part: part.unwrap_or_default() }
    }

    /// With more labels, which the caller has by claim.
    pub fn with<'a>(mut self, known: &ProgressiveOverrides, labels: impl Iterator<Item = &'a str>) -> Self {
        self.flags.extend(labels.filter(|label| known.flags.contains(*label)).map(str::to_owned));
        self
    }

    pub fn context(&self) -> PlannerOverrideContext {
        PlannerOverrideContext::new(self.flags.iter().cloned().collect(), self.part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_with_the_same_labels_are_the_same() {
        let known = ProgressiveOverrides {
            flags: ["new".to_owned()].into(),
            percentages: [25 * WHOLE / 100, 75 * WHOLE / 100].into(),
        };
        let name = HeaderName::from_static("x-labels");
        let of = |labels: &str, percent: u64| {
            let mut headers = HeaderMap::new();
            headers.insert(name.clone(), labels.parse().unwrap());
            Overrides::of(&known, Some(&name), &headers, percent * WHOLE / 100)
        };
        assert_eq!(of("new, unknown", 10), of("new", 24));
        assert_eq!(of("", 25), of("unknown", 74));
        assert_ne!(of("", 24), of("", 25));
        assert_ne!(of("", 74), of("", 75));
        assert_ne!(of("new", 0), of("", 0));
        assert_eq!(of("", 100), of("", 0), "a whole is none again");
        let by_claim = |labels: &[&'static str]| of("", 0).with(&known, labels.iter().copied());
        assert_eq!(by_claim(&["new", "unknown"]), of("new", 0));
        assert_eq!(by_claim(&["unknown"]), of("", 0));
    }
}
