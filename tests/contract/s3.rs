//! What only a bucket has: prefixes, lists in order, and a price for each request.

use opentaco_object_store::{RecordStreams, S3, Store, check};
use opentaco_ports::driven::Clock;
use opentaco_ports::driven::blobs::BlobKind;
use opentaco_ports::driven::records::{ChangeKind, Records};
use opentaco_tests::proxy::Proxy;
use opentaco_tests::seaweed::{Identity, Seaweed, variables};

use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Raw, Server, TestClock};
use crate::probes::chance;
use crate::records::created;
use crate::values::{blob_key, body, change, landed, state, whole, workspace, workspace_id};

/// A bucket behind a proxy that counts.
struct Counted {
    proxy: Proxy,
    bucket: String,
    raw: Raw,
    clock: Arc<TestClock>,
}

impl Counted {
    fn new() -> Option<Self> {
        let seaweed = Seaweed::find()?;
        let bucket = seaweed.bucket();
        let (proxy, raw) = (Proxy::before(seaweed.port()), Raw(Arc::new(seaweed.client(&bucket))));
        Some(Self { proxy, bucket, raw, clock: Arc::new(TestClock::new()) })
    }

    fn store(&self, prefix: &str) -> Store {
        let variables = variables(self.proxy.port(), Identity::Admin);
        let prefix = Some(prefix.to_owned());
        Store::s3(&S3 { bucket: self.bucket.clone(), prefix, region: None, variables }).unwrap()
    }

