//! Storms: the real binary, many clients at once, and no mercy.
//!
//! `OPENTACO_SEED=N` repeats the chances of one run, `OPENTACO_KILLS=N` kills that many times.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "in a test a broken expectation must end the test, loudly, at the place where it broke"
)]

mod appliers;
mod damage;
mod history;
mod kills;
mod lockers;

use opentaco_tests::browser::Who;
use opentaco_tests::client::{Api, login};
use opentaco_tests::server::{Options, Server};

/// A number from the environment, or else that one.
#[expect(clippy::disallowed_methods, reason = "how much to run is asked of the person at the terminal")]
pub(crate) fn asked(name: &str, or: impl FnOnce() -> u64) -> u64 {
    std::env::var(name).map_or_else(|_| or(), |text| text.parse().expect("a number"))
}

/// A server for a storm: with the development login, so that there are as many people as wanted.
pub(crate) fn start(options: Options) -> Server {
    Server::start(options.dev_login())
}

/// A token for a person.
pub(crate) async fn token(server: &Server, name: &str) -> String {
    login(server, &Who::dev(name)).await
}

/// A workspace in the default organization.
pub(crate) async fn workspace(server: &Server, token: &str, name: &str) -> String {
    Api::new(server, token).create_workspace("default", name).await
}
