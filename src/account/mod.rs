//! Accounts: a person's hub.

pub mod event;
pub mod graphql;
mod service;
pub mod subscription;

pub use service::{NewProfile, create, fill, find_owner, link};
