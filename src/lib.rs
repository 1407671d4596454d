//! The Accounts Center: the hub where a person links their profiles, as one GraphQL graph.
//!
//! `ARCHITECTURE.md` has the map.

pub mod account;
pub mod activity;
pub mod app;
pub mod bus;
pub mod cache;
pub mod clock;
pub mod command;
pub mod config;
mod demo;
mod endings;
pub mod error;
mod example;
pub mod gateway;
pub mod graph;
pub mod housekeeping;
pub mod http;
pub mod ids;
pub mod keys;
pub mod limits;
pub mod link_graph;
pub mod passkey;
pub mod platform;
pub mod profile;
pub mod sandbox;
pub mod schema_check;
pub mod security;
pub mod seed;
pub mod session;
mod shutdown;
pub mod store;
pub mod switches;
mod telemetry;
mod tls;
mod trace;
pub mod verification;
