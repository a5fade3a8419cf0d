//! A store that does what it was asked and then says that it failed, does nothing and says so, or lets one wait.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use opentaco_object_store::Store;
use tokio::sync::oneshot;

use crate::backend::{Backend, Raw, Server};

/// For ever, as far as a test is concerned.
pub const ALWAYS: u32 = u32::MAX / 2;

/// How many of the next calls fail, and how.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Writes that land and are then answered by an error.
    pub lost: Arc<AtomicU32>,
    /// Writes that never land.
    pub failed: Arc<AtomicU32>,
    /// Reads that fail.
    pub unread: Arc<AtomicU32>,
    /// How many reads were asked for.
    pub reads: Arc<AtomicU32>,
    gate: Arc<Mutex<Option<Gate>>>,
}

/// One read that waits with its answer in hand.
#[derive(Debug)]
struct Gate {
    key_ends_with: &'static str,
    reached: oneshot::Sender<()>,
    open: oneshot::Receiver<()>,
}

impl Faults {
    /// Holds the answer of the next read of such a key: tells when it is there, and is told when to let it go.
    pub fn hold(&self, key_ends_with: &'static str) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let ((reached, is_reached), (open, is_open)) = (oneshot::channel(), oneshot::channel());
        *self.gate.lock().unwrap() = Some(Gate { key_ends_with, reached, open: is_open });
        (is_reached, open)
    }

    fn gate_for(&self, key: &Path) -> Option<Gate> {
        let mut gate = self.gate.lock().unwrap();
        gate.take_if(|gate| key.as_ref().ends_with(gate.key_ends_with))
    }

    fn next(counter: &AtomicU32) -> bool {
        counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

#[derive(Debug)]
struct Flaky {
    inner: Arc<dyn ObjectStore>,
    faults: Faults,
}

impl fmt::Display for Flaky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flaky")
    }
}

fn fault(what: &str) -> Error {
    Error::Generic { store: "flaky", source: what.to_owned().into() }
}

#[async_trait]
impl ObjectStore for Flaky {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        if Faults::next(&self.faults.failed) {
            return Err(fault("nothing was written"));
        }
        let done = self.inner.put_opts(location, payload, opts).await;
        if Faults::next(&self.faults.lost) { Err(fault("the reply was lost")) } else { done }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.faults.reads.fetch_add(1, Ordering::SeqCst);
        if Faults::next(&self.faults.unread) {
            return Err(fault("a read failed"));
        }
        let found = self.inner.get_opts(location, options).await;
        if let Some(gate) = self.faults.gate_for(location) {
            gate.reached.send(()).unwrap();
            gate.open.await.unwrap();
        }
        found
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A server whose store fails as told.
pub fn flaky(backend: &Backend) -> (Server, Faults) {
    let faults = Faults::default();
    let Raw(inner) = backend.raw.clone();
    let store = Store::over(Arc::new(Flaky { inner, faults: faults.clone() }));
    (Server::over(store, &backend.clock), faults)
}
