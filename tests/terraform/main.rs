//! The real Terraform against the real server: what a team does on its first day and on its worst.
//!
//! One file per promise. `terraform_data` is built in, so no registry is needed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test a broken expectation must end the test, loudly, at the place where it broke"
)]

mod config;
mod example;
mod life;
mod locks;
mod login;
mod outputs;
mod restart;
mod state;
mod workspaces;
