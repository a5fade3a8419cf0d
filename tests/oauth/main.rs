//! `terraform login` by hand: every step wrong once, and nobody gets in who should not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "in a test a broken expectation must end the test, loudly, at the place where it broke"
)]

mod admission;
mod authorization;
mod callback;
mod chromium;
mod codes;
mod consent;
mod flow;
mod pages;
mod provider;
mod refusals;
mod rotation;
mod token;
mod traps;
mod troubleshooting;
mod two_servers;
