//! The federations that operations are drawn over.

use super::draw::Tape;
use super::split;
use crate::gateway::federation::Federation;
use crate::gateway::rows::Rows;
use crate::gateway::{abstracts, aliases, inaccessible, interface_object, keys, provides, requires, shop};

/// Its values come of what a subgraph is told, so none of them is lost by chance.
pub const REQUIRING: &str = "requires";

/// What else is in `tests/federation/`.
pub const NAMES: [&str; 7] =
    ["abstracts", "inaccessible", "interfaceobject", "keys", "mismatches", "provides", "shop"];

/// A federation by its name, with some of its values lost, or one that is dealt out for this run.
pub async fn federation(name: &str, tape: &mut Tape<'_>) -> Federation {
    let minds = tape.once_in(2);
    if name == "split" {
        let schemas = split::schemas(tape);
        let rows = split::rows(tape);
        return Federation::of(schemas, rows.clone(), (minds, |_: &str| rows.clone())).await;
    }
    if name == REQUIRING {
        return Federation::with(name, requires::whole(), |_| requires::rows()).await;
    }
    let rows = known(name).losing(|ty, field| {
        let is_key = ["id", "upc", "sku", "chip", "product", "size", "number", "label"].contains(&field);
        !is_key && ty != "Query" && tape.once_in(8)
    });
    Federation::minding(name, rows.clone(), (minds, |_: &str| rows.clone())).await
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
