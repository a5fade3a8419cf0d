//! API tokens and families of refresh tokens as they are kept.

use async_trait::async_trait;
use opentaco_domain::actor::Subject;
use opentaco_domain::claims::Successor;
use opentaco_domain::id::TokenId;
use opentaco_domain::time::Timestamp;
use opentaco_domain::token::TokenRecord;

use super::StoreError;

/// What became of a try to make a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenMade {
    /// It is kept.
    Created,
    /// A token of that id was there already.
    Taken,
}

/// What became of a try to use a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Used {
    /// It was not used before.
    Now,
    /// It was, and this followed it.
    Before(Successor),
}

/// A token in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The token.
    pub record: TokenRecord,
    /// The hour in which it was used last.
    pub last_used_at: Option<Timestamp>,
}

/// Keeps tokens. Secrets never get here, only their digests.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// Keeps a new token, if its id is free. Of several that try one id, one is told [`TokenMade::Created`].
    /// A family's record has no secret in it, so two that make the same one in the same moment may both be told so: its
    /// first [`use_refresh`](Self::use_refresh) settles who began it.
    ///
    /// # Errors
    /// [`StoreError`] when the outcome is unknown; the token's secret must then not be handed out.
    async fn create(&self, record: &TokenRecord) -> Result<TokenMade, StoreError>;

    /// The token of that id, at most 5 seconds old.
    ///
    /// # Errors
    /// [`StoreError`]; a store that does not answer admits nobody.
    async fn read(&self, id: &TokenId) -> Result<Option<TokenRecord>, StoreError>;

    /// Ends a token: at once on this server, within 5 seconds elsewhere. Repeating it changes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn revoke(&self, id: &TokenId, by: &Subject, at: Timestamp) -> Result<(), StoreError>;

    /// Every token of an owner that is not revoked, in the order of their ids. Unreadable ones are left out.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn list(&self, owner: &Subject) -> Result<Vec<Listed>, StoreError>;

    /// Remembers that a token was used in that hour. It returns at once and may be lost; it can never undo a revocation,
    /// because it is kept apart.
    fn note_use(&self, id: &TokenId, at: Timestamp);

    /// Marks a refresh token of a family as used, if it was not yet: of several that try, one is told [`Used::Now`].
    ///
    /// # Errors
    /// [`StoreError`] when the outcome is unknown; no successor may then be handed out.
    async fn use_refresh(
        &self,
        family: &TokenId,
        jti: [u8; 16],
        successor: &Successor,
    ) -> Result<Used, StoreError>;

    /// Removes what died more than a day before `now`; says how many tokens and families are gone.
    ///
    /// # Errors
    /// [`StoreError`]; what was removed before it stays removed.
    async fn sweep(&self, now: Timestamp) -> Result<usize, StoreError>;
}
