//! Identity providers: of people by `OpenID` Connect or `WorkOS`, and of workloads by the tokens of their CI system.
//!
//! Nothing here asks for the time, randomness, files or the environment; the clock is a port, and nonces and PKCE
//! verifiers come in with each login. The process installs a TLS provider (`rustls`) before it makes one of these.
//! Secrets, codes, tokens and what a provider answered never stand in a log or an error.
//!
//! - [`Provider`]: who a person is ([`opentaco_ports::driven::idp::IdentityProvider`]).
//! - [`Issuers`]: what a workload's token says ([`opentaco_ports::driven::idp::Workloads`]).

mod claims;
mod fetch;
mod oidc;
mod provider;
mod settings;
mod source;
#[cfg(test)]
mod tests;
mod verify;
mod workloads;
mod workos;

pub use provider::Provider;
pub use settings::{EmailVerified, OpenError, ProviderSettings};
pub use workloads::Issuers;
