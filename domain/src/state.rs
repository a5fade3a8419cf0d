//! State versions: what was committed, and what an upload was measured to be.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::actor::Subject;
use crate::id::{AttemptId, StateVersionId};
use crate::time::Timestamp;

/// An MD5 digest of the raw state bytes, as Terraform sends it: 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Md5(pub [u8; 16]);

/// A SHA-256 digest of the raw state bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256(pub [u8; 32]);

/// A digest that is not hexadecimal of the right length.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("must be {0} hexadecimal digits")]
pub struct BadDigest(usize);

macro_rules! hex_digest {
    ($name:ident, $bytes:literal) => {
        impl FromStr for $name {
            type Err = BadDigest;

            fn from_str(text: &str) -> Result<Self, BadDigest> {
                let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
                bytes.and_then(|b| b.try_into().ok()).map(Self).ok_or(BadDigest($bytes * 2))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}
hex_digest!(Md5, 16);
hex_digest!(Sha256, 32);

/// A lineage outside the rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("lineage must have 1 to 200 printable ASCII characters")]
pub struct BadLineage;

/// The name of one history of states, drawn by Terraform when a state is first made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lineage(String);

impl Lineage {
    /// The lineage as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Lineage {
    type Err = BadLineage;

    fn from_str(text: &str) -> Result<Self, BadLineage> {
        let printable = |b: u8| (b' '..=b'~').contains(&b);
        if (1..=200).contains(&text.len()) && text.bytes().all(printable) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadLineage)
        }
    }
}

/// A committed state version: its whole description. It holds no output value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateVersion {
    /// Its identity.
    pub id: StateVersionId,
    /// The version it was made from; none for the first.
    pub predecessor: Option<StateVersionId>,
    /// Terraform's counter, which rises with every version.
    pub serial: u64,
    /// Terraform's name for this history; none when the document has none.
    pub lineage: Option<Lineage>,
    /// Digest of the raw bytes.
    pub md5: Md5,
    /// Digest of the raw bytes.
    pub sha256: Sha256,
    /// Length of the raw bytes.
    pub size: u64,
    /// The upload attempt that wrote its blobs.
    pub attempt: AttemptId,
    /// How many outputs it has.
    pub outputs: u64,
    /// How many resource instances it manages; none for a document that cannot be read.
    pub resources: Option<u64>,
    /// The Terraform that wrote it.
    pub terraform_version: Option<String>,
    /// Whether the client had encrypted the document (OpenTofu).
    pub encrypted: bool,
    /// When it was committed.
    pub created_at: Timestamp,
    /// Who committed it.
    pub created_by: Subject,
    /// The version whose content it is again, when it came by a rollback.
    pub rolled_back_from: Option<StateVersionId>,
}

/// One output of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// Whether it must not be shown in lists.
    pub sensitive: bool,
    /// Its type as Terraform writes it in JSON (cty).
    pub type_json: String,
    /// Its value as JSON text.
    pub value_json: String,
}

/// What an upload was measured to be, while its bytes streamed by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Length of the raw bytes.
    pub size: u64,
    /// Digest of the raw bytes.
    pub md5: Md5,
    /// Digest of the raw bytes.
    pub sha256: Sha256,
    /// What the document says of itself.
    pub document: Document,
}

/// What a state document says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Its serial, when it has one.
    pub serial: Option<u64>,
    /// Its lineage, when it has one.
    pub lineage: Option<String>,
    /// The Terraform that wrote it.
    pub terraform_version: Option<String>,
    /// How many resource instances it manages; none when there is no list of resources.
    pub resources: Option<u64>,
    /// Its outputs in order of their names.
    pub outputs: Vec<Output>,
    /// Whether the client had encrypted it.
    pub encrypted: bool,
}

impl Output {
    /// The value for a list: none where the output is sensitive.
    pub fn listed_value(&self) -> Option<&str> {
        (!self.sensitive).then_some(self.value_json.as_str())
    }
}
