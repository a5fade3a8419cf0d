//! Organizations: what workspaces live in.

use crate::name::OrganizationName;
use crate::time::Timestamp;

/// The longest address an organization has, in bytes (RFC 5321).
pub const MAX_EMAIL: usize = 254;

/// An organization. It comes into being on first use by someone who may create it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Its name, which is also its identity.
    pub name: OrganizationName,
    /// An address for people, kept as given; at most [`MAX_EMAIL`] bytes.
    pub email: Option<String>,
    /// When it came into being.
    pub created_at: Timestamp,
}
