//! How a state version comes into being: proposed under a lock, uploaded, accepted once.

use std::time::Duration;

use thiserror::Error;

use crate::actor::{Actor, Subject};
use crate::id::{AttemptId, LockId, StateVersionId, TokenId, WorkspaceId};
use crate::lock::Lock;
use crate::rbac::{Grant, Manage, Write};
use crate::settings::is_terraform_version;
use crate::state::{Lineage, Md5, Measured, StateVersion};
use crate::time::Timestamp;
use crate::workspace::{Outcome, Workspace};

/// How long an upload ticket lives.
pub const TICKET_LIFE: Duration = Duration::from_hours(1);

/// The largest serial: clients count in 64-bit signed integers, and must be able to count on from it.
pub const MAX_SERIAL: u64 = i64::MAX as u64 - 1;

/// What a client says it is going to upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The state's serial.
    pub serial: u64,
    /// The state's lineage.
    pub lineage: Option<Lineage>,
    /// Digest of the bytes to come.
    pub md5: Md5,
}

/// Which bytes a ticket admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketKind {
    /// The state itself.
    State,
    /// Terraform's JSON rendering of it.
    JsonState,
}

/// The right to upload one version's bytes: what a signed upload URL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Which bytes.
    pub kind: TicketKind,
    /// The version to be; it names its workspace and its place in the history.
    pub version: StateVersionId,
    /// The version it is made from, fixed at the proposal.
    pub predecessor: Option<StateVersionId>,
    /// What the client said it will upload.
    pub proposal: Proposal,
    /// Whether serial and lineage rules were waived at the proposal.
    pub force: bool,
    /// Who proposed it; granted anew when the bytes come.
    pub subject: Subject,
    /// The token it proposed with; checked anew when the bytes come.
    pub parent: TokenId,
    /// The taking of the lock it was proposed under.
    pub lock: LockId,
    /// The record's entry the proposal was decided on.
    pub entry: u64,
    /// When the ticket dies.
    pub expires_at: Timestamp,
}

/// The right to make an old version's content the newest, as one decision gives it and one commit uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollback {
    /// The version to be.
    pub version: StateVersionId,
    /// The version whose content it will have.
    pub to: StateVersionId,
    /// The serial that replaces the one in the content.
    pub serial: u64,
    predecessor: StateVersionId,
    /// The lineage of that content, when the document itself has none.
    lineage: Option<Lineage>,
    lock: LockId,
    entry: u64,
}

/// Why a proposal or an upload was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CommitError {
    /// The workspace was deleted.
    #[error("the workspace was deleted")]
    Deleted,
    /// Nobody holds the lock.
    #[error("the workspace is not locked: lock it before writing state")]
    NotLocked,
    /// Somebody else holds the lock.
    #[error("the workspace is locked by {}: only the holder of the lock writes state", .0.holder.subject)]
    HeldByAnother(Box<Lock>),
    /// The lock that the upload was proposed under is gone.
    #[error("the lock this upload was proposed under was released or taken over; nothing was written")]
    Fenced,
    /// The serial is lower than the current one, or equal with other content.
    #[error(
        "serial {given} does not rise: the current state version has serial {current} and md5 {md5}; \
         pull the current state first, or use `taco unit push --force` to overwrite it"
    )]
    SerialDoesNotRise {
        /// The serial that came.
        given: u64,
        /// The current one.
        current: u64,
        /// The current content.
        md5: Md5,
    },
    /// The lineage is another one.
    #[error(
        "lineage {given} is not the lineage {current} of this workspace: this is another state's history; \
         use `taco unit push --force` to replace it"
    )]
    ForeignLineage {
        /// The lineage that came.
        given: String,
        /// The current one.
        current: String,
    },
    /// Another version was committed since the proposal.
    #[error("another state version was committed since this one was proposed; nothing was written")]
    Overtaken,
    /// The version has been committed with other bytes.
    #[error("this state version is finalized; its content cannot change")]
    Finalized,
    /// The serial is larger than clients can count.
    #[error("serial {0} is larger than Terraform can count to")]
    SerialTooLarge(u64),
    /// The history has no more places.
    #[error("the workspace has reached the most state versions it can have")]
    Full,
    /// The ticket is too old.
    #[error("this upload URL has expired; propose the state version again")]
    Expired,
    /// The bytes are not those announced.
    #[error(
        "the uploaded content has md5 {measured}, but md5 {announced} was announced; nothing was written"
    )]
    DigestMismatch {
        /// What was announced.
        announced: Md5,
        /// What came.
        measured: Md5,
    },
    /// The version to go back to cannot be given a new serial.
    #[error(
        "state version {0} cannot be rolled back to: its document has no serial of its own, because the client \
         encrypted it; pull that version and push it with a higher serial"
    )]
    NoSerial(StateVersionId),
    /// The document says another serial or lineage than the proposal.
    #[error("the uploaded state has {what} {found}, but {announced} was announced; nothing was written")]
    DocumentMismatch {
        /// `serial` or `lineage`.
        what: &'static str,
        /// What the document says.
        found: String,
        /// What was announced.
        announced: String,
    },
}

