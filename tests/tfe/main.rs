//! The cloud API by hand: what Terraform never sends, what it must never see, and what nobody may lose by it.
//!
//! One file per noun of the path; after every refusal the workspace must look as it did before.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "in a test a broken expectation must end the test, loudly, at the place where it broke"
)]

mod consumers;
mod errors;
mod fuzz;
mod include;
mod json_state;
mod limits;
mod locks;
mod old_terraform;
mod organizations;
mod outputs;
mod projects;
mod rename;
mod rollback;
mod search;
mod secrets;
mod settings;
mod snapshots;
mod state_versions;
mod tags;
mod tofu;
mod together;
mod uploads;
mod workspaces;
mod world;
