//! The federations that operations are drawn over.

use accounts_center::gateway::compose::{self, Composing, Other, SubgraphSdl};

use super::draw::Tape;
use super::split;
use crate::gateway::federation::{Federation, schemas};
use crate::gateway::rows::Rows;
use crate::gateway::{abstracts, aliases, inaccessible, interface_object, keys, provides, requires, shop};

/// Its values come of what a subgraph is told, so none of them is lost by chance.
pub const REQUIRING: &str = "requires";

/// What else is in `tests/federation/`.
pub const NAMES: [&str; 7] =
    ["abstracts", "inaccessible", "interfaceobject", "keys", "mismatches", "provides", "shop"];

/// A federation by its name, with some of its values lost, or one that is dealt out for this run. Behind `composed ` in its
/// name it is composed here, and not by another tool.
pub async fn federation(name: &str, tape: &mut Tape<'_>) -> Federation {
    let minds = tape.once_in(2);
    let composed = name.strip_prefix("composed ");
    let name = composed.unwrap_or(name);
    if name == "split" {
        let schemas = split::schemas(tape);
        let rows = split::rows(tape);
        return Federation::of(schemas, rows.clone(), (minds, |_: &str| rows.clone())).await;
    }
    if name == REQUIRING && composed.is_some() {
        let schemas = schemas(name);
        let supergraph = (compose(&schemas).await, schemas);
        return Federation::of(supergraph, requires::whole(), (false, |_: &str| requires::rows())).await;
    }
    if name == REQUIRING {
        return Federation::with(name, requires::whole(), |_| requires::rows()).await;
    }
    let rows = known(name).losing(|ty, field| {
        let is_key = ["id", "upc", "sku", "chip", "product", "size", "number", "label"].contains(&field);
        !is_key && ty != "Query" && tape.once_in(8)
    });
    let behaviour = (minds, |_: &str| rows.clone());
    if composed.is_some() {
        let schemas = schemas(name);
        let text = compose(&schemas).await;
        return Federation::of((text, schemas), rows.clone(), behaviour).await;
    }
    Federation::minding(name, rows.clone(), behaviour).await
}

/// The supergraph as the program composes it.
async fn compose(schemas: &[(String, String)]) -> String {
    let others = schemas.iter().map(|(name, sdl)| {
        let (name, url, sdl) = (name.clone(), format!("http://{name}.test/"), sdl.clone());
        Other { subgraph: SubgraphSdl { name, url, sdl }, ..Other::default() }
    });
    let composed = compose::compose(Composing { owner: None, others: others.collect() }).await;
    composed.unwrap_or_else(|problems| panic!("{problems}")).supergraph
}

/// What all of its subgraphs know together.
fn known(name: &str) -> Rows {
    match name {
        "abstracts" => abstracts::rows(),
        "inaccessible" => inaccessible::rows(),
        "interfaceobject" => interface_object::rows(),
        "keys" => keys::rows(),
        "mismatches" => aliases::rows(),
        "provides" => provides::rows(),
        "shop" => shop::table(),
        other => panic!("there is no federation {other}"),
    }
}
