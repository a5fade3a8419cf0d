//! The test kit: the real server as a process, and those who talk to it.
//!
//! - [`server`] starts, stops, kills and restarts `opentacosvc`;
//! - [`browser`] walks the login pages as a person would;
//! - [`chromium`] is a real browser, for what only a browser enforces;
//! - [`provider`] is a real `OpenID` provider, [`pair`] one with a server, [`issuer`] an issuer of CI tokens;
//! - [`client`] speaks the cloud API without Terraform, [`caller`] also to a server that dies;
//! - [`seaweed`] is a real S3 server, [`proxy`] counts what it is asked;
//! - [`alternating`] spreads requests over several servers, [`port`] keeps a port for one that starts later;
//! - [`terraform`] runs the real client in a home folder of its own, [`running`] is such a command;
//! - [`wait`] waits for conditions, so that nothing here waits for time to pass.
//!
//! Everything here looks at the product from outside and uses none of its crates.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::print_stderr,
    reason = "in a test a broken expectation must end the test, loudly, at the place where it broke"
)]
#![allow(
    clippy::return_self_not_must_use,
    reason = "a check passes its subject on for those who want more of it; most do not"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests bound their waits by the real clock and find the real clients through the environment"
)]

pub mod alternating;
pub mod browser;
pub mod caller;
pub mod chromium;
pub mod client;
pub mod issuer;
pub mod pair;
pub mod port;
mod programs;
pub mod provider;
pub mod proxy;
pub mod running;
pub mod seaweed;
pub mod server;
pub mod terraform;
pub mod wait;
