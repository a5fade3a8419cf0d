//! The forms on disk of records: one JSON object an entry, which every later version can read.

use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use opentaco_domain::id::OperationId;
use opentaco_domain::time::Timestamp;
use opentaco_ports::driven::records::{Change, ChangeKind, Link, Record, Versioned};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::Digest;

pub(crate) mod description;
mod name_claim;
mod organization;
mod policy;
mod user;
mod workspace;

/// The newest format this server writes and understands.
pub(crate) const FORMAT: u32 = 1;
/// Entries longer than this are compressed.
const COMPRESS_OVER: usize = 4096;
/// The longest entry of most records, uncompressed.
const MAX_ENTRY: usize = 1024 * 1024;
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Fields that this server does not know, by name.
pub(crate) type Rest = Map<String, Value>;

/// A record with a form on disk.
pub(crate) trait Form: Record {
    /// The form.
    type Disk: Serialize + DeserializeOwned;

    /// The longest entry that is read, uncompressed.
    const LONGEST: usize = MAX_ENTRY;

    /// Where its stream is.
    fn stream(key: &Self::Key) -> Path;

    /// The form of this value, with the unknown fields of the entry before.
    fn to_disk(&self, rest: Rest) -> Self::Disk;

    /// The value in a form, and the fields that are unknown here.
    fn from_disk(disk: Self::Disk) -> Result<(Self, Rest), String>;
}

/// Marks the records that [`crate::RecordStreams`] keeps.
#[allow(
    private_bounds,
    reason = "the forms on disk are this crate's own; callers only need to know which records have one"
)]
pub trait Stored: Form {}
impl<T: Form> Stored for T {}

#[derive(Serialize, Deserialize)]
struct Envelope<V> {
    format: u32,
    n: u64,
    operation: String,
    subject: String,
    door: String,
    at: String,
    kind: String,
    /// SHA-256 of the stored bytes of entry n-1, in hexadecimal.
    previous: Option<String>,
    min_writer: u32,
    value: V,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Default, Serialize, Deserialize)]
struct Residue {
    entry: Rest,
    value: Rest,
}

/// What an entry says beside its value.
pub(crate) struct Header {
    pub(crate) operation: OperationId,
    pub(crate) previous: Option<[u8; 32]>,
}

const KINDS: [(ChangeKind, &str); 13] = [
    (ChangeKind::Created, "created"),
    (ChangeKind::Abandoned, "abandoned"),
    (ChangeKind::Changed, "changed"),
    (ChangeKind::Renaming, "renaming"),
    (ChangeKind::Renamed, "renamed"),
    (ChangeKind::Locked, "locked"),
    (ChangeKind::Unlocked, "unlocked"),
    (ChangeKind::ForceUnlocked, "force-unlocked"),
    (ChangeKind::Committed, "committed"),
    (ChangeKind::Deleted, "deleted"),
    (ChangeKind::Claimed, "claimed"),
    (ChangeKind::Released, "released"),
    (ChangeKind::LoggedIn, "logged-in"),
];

fn kind_name(kind: ChangeKind) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).map_or("changed", |(_, name)| name)
}

/// Writes an entry: the same change gives the same bytes, however often.
pub(crate) fn encode<T: Form>(
    number: u64,
    before: Option<&Link>,
    change: &Change<T>,
) -> Result<(Bytes, Versioned<T>), String> {
    let residue: Residue = match before.and_then(|link| link.residue.as_deref()) {
        Some(text) => serde_json::from_str(text).map_err(|error| error.to_string())?,
        None => Residue::default(),
    };
    let min_writer = before.map_or(FORMAT, |link| link.min_writer);
    let envelope = Envelope {
        format: FORMAT,
        n: number,
        operation: change.operation.to_string(),
        subject: change.subject.to_string(),
        door: change.door.as_str().to_owned(),
        at: moment(change.at),
        kind: kind_name(change.kind).to_owned(),
        previous: before.map(|link| data_encoding::HEXLOWER.encode(&link.digest)),
        min_writer,
        value: change.value.to_disk(residue.value),
        rest: residue.entry,
    };
    let json = serde_json::to_vec(&envelope).map_err(|error| error.to_string())?;
    // What could not be read back must never be written.
    if json.len() > T::LONGEST {
        return Err(format!("it would be longer than {} bytes", T::LONGEST));
    }
    let bytes = if json.len() > COMPRESS_OVER {
        zstd::bulk::compress(&json, 3).map_err(|error| error.to_string())?
    } else {
        json
    };
    let link = Link {
        digest: sha2::Sha256::digest(&bytes).into(),
        residue: before.and_then(|link| link.residue.clone()),
        min_writer,
    };
    Ok((bytes.into(), Versioned { number, value: change.value.clone(), link }))
}

/// Reads an entry.
pub(crate) fn decode<T: Form>(bytes: &Bytes) -> Result<(Versioned<T>, Header), String> {
    let json = plain(bytes, T::LONGEST)?;
    let envelope: Envelope<T::Disk> = serde_json::from_slice(&json).map_err(|error| place(&error))?;
    let (value, rest) = T::from_disk(envelope.value)?;
    let residue = if envelope.rest.is_empty() && rest.is_empty() {
        None
    } else {
        let residue = Residue { entry: envelope.rest, value: rest };
        Some(Arc::from(serde_json::to_string(&residue).map_err(|error| error.to_string())?))
    };
    let header = Header {
        operation: envelope.operation.parse().map_err(|_| "its operation id is malformed".to_owned())?,
        previous: envelope.previous.as_deref().map(digest).transpose()?,
    };
    let link = Link { digest: sha2::Sha256::digest(bytes).into(), residue, min_writer: envelope.min_writer };
    Ok((Versioned { number: envelope.n, value, link }, header))
}

/// The JSON in stored bytes, which are compressed or not.
fn plain(bytes: &Bytes, longest: usize) -> Result<Bytes, String> {
    if bytes.starts_with(&ZSTD_MAGIC) {
        zstd::bulk::decompress(bytes, longest).map(Bytes::from).map_err(|error| error.to_string())
    } else {
        Ok(bytes.clone())
    }
}

/// Where a JSON error is, without what stands there.
pub(crate) fn place(error: &serde_json::Error) -> String {
    format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column())
}

pub(crate) fn digest(text: &str) -> Result<[u8; 32], String> {
    let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| "a digest is malformed".to_owned())
}

/// A moment as RFC 3339 with milliseconds.
pub(crate) fn moment(at: Timestamp) -> String {
    let end = if at.as_millis() < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(end);
    format!("{at:.3}")
}

pub(crate) fn parse_moment(text: &str) -> Result<Timestamp, String> {
    let at: jiff::Timestamp = text.parse().map_err(|_| "a time is malformed".to_owned())?;
    Ok(Timestamp::from_millis(at.as_millisecond()))
}

/// Parses a field of a form through the domain's own parser.
pub(crate) fn field<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("its {name} is malformed"))
}
