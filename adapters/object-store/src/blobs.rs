//! Blobs in an object store: written once, under keys that belong to one attempt.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt};
use opentaco_domain::id::{AttemptId, StateVersionId};
use opentaco_domain::state::{Measured, Output};
use opentaco_ports::driven::blobs::{BlobKey, BlobKind, Blobs, PutError};
use opentaco_ports::driven::{BodyError, ByteStream, Clock, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::io::AsyncWriteExt;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot};
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

use crate::layout;
use crate::pipeline::{HEADER, Look, run};
use crate::refusal::words;
use crate::store::{Settled, Store, unavailable};

/// Bodies up to this long are handled at once; longer ones stream through a thread of their own.
const SMALL: usize = 64 * 1024;
/// How many long bodies stream in at once; others wait their turn.
const STREAMS: usize = 64;
/// How long they wait.
const TURN: Duration = Duration::from_mins(1);
/// How many parts of one blob wait for the store.
const PARTS_UNDER_WAY: usize = 2;
/// How much is gathered before a part of a large blob is sent. S3 takes 10,000 parts of at least 5 MiB.
const PART: usize = 8 * 1024 * 1024;
const CHUNKS_UNDER_WAY: usize = 4;
const DECODED_CHUNK: usize = 128 * 1024;

/// Blobs in that store.
pub struct ObjectBlobs {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    streams: Semaphore,
}

#[derive(Serialize, Deserialize)]
struct OutputDisk {
    name: String,
    sensitive: bool,
    #[serde(rename = "type")]
    kind: Box<RawValue>,
    value: Box<RawValue>,
}

impl ObjectBlobs {
    /// Blobs in that store.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, streams: Semaphore::new(STREAMS) }
    }

    async fn permit(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        match select(pin!(self.streams.acquire()), self.clock.sleep(TURN)).await {
            Either::Left((Ok(permit), _)) => Ok(permit),
            _ => Err(StoreError::Unavailable),
        }
    }

    async fn put(
        &self,
        key: BlobKey,
        body: ByteStream,
        look: Look,
        limit: u64,
    ) -> Result<Measured, PutError> {
        let at = layout::blob(key);
        match gather(body).await? {
            (chunks, None) => {
                let mut blob = BytesMut::new();
                let mut chunks = chunks.into_iter().map(Ok);
                let measured = run(
                    &mut || chunks.next(),
                    &mut |bytes| {
                        blob.extend_from_slice(&bytes);
                        Ok(())
                    },
                    look,
                    limit,
                )?;
                self.put_whole(&at, blob.freeze()).await?;
                Ok(measured)
            }
            (chunks, Some(rest)) => {
                let body = stream::iter(chunks.into_iter().map(Ok)).chain(rest);
                self.put_streaming(&at, Box::pin(body), look, limit).await
            }
        }
    }

    async fn put_whole(&self, at: &Path, blob: Bytes) -> Result<(), StoreError> {
        match self.store.settle(&*self.clock, at, &blob).await? {
            Settled::Landed => Ok(()),
            // The attempt's id is random: somebody else's bytes there are no accident.
            Settled::Taken(_) => Err(StoreError::Corrupt(at.to_string())),
        }
    }

    async fn put_streaming(
        &self,
        at: &Path,
        mut body: ByteStream,
        look: Look,
        limit: u64,
    ) -> Result<Measured, PutError> {
        let _permit = self.permit().await?;
        self.store.prepare(at).await?;
        let (raw_in, mut raw_out) = mpsc::channel::<Result<Bytes, BodyError>>(CHUNKS_UNDER_WAY);
        let (blob_in, mut blob_out) = mpsc::channel::<Bytes>(CHUNKS_UNDER_WAY);
        let (measured_in, measured) = oneshot::channel();
        // A thread of its own: a client that is slow would hold one that all storage needs.
        let work = std::thread::Builder::new().name("upload".to_owned()).spawn(move || {
            let sink = |bytes| blob_in.blocking_send(bytes).map_err(|_| io::ErrorKind::BrokenPipe.into());
            let outcome = run(&mut || raw_out.blocking_recv(), &mut { sink }, look, limit);
            let _nobody_waits_any_more = measured_in.send(outcome);
        });
        work.map_err(|error| {
            tracing::error!(%error, "cannot start a thread for an upload");
            StoreError::Unavailable
        })?;
        let feed = async move {
            while let Some(chunk) = body.next().await {
                if raw_in.send(chunk).await.is_err() {
                    break;
                }
            }
        };
        let mut writer = BufWriter::with_capacity(self.store.blobs().clone(), at.clone(), PART)
            .with_max_concurrency(PARTS_UNDER_WAY);
        let target = &mut writer;
        // When this ends, also by an error, its channel closes and the worker ends too.
        let write = async move {
            while let Some(bytes) = blob_out.recv().await {
                target.put(bytes).await?;
            }
            Ok::<_, Error>(())
        };
        let ((), written) = futures_util::future::join(feed, write).await;
        let measured = measured.await.map_err(|_| StoreError::Unavailable)?;
        let failure = match (&measured, written) {
            (_, Err(error)) => PutError::Store(unavailable("write", at, &error)),
            (Err(failure), Ok(())) => failure.clone(),
            // A shutdown that fails cleans up by itself; the writer must not be touched after it.
            (Ok(_), Ok(())) => {
                return writer.shutdown().await.map_or_else(
                    |error| {
                        tracing::warn!(error = words(&error), "storage: cannot write {at}");
                        Err(PutError::Store(StoreError::Unavailable))
                    },
                    |()| measured,
                );
            }
        };
        let _left_for_the_sweep = writer.abort().await;
        Err(failure)
    }
}

