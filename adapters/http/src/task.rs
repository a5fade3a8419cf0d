//! Work that is finished even when the client hangs up.

use std::future::Future;

use thiserror::Error;

/// The work panicked or was stopped half way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the work ended without an outcome")]
pub(crate) struct Crashed;

/// Runs work in a task of its own: dropping the request does not abandon it half way.
pub(crate) async fn run<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Crashed> {
    tokio::spawn(work).await.map_err(|_| Crashed)
}
