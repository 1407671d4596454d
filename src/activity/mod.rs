//! An account's activity: what is kept of its events when they are purged, for the person and for audits.
//!
//! It is written by the store, with the events themselves, and never changed.

mod description;
pub mod graphql;
mod loader;
mod service;

pub use loader::Activities;
