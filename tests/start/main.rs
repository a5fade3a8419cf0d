//! The program before it serves and when it stops: settings, exit codes, what it keeps.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "in a test a broken expectation must end the test, loudly, at the place where it broke"
)]

mod admin;
mod bucket;
mod keeps;
mod page;
mod program;
mod refusals;
mod schemes;
mod settings;
mod stop;
