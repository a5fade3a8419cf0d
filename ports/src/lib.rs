//! The edge of the hexagon: what the core needs ([`driven`]) and what it offers ([`driving`]).
//!
//! Ports state atomicity, idempotence and visibility; adapters keep them, and one contract suite checks every adapter.

pub mod change;
pub mod driven;
pub mod driving;
pub mod recent;
