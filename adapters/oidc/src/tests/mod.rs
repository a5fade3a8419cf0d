//! The adapter against providers that the tests play themselves.

mod discovery;
mod explicit;
mod fake;
mod id_token;
mod login;
mod people;
mod silence;
mod workloads;
mod workos;
mod world;

pub(crate) use world::{TestClock, prepare};
