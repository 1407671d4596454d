//! A subgraph as a platform team writes one: what Instagram knows of a profile that is linked to an account.
//!
//! It extends `LinkedProfile` by the key that platforms know, `platformKey externalId`, and depends on nothing of the Accounts
//! Center but three things that anybody can have: that key, the scalars in it, and the published keys that tokens are verified
//! with. Its data is made up ([`data`]).

mod data;
mod graph;
mod server;
mod token;

pub use graph::{InstagramSchema, schema, sdl};
pub use server::serve;
pub use token::{Caller, Issuer, Refused, Verifier};
