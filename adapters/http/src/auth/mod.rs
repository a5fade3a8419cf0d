//! Credentials: one extractor per kind, each ending in an actor of the domain.

mod bearer;
mod signed;
mod ticket;

pub(crate) use self::bearer::{Addressed, Call, NotBearer, Ping, presented, presented_or_logged};
pub(crate) use self::signed::Signed;
pub(crate) use self::ticket::Upload;
