//! Clock and entropy of the operating system: the one crate that asks it for either.
//!
//! Everything else takes [`opentaco_ports::driven::Clock`] and [`opentaco_ports::driven::Entropy`], so that a test or
//! a simulation can put its own in their place.

mod clock;
mod entropy;

pub use clock::SystemClock;
pub use entropy::SystemEntropy;