    fn open(&self, prefix: &str) -> Server {
        Server::over(self.store(prefix), &self.clock)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_of_many_entries_is_found_by_one_list() {
    let Some(counted) = Counted::new() else { return };
    let writer = counted.open("team").workspaces;
    let mut base = created(&*writer, 1).await;
    for n in 2..=50 {
        let change = change(n, ChangeKind::Changed, workspace(1));
        base = landed(writer.try_append(&workspace_id(1), Some(&base), &change).await);
    }
    let reader = counted.open("team").workspaces;
    counted.proxy.requests();
    assert_eq!(reader.newest(&workspace_id(1)).await.unwrap().as_ref(), Some(&base));
    let cold = counted.proxy.requests();
    assert!(cold.len() == 3 && cold[0].contains("max-keys=1"), "a list, the entry, the one after: {cold:?}");
    assert!(cold.iter().all(|request| request.starts_with("GET ")), "{cold:?}");
    assert_eq!(reader.newest(&workspace_id(1)).await.unwrap().as_ref(), Some(&base));
    assert_eq!(counted.proxy.requests().len(), 1, "warm: is there a next one?");

    // A hint that is behind: what was written after it is found all the same.
    counted.clock.move_mono(Duration::from_mins(1));
    assert_eq!(reader.newest(&workspace_id(1)).await.unwrap().as_ref(), Some(&base));
    assert_eq!(counted.proxy.requests().len(), 3, "after a minute as if cold");

    let nobody = counted.open("team").workspaces;
    assert_eq!(nobody.newest(&workspace_id(2)).await.unwrap(), None);
    let absent = counted.proxy.requests();
    assert_eq!(absent.len(), 2, "a list, and the first entry: {absent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_about_in_a_stream_hides_no_entry() {
    let Some(counted) = Counted::new() else { return };
    let writer = counted.open("").workspaces;
    let mut base = created(&*writer, 1).await;
    for n in 2..=20 {
        let change = change(n, ChangeKind::Changed, workspace(1));
        base = landed(writer.try_append(&workspace_id(1), Some(&base), &change).await);
    }
    let stream = format!("workspaces/{}/record", workspace_id(1));
    // In a folder whose name goes on where the stream's ends, and which sorts before it.
    let foreign = format!("{stream}-old/{:020}-99.json", u64::MAX - 99);
    counted.raw.put(&foreign, "hello").await;
    let cold = counted.open("").workspaces;
    counted.proxy.requests();
    assert_eq!(cold.newest(&workspace_id(1)).await.unwrap().as_ref(), Some(&base));
    assert_eq!(counted.proxy.requests().len(), 3, "it misleads nobody");
    // Before every entry.
    counted.raw.put(&format!("{stream}/!readme"), "hello").await;
    assert_eq!(counted.open("").workspaces.newest(&workspace_id(1)).await.unwrap(), Some(base));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_prefixes_of_one_bucket_know_nothing_of_each_other() {
    let Some(counted) = Counted::new() else { return };
    let prefixes = ["team", "team-b", "team/a", ""];
    for (n, prefix) in prefixes.into_iter().enumerate() {
        let server = counted.open(&format!("/{prefix}/"));
        assert_eq!(server.workspaces.newest(&workspace_id(1)).await.unwrap(), None, "{prefix}: empty");
        let value = opentaco_domain::workspace::Workspace { sweep_floor: n as u64, ..workspace(1) };
        let creation = change(n, ChangeKind::Created, value.clone());
        landed(server.workspaces.try_append(&workspace_id(1), None, &creation).await);
        let mine = state(200_000, n as u64);
        let key = blob_key(1, BlobKind::State);
        server.blobs.put_state(key, body(mine.clone(), 5000), u64::MAX).await.unwrap();
        let again = counted.open(prefix);
        assert_eq!(again.workspaces.newest(&workspace_id(1)).await.unwrap().unwrap().value, value);
        assert!(whole(again.blobs.open(key).await.unwrap()).await.unwrap() == mine, "{prefix}");
    }
    let keys = counted.raw.keys("").await;
    assert_eq!(keys.len(), prefixes.len() * 2, "{keys:?}");
    for prefix in &prefixes[..3] {
        let mine = keys.iter().filter(|key| key.starts_with(&format!("{prefix}/workspaces/"))).count();
        assert_eq!(mine, 2, "{prefix}: {keys:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_of_each_minute_costs_four_requests() {
    let Some(counted) = Counted::new() else { return };
    check(&Arc::new(counted.store("a")), &*counted.clock, &chance()).await.unwrap();
    let requests = counted.proxy.requests();
    let methods: Vec<&str> = requests.iter().filter_map(|request| request.split(' ').next()).collect();
    assert_eq!(methods, ["PUT", "PUT", "HEAD", "DELETE"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_state_comes_back_whole_from_many_parts() {
    let Some(counted) = Counted::new() else { return };
    let server = counted.open("");
    let (key, large) = (blob_key(1, BlobKind::State), state(40 * 1024 * 1024, 1));
    server.blobs.put_state(key, body(large.clone(), 64 * 1024), u64::MAX).await.unwrap();
    let parts = counted.proxy.requests().iter().filter(|request| request.contains("partNumber=")).count();
    assert!(parts >= 3, "{parts} parts");
    assert!(whole(server.blobs.open(key).await.unwrap()).await.unwrap() == large);
}

/// Two servers, each with a client of its own, create the same key at one moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_racing_creates_one_wins_every_time() {
    let Some(counted) = Counted::new() else { return };
    let clock: Arc<dyn Clock> = counted.clock.clone();
    let open = || RecordStreams::new(Arc::new(counted.store("race")), clock.clone());
    let (here, there) = (open(), open());
    for round in 0..200 {
        let id = workspace_id(round);
        let creation = |n| change(n, ChangeKind::Created, workspace(round));
        let (ours, theirs) = (creation(2 * round), creation(2 * round + 1));
        let both = futures_util::future::join(
            here.try_append(&id, None, &ours),
            there.try_append(&id, None, &theirs),
        );
        let (a, b) = both.await;
        let won = [&a, &b]
            .into_iter()
            .filter(|o| matches!(o, opentaco_ports::driven::records::Appended::Landed(_)));
        assert_eq!(won.count(), 1, "round {round}: {a:?} {b:?}");
    }
}
