//! Bodies: small ones whole, within limits, and states as streams.

use std::future::Future;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::web::{Bytes, Payload};
use futures_util::{StreamExt as _, stream};
use opentaco_ports::driven::{BodyError, ByteStream};
use opentaco_ports::driving::access::AccessError;
use thiserror::Error;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio::time::timeout;

use crate::requests;
use crate::task::Crashed;

/// The longest body of most requests, in bytes; longer ones are counted by [`LARGE`].
pub(crate) const SMALL: usize = 1024 * 1024;
/// How long a client may be silent in the middle of a body.
const STALL: Duration = Duration::from_mins(1);
/// How long a small body may take.
const WHOLE: Duration = Duration::from_mins(1);
/// How long a large one may.
const WHOLE_LARGE: Duration = Duration::from_mins(15);
/// How many chunks of a stream wait between the socket and the store.
const CHUNKS: usize = 8;

/// How many bodies longer than [`SMALL`] are in memory at once, over all workers.
static LARGE: Semaphore = Semaphore::const_new(4);

/// Why a body was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum BodyRefused {
    /// It is longer than the limit, in bytes.
    #[error("the body is longer than {0} bytes")]
    TooLarge(usize),
    /// It is compressed.
    #[error("send the body without Content-Encoding")]
    Encoded,
    /// It ended early.
    #[error(transparent)]
    Early(#[from] BodyError),
    /// Too many large bodies are being read.
    #[error("too many large requests at once; try again")]
    Busy,
    /// The caller's token ended, or its rights changed, while the body came.
    #[error(transparent)]
    Bearer(#[from] AccessError),
}

/// A body that was read whole.
pub(crate) struct Body {
    bytes: Vec<u8>,
    /// Held for as long as a large body, or what was parsed from it, is in memory.
    permit: Option<SemaphorePermit<'static>>,
}

impl Body {
    /// The bytes, and what must be kept until they and everything made of them are gone.
    pub(crate) fn into_parts(self) -> (Vec<u8>, Option<SemaphorePermit<'static>>) {
        (self.bytes, self.permit)
    }
}

/// The length that the client announced, in bytes.
pub(crate) fn announced_length(request: &HttpRequest) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads a body of at most `limit` bytes, and asks once more about the caller when it is there: a body can take as long as
/// somebody likes to live on with a token that was taken away.
pub(crate) async fn read(
    request: &HttpRequest,
    mut payload: Payload,
    limit: usize,
) -> Result<Body, BodyRefused> {
    if request.headers().get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(BodyRefused::Encoded);
    }
    let announced =
        announced_length(request).map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced > limit {
        return Err(BodyRefused::TooLarge(limit));
    }
    let whole = if limit > SMALL { WHOLE_LARGE } else { WHOLE };
    let body = timeout(whole, read_to_end(&mut payload, limit)).await;
    let too_slow = |_| BodyError(format!("it did not come within {} seconds", whole.as_secs()));
    let body = body.map_err(too_slow)??;
    requests::still_the_same_caller(request).await?;
    Ok(body)
}

/// Reads a body that says nothing here: left in the connection, it would end it under the client's next request.
pub(crate) async fn ignore(request: &HttpRequest, payload: Payload) -> Result<(), BodyRefused> {
    read(request, payload, SMALL).await.map(drop)
}

async fn read_to_end(payload: &mut Payload, limit: usize) -> Result<Body, BodyRefused> {
    let mut body = Body { bytes: Vec::new(), permit: None };
    while let Some(chunk) = next_chunk(payload).await? {
        let length = body.bytes.len() + chunk.len();
        if length > limit {
            return Err(BodyRefused::TooLarge(limit));
        }
        body.make_room(length).await?;
        body.bytes.extend_from_slice(&chunk);
    }
    Ok(body)
}

impl Body {
    async fn make_room(&mut self, length: usize) -> Result<(), BodyRefused> {
        if length > SMALL && self.permit.is_none() {
            let permit = timeout(STALL, LARGE.acquire()).await;
            self.permit = Some(permit.map_err(|_| BodyRefused::Busy)?.map_err(|_| BodyRefused::Busy)?);
        }
        self.bytes.reserve(length.saturating_sub(self.bytes.len()));
        Ok(())
    }
}

async fn next_chunk(payload: &mut Payload) -> Result<Option<Bytes>, BodyError> {
    match timeout(STALL, payload.next()).await {
        Ok(Some(Ok(chunk))) => Ok(Some(chunk)),
        Ok(Some(Err(error))) => Err(BodyError(error.to_string())),
        Ok(None) => Ok(None),
        Err(_) => Err(BodyError(format!("nothing came for {} seconds", STALL.as_secs()))),
    }
}

/// Gives a body as a stream to work that runs in a task of its own, and waits for the outcome.
///
/// A body whose client hangs up ends in an error, never as if it were complete; work that ends early ends the reading.
pub(crate) async fn stream_into<T, F>(
    mut payload: Payload,
    work: impl FnOnce(ByteStream) -> F,
) -> Result<T, Crashed>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let mut task = tokio::spawn(work(from_channel(receiver)));
    let pump = async move {
        loop {
            let chunk = next_chunk(&mut payload).await;
            let ends = !matches!(chunk, Ok(Some(_)));
            if sender.send(chunk).await.is_err() || ends {
                break;
            }
        }
    };
    let outcome = tokio::select! {
        outcome = &mut task => outcome,
        () = pump => task.await,
    };
    outcome.map_err(|_| Crashed)
}

/// Chunks, then `Ok(None)` at the end of the body; a channel that closes before that was abandoned.
fn from_channel(receiver: mpsc::Receiver<Result<Option<Bytes>, BodyError>>) -> ByteStream {
    Box::pin(stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Ok(Some(chunk))) => Some((Ok(chunk), Some(receiver))),
            Some(Ok(None)) => None,
            Some(Err(error)) => Some((Err(error), None)),
            None => Some((Err(BodyError("the client hung up".to_owned())), None)),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_is_cut_off_does_not_look_complete() {
        let (sender, receiver) = mpsc::channel(CHUNKS);
        sender.send(Ok(Some(Bytes::from_static(b"half")))).await.unwrap();
        drop(sender);
        let chunks: Vec<_> = from_channel(receiver).collect().await;
        assert_eq!(chunks, [Ok(Bytes::from_static(b"half")), Err(BodyError("the client hung up".into()))]);
    }

    #[tokio::test]
    async fn a_body_that_ends_ends() {
        let (sender, receiver) = mpsc::channel(CHUNKS);
        sender.send(Ok(Some(Bytes::from_static(b"all")))).await.unwrap();
        sender.send(Ok(None)).await.unwrap();
        let chunks: Vec<_> = from_channel(receiver).collect().await;
        assert_eq!(chunks, [Ok(Bytes::from_static(b"all"))]);
    }
}
