//! What operations cost, in requests to a real store: the promises of speed that a test can hold without a clock.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "in a test a broken expectation must end the test, loudly, at the place where it broke"
)]

mod installation;
mod lists;
mod uploads;
