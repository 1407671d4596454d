//! Numbers on the command line.

use std::ops::RangeInclusive;

use clap::builder::RangedU64ValueParser;

/// Takes numbers within these bounds.
pub fn count(bounds: RangeInclusive<u64>) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(bounds)
}
