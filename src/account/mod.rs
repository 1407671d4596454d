//! Accounts: a person's hub.

mod dismissal;
pub mod event;
pub mod graphql;
mod service;
pub mod subscription;
pub mod suggestion;
mod update;

pub use dismissal::{Dismissals, dismiss};
pub use service::{NewProfile, create, fill, find_owner, link};
pub use update::{AccountUpdate, update};