impl Workspace {
    /// Decides on a proposal. A repeated proposal of the current content is a ticket for the current version.
    ///
    /// `entry` is the number of the record entry that `self` is; `force` waives the serial and lineage rules.
    ///
    /// # Errors
    /// [`CommitError`]: the lock is not the caller's, the serial does not rise, the lineage is foreign.
    pub fn propose(
        &self,
        grant: &Grant<Write>,
        entry: u64,
        proposal: Proposal,
        force: Option<&Grant<Manage>>,
        random: [u8; 10],
        now: Timestamp,
    ) -> Result<Ticket, CommitError> {
        self.must_live(grant).map_err(|_| CommitError::Deleted)?;
        let lock = self.lock_of(grant.actor())?;
        // Not even force: nothing could follow it, and clients could not read it.
        if proposal.serial > MAX_SERIAL {
            return Err(CommitError::SerialTooLarge(proposal.serial));
        }
        let forced = self.may_force(grant, force);
        let repeated = self.current.as_ref().filter(|current| {
            current.serial == proposal.serial
                && current.md5 == proposal.md5
                && same_history(current, &proposal)
        });
        let (version, predecessor) = if let Some(current) = repeated {
            (current.id, current.predecessor)
        } else {
            if !forced {
                self.judge(proposal.serial, proposal.lineage.as_ref())?;
            }
            let last = self.current_id().map_or(0, |id| id.ordinal);
            let ordinal = last.checked_add(1).ok_or(CommitError::Full)?;
            (StateVersionId::new(self.id, ordinal, random), self.current_id())
        };
        Ok(Ticket {
            kind: TicketKind::State,
            version,
            predecessor,
            proposal,
            force: forced,
            subject: grant.actor().subject.clone(),
            parent: grant.actor().parent.clone(),
            lock: lock.id,
            entry,
            expires_at: now.plus(TICKET_LIFE),
        })
    }

    /// Decides whether it is worth reading the bytes of a ticket: whether they could become the current version now, or
    /// already are. The commit decides again.
    ///
    /// # Errors
    /// [`CommitError`], as the commit would have it.
    pub fn admit(&self, grant: &Grant<Write>, ticket: &Ticket, now: Timestamp) -> Result<(), CommitError> {
        self.must_live(grant).map_err(|_| CommitError::Deleted)?;
        if ticket.version.workspace != self.id {
            return Err(CommitError::Deleted);
        }
        if now > ticket.expires_at {
            return Err(CommitError::Expired);
        }
        if self.current_id() == Some(ticket.version) {
            return Ok(());
        }
        if self.current_id() != ticket.predecessor {
            return Err(CommitError::Overtaken);
        }
        if self.lock_of(grant.actor())?.id != ticket.lock || ticket.entry < self.sweep_floor {
            return Err(CommitError::Fenced);
        }
        Ok(())
    }

