//! Rules of the engine that a test can take away, to see that its loss is noticed.
//!
//! Compiled in with the feature `failpoints` only: `FAILPOINTS="gateway::null=return"`.

/// The rules that can be taken away.
pub const RULES: [&str; 7] = [
    "gateway::input-rewrite",
    "gateway::output-rewrite",
    "gateway::same-representation",
    "gateway::null",
    "gateway::hidden",
    "gateway::confined",
    "gateway::guard",
];

/// That what a subgraph says is looked at before it is composed; what has come of it is looked at all the same.
pub const PROTECTION: &str = "gateway::protection";

/// Whether a test has taken a rule away; always false where failpoints are not compiled in.
#[cfg_attr(not(feature = "failpoints"), expect(unused_variables, reason = "the macro is empty then"))]
pub fn is_out(rule: &'static str) -> bool {
    fail::fail_point!(rule, |_| true);
    false
}
