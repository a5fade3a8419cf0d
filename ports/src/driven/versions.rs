//! Descriptions of state versions beside the record: proposals, and the history.

use async_trait::async_trait;
use opentaco_domain::commit::Ticket;
use opentaco_domain::id::{AttemptId, StateVersionId, WorkspaceId};
use opentaco_domain::state::StateVersion;
use opentaco_domain::time::Timestamp;

use super::StoreError;

/// A proposal as it is kept until its bytes come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The version to be.
    pub version: StateVersionId,
    /// Its serial.
    pub serial: u64,
    /// When it was proposed.
    pub proposed_at: Timestamp,
    /// The record's entry it was decided on.
    pub entry: u64,
    /// The attempt under which the outputs are kept that the client told of, if it told of any.
    pub outputs: Option<AttemptId>,
}

impl Pending {
    /// The proposal behind a ticket.
    pub fn of(ticket: &Ticket, now: Timestamp) -> Self {
        Self {
            version: ticket.version,
            serial: ticket.proposal.serial,
            proposed_at: now,
            entry: ticket.entry,
            outputs: None,
        }
    }
}

/// Keeps descriptions. Each is written once under its own key; writing it again changes nothing.
#[async_trait]
pub trait Versions: Send + Sync {
    /// Keeps a proposal.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn propose(&self, pending: &Pending) -> Result<(), StoreError>;

    /// The proposal of that version.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn pending(&self, version: StateVersionId) -> Result<Option<Pending>, StoreError>;

    /// Makes sure that a committed version's description is kept for history.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn remember(&self, version: &StateVersion) -> Result<(), StoreError>;

    /// The committed version at that place of the history.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn at(&self, workspace: WorkspaceId, ordinal: u32) -> Result<Option<StateVersion>, StoreError>;
}
