//! Tokens and sessions: who gets them, what they are worth, and how they end.
//!
//! The management API `/v1/auth`, the tokens of the cloud API, limits, the policy, and the exchange of a CI system's
//! tokens.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "in a test a broken expectation must end the test, loudly, at the place where it broke"
)]

mod bypasses;
mod ci;
mod cloud_tokens;
mod debug;
mod exchange;
mod forged;
mod me;
mod policy;
mod rbac;
mod refresh;
mod revocation;
mod s3_credentials;
mod scopes;
mod scopes_reads;
mod tokens;
mod tokens_refused;
mod units;
mod v1;
mod workloads;
