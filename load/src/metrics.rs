//! What a server has counted, as `/metrics` tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Serialize;

use crate::server::Process;

/// Statements sent to the database.
pub const STATEMENTS: &str = "statements";
const PREFIX: &str = "accounts_center_";

/// The counters of a server at one moment, or what they have grown by; their names are short, with the values of
/// their labels behind them, as in `link_graph_reads near`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Counters(BTreeMap<String, u64>);

impl Counters {
    /// As they are now.
    pub async fn of(server: &Process) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        let answer = http.get(format!("http://{}/metrics", server.address)).send().await?;
        let text = answer.error_for_status()?.text().await?;
        let counters = Self::parse(&text).context("/metrics has an unknown form")?;
        ensure!(counters.0.contains_key(STATEMENTS), "/metrics does not count statements");
        Ok(counters)
    }

    /// Of several servers together.
    pub async fn of_all(servers: &[Process]) -> anyhow::Result<Self> {
        let mut sum = Self::default();
        for server in servers {
            sum.add(Self::of(server).await?);
        }
        Ok(sum)
    }

    /// Reads the counters out of OpenMetrics text; gauges are left out.
    fn parse(text: &str) -> Option<Self> {
        let mut counters = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (metric, value) = line.rsplit_once(' ')?;
            let (name, labels) = metric.split_once('{').unwrap_or((metric, ""));
            let Some(name) = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix("_total")) else {
                continue;
            };
            // Between the quotes: `layer="near"`.
            let labels = labels.split('"').skip(1).step_by(2);
            let name = std::iter::once(name).chain(labels).collect::<Vec<_>>().join(" ");
            counters.insert(name, value.parse().ok()?);
        }
        Some(Self(counters))
    }

    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// Link graphs that this layer gave: `near`, `checked`, `redis` or `database`.
    pub fn reads(&self, layer: &str) -> u64 {
        self.get(&format!("link_graph_reads {layer}"))
    }

    /// Link graphs that were read without waiting for somebody else's reading.
    pub fn all_reads(&self) -> u64 {
        ["near", "checked", "redis", "database"].iter().map(|layer| self.reads(layer)).sum()
    }

    /// How much they have grown since they were `before`.
    pub fn since(&self, before: &Self) -> Self {
        let grown = |(name, now): (&String, &u64)| (name.clone(), now.saturating_sub(before.get(name)));
        Self(self.0.iter().map(grown).collect())
    }

    pub fn add(&mut self, other: Self) {
        for (name, count) in other.0 {
            *self.0.entry(name).or_default() += count;
        }
    }
}

/// The names of what moved in any part of a run, and always that of statements.
pub fn moved<'a>(parts: impl IntoIterator<Item = &'a Counters>) -> BTreeSet<&'a str> {
    let counted = parts.into_iter().flat_map(|part| &part.0);
    let names = counted.filter(|(_, count)| **count > 0).map(|(name, _)| name.as_str());
    names.chain([STATEMENTS]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# HELP accounts_center_link_graph_reads Reads of a link graph.
# TYPE accounts_center_link_graph_reads counter
accounts_center_link_graph_reads_total{layer=\"near\"} 7
accounts_center_link_graph_reads_total{layer=\"redis\"} 0
# TYPE accounts_center_statements counter
accounts_center_statements_total 12
# TYPE accounts_center_sockets gauge
accounts_center_sockets 3
# EOF
";

    #[test]
    fn counters_are_found_among_gauges_and_comments() {
        let counters = Counters::parse(TEXT).unwrap();
        assert_eq!(counters.reads("near"), 7);
        assert_eq!(counters.get(STATEMENTS), 12);
        assert_eq!(counters.get("sockets"), 0);
        assert_eq!(Counters::parse("accounts_center_statements_total many"), None);
    }

    #[test]
    fn only_what_moved_is_told_and_statements_always() {
        let before = Counters::parse(TEXT).unwrap();
        let mut now = before.clone();
        assert_eq!(moved([&now.since(&before)]).into_iter().collect::<Vec<_>>(), [STATEMENTS]);
        now.add(Counters::parse("accounts_center_link_graph_reads_total{layer=\"redis\"} 2").unwrap());
        let grown = now.since(&before);
        assert_eq!((grown.reads("redis"), grown.reads("near"), grown.all_reads()), (2, 0, 2));
        assert_eq!(moved([&grown]).into_iter().collect::<Vec<_>>(), ["link_graph_reads redis", STATEMENTS]);
    }
}
