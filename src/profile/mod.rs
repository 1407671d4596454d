//! Linked profiles, as nodes of the graph.

pub mod graphql;
