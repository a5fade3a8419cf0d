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
use opentaco_tests::server::{Options, Server, Storage};

/// A number from the environment, or else that one.
#[expect(clippy::disallowed_methods, reason = "how much to run is asked of the person at the terminal")]
pub(crate) fn asked(name: &str, or: impl FnOnce() -> u64) -> u64 {
    std::env::var(name).map_or_else(|_| or(), |text| text.parse().expect("a number"))
}

/// A server for a storm: with the development login, so that there are as many people as wanted.
pub(crate) fn start(options: Options) -> Server {
    Server::start(options.dev_login())
}

/// Two servers on one bucket, where nobody logs in unchecked; none where there is no S3 server.
pub(crate) fn on_a_bucket() -> Option<[Server; 2]> {
    Storage::S3.is_there().then(|| {
        let first = Server::start(Options::s3());
        let second = first.second();
        [first, second]
    })
}

/// A token for a person.
pub(crate) async fn token(server: &Server, name: &str) -> String {
    if server.is_on_a_bucket() {
        return server.admin_token(&format!("dev:{name}"));
    }
    login(server, &Who::dev(name)).await
}

/// A workspace in the default organization.
pub(crate) async fn workspace(server: &Server, token: &str, name: &str) -> String {
    Api::new(server, token).create_workspace("default", name).await
}
