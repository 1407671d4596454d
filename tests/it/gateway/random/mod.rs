//! Operations drawn by chance: over a federation they are answered as by one server that has everything; and whatever is
//! sent, the gateway lives and says what is wrong with it.
//!
//! `FEDERATION_OPERATIONS` is how many operations each test draws, 60 without it, and `FEDERATION_SEED` where it
//! begins.

pub(crate) mod draw;
mod federations;
mod fuzz;
mod same;
mod split;

/// A number of the environment.
fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}