/// The whole body if it is small; else what came so far, and the rest.
async fn gather(mut body: ByteStream) -> Result<(Vec<Bytes>, Option<ByteStream>), BodyError> {
    let (mut chunks, mut size) = (Vec::new(), 0);
    while size <= SMALL {
        match body.next().await.transpose()? {
            None => return Ok((chunks, None)),
            Some(chunk) => {
                size += chunk.len();
                chunks.push(chunk);
            }
        }
    }
    Ok((chunks, Some(body)))
}

#[async_trait]
impl Blobs for ObjectBlobs {
    async fn put_state(&self, key: BlobKey, body: ByteStream, limit: u64) -> Result<Measured, PutError> {
        self.put(key, body, Look::State, limit).await
    }

    async fn put_plain(&self, key: BlobKey, body: ByteStream, limit: u64) -> Result<(), PutError> {
        self.put(key, body, Look::Not, limit).await.map(drop)
    }

    async fn put_outputs(&self, key: BlobKey, outputs: &[Output]) -> Result<(), StoreError> {
        let json = write_outputs(outputs).map_err(|_| StoreError::Corrupt(layout::blob(key).to_string()))?;
        let body: ByteStream = Box::pin(stream::iter([Ok(Bytes::from(json))]));
        match self.put_plain(key, body, u64::MAX).await {
            Ok(()) => Ok(()),
            Err(PutError::Store(error)) => Err(error),
            Err(_) => Err(StoreError::Unavailable),
        }
    }

    async fn first_attempt(
        &self,
        version: StateVersionId,
        kind: BlobKind,
    ) -> Result<Option<AttemptId>, StoreError> {
        let (folder, before) = layout::blobs_of(version);
        let listed = self.store.objects().list_with_offset(Some(&folder), &before);
        // For the newest version, which is the one that clients ask for, nothing else is listed.
        let attempts = listed
            .try_filter_map(|object| async move { Ok(layout::parse_blob(&object.location, version, kind)) });
        let attempts: Result<Vec<AttemptId>, Error> = attempts.try_collect().await;
        let attempts = attempts.map_err(|error| unavailable("list", &folder, &error))?;
        Ok(attempts.into_iter().min())
    }

    async fn open(&self, key: BlobKey) -> Result<ByteStream, StoreError> {
        let at = layout::blob(key);
        let found = self.store.blobs().get(&at).await.map_err(|error| match error {
            Error::NotFound { .. } => corrupt(&at, "it is not there"),
            error => unavailable("read", &at, &error),
        })?;
        let name = at.clone();
        let raw = found.into_stream().map_err(move |error| unavailable("read", &name, &error));
        plain(at, raw.fuse().boxed()).await
    }

