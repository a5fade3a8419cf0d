//! Who is asking.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::id::TokenId;

/// A subject outside the rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadSubject {
    /// The name for the development login breaks the rule.
    #[error("use 1 to 64 letters, digits or any of `. _ - @ +` as a name")]
    DevelopmentName,
    /// The text is not `local:owner`, `dev:<name>` or `oidc:<sub>`.
    #[error("not a subject")]
    Unknown,
}

/// A person or machine, as `<source>:<name>`: `local:owner` (the server's own terminal), `dev:<name>`, or `oidc:<sub>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(String);

impl Subject {
    /// Who proved to sit at the server's terminal.
    pub fn local_owner() -> Self {
        Self("local:owner".to_owned())
    }

    /// A name from the development login, which checks nothing.
    ///
    /// # Errors
    /// [`BadSubject::DevelopmentName`] when the name is empty, longer than 64 characters or has other characters.
    pub fn development(name: &str) -> Result<Self, BadSubject> {
        let character = |c: char| c.is_ascii_alphanumeric() || "._-@+".contains(c);
        if (1..=64).contains(&name.len()) && name.chars().all(character) {
            Ok(Self(format!("dev:{name}")))
        } else {
            Err(BadSubject::DevelopmentName)
        }
    }

    /// The subject as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the source, for people.
    pub fn display_name(&self) -> &str {
        self.0.split_once(':').map_or(self.0.as_str(), |(_, name)| name)
    }
}

impl FromStr for Subject {
    type Err = BadSubject;

    fn from_str(text: &str) -> Result<Self, BadSubject> {
        match text.split_once(':') {
            Some(("local", "owner")) => Ok(Self::local_owner()),
            Some(("dev", name)) => Self::development(name),
            Some(("oidc", sub)) if is_sub(sub) => Ok(Self(text.to_owned())),
            _ => Err(BadSubject::Unknown),
        }
    }
}

/// A subject identifier of a provider: 1 to 255 ASCII characters (`OpenID` Connect Core section 2), here printable ones.
fn is_sub(sub: &str) -> bool {
    (1..=255).contains(&sub.len()) && sub.bytes().all(|b| b.is_ascii_graphic())
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The way a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// The Terraform Cloud API.
    Cloud,
    /// The login pages and the token endpoint.
    Login,
}

impl Door {
    /// The door's name on disk and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cloud => "cloud",
            Self::Login => "login",
        }
    }

    /// The door of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Cloud, Self::Login].into_iter().find(|door| door.as_str() == name)
    }
}

/// An authenticated caller: a subject, the token it came with, and the door it came through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Who.
    pub subject: Subject,
    /// The token that everything this caller holds hangs from.
    pub parent: TokenId,
    /// Through which door.
    pub door: Door,
}
