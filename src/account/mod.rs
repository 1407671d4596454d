//! Accounts: a person's hub.

pub mod event;
pub mod graphql;
mod service;

pub use service::{NewProfile, create, fill, find_owner, link};
