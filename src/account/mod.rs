//! Accounts: a person's hub.

pub mod event;
pub mod graphql;
mod service;
mod update;

pub use service::{NewProfile, create, fill, find_owner, link};
pub use update::{AccountUpdate, update};
