//! Credentials: one extractor per kind, each ending in an actor of the domain.

mod bearer;
mod ticket;

pub(crate) use self::bearer::{Addressed, Call, Ping};
pub(crate) use self::ticket::Upload;
