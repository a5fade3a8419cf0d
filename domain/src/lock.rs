//! The lock of a workspace: at most one holder, and only the holder frees it.

use thiserror::Error;

use crate::actor::{Actor, Door, Subject};
use crate::id::{LockId, TokenId};
use crate::rbac::{Grant, Manage, UseLock};
use crate::time::Timestamp;
use crate::workspace::{Outcome, Workspace};

/// Who has a lock. Through the Terraform Cloud door that is the token: the client sends no lock id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The person or machine.
    pub subject: Subject,
    /// The token it came with.
    pub parent: TokenId,
    /// The door it came through.
    pub door: Door,
}

impl Holder {
    /// The holder that this caller would be.
    pub fn of(actor: &Actor) -> Self {
        Self { subject: actor.subject.clone(), parent: actor.parent.clone(), door: actor.door }
    }

    /// Whether this caller is the holder.
    pub fn is(&self, actor: &Actor) -> bool {
        self.parent == actor.parent && self.subject == actor.subject
    }
}

/// A lock that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// This taking of the lock; another taking has another id, so an old holder is told apart.
    pub id: LockId,
    /// Who holds it.
    pub holder: Holder,
    /// Why, in the holder's words.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

/// The longest reason, in characters; a longer one is cut.
pub const MAX_REASON: usize = 1024;

/// A wish for the lock. The id is drawn once per request, so that a repeated decision knows its own lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockRequest {
    id: LockId,
    reason: String,
}

impl LockRequest {
    /// A wish with a fresh id and a reason for people. What would move another person's cursor, or turn their text
    /// around, becomes a space.
    pub fn new(id: LockId, reason: &str) -> Self {
        let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let plain = |c: char| if c.is_control() || turns(c) { ' ' } else { c };
        Self { id, reason: reason.chars().take(MAX_REASON).map(plain).collect() }
    }
}

/// Why a lock was not taken or freed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LockError {
    /// Somebody (perhaps the caller itself) holds it.
    #[error("the workspace is locked by {}", .0.holder.subject)]
    Held(Box<Lock>),
    /// Nobody holds it.
    #[error("the workspace is not locked")]
    NotLocked,
    /// The workspace was deleted.
    #[error("the workspace was deleted")]
    Deleted,
}

impl Workspace {
    /// Takes the lock.
    ///
    /// # Errors
    /// [`LockError::Held`] while anybody holds it, the caller included; [`LockError::Deleted`].
    pub fn lock(
        &self,
        grant: &Grant<UseLock>,
        request: &LockRequest,
        now: Timestamp,
    ) -> Result<Outcome, LockError> {
        self.must_live(grant).map_err(|_| LockError::Deleted)?;
        match &self.lock {
            Some(lock) if lock.id == request.id && lock.holder.is(grant.actor()) => Ok(Outcome::Unchanged),
            Some(lock) => Err(LockError::Held(Box::new(lock.clone()))),
            None => {
                let lock = Lock {
                    id: request.id,
                    holder: Holder::of(grant.actor()),
                    reason: request.reason.clone(),
                    at: now,
                };
                Ok(Outcome::changed(Self { lock: Some(lock), ..self.clone() }))
            }
        }
    }

    /// Frees the caller's own lock.
    ///
    /// # Errors
    /// [`LockError::NotLocked`]; [`LockError::Held`] when somebody else holds it; [`LockError::Deleted`].
    pub fn unlock(&self, grant: &Grant<UseLock>) -> Result<Outcome, LockError> {
        self.must_live(grant).map_err(|_| LockError::Deleted)?;
        match &self.lock {
            None => Err(LockError::NotLocked),
            Some(lock) if lock.holder.is(grant.actor()) => {
                Ok(Outcome::changed(Self { lock: None, ..self.clone() }))
            }
            Some(lock) => Err(LockError::Held(Box::new(lock.clone()))),
        }
    }

    /// Frees anybody's lock, but only the taking of it that the caller saw. The old holder's writes are refused from then
    /// on.
    ///
    /// # Errors
    /// [`LockError::NotLocked`]; [`LockError::Held`] when it was taken anew since; [`LockError::Deleted`].
    pub fn force_unlock(&self, grant: &Grant<Manage>, seen: LockId) -> Result<Outcome, LockError> {
        self.must_live(grant).map_err(|_| LockError::Deleted)?;
        match &self.lock {
            None => Err(LockError::NotLocked),
            Some(lock) if lock.id != seen => Err(LockError::Held(Box::new(lock.clone()))),
            Some(_) => Ok(Outcome::changed(Self { lock: None, ..self.clone() })),
        }
    }
}
