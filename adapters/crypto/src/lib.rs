//! Signing, sealing and the development certificate.
//!
//! Nothing here draws randomness of its own for keys or nonces, reads a clock, a file or the environment: seeds, nonces
//! and key texts are passed in, and what is opened is judged by the domain. What does not verify does not open, and
//! nobody is told why.
//!
//! - [`signing_key`]: Ed25519 keys in PEM and the names they go by.
//! - [`jwt_signer`]: authorization codes and bearer tokens, signed ([`opentaco_ports::driven::Signer`]).
//! - [`sealer`]: login sessions and upload tickets, sealed; derived secrets ([`opentaco_ports::driven::Sealer`]).
//! - [`dev_certificate`]: a certificate authority of one's own for development.
//! - [`renewable`]: a certificate that is replaced while the server runs.

pub mod dev_certificate;
pub mod jwt_signer;
pub mod renewable;
pub mod sealer;
pub mod signing_key;
