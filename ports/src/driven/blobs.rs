//! Blobs: the bytes of states, their JSON renderings and their outputs.

use async_trait::async_trait;
use opentaco_domain::id::{AttemptId, StateVersionId};
use opentaco_domain::state::{Measured, Output};
use thiserror::Error;

use super::{BodyError, ByteStream, StoreError};

/// What a blob holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlobKind {
    /// The state as it came, byte for byte.
    State,
    /// Terraform's JSON rendering of it, as it came.
    JsonState,
    /// The outputs found in the state.
    Outputs,
}

/// Names a blob: owned by one upload attempt, so that no key is ever written twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlobKey {
    /// The version it belongs to.
    pub version: StateVersionId,
    /// The attempt that writes it.
    pub attempt: AttemptId,
    /// What it holds.
    pub kind: BlobKind,
}

/// Why bytes were not kept. Whatever it is, no blob is left that anything points to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PutError {
    /// The body is longer than the limit, in bytes.
    #[error("the body is longer than {0} bytes")]
    TooLarge(u64),
    /// The outputs are longer than the limit, in bytes, or there are more than 10,000.
    #[error(
        "the state has more than 10000 outputs, or its outputs and header fields are longer than {0} bytes"
    )]
    OutputsTooLarge(u64),
    /// The body ended early.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The body is not a state document: the message says where, never what stands there.
    #[error("the body is not a Terraform state in JSON: {0}")]
    NotAState(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Stores and returns bytes, streaming.
///
/// A put is durable when it returns. It uses constant memory, whatever the length.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Stores a state and measures it on the way.
    ///
    /// # Errors
    /// [`PutError`] by variant; nothing usable is left behind.
    async fn put_state(&self, key: BlobKey, body: ByteStream, limit: u64) -> Result<Measured, PutError>;

    /// Stores bytes that are not looked into.
    ///
    /// # Errors
    /// [`PutError::TooLarge`], [`PutError::Body`], [`PutError::Store`].
    async fn put_plain(&self, key: BlobKey, body: ByteStream, limit: u64) -> Result<(), PutError>;

    /// Stores the outputs of a state.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn put_outputs(&self, key: BlobKey, outputs: &[Output]) -> Result<(), StoreError>;

    /// The first attempt, in order, that kept a blob of that kind; none when there is no such blob.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn first_attempt(
        &self,
        version: StateVersionId,
        kind: BlobKind,
    ) -> Result<Option<AttemptId>, StoreError>;

    /// The bytes as they came.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the blob is not there or does not read; [`StoreError::Unavailable`].
    async fn open(&self, key: BlobKey) -> Result<ByteStream, StoreError>;

    /// The outputs, in order of their names.
    ///
    /// # Errors
    /// As [`Blobs::open`].
    async fn outputs(&self, key: BlobKey) -> Result<Vec<Output>, StoreError>;
}
