//! Blobs that were damaged where they lie: no wrong byte may pass unnoticed.

use futures_util::StreamExt;
use opentaco_ports::driven::StoreError;
use opentaco_ports::driven::blobs::{BlobKind, Blobs};

use crate::backend::Backend;
use crate::values::{blob_key, body, state, whole};

/// Where a blob's frame begins, after its header.
const HEADER: usize = 8;

/// What became of a read.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    Same,
    Other,
    Refused,
}

/// A stored state, and the blob as it lies in the store.
struct Victim {
    key: String,
    raw: Vec<u8>,
    bytes: Vec<u8>,
    n: usize,
}

impl Victim {
    async fn new(backend: &Backend, n: usize, length: usize) -> Self {
        let bytes = state(length, n as u64);
        let blob = blob_key(n, BlobKind::State);
        backend.open().blobs.put_state(blob, body(bytes.clone(), 4096), u64::MAX).await.unwrap();
        let keys = backend.raw.keys("workspaces").await;
        let key = keys.into_iter().find(|key| key.contains(&blob.attempt.to_string())).unwrap();
        let raw = backend.raw.get(&key).await.to_vec();
        Self { key, raw, bytes, n }
    }

    async fn read(&self, backend: &Backend, blobs: &dyn Blobs, damaged: Vec<u8>) -> Read {
        backend.raw.put(&self.key, damaged).await;
        let read = match blobs.open(blob_key(self.n, BlobKind::State)).await {
            Ok(body) => whole(body).await.ok(),
            Err(StoreError::Corrupt(key)) => {
                assert_eq!(key, self.key);
                None
            }
            Err(other) => panic!("{other:?}"),
        };
        match read {
            None => Read::Refused,
            Some(bytes) if bytes == self.bytes => Read::Same,
            Some(_) => Read::Other,
        }
    }
}

/// Lengths of states: one that is handled at once, one of several compressed blocks.
const LENGTHS: [usize; 2] = [600, 300_000];

/// Every place of a short blob, some of a long one.
fn places(length: usize, backend: &Backend) -> impl Iterator<Item = usize> {
    let step = backend.one_in().max(if length < 2000 { 1 } else { length / 61 });
    (0..length).step_by(step)
}

pub async fn a_shortened_blob_never_reads_to_its_end(backend: &Backend) {
    let blobs = &*backend.open().blobs;
    for (n, length) in LENGTHS.into_iter().enumerate() {
        let victim = Victim::new(backend, n, length).await;
        let last = victim.raw.len() - 1;
        for cut in places(victim.raw.len(), backend).chain([HEADER, HEADER + 1, last]) {
            let read = victim.read(backend, blobs, victim.raw[..cut].to_vec()).await;
            assert_eq!(read, Read::Refused, "cut after {cut} of {} bytes", victim.raw.len());
        }
    }
}

pub async fn a_flipped_bit_never_passes_both_the_reader_and_the_digest(backend: &Backend) {
    let blobs = &*backend.open().blobs;
    for (n, length) in LENGTHS.into_iter().enumerate() {
        let victim = Victim::new(backend, n, length).await;
        for place in places(victim.raw.len(), backend) {
            for bit in 0..8 {
                let mut damaged = victim.raw.clone();
                damaged[place] ^= 1 << bit;
                let read = victim.read(backend, blobs, damaged).await;
                assert_ne!(read, Read::Other, "bit {bit} of byte {place} passed unnoticed");
            }
        }
    }
}

pub async fn a_blob_with_an_unknown_header_is_corrupt(backend: &Backend) {
    let blobs = &*backend.open().blobs;
    let victim = Victim::new(backend, 1, 600).await;
    for place in 0..HEADER {
        let mut damaged = victim.raw.clone();
        damaged[place] = damaged[place].wrapping_add(1);
        assert_eq!(victim.read(backend, blobs, damaged).await, Read::Refused, "byte {place} of the header");
    }
}

pub async fn trailing_bytes_never_pass_both_the_reader_and_the_digest(backend: &Backend) {
    let blobs = &*backend.open().blobs;
    let victim = Victim::new(backend, 1, 600).await;
    let frame = victim.raw[HEADER..].to_vec();
    for tail in [vec![0], b"hunter2".to_vec(), vec![0; 100], frame[..frame.len() / 2].to_vec(), frame] {
        let damaged = [&victim.raw[..], &tail].concat();
        let read = victim.read(backend, blobs, damaged).await;
        assert_eq!(read, Read::Refused, "{} bytes behind the blob", tail.len());
    }
}

pub async fn unreadable_outputs_are_an_error(backend: &Backend) {
    let blobs = &*backend.open().blobs;
    for (n, text) in ["", "{}", "[{}]", "[{\"name\":1}]", "hunter2"].into_iter().enumerate() {
        let key = blob_key(n, BlobKind::Outputs);
        blobs.put_plain(key, body(text, 100), u64::MAX).await.unwrap();
        match blobs.outputs(key).await {
            Err(StoreError::Corrupt(why)) => assert!(!why.contains("hunter2"), "{why}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

pub async fn damage_is_told_before_the_last_byte(backend: &Backend) {
    let blobs = &*backend.open().blobs;
    for (n, length) in [600, 128 * 1024, 300_000].into_iter().enumerate() {
        let victim = Victim::new(backend, n, length).await;
        let end = victim.raw.len();
        // The checksum is the last four bytes: everything before it is as it was.
        let mut cases: Vec<Vec<u8>> = (1..=4).map(|cut| victim.raw[..end - cut].to_vec()).collect();
        for place in end - 4..end {
            let mut flipped = victim.raw.clone();
            flipped[place] ^= 1;
            cases.push(flipped);
        }
        cases.push([&victim.raw[..], b"x"].concat());
        for (case, damaged) in cases.into_iter().enumerate() {
            backend.raw.put(&victim.key, damaged).await;
            let mut body = blobs.open(blob_key(n, BlobKind::State)).await.unwrap();
            let mut delivered = 0;
            let told = loop {
                match body.next().await {
                    Some(Ok(chunk)) => delivered += chunk.len(),
                    Some(Err(_)) => break true,
                    None => break false,
                }
            };
            assert!(told, "{length} bytes, case {case}: damage is told");
            assert!(delivered < length, "{length} bytes, case {case}: who counts takes them for whole");
        }
    }
}
