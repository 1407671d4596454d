//! Accounts: a person's hub.

mod administration;
mod deletion;
mod dismissal;
mod erasing;
pub mod event;
pub mod graphql;
mod service;
pub mod subscription;
pub mod suggestion;
mod update;

pub use administration::{Overview, erase_at_once, is_locked, lock, show, unlock};
pub use deletion::{EraseAccount, Requested, cancel_deletion, end_deletion, request_deletion};
pub use dismissal::{Dismissals, dismiss};
pub use erasing::{ForgetErased, forget_erased};
pub use service::{NewProfile, create, fill, find_owner, link};
pub use update::{AccountUpdate, update};
