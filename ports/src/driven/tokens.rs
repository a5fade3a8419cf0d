//! API tokens as they are kept.

use async_trait::async_trait;
use opentaco_domain::actor::Subject;
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

/// Keeps API tokens. Secrets never get here, only their digests.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// Keeps a new token, if its id is free. Of several that try one id, one is told [`TokenMade::Created`].
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
}
