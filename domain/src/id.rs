//! Identifiers: short strings that are valid when they exist.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use ulid::Ulid;

use crate::name::OrganizationName;
use crate::time::Timestamp;

/// A string that is not the identifier it should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{given}` is not a {what} id")]
pub struct BadId {
    /// What the identifier should name, for the message.
    pub what: &'static str,
    /// The string as it came, cut to 80 characters.
    pub given: String,
}

impl BadId {
    fn new(what: &'static str, given: &str) -> Self {
        Self { what, given: given.chars().take(80).collect() }
    }
}

/// Parses a canonical ULID only: upper case, 26 characters, no overflow.
fn canonical_ulid(what: &'static str, text: &str) -> Result<Ulid, BadId> {
    match Ulid::from_string(text) {
        Ok(ulid) if ulid.to_string() == text => Ok(ulid),
        _ => Err(BadId::new(what, text)),
    }
}

fn ulid_at(at: Timestamp, random: [u8; 10]) -> Ulid {
    let mut wide = [0u8; 16];
    wide[6..].copy_from_slice(&random);
    Ulid::from_parts(u64::try_from(at.as_millis()).unwrap_or(0), u128::from_be_bytes(wide))
}

macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Ulid);

        impl $name {
            /// A fresh id: 48 bits of time, 80 bits of randomness.
            pub fn new(at: Timestamp, random: [u8; 10]) -> Self {
                Self(ulid_at(at, random))
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                canonical_ulid($what, text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

ulid_id!(
    /// A workspace's identity: a 26-character ULID. It outlives every rename; a recreated workspace has another.
    WorkspaceId,
    "workspace"
);
ulid_id!(
    /// One change of one record. A writer that finds its own id in the store knows that its write landed.
    OperationId,
    "operation"
);
ulid_id!(
    /// One attempt to upload bytes; it owns the blob key it writes, so no key is ever written twice.
    AttemptId,
    "attempt"
);
ulid_id!(
    /// One taking of a lock.
    LockId,
    "lock"
);

impl WorkspaceId {
    /// The id as the Terraform Cloud API writes it: `ws-<ulid>`.
    pub fn to_wire(self) -> String {
        format!("ws-{self}")
    }

    /// Reads `ws-<ulid>`.
    ///
    /// # Errors
    /// [`BadId`] for anything else.
    pub fn from_wire(text: &str) -> Result<Self, BadId> {
        let ulid = text.strip_prefix("ws-").ok_or_else(|| BadId::new("workspace", text))?;
        ulid.parse().map_err(|_| BadId::new("workspace", text))
    }
}

/// A project's identity: `prj-<organization>-<ulid>`. The organization is part of the id, so that a project is found
/// without an index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectId {
    organization: OrganizationName,
    ulid: Ulid,
}

impl ProjectId {
    /// A fresh id: 48 bits of time, 80 bits of randomness.
    pub fn new(organization: OrganizationName, at: Timestamp, random: [u8; 10]) -> Self {
        Self { organization, ulid: ulid_at(at, random) }
    }

    /// The project that every organization has: its ULID is zero.
    pub fn default_of(organization: &OrganizationName) -> Self {
        Self { organization: organization.clone(), ulid: Ulid::nil() }
    }

    /// Whether it is the project that every organization has.
    pub fn is_default(&self) -> bool {
        self.ulid.is_nil()
    }

    /// The organization it belongs to.
    pub fn organization(&self) -> &OrganizationName {
        &self.organization
    }
}

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "prj-{}-{}", self.organization, self.ulid)
    }
}

impl FromStr for ProjectId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId::new("project", text);
        let (organization, ulid) =
            text.strip_prefix("prj-").and_then(|rest| rest.rsplit_once('-')).ok_or_else(bad)?;
        let parsed: OrganizationName = organization.parse().map_err(|_| bad())?;
        // Names are folded when they are read; an id has one spelling.
        if parsed.as_str() != organization {
            return Err(bad());
        }
        Ok(Self { organization: parsed, ulid: canonical_ulid("project", ulid)? })
    }
}

const ORDINAL_DIGITS: usize = 10;
const NONCE_CHARS: usize = 10;
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A state version's identity: `sv-<workspace id><ordinal, 10 digits><10 random characters>`.
///
/// The workspace and the place in its history are part of the id, so a version is found without an index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateVersionId {
    /// The workspace whose history it stands in.
    pub workspace: WorkspaceId,
    /// Its place in that history, from 1.
    pub ordinal: u32,
    nonce: [u8; NONCE_CHARS],
}

