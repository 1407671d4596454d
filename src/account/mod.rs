//! Accounts: a person's hub.

pub mod event;
pub mod graphql;
mod service;
pub mod subscription;
mod update;

pub use service::{NewProfile, create, fill, find_owner, link};
pub use update::{AccountUpdate, update};
