//! `terraform login`: three pages in the browser, and one endpoint for the program that waits.

mod cookie;
mod debug;
pub(crate) mod form;
pub(crate) mod grant;
mod jwks;
mod pages;
mod steps;
mod token;

pub(crate) use self::debug::debug;
pub(crate) use self::jwks::jwks;
pub(crate) use self::steps::{CALLBACK, begin, callback, consent, identify};
pub(crate) use self::token::token;