impl StateVersionId {
    /// The id of a proposal for that place, told apart from its rivals by 50 random bits.
    pub fn new(workspace: WorkspaceId, ordinal: u32, random: [u8; 10]) -> Self {
        let nonce = random.map(|byte| CROCKFORD[usize::from(byte & 31)]);
        Self { workspace, ordinal, nonce }
    }
}

impl fmt::Display for StateVersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sv-{}{:0width$}", self.workspace, self.ordinal, width = ORDINAL_DIGITS)?;
        self.nonce.iter().try_for_each(|&c| write!(f, "{}", char::from(c)))
    }
}

impl fmt::Debug for StateVersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for StateVersionId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId::new("state version", text);
        let rest = text.strip_prefix("sv-").ok_or_else(bad)?;
        if !rest.is_ascii() || rest.len() != 26 + ORDINAL_DIGITS + NONCE_CHARS {
            return Err(bad());
        }
        let (workspace, rest) = rest.split_at(26);
        let (ordinal, tail) = rest.split_at(ORDINAL_DIGITS);
        if !ordinal.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let ordinal: u32 = ordinal.parse().map_err(|_| bad())?;
        let nonce: [u8; NONCE_CHARS] = tail.as_bytes().try_into().map_err(|_| bad())?;
        if ordinal == 0 || !nonce.iter().all(|c| CROCKFORD.contains(c)) {
            return Err(bad());
        }
        Ok(Self { workspace: workspace.parse().map_err(|_| bad())?, ordinal, nonce })
    }
}

/// One output of one state version: `wsout-<state version id without "sv-">-<index>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OutputId {
    /// The version whose output it is.
    pub version: StateVersionId,
    /// Its place among that version's outputs, by name, from 0.
    pub index: usize,
}

impl fmt::Display for OutputId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wsout-{}-{}", &self.version.to_string()[3..], self.index)
    }
}

impl FromStr for OutputId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId::new("state version output", text);
        let (version, index) =
            text.strip_prefix("wsout-").and_then(|rest| rest.split_once('-')).ok_or_else(bad)?;
        let id = Self {
            version: format!("sv-{version}").parse().map_err(|_| bad())?,
            index: index.parse().map_err(|_| bad())?,
        };
        if id.to_string() == text { Ok(id) } else { Err(bad()) }
    }
}

/// The public part of an API token: 16 characters of lower-case base32.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(String);

impl TokenId {
    /// The id that stands for those 80 bits.
    pub fn from_bytes(bytes: [u8; 10]) -> Self {
        Self(crate::token::base32_lower(&bytes))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TokenId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        if text.len() == 16 && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7')) {
            Ok(Self(text.to_owned()))
        } else {
            // The text may be a piece of somebody's secret: it is not repeated.
            Err(BadId::new("token", "…"))
        }
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_state_version_id_reads_back_and_knows_its_workspace(
            millis in 0i64..(1 << 47), random: [u8; 10], nonce: [u8; 10], ordinal in 1u32..
        ) {
            let workspace = WorkspaceId::new(Timestamp::from_millis(millis), random);
            let id = StateVersionId::new(workspace, ordinal, nonce);
            prop_assert_eq!(id.to_string().parse::<StateVersionId>().unwrap(), id);
            prop_assert_eq!(id.workspace, workspace);
            let output = OutputId { version: id, index: usize::from(nonce[0]) };
            prop_assert_eq!(output.to_string().parse::<OutputId>().unwrap(), output);
            let project = ProjectId::new("my-org".parse().unwrap(), Timestamp::from_millis(millis), random);
            prop_assert_eq!(project.to_string().parse::<ProjectId>().unwrap(), project);
        }

        #[test]
        fn no_text_makes_an_id_parser_panic(text: String) {
            let _ = text.parse::<StateVersionId>();
            let _ = text.parse::<OutputId>();
            let _ = text.parse::<TokenId>();
            let _ = text.parse::<ProjectId>();
            let _ = WorkspaceId::from_wire(&text);
        }
    }

    #[test]
    fn only_the_canonical_spelling_of_an_id_is_accepted() {
        assert!(WorkspaceId::from_wire("ws-01ARZ3NDEKTSV4RRFFQ69G5FAV").is_ok());
        for bad in [
            "ws-01arz3ndektsv4rrffq69g5fav",
            "ws-81ARZ3NDEKTSV4RRFFQ69G5FAV",
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "ws-",
            "",
        ] {
            assert!(WorkspaceId::from_wire(bad).is_err(), "{bad}");
        }
    }
}