    /// Decides whether measured bytes become the current version. This is the commit's only rule.
    ///
    /// A ticket that was proposed with force needs the right to force still.
    ///
    /// # Errors
    /// [`CommitError`]; whatever it is, the workspace stays as it was.
    pub fn accept(
        &self,
        grant: &Grant<Write>,
        ticket: &Ticket,
        measured: &Measured,
        force: Option<&Grant<Manage>>,
        attempt: AttemptId,
        now: Timestamp,
    ) -> Result<Outcome, CommitError> {
        self.admit(grant, ticket, now)?;
        let own_lineage = ticket.matches(measured)?;
        if let Some(current) = self.current.as_ref().filter(|current| current.id == ticket.version) {
            return if current.sha256 == measured.sha256 {
                Ok(Outcome::Unchanged)
            } else {
                Err(CommitError::Finalized)
            };
        }
        if !(ticket.force && self.may_force(grant, force)) {
            self.judge(ticket.proposal.serial, own_lineage.as_ref())?;
        }
        // A document without a lineage, an encrypted one say, continues the history it is written to.
        let kept = || self.current.as_ref().and_then(|current| current.lineage.clone());
        let document = &measured.document;
        let version = StateVersion {
            id: ticket.version,
            predecessor: ticket.predecessor,
            serial: ticket.proposal.serial,
            lineage: own_lineage.or_else(kept),
            md5: measured.md5,
            sha256: measured.sha256,
            size: measured.size,
            attempt,
            outputs: document.outputs.len() as u64,
            resources: if document.encrypted { None } else { document.resources },
            terraform_version: document.terraform_version.clone().filter(|v| is_terraform_version(v)),
            encrypted: document.encrypted,
            created_at: now,
            created_by: grant.actor().subject.clone(),
            rolled_back_from: None,
        };
        Ok(Outcome::changed(Self { current: Some(version), updated_at: now, ..self.clone() }))
    }

    /// Decides on going back to a version: its content becomes a new version with the next serial. History is never
    /// shortened, so a rollback is undone by another one.
    ///
    /// A lineage that was replaced by force comes back with its content, for who may force.
    ///
    /// `entry` is the number of the record entry that `self` is.
    ///
    /// # Errors
    /// [`CommitError`]: the lock is not the caller's, the lineage is foreign; [`CommitError::NoSerial`] for a document that was encrypted by the
    /// client; [`CommitError::SerialTooLarge`].
    pub fn propose_rollback(
        &self,
        grant: &Grant<Write>,
        entry: u64,
        to: &StateVersion,
        force: Option<&Grant<Manage>>,
        random: [u8; 10],
    ) -> Result<Rollback, CommitError> {
        self.must_live(grant).map_err(|_| CommitError::Deleted)?;
        let lock = self.lock_of(grant.actor())?;
        let current = self.current.as_ref().filter(|_| to.id.workspace == self.id);
        let current = current.ok_or(CommitError::Deleted)?;
        if to.encrypted {
            return Err(CommitError::NoSerial(to.id));
        }
        if let (Some(given), Some(kept)) = (&to.lineage, &current.lineage)
            && given != kept
            && !self.may_force(grant, force)
        {
            return Err(CommitError::ForeignLineage {
                given: given.as_str().to_owned(),
                current: kept.as_str().to_owned(),
            });
        }
        let serial = current.serial.saturating_add(1);
        if serial > MAX_SERIAL {
            return Err(CommitError::SerialTooLarge(serial));
        }
        let ordinal = current.id.ordinal.checked_add(1).ok_or(CommitError::Full)?;
        let version = StateVersionId::new(self.id, ordinal, random);
        let (predecessor, lineage) = (current.id, to.lineage.clone());
        Ok(Rollback { version, to: to.id, serial, predecessor, lineage, lock: lock.id, entry })
    }

