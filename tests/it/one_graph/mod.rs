//! The accounts graph and a platform team's subgraph as one graph.

mod apart;
mod changing;
mod crossing;
mod direct;
mod following;
mod guards;
mod hostile;
mod malformed;
mod subgraph;

use std::path::PathBuf;

use crate::support::{Place, TestApp};
use subgraph::Subgraph;

/// A server over the accounts graph and a subgraph.
async fn one_graph(place: &mut Place) -> (TestApp, Subgraph) {
    let subgraph = join(place).await;
    (place.app().await, subgraph)
}

/// Starts a subgraph, and has all servers of a place serve it.
async fn join(place: &mut Place) -> Subgraph {
    join_with(place, subgraph::SDL).await
}

/// The same with another schema.
async fn join_with(place: &mut Place, text: &str) -> Subgraph {
    let subgraph = Subgraph::start().await;
    let sdl = sdl_file(place);
    std::fs::write(&sdl, text).unwrap();
    place.set("ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__SDL", sdl.display());
    place.set("ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__PLATFORMS", "whatsapp");
    // A machine that is busy plans slowly, and what is too slow is not what is tested here.
    place.set("ACCOUNTS__GATEWAY__PLANS__MILLISECONDS", 20_000);
    place.set("ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__URL", format!("{}/graphql", subgraph.url));
    place.set("ACCOUNTS__GATEWAY__SUBGRAPHS__EXTRA__SUBSCRIPTIONS_URL", format!("{}/ws", subgraph.url));
    subgraph
}

/// Where the schema of the subgraph is.
fn sdl_file(place: &Place) -> PathBuf {
    place.folder.path().join("extra.graphql")
}
