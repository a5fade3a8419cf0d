//! What the suite runs against: a place where data lies, and servers that share it.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt};
use opentaco_domain::organization::Organization;
use opentaco_domain::policy::Policy;
use opentaco_domain::time::Timestamp;
use opentaco_domain::user::User;
use opentaco_domain::workspace::{NameClaim, Workspace};
use opentaco_object_store::{
    ObjectBlobs, ObjectCatalog, ObjectTokens, ObjectVersions, RecordStreams, S3, Store,
};
use opentaco_ports::driven::Clock;
use opentaco_ports::driven::blobs::Blobs;
use opentaco_ports::driven::catalog::Catalog;
use opentaco_ports::driven::records::Records;
use opentaco_ports::driven::tokens::Tokens;
use opentaco_ports::driven::versions::Versions;
use opentaco_tests::seaweed::{Identity, Seaweed};
use tempfile::TempDir;

/// Two clocks that the test moves. Whoever sleeps moves both.
#[derive(Debug)]
pub struct TestClock(Mutex<(Timestamp, Duration)>);

impl TestClock {
    pub fn new() -> Self {
        Self(Mutex::new((Timestamp::from_millis(1_764_072_000_000), Duration::from_secs(1000))))
    }

    pub fn move_wall(&self, millis: i64) {
        let mut time = self.0.lock().unwrap();
        time.0 = Timestamp::from_millis(time.0.as_millis() + millis);
    }

    pub fn move_mono(&self, by: Duration) {
        self.0.lock().unwrap().1 += by;
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().0
    }

    fn mono(&self) -> Duration {
        self.0.lock().unwrap().1
    }

    async fn sleep(&self, time: Duration) {
        {
            let mut both = self.0.lock().unwrap();
            both.0 = both.0.plus(time);
            both.1 += time;
        }
        tokio::task::yield_now().await;
    }
}

enum Place {
    Memory(Arc<InMemory>),
    Local(TempDir),
    S3(S3),
}

/// A place where data lies.
pub struct Backend {
    place: Place,
    pub clock: Arc<TestClock>,
    /// The same data without OpenTaco in between.
    pub raw: Raw,
}

/// The storage ports of one server.
pub struct Server {
    pub workspaces: Arc<dyn Records<Workspace>>,
    pub names: Arc<dyn Records<NameClaim>>,
    pub organizations: Arc<dyn Records<Organization>>,
    pub users: Arc<dyn Records<User>>,
    pub policies: Arc<dyn Records<Policy>>,
    pub blobs: Arc<dyn Blobs>,
    pub catalog: Arc<dyn Catalog>,
    pub versions: Arc<dyn Versions>,
    pub tokens: Arc<dyn Tokens>,
}

impl Server {
    /// A server that remembers nothing, over that store.
    pub fn over(store: Store, clock: &Arc<TestClock>) -> Self {
        let store = Arc::new(store);
        let (s, c) = (|| store.clone(), || -> Arc<dyn Clock> { clock.clone() });
        Self {
            workspaces: Arc::new(RecordStreams::new(s(), c())),
            names: Arc::new(RecordStreams::new(s(), c())),
            organizations: Arc::new(RecordStreams::new(s(), c())),
            users: Arc::new(RecordStreams::new(s(), c())),
            policies: Arc::new(RecordStreams::new(s(), c())),
            blobs: Arc::new(ObjectBlobs::new(s(), c())),
            catalog: Arc::new(ObjectCatalog::new(s(), c())),
            versions: Arc::new(ObjectVersions::new(s(), c())),
            tokens: Arc::new(ObjectTokens::new(s(), c())),
        }
    }
}

impl Backend {
    pub fn memory() -> Self {
        let objects = Arc::new(InMemory::new());
        let raw = Raw(objects.clone());
        Self { place: Place::Memory(objects), clock: Arc::new(TestClock::new()), raw }
    }

    pub fn local() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let raw = Raw(Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap()));
        Self { place: Place::Local(folder), clock: Arc::new(TestClock::new()), raw }
    }

    /// A prefix of its own in a bucket of a real S3 server; none where there is no such server.
    pub fn s3() -> Option<Self> {
        static BUCKET: OnceLock<String> = OnceLock::new();
        static BACKENDS: AtomicU32 = AtomicU32::new(0);
        let seaweed = Seaweed::find()?;
        let bucket = BUCKET.get_or_init(|| seaweed.bucket()).clone();
        let prefix = format!("team/{}", BACKENDS.fetch_add(1, Ordering::Relaxed));
        let raw = Raw(Arc::new(PrefixStore::new(seaweed.client(&bucket), prefix.as_str())));
        let variables = seaweed.variables(Identity::Admin);
        let place = Place::S3(S3 { bucket, prefix: Some(prefix), region: None, variables });
        Some(Self { place, clock: Arc::new(TestClock::new()), raw })
    }

    /// Another server on the same data, as a second process or a restart would be.
    pub fn open(&self) -> Server {
        Server::over(self.store(), &self.clock)
    }

    /// The store of such a server.
    pub fn store(&self) -> Store {
        match &self.place {
            Place::Memory(objects) => Store::over(objects.clone()),
            Place::Local(folder) => Store::local(folder.path()).unwrap(),
            Place::S3(place) => Store::s3(place).unwrap(),
        }
    }

    /// The folder of a local backend.
    pub fn folder(&self) -> &std::path::Path {
        match &self.place {
            Place::Local(folder) => folder.path(),
            Place::Memory(_) | Place::S3(_) => panic!("only a disk has a folder"),
        }
    }

    /// One in how many of a great number of cases is tried: each costs more the farther the data.
    pub fn one_in(&self) -> usize {
        match self.place {
            Place::Memory(_) => 1,
            Place::Local(_) => 7,
            Place::S3(_) => 97,
        }
    }

    /// How often a race is run.
    pub fn rounds(&self) -> usize {
        if matches!(self.place, Place::S3(_)) { 200 } else { 1000 }
    }

    /// How many race. Many at one key make `SeaweedFS` answer late.
    pub fn racers(&self) -> usize {
        if matches!(self.place, Place::S3(_)) { 2 } else { 8 }
    }
}

/// The objects as they lie in the store.
#[derive(Clone)]
pub struct Raw(pub Arc<dyn ObjectStore>);

impl Raw {
    /// Every key below a prefix, in order.
    pub async fn keys(&self, prefix: &str) -> Vec<String> {
        let prefix = Path::from(prefix);
        let listed: Vec<_> = self.0.list(Some(&prefix)).try_collect().await.unwrap();
        let mut keys: Vec<String> = listed.into_iter().map(|object| object.location.to_string()).collect();
        keys.sort();
        keys
    }

    pub async fn get(&self, key: &str) -> Bytes {
        self.0.get(&Path::from(key)).await.unwrap().bytes().await.unwrap()
    }

    /// Writes over whatever is there, as no server does.
    pub async fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        self.0.put(&Path::from(key), bytes.into().into()).await.unwrap();
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
