//! `terraform login`: three pages in the browser, and one endpoint for the program that waits.

mod cookie;
mod form;
mod pages;
mod steps;
mod token;

pub(crate) use self::steps::{begin, consent, identify};
pub(crate) use self::token::token;
