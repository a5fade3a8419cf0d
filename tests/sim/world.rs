//! A world in which everything that can go wrong does, the same way every time for one seed.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use opentaco_domain::time::Timestamp;
use opentaco_ports::driven::{Clock, Entropy};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Chance, drawn from one seed in one order.
#[derive(Clone)]
pub struct Chance(Arc<Mutex<ChaCha8Rng>>);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(ChaCha8Rng::seed_from_u64(seed))))
    }

    /// A number below `bound`.
    pub fn below(&self, bound: u64) -> u64 {
        self.0.lock().unwrap().next_u64() % bound
    }

    /// True that many times in a hundred.
    pub fn percent(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&self, range: &'a [T]) -> &'a T {
        &range[usize::try_from(self.below(range.len() as u64)).unwrap()]
    }

    pub fn millis(&self, range: Range<u64>) -> Duration {
        Duration::from_millis(range.start + self.below(range.end - range.start))
    }
}

impl Entropy for Chance {
    fn fill(&self, buffer: &mut [u8]) {
        self.0.lock().unwrap().fill_bytes(buffer);
    }
}

/// The paused clock of the runtime, which jumps to the next thing that waits.
pub struct SimClock(tokio::time::Instant);

impl SimClock {
    pub fn new() -> Self {
        Self(tokio::time::Instant::now())
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000).plus(self.mono())
    }

    fn mono(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// A memory store that delays, reorders, fails, loses replies after landing, and lets writes land late.
#[derive(Clone)]
pub struct FaultyStore {
    pub inner: Arc<InMemory>,
    chance: Chance,
    calm: Arc<Mutex<bool>>,
}

impl FaultyStore {
    pub fn new(chance: Chance) -> Self {
        Self { inner: Arc::new(InMemory::new()), chance, calm: Arc::default() }
    }

    /// Ends all faults, for the auditor.
    pub fn calm(&self) {
        *self.calm.lock().unwrap() = true;
    }

    fn faults(&self, percent: u64) -> bool {
        !*self.calm.lock().unwrap() && self.chance.percent(percent)
    }

    async fn way(&self) {
        if !*self.calm.lock().unwrap() {
            // Mostly quick, sometimes slow enough that everybody else goes first, and now and then so slow that what
            // was begun is taken for given up.
            let time = match self.chance.below(100) {
                0 => self.chance.millis(2000..4000),
                1..6 => self.chance.millis(50..2000),
                _ => self.chance.millis(0..12),
            };
            tokio::time::sleep(time).await;
        }
    }
}

fn fault(what: &str) -> Error {
    Error::Generic { store: "sim", source: what.to_owned().into() }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.way().await;
        if self.faults(3) {
            return Err(fault("failed before anything happened"));
        }
        if self.faults(3) {
            let (store, location, time) = (self.inner.clone(), location.clone(), self.chance.millis(1..1500));
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                let _nobody_waits = store.put_opts(&location, payload, opts).await;
            });
            return Err(fault("timed out; it may land later"));
        }
        let done = self.inner.put_opts(location, payload, opts).await;
        self.way().await;
        if self.faults(6) {
            return Err(fault("the reply was lost"));
        }
        done
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.way().await;
        if self.faults(3) {
            return Err(fault("a read failed"));
        }
        let found = self.inner.get_opts(location, options).await;
        self.way().await;
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
