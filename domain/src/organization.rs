//! Organizations: what workspaces live in.

use thiserror::Error;

use crate::id::ProjectId;
use crate::name::OrganizationName;
use crate::project::{Project, Projects};
use crate::time::Timestamp;

/// The longest address an organization has, in bytes (RFC 5321).
pub const MAX_EMAIL: usize = 254;

/// An address outside the rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("attribute email has at most {MAX_EMAIL} bytes")]
pub struct BadEmail;

/// Takes an address as it is given.
///
/// # Errors
/// [`BadEmail`] when it is longer than [`MAX_EMAIL`].
pub fn email(text: String) -> Result<String, BadEmail> {
    if text.len() <= MAX_EMAIL { Ok(text) } else { Err(BadEmail) }
}

/// An organization. It comes into being on first use by someone who may create it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Its name, which is also its identity.
    pub name: OrganizationName,
    /// An address for people, kept as given; at most [`MAX_EMAIL`] bytes.
    pub email: Option<String>,
    /// When it came into being.
    pub created_at: Timestamp,
    /// Its projects.
    pub projects: Projects,
}

impl Organization {
    /// Every project, in order of the names; the default project is always among them.
    pub fn all_projects(&self) -> Vec<Project> {
        self.projects.all(&self.name, self.created_at)
    }

    /// One project.
    pub fn project(&self, id: &ProjectId) -> Option<Project> {
        self.all_projects().into_iter().find(|project| project.id == *id)
    }
}
