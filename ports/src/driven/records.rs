//! Records: numbered streams of whole values, each entry created only if absent.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use async_trait::async_trait;
use opentaco_domain::actor::{Door, Subject};
use opentaco_domain::id::{OperationId, WorkspaceId};
use opentaco_domain::name::{OrganizationName, WorkspaceName};
use opentaco_domain::organization::Organization;
use opentaco_domain::policy::Policy;
use opentaco_domain::time::Timestamp;
use opentaco_domain::user::User;
use opentaco_domain::workspace::{NameClaim, Workspace};

use super::StoreError;

/// A value kept as a stream.
pub trait Record: Clone + Debug + Send + Sync + 'static {
    /// What tells one stream of this kind from another.
    type Key: Clone + Debug + Eq + Hash + Send + Sync;
}

impl Record for Workspace {
    type Key = WorkspaceId;
}

impl Record for NameClaim {
    type Key = (OrganizationName, WorkspaceName);
}

impl Record for Organization {
    type Key = OrganizationName;
}

impl Record for User {
    type Key = Subject;
}

/// There is one policy in an installation.
impl Record for Policy {
    type Key = ();
}

/// What ties an entry to the one before it; opaque outside the adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// SHA-256 of the entry's stored bytes.
    pub digest: [u8; 32],
    /// Fields of the entry that this server did not understand, handed to the next one.
    pub residue: Option<Arc<str>>,
    /// The oldest format that may append after it.
    pub min_writer: u32,
}

/// A value with its place in its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The entry's number, from 1.
    pub number: u64,
    /// The value after that entry.
    pub value: T,
    /// What the next entry is chained to.
    pub link: Link,
}

/// What kind of change an entry made, for the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// The record came into being.
    Created,
    /// A creation that was given up half way was closed.
    Abandoned,
    /// Settings or tags changed.
    Changed,
    /// A new name was announced, or given up.
    Renaming,
    /// The name changed.
    Renamed,
    /// The lock was taken.
    Locked,
    /// The lock was freed by its holder.
    Unlocked,
    /// The lock was freed by somebody who may.
    ForceUnlocked,
    /// A state version was committed.
    Committed,
    /// The workspace was deleted.
    Deleted,
    /// A name was taken.
    Claimed,
    /// A name was given back.
    Released,
    /// Somebody logged in.
    LoggedIn,
}

/// One change, the same bytes however often it is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<T> {
    /// Drawn once per change: a writer that finds it in the store knows that its write landed.
    pub operation: OperationId,
    /// Who.
    pub subject: Subject,
    /// Through which door.
    pub door: Door,
    /// When it was decided.
    pub at: Timestamp,
    /// What kind.
    pub kind: ChangeKind,
    /// The whole value after the change.
    pub value: T,
}

/// What became of one try to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended<T> {
    /// It is in the store.
    Landed(Versioned<T>),
    /// It was in the store already, from an earlier try of the same operation.
    Ours(Versioned<T>),
    /// Another change has that number. This one never will.
    Theirs,
    /// Nobody knows: it may still land. Only the same bytes may be tried at that number.
    Unknown(StoreError),
}

/// Streams of one kind of record.
///
/// Appending is atomic: of any number of servers that try the same number, one lands. What landed is never changed
/// or removed, and is seen by every [`Records::newest`] that starts afterwards, on every server.
#[async_trait]
pub trait Records<T: Record>: Send + Sync {
    /// The newest entry, checked against the store; none when the stream does not exist.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer or holds something unreadable.
    async fn newest(&self, key: &T::Key) -> Result<Option<Versioned<T>>, StoreError>;

    /// An entry that was newest less than a minute ago, without asking the store.
    fn remembered(&self, key: &T::Key) -> Option<Versioned<T>>;

    /// Tries once to make `change` the entry after `base` (the first entry when there is none).
    async fn try_append(&self, key: &T::Key, base: Option<&Versioned<T>>, change: &Change<T>) -> Appended<T>;
}