    async fn outputs(&self, key: BlobKey) -> Result<Vec<Output>, StoreError> {
        let body = self.open(key).await?;
        let json: BytesMut = body.try_collect().await.map_err(|_| StoreError::Unavailable)?;
        let read: Vec<OutputDisk> = serde_json::from_slice(&json)
            .map_err(|error| corrupt(&layout::blob(key), &crate::record::place(&error)))?;
        let output = |disk: OutputDisk| Output {
            name: disk.name,
            sensitive: disk.sensitive,
            type_json: disk.kind.get().to_owned(),
            value_json: disk.value.get().to_owned(),
        };
        Ok(read.into_iter().map(output).collect())
    }
}

fn write_outputs(outputs: &[Output]) -> Result<Vec<u8>, serde_json::Error> {
    let disk = |output: &Output| {
        Ok(OutputDisk {
            name: output.name.clone(),
            sensitive: output.sensitive,
            kind: RawValue::from_string(output.type_json.clone())?,
            value: RawValue::from_string(output.value_json.clone())?,
        })
    };
    serde_json::to_vec(&outputs.iter().map(disk).collect::<Result<Vec<_>, serde_json::Error>>()?)
}

fn corrupt(at: &Path, why: &str) -> StoreError {
    tracing::error!(key = %at, why, "storage holds an unreadable blob");
    StoreError::Corrupt(at.to_string())
}

type Raw = stream::BoxStream<'static, Result<Bytes, StoreError>>;

/// Checks the header and gives the bytes as they were before compression.
async fn plain(at: Path, mut raw: Raw) -> Result<ByteStream, StoreError> {
    let mut head = BytesMut::new();
    while head.len() < HEADER.len() {
        match raw.try_next().await? {
            Some(chunk) => head.extend_from_slice(&chunk),
            None => return Err(corrupt(&at, "it is cut short")),
        }
    }
    if head.split_to(HEADER.len()) != HEADER.as_slice() {
        return Err(corrupt(&at, "its header is unknown"));
    }
    let decoder = Decoder::new().map_err(|error| corrupt(&at, &error.to_string()))?;
    let unpack = Unpack { at, raw, decoder, input: head.freeze(), held: Bytes::new(), complete: false };
    Ok(Box::pin(stream::try_unfold(unpack, |unpack| async move {
        unpack.next().await.map_err(|error| BodyError(error.to_string()))
    })))
}

struct Unpack {
    at: Path,
    raw: Raw,
    decoder: Decoder<'static>,
    input: Bytes,
    /// What was read last. It is handed on when the next is there or the checksum is known to be right: whoever
    /// counts bytes must not take damaged ones for a whole state.
    held: Bytes,
    /// Whether the frame has been read to its end, checksum included.
    complete: bool,
}

impl Unpack {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        loop {
            if self.input.is_empty() {
                match self.raw.try_next().await? {
                    Some(chunk) => self.input = chunk,
                    None if !self.complete => return Err(corrupt(&self.at, "it is cut short")),
                    None if self.held.is_empty() => return Ok(None),
                    None => return Ok(Some((std::mem::take(&mut self.held), self))),
                }
                continue;
            }
            if self.complete {
                return Err(corrupt(&self.at, "something follows its end"));
            }
            let mut out = vec![0; DECODED_CHUNK];
            let mut input = InBuffer::around(&self.input);
            let mut output = OutBuffer::around(&mut out);
            let left = self.decoder.run(&mut input, &mut output);
            let left = left.map_err(|error| corrupt(&self.at, &error.to_string()))?;
            let (read, wrote) = (input.pos(), output.pos());
            self.complete = left == 0;
            self.input = self.input.slice(read..);
            out.truncate(wrote);
            if wrote > 0 {
                let before = std::mem::replace(&mut self.held, out.into());
                if !before.is_empty() {
                    return Ok(Some((before, self)));
                }
            }
        }
    }
}
