//! Subgraphs for the tests of this folder.

use std::collections::BTreeSet;

use super::{Composed, Composing, LOOKING, Other, Problems, STACK, SubgraphSdl, compose_here};

/// With federation 2 linked.
pub const FEDERATION: &str = r#"extend schema @link(url: "https://specs.apollo.dev/federation/v2.7", import: [
  "@key", "@external", "@shareable", "@override", "@provides", "@requires", "@extends", "@interfaceObject", "@inaccessible",
  "@tag", "@authenticated", "@requiresScopes", "@policy", "@composeDirective"
])
"#;

pub fn subgraph(name: &str, sdl: &str) -> SubgraphSdl {
    let sdl = if sdl.contains("@link") { sdl.to_owned() } else { format!("{FEDERATION}{sdl}") };
    SubgraphSdl { name: name.to_owned(), url: format!("http://{name}.test/"), sdl }
}

pub fn other(name: &str, sdl: &str) -> Other {
    Other { subgraph: subgraph(name, sdl), may_change: BTreeSet::new() }
}

/// On a stack as large as there is in service.
pub fn compose(composing: Composing) -> Result<Composed, Problems> {
    let thread = std::thread::Builder::new().stack_size(STACK);
    thread.spawn(move || compose_here(composing, LOOKING)).unwrap().join().unwrap()
}

/// Subgraphs none of which owns anything.
pub fn composed(subgraphs: &[(&str, &str)]) -> Result<Composed, Problems> {
    compose(Composing { owner: None, others: subgraphs.iter().map(|(name, sdl)| other(name, sdl)).collect() })
}

/// What is told of them, line by line.
pub fn refused(subgraphs: &[(&str, &str)]) -> Vec<String> {
    composed(subgraphs).unwrap_err().lines()
}
