//! The way of bytes into a blob: digest, scan, compress, in one pass and constant memory.
//!
//! A blob begins with a header of 8 bytes: `OTCB`, format 1, compression (1 is zstd), sealing (0 is none), 0.

use std::io::{self, Read, Write};

use bytes::Bytes;
use md5::{Digest, Md5};
use opentaco_domain::state::{self, Document, Measured};
use opentaco_ports::driven::BodyError;
use opentaco_ports::driven::blobs::PutError;

use crate::scan::{MAX_KEPT, ScanError, scan};

/// The header of a compressed, unsealed blob.
pub(crate) const HEADER: [u8; 8] = *b"OTCB\x01\x01\x00\x00";
const LEVEL: i32 = 3;

/// Where raw bytes come from, chunk by chunk.
pub(crate) type Source<'a> = &'a mut dyn FnMut() -> Option<Result<Bytes, BodyError>>;
/// Where the blob's bytes go; an error means that nobody wants them any more.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(Bytes) -> io::Result<()>;

/// Whether the bytes are looked into.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// They must be a state document.
    State,
    /// They may be anything.
    Not,
}

/// Runs all bytes of `source` through to `sink`.
pub(crate) fn run(source: Source<'_>, sink: Sink<'_>, look: Look, limit: u64) -> Result<Measured, PutError> {
    let mut tee = Tee::new(source, sink, limit).map_err(lost)?;
    let scanned = match look {
        Look::State => scan(&mut tee),
        Look::Not => Ok(Document::default()),
    };
    if scanned.is_ok() {
        let _the_reason_is_kept = io::copy(&mut tee, &mut io::sink());
    }
    if let Some(failure) = tee.failure.take() {
        return Err(failure);
    }
    let document = scanned.map_err(|error| match error {
        ScanError::TooMuchKept => PutError::OutputsTooLarge(MAX_KEPT),
        ScanError::NotAState(why) => PutError::NotAState(why),
    })?;
    tee.finish(document).map_err(lost)
}

/// The sink is gone: whoever reads it knows why.
#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn lost(error: io::Error) -> PutError {
    PutError::Body(BodyError(error.to_string()))
}

struct Out<'a>(Sink<'a>);

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.0)(Bytes::copy_from_slice(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hands raw bytes to a reader, and on the way digests, counts and compresses them.
struct Tee<'a> {
    source: Source<'a>,
    chunk: Bytes,
    encoder: zstd::stream::write::Encoder<'static, Out<'a>>,
    md5: Md5,
    sha256: sha2::Sha256,
    size: u64,
    limit: u64,
    failure: Option<PutError>,
}

impl<'a> Tee<'a> {
    fn new(source: Source<'a>, sink: Sink<'a>, limit: u64) -> io::Result<Self> {
        sink(Bytes::from_static(&HEADER))?;
        let mut encoder = zstd::stream::write::Encoder::new(Out(sink), LEVEL)?;
        // A reader must not take damage for content.
        encoder.include_checksum(true)?;
        let (md5, sha256) = (Md5::new(), sha2::Sha256::new());
        Ok(Self { source, chunk: Bytes::new(), encoder, md5, sha256, size: 0, limit, failure: None })
    }

    fn take(&mut self, chunk: Bytes) -> Result<(), PutError> {
        self.size = self.size.saturating_add(chunk.len() as u64);
        if self.size > self.limit {
            return Err(PutError::TooLarge(self.limit));
        }
        self.md5.update(&chunk);
        self.sha256.update(&chunk);
        self.encoder.write_all(&chunk).map_err(lost)?;
        self.chunk = chunk;
        Ok(())
    }

    fn finish(self, document: Document) -> io::Result<Measured> {
        self.encoder.finish()?;
        Ok(Measured {
            size: self.size,
            md5: state::Md5(self.md5.finalize().into()),
            sha256: state::Sha256(self.sha256.finalize().into()),
            document,
        })
    }
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            if self.failure.is_some() {
                return Err(io::Error::other("the body has failed"));
            }
            let taken = match (self.source)() {
                None => return Ok(0),
                Some(Ok(chunk)) => self.take(chunk),
                Some(Err(error)) => Err(PutError::Body(error)),
            };
            self.failure = taken.err();
        }
        let count = buffer.len().min(self.chunk.len());
        buffer[..count].copy_from_slice(&self.chunk.split_to(count));
        Ok(count)
    }
}
