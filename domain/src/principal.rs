//! Who can have a role: somebody by name, or a group.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::actor::Subject;
use crate::user::{Email, MAX_GROUP, User};

/// Who can have a role of their own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Principal {
    /// Somebody by their subject.
    Subject(Subject),
    /// Whoever has that address, once their provider vouches for it.
    Email(Email),
}

/// A text that names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("name a verified e-mail address (alice@example.com) or a subject (oidc:SUB, dev:NAME, local:owner)")]
pub struct BadPrincipal;

impl FromStr for Principal {
    type Err = BadPrincipal;

    /// A subject has its source before a colon; anything else with an `@` is an e-mail address.
    fn from_str(text: &str) -> Result<Self, BadPrincipal> {
        if let Ok(subject) = text.parse::<Subject>() {
            return if subject.is_workload() { Err(BadPrincipal) } else { Ok(Self::Subject(subject)) };
        }
        if text.contains(':') {
            return Err(BadPrincipal);
        }
        text.parse().map(Self::Email).map_err(|_| BadPrincipal)
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(subject) => subject.fmt(f),
            Self::Email(email) => email.fmt(f),
        }
    }
}

/// A text that names no group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a group's name has 1 to 255 bytes and no control character")]
pub struct BadGroup;

/// A group, as the provider names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group(String);

impl Group {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Group {
    type Err = BadGroup;

    fn from_str(text: &str) -> Result<Self, BadGroup> {
        let fits = (1..=MAX_GROUP).contains(&text.len()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.to_owned())) } else { Err(BadGroup) }
    }
}

/// Who has a role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grantee {
    /// One person.
    User(Principal),
    /// Whoever was in that group at their newest login.
    Group(Group),
}

impl Principal {
    /// Whether it names that subject; an address does when the subject's provider vouches for it.
    pub fn is(&self, subject: &Subject, user: Option<&User>) -> bool {
        match self {
            Self::Subject(named) => named == subject,
            Self::Email(named) => user.and_then(User::verified_email) == Some(named),
        }
    }
}
