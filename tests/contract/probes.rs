//! What the probe says of a store, and what it says to whoever must mend it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use opentaco_object_store::{ProbeError, Probed, S3, Store, check, probe};
use opentaco_ports::driven::{Clock, Entropy};
use opentaco_tests::port::Held;
use opentaco_tests::seaweed::{Identity, Seaweed, variables};

use crate::backend::{Backend, TestClock};

/// Chance that is none.
struct Counting(std::sync::atomic::AtomicU8);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    }
}

pub fn chance() -> impl Entropy {
    Counting(1.into())
}

async fn probed(store: Store) -> Result<Probed, ProbeError> {
    probe(&Arc::new(store), &TestClock::new(), &chance()).await
}

/// What it says of a store that must not be used.
async fn refusal(place: &S3) -> String {
    let refused = probed(Store::s3(place).unwrap()).await.unwrap_err();
    let text = refused.to_string();
    for (name, value) in &place.variables {
        assert!(name.contains("ENDPOINT") || !text.contains(value.as_str()), "it repeats {name}: {text}");
    }
    assert!(!text.contains("X-Amz") && !text.contains('<'), "{text}");
    text
}

pub async fn a_good_store_passes_and_keeps_nothing_but_its_layout(backend: &Backend) {
    let (store, chance) = (Arc::new(backend.store()), chance());
    for _ in 0..2 {
        probe(&store, &*backend.clock, &chance).await.unwrap();
        check(&store, &*backend.clock, &chance).await.unwrap();
    }
    assert_eq!(backend.raw.keys("_probe").await, Vec::<String>::new());
    assert_eq!(backend.raw.keys("format").await.len(), 1);
}

pub async fn a_clock_that_is_far_away_is_told(backend: &Backend) {
    let store = Arc::new(backend.store());
    let clock: &dyn Clock = &*backend.clock;
    let probed = check(&store, clock, &chance()).await.unwrap();
    // The test's clock stands in 2025.
    assert!(!probed.clocks_agree(), "{probed:?}");
}

fn place(bucket: &str, variables: Vec<(String, String)>) -> S3 {
    S3 { bucket: bucket.to_owned(), prefix: None, region: None, variables }
}

#[tokio::test]
async fn a_missing_bucket_is_named() {
    let Some(seaweed) = Seaweed::find() else { return };
    let text = refusal(&place("nowhere", seaweed.variables(Identity::Admin))).await;
    assert!(text.contains("\"nowhere\"") && text.contains("does not exist: create it"), "{text}");
}

#[tokio::test]
async fn wrong_credentials_are_told_from_missing_rights() {
    let Some(seaweed) = Seaweed::find() else { return };
    let bucket = seaweed.bucket();
    for (at, code) in [(0, "InvalidAccessKeyId"), (1, "SignatureDoesNotMatch")] {
        let mut wrong = seaweed.variables(Identity::Admin);
        "hunter2hunter2".clone_into(&mut wrong[at].1);
        let text = refusal(&place(&bucket, wrong)).await;
        assert!(text.contains(&bucket) && text.contains(code), "{text}");
        assert!(text.contains("check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"), "{text}");
    }
}

#[tokio::test]
async fn whoever_may_not_list_is_told_to_ask_for_it() {
    let Some(seaweed) = Seaweed::find() else { return };
    let bucket = seaweed.bucket();
    let text = refusal(&place(&bucket, seaweed.variables(Identity::Listless))).await;
    assert!(text.contains(&bucket) && text.contains("grant s3:ListBucket"), "{text}");
}

#[tokio::test]
async fn whoever_may_only_read_is_told_to_ask_for_writing() {
    let Some(seaweed) = Seaweed::find() else { return };
    let bucket = seaweed.bucket();
    let text = refusal(&place(&bucket, seaweed.variables(Identity::Reader))).await;
    assert!(text.contains(&bucket) && text.contains("grant s3:PutObject"), "{text}");
}

async fn in_seconds<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(15), answer).await.expect("an answer within 15 seconds")
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_told_in_seconds() {
    let _ = Seaweed::find();
    let held = Held::any();
    let port = held.port();
    let text = in_seconds(refusal(&place("b", variables(port, Identity::Admin)))).await;
    assert!(text.contains(&format!("\"b\" at http://127.0.0.1:{port} cannot be reached")), "{text}");
    assert!(text.contains("refused") && text.contains("AWS_ENDPOINT_URL_S3"), "{text}");
}

#[tokio::test]
async fn a_host_that_never_answers_is_told_in_seconds() {
    // Connections are taken by the system; nobody ever reads them.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = deaf.local_addr().unwrap().port();
    let text = in_seconds(refusal(&place("b", variables(port, Identity::Admin)))).await;
    assert!(text.contains("cannot be reached: it does not answer in time"), "{text}");
}

/// A store that takes every create, whatever it was asked.
#[derive(Debug, Default)]
struct Careless(InMemory);

impl fmt::Display for Careless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Careless")
    }
}

#[async_trait]
impl ObjectStore for Careless {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.0.put_opts(at, bytes, PutOptions { mode: PutMode::Overwrite, ..options }).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(at, options).await
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(keys)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

#[tokio::test]
async fn a_store_that_ignores_conditions_is_refused_at_every_probe() {
    let store = || Arc::new(Store::over(Arc::new(Careless::default())));
    let at_start = probe(&store(), &TestClock::new(), &chance()).await;
    let each_minute = check(&store(), &TestClock::new(), &chance()).await;
    for refused in [at_start, each_minute] {
        assert!(matches!(refused, Err(ProbeError::IgnoresConditions(_))), "{refused:?}");
    }
}
