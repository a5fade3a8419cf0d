//! Who is asking.

use std::fmt;
use std::str::FromStr;

use sha2::Digest as _;
use thiserror::Error;

use crate::id::TokenId;
use crate::rbac::Rights;
use crate::token::base32_lower;
use crate::trust::is_rule_name;

/// A subject outside the rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadSubject {
    /// The name for the development login breaks the rule.
    #[error("use 1 to 64 letters, digits or any of `. _ - @ +` as a name")]
    DevelopmentName,
    /// A provider's or CI system's `sub` is empty, longer than 255 characters or not printable ASCII.
    #[error("a `sub` must have 1 to 255 printable ASCII characters")]
    Sub,
    /// The text is not `local:owner`, `dev:<name>`, `oidc:<sub>` or `ci:<rule>:<sub>`.
    #[error("not a subject")]
    Unknown,
}

/// A person or machine, as `<source>:<name>`: `local:owner` (the server's own terminal), `dev:<name>`, `oidc:<sub>` (of
/// the identity provider), or `ci:<rule>:<sub>` (a workload that a trust rule admits).
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

    /// Somebody whom the identity provider knows by that `sub`.
    ///
    /// # Errors
    /// [`BadSubject::Sub`] when it is empty, longer than 255 characters or not printable ASCII.
    pub fn of_provider(sub: &str) -> Result<Self, BadSubject> {
        if is_sub(sub) { Ok(Self(format!("oidc:{sub}"))) } else { Err(BadSubject::Sub) }
    }

    /// A workload of that `sub`, admitted by the trust rule of that name.
    ///
    /// # Errors
    /// [`BadSubject::Sub`] as for [`Subject::of_provider`]; [`BadSubject::Unknown`] when no rule can have that name.
    pub fn workload(rule: &str, sub: &str) -> Result<Self, BadSubject> {
        match (is_rule_name(rule), is_sub(sub)) {
            (true, true) => Ok(Self(format!("ci:{rule}:{sub}"))),
            (true, false) => Err(BadSubject::Sub),
            (false, _) => Err(BadSubject::Unknown),
        }
    }

    /// Whether it is the one at the server's own terminal.
    pub fn is_local_owner(&self) -> bool {
        self.0 == "local:owner"
    }

    /// Whether it is of the development login.
    pub fn is_development(&self) -> bool {
        self.0.starts_with("dev:")
    }

    /// Whether it is a workload, which has the rights that its trust rule gives its tokens.
    pub fn is_workload(&self) -> bool {
        self.0.starts_with("ci:")
    }

    /// The subject as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id that the Terraform Cloud API gives a user: `user-` and 16 lower-case base32 characters of the SHA-256 of the
    /// subject, because clients of that API take only letters, digits, `-`, `.` and `_`.
    pub fn user_id(&self) -> String {
        let digest = sha2::Sha256::digest(self.0.as_bytes());
        let mut id = base32_lower(&digest);
        id.truncate(16);
        format!("user-{id}")
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
            Some(("oidc", sub)) => Self::of_provider(sub),
            Some(("ci", workload)) => {
                let (rule, sub) = workload.split_once(':').ok_or(BadSubject::Unknown)?;
                Self::workload(rule, sub)
            }
            _ => Err(BadSubject::Unknown),
        }
    }
}

/// A subject identifier: 1 to 255 ASCII characters (`OpenID` Connect Core section 2), here printable ones.
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
    /// The management API.
    Management,
}

impl Door {
    /// The door's name on disk and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cloud => "cloud",
            Self::Login => "login",
            Self::Management => "management",
        }
    }

    /// The door of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Cloud, Self::Login, Self::Management].into_iter().find(|door| door.as_str() == name)
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
    /// What they may do, as of the moment they were authenticated.
    pub rights: Rights,
}