    /// Decides whether the rewritten content becomes the current version.
    ///
    /// # Errors
    /// [`CommitError::Overtaken`]; [`CommitError::Fenced`] and the other errors of a lock that is not the caller's any more;
    /// [`CommitError::NoSerial`] when the content did not take the new serial.
    pub fn accept_rollback(
        &self,
        grant: &Grant<Write>,
        rollback: &Rollback,
        measured: &Measured,
        attempt: AttemptId,
        now: Timestamp,
    ) -> Result<Outcome, CommitError> {
        self.must_live(grant).map_err(|_| CommitError::Deleted)?;
        if self.current_id() != Some(rollback.predecessor) {
            return Err(CommitError::Overtaken);
        }
        if self.lock_of(grant.actor())?.id != rollback.lock || rollback.entry < self.sweep_floor {
            return Err(CommitError::Fenced);
        }
        let document = &measured.document;
        if document.serial != Some(rollback.serial) || document.encrypted {
            return Err(CommitError::NoSerial(rollback.to));
        }
        let version = StateVersion {
            id: rollback.version,
            predecessor: Some(rollback.predecessor),
            serial: rollback.serial,
            lineage: document
                .lineage
                .as_deref()
                .and_then(|lineage| lineage.parse().ok())
                .or_else(|| rollback.lineage.clone()),
            md5: measured.md5,
            sha256: measured.sha256,
            size: measured.size,
            attempt,
            outputs: document.outputs.len() as u64,
            resources: document.resources,
            terraform_version: document.terraform_version.clone().filter(|v| is_terraform_version(v)),
            encrypted: false,
            created_at: now,
            created_by: grant.actor().subject.clone(),
            rolled_back_from: Some(rollback.to),
        };
        Ok(Outcome::changed(Self { current: Some(version), updated_at: now, ..self.clone() }))
    }

    fn lock_of(&self, actor: &Actor) -> Result<&Lock, CommitError> {
        match &self.lock {
            None => Err(CommitError::NotLocked),
            Some(lock) if lock.holder.is(actor) => Ok(lock),
            Some(lock) => Err(CommitError::HeldByAnother(Box::new(lock.clone()))),
        }
    }

    /// Whether the writer may waive the serial and lineage rules.
    fn may_force(&self, grant: &Grant<Write>, force: Option<&Grant<Manage>>) -> bool {
        force.is_some_and(|force| force.covers(self.id) && force.actor() == grant.actor())
    }

    /// The serial rises and the lineage stays.
    fn judge(&self, serial: u64, lineage: Option<&Lineage>) -> Result<(), CommitError> {
        let Some(current) = &self.current else { return Ok(()) };
        if let (Some(given), Some(kept)) = (lineage, &current.lineage)
            && given != kept
        {
            return Err(CommitError::ForeignLineage {
                given: given.as_str().to_owned(),
                current: kept.as_str().to_owned(),
            });
        }
        if serial <= current.serial {
            return Err(CommitError::SerialDoesNotRise {
                given: serial,
                current: current.serial,
                md5: current.md5,
            });
        }
        Ok(())
    }
}

fn same_history(current: &StateVersion, proposal: &Proposal) -> bool {
    current.lineage.is_none() || proposal.lineage.is_none() || current.lineage == proposal.lineage
}

impl Ticket {
    /// The workspace it writes to.
    pub fn workspace(&self) -> WorkspaceId {
        self.version.workspace
    }

    /// The ticket for the JSON rendering of the same version.
    #[must_use]
    pub fn for_json_state(&self) -> Self {
        Self { kind: TicketKind::JsonState, ..self.clone() }
    }

    /// Whether the bytes that came are the bytes that were announced; gives the lineage that either names.
    fn matches(&self, measured: &Measured) -> Result<Option<Lineage>, CommitError> {
        if measured.md5 != self.proposal.md5 {
            return Err(CommitError::DigestMismatch { announced: self.proposal.md5, measured: measured.md5 });
        }
        let document = &measured.document;
        let mismatch = |what, found: Option<String>, announced: String| {
            Err(CommitError::DocumentMismatch {
                what,
                found: found.unwrap_or_else(|| "none".to_owned()),
                announced,
            })
        };
        let announced = self.proposal.serial;
        match document.serial {
            Some(serial) if serial == announced => {}
            None if document.encrypted => {}
            found => {
                return mismatch("serial", found.map(|serial| serial.to_string()), announced.to_string());
            }
        }
        let found = document.lineage.as_deref().filter(|found| !found.is_empty());
        match (found, &self.proposal.lineage) {
            (None, announced) => Ok(announced.clone()),
            (Some(found), Some(announced)) if found == announced.as_str() => Ok(Some(announced.clone())),
            (Some(found), announced) => match (found.parse::<Lineage>(), announced) {
                (Ok(lineage), None) => Ok(Some(lineage)),
                (_, announced) => mismatch(
                    "lineage",
                    Some(found.chars().take(200).collect()),
                    announced
                        .as_ref()
                        .map_or_else(|| "none".to_owned(), |lineage| lineage.as_str().to_owned()),
                ),
            },
        }
    }
}
