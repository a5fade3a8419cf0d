//! House rules as tests. Each rule is a function over data, and each has a test that plants a violation.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "in a test a broken expectation must end the test; cargo is found through the environment"
)]

mod edges;
mod manifests;
mod sources;
mod tree;

/// Fails with one line per violation.
fn assert_none(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n  {}", violations.join("\n  "));
}
