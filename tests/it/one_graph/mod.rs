//! The accounts graph and a platform team's subgraph as one graph.

pub mod apart;
mod changing;
mod cookies;
mod crossing;
mod direct;
mod following;
mod guards;
mod hidden;
mod hostile;
mod malformed;
mod moving;
mod planning;
mod subgraph;
mod upstream;
mod without;

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
    join_as(place, text, Subgraph::start().await)
}

fn join_as(place: &mut Place, text: &str, subgraph: Subgraph) -> Subgraph {
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

/// The schema of a second subgraph that has more of profiles.
fn more(fields: &str) -> String {
    format!(
        "extend schema @link(url: \"https://specs.apollo.dev/federation/v2.7\", import: [\"@key\", \"@override\"])
        type LinkedProfile @key(fields: \"platformKey externalId\") {{ platformKey: PlatformKey! externalId: String! {fields} }}
        scalar PlatformKey"
    )
}

/// Adds a subgraph `more` with this schema, which answers each representation with `entity`.
async fn join_more(place: &mut Place, text: &str, entity: serde_json::Value) -> Subgraph {
    let subgraph = Subgraph::start().await;
    subgraph.answer_instead(serde_json::json!({ "data": { "_entities": [entity] } }));
    let sdl = place.folder.path().join("more.graphql");
    std::fs::write(&sdl, text).unwrap();
    place.set("ACCOUNTS__GATEWAY__SUBGRAPHS__MORE__SDL", sdl.display());
    place.set("ACCOUNTS__GATEWAY__SUBGRAPHS__MORE__PLATFORMS", "whatsapp");
    place.set("ACCOUNTS__GATEWAY__SUBGRAPHS__MORE__URL", format!("{}/graphql", subgraph.url));
    subgraph
}

/// Where the schema of the subgraph is.
fn sdl_file(place: &Place) -> PathBuf {
    place.folder.path().join("extra.graphql")
}
