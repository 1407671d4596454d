//! The graph as SDL, for people and tools that pin it.

use async_graphql::SDLExportOptions;

use super::{AccountsSchema, AccountsSubgraph};

/// The public graph: what `schema/api.graphql` holds.
pub fn api(schema: &AccountsSchema) -> String {
    tidy(&schema.sdl_with_options(options()))
}

/// The graph as a Federation v2 subgraph: what `schema/accounts.graphql` holds.
pub fn subgraph(schema: &AccountsSubgraph) -> String {
    tidy(&schema.sdl_with_options(options().federation()))
}

fn options() -> SDLExportOptions {
    SDLExportOptions::new().sorted_fields().sorted_enum_items().sorted_arguments().include_specified_by()
}

/// One newline at the end, none before it on a line.
fn tidy(sdl: &str) -> String {
    let lines: Vec<_> = sdl.trim().lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}
