//! Blobs: the bytes of states, exactly as they came.

use bytes::Bytes;
use futures_util::stream;
use md5::Digest;
use opentaco_domain::id::AttemptId;
use opentaco_domain::state::{Md5, Output, Sha256};
use opentaco_ports::driven::blobs::{BlobKey, BlobKind, PutError};
use opentaco_ports::driven::{BodyError, StoreError};

use crate::backend::Backend;
use crate::values::{AT, blob_key, body, state, ten, whole};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const NO_LIMIT: u64 = u64::MAX;

/// Stores a state and demands it back.
async fn round_trip(backend: &Backend, n: usize, bytes: &[u8], chunk: usize) {
    let what = format!("{} bytes in chunks of {chunk}", bytes.len());
    let key = blob_key(n, BlobKind::State);
    let sent = body(Bytes::copy_from_slice(bytes), chunk);
    let measured = backend.open().blobs.put_state(key, sent, bytes.len() as u64).await;
    let measured = measured.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(measured.size, bytes.len() as u64, "{what}");
    assert_eq!(measured.md5, Md5(md5::Md5::digest(bytes).into()), "{what}");
    assert_eq!(measured.sha256, Sha256(sha2::Sha256::digest(bytes).into()), "{what}");
    let read = whole(backend.open().blobs.open(key).await.unwrap()).await;
    let read = read.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(read == bytes, "{what}: {} bytes came back, or others", read.len());
}

pub async fn states_of_every_length_come_back_byte_for_byte(backend: &Backend) {
    let mut n = 0;
    let mut next = || {
        n += 1;
        n
    };
    for tiny in [&b"{\"version\":4}"[..], b" \n{\"version\" : 4}\r\n\t ", b"{\"encrypted_data\":\"\"}"] {
        round_trip(backend, next(), tiny, 1).await;
        round_trip(backend, next(), tiny, 64).await;
    }
    for length in [64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 128 * KIB, 128 * KIB + 1, MIB - 1] {
        for chunk in [1000, 64 * KIB, length] {
            round_trip(backend, next(), &state(length, n_as_seed(length)), chunk).await;
        }
    }
    // Lengths that no block or buffer divides, and states that compress well: long runs in few bytes.
    for length in (100_000..1_000_000).step_by(89_989) {
        round_trip(backend, next(), &state(length, n_as_seed(length)), 16 * KIB).await;
        let mut repeated = b"{\"version\":4,\"x\":\"".to_vec();
        repeated.resize(length - 2, b'a');
        repeated.extend_from_slice(b"\"}");
        round_trip(backend, next(), &repeated, 16 * KIB).await;
    }
    for chunk in [64 * KIB, 3 * MIB] {
        round_trip(backend, next(), &state(20 * MIB, 20), chunk).await;
    }
}

fn n_as_seed(length: usize) -> u64 {
    length as u64
}

pub async fn plain_bytes_come_back_byte_for_byte(backend: &Backend) {
    let blobs = &*backend.open().blobs;
    let bodies: [Vec<u8>; 4] =
        [Vec::new(), vec![0], (0..=255).cycle().take(300_000).collect(), vec![b'x'; 70_000]];
    for (n, bytes) in bodies.into_iter().enumerate() {
        let key = blob_key(n, BlobKind::JsonState);
        blobs.put_plain(key, body(bytes.clone(), 4096), NO_LIMIT).await.unwrap();
        assert!(whole(blobs.open(key).await.unwrap()).await.unwrap() == bytes, "body {n}");
    }
}

/// Demands that nothing is there and nothing can be read.
async fn assert_nothing(backend: &Backend, key: BlobKey, what: &str) {
    assert_eq!(backend.raw.keys("workspaces").await, Vec::<String>::new(), "{what}: a key is left");
    match backend.open().blobs.open(key).await {
        Err(StoreError::Corrupt(_)) => {}
        Err(other) => panic!("{what}: {other:?}"),
        Ok(_) => panic!("{what}: a blob can be opened"),
    }
}

pub async fn a_body_over_the_limit_is_refused_and_leaves_nothing(backend: &Backend) {
    let blobs = &*backend.open().blobs;
    // Below and above what is handled at once, and far above what is gathered for one part.
    for (n, length) in [1000, 64 * KIB, 70_000, 20 * MIB].into_iter().enumerate() {
        let key = blob_key(n, BlobKind::State);
        for limit in [length as u64 - 1, length as u64 / 2] {
            let refused = blobs.put_state(key, body(state(length, 1), 32 * KIB), limit).await;
            assert_eq!(refused, Err(PutError::TooLarge(limit)));
            let refused = blobs.put_plain(key, body(state(length, 1), 32 * KIB), limit).await;
            assert_eq!(refused, Err(PutError::TooLarge(limit)));
            assert_nothing(backend, key, &format!("{length} bytes, limit {limit}")).await;
        }
    }
}

pub async fn a_body_of_exactly_the_limit_is_kept(backend: &Backend) {
    let blobs = &*backend.open().blobs;
    for (n, length) in [1000, 70_000].into_iter().enumerate() {
        let put =
            blobs.put_state(blob_key(n, BlobKind::State), body(state(length, 1), 999), length as u64).await;
        assert_eq!(put.unwrap().size, length as u64);
    }
}

pub async fn a_body_that_fails_midway_leaves_nothing(backend: &Backend) {
    let blobs = &*backend.open().blobs;
    let gone = || BodyError("the client hung up".to_owned());
    for (n, length) in [0, 100, 64 * KIB, 70_000, 20 * MIB].into_iter().enumerate() {
        let key = blob_key(n, BlobKind::State);
        let mut start = b"{\"version\":4,\"x\":\"".to_vec();
        start.extend(state(length + 100, 5).into_iter().skip(80));
        start.truncate(length);
        let cut = stream::iter(
            start.chunks(32 * KIB).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect::<Vec<_>>(),
        );
        let cut = futures_util::StreamExt::chain(cut, stream::iter([Err(gone())]));
        let failed = blobs.put_state(key, Box::pin(cut), NO_LIMIT).await;
        match failed {
            Err(PutError::Body(error)) => assert_eq!(error, gone()),
            // The document is broken before its body is.
            Err(PutError::NotAState(_)) if length > 100 => {}
            other => panic!("{length} bytes: {other:?}"),
        }
        assert_nothing(backend, key, &format!("cut after {length} bytes")).await;
    }
}

pub async fn a_put_that_is_given_up_leaves_nothing(backend: &Backend) {
    let blobs = backend.open().blobs;
    for (n, length) in [1000, 200 * KIB, 20 * MIB].into_iter().enumerate() {
        let key = blob_key(n, BlobKind::State);
        let (end, ended) = tokio::sync::oneshot::channel();
        // All but the end of a state, then word that it was taken, then nothing ever again.
        let start = state(length + 2, 3)[..length].to_vec();
        let start = body(start, 32 * KIB);
        let silence = stream::once(async move {
            end.send(()).unwrap();
            std::future::pending().await
        });
        let stuck = Box::pin(futures_util::StreamExt::chain(start, silence));
        let blobs = blobs.clone();
        let put = tokio::spawn(async move { blobs.put_state(key, stuck, NO_LIMIT).await });
        ended.await.unwrap();
        put.abort();
        assert!(put.await.unwrap_err().is_cancelled());
        assert_nothing(backend, key, &format!("given up after {length} bytes")).await;
    }
}

pub async fn what_is_no_state_is_refused_and_leaves_nothing(backend: &Backend) {
    let blobs = &*backend.open().blobs;
    let long = |start: &str| format!("{start}{}", "hunter2 ".repeat(20_000));
    let bodies = [
        String::new(),
        "hunter2".to_owned(),
        "{}".to_owned(),
        "[{\"version\":4}]".to_owned(),
        "{\"version\":4".to_owned(),
        "{\"version\":4}{\"version\":4}".to_owned(),
        "{\"version\":4,\"outputs\":{\"hunter2\":{}}}".to_owned(),
        long("{\"version\":4,\"x\":\""),
        long("{\"version\":4} "),
        long(""),
    ];
    for (n, text) in bodies.into_iter().enumerate() {
        let key = blob_key(n, BlobKind::State);
        match blobs.put_state(key, body(text.clone(), 8 * KIB), NO_LIMIT).await {
            Err(PutError::NotAState(why)) => assert!(!why.contains("hunter2"), "it repeats content: {why}"),
            other => panic!("{text:.60}: {other:?}"),
        }
        assert_nothing(backend, key, &format!("{text:.60}")).await;
    }
}

fn output(name: &str, sensitive: bool, kind: &str, value: &str) -> Output {
    Output { name: name.to_owned(), sensitive, type_json: kind.to_owned(), value_json: value.to_owned() }
}

/// Outputs whose values lose something in any number or map type.
fn outputs() -> Vec<Output> {
    vec![
        output("big", false, "\"number\"", "123456789012345678901234567890.000000000000000000001"),
        output("exponent", false, "\"number\"", "1E+400"),
        output(
            "nested",
            true,
            r#"["object",{"a":["list",["map","string"]],"b":["tuple",["bool","dynamic"]]}]"#,
            r#"{"b":[true,null],"a":[{"k":"\u00e4\\\"","k2":""},{}]}"#,
        ),
        output("null", false, "\"dynamic\"", "null"),
        output("text", false, "\"string\"", r#""\ud83c\udf2e näme \n""#),
    ]
}

pub async fn outputs_come_back_as_they_were_written(backend: &Backend) {
    let key = blob_key(1, BlobKind::Outputs);
    backend.open().blobs.put_outputs(key, &outputs()).await.unwrap();
    assert_eq!(backend.open().blobs.outputs(key).await.unwrap(), outputs());
    let none = blob_key(2, BlobKind::Outputs);
    backend.open().blobs.put_outputs(none, &[]).await.unwrap();
    assert_eq!(backend.open().blobs.outputs(none).await.unwrap(), []);
    let long = vec![output("long", false, "\"string\"", &format!("\"{}\"", "x".repeat(3 * MIB)))];
    let key = blob_key(3, BlobKind::Outputs);
    backend.open().blobs.put_outputs(key, &long).await.unwrap();
    assert!(backend.open().blobs.outputs(key).await.unwrap() == long);
}

pub async fn outputs_are_found_in_the_state_itself(backend: &Backend) {
    let forms: Vec<String> = outputs()
        .iter()
        .rev()
        .map(|o| {
            format!(
                "\"{}\":{{\"value\":{},\"type\":{},\"sensitive\":{}}}",
                o.name, o.value_json, o.type_json, o.sensitive
            )
        })
        .collect();
    let text = format!(
        "{{\"version\":4,\"terraform_version\":\"1.11.4\",\"serial\":9007199254740993,\"lineage\":\"l\",\
         \"outputs\":{{{}}},\"resources\":[{{\"mode\":\"managed\",\"instances\":[{{}},{{}}]}}]}}",
        forms.join(",")
    );
    for (n, chunk) in [1, 7, 4096].into_iter().enumerate() {
        let key = blob_key(n, BlobKind::State);
        let measured =
            backend.open().blobs.put_state(key, body(text.clone(), chunk), NO_LIMIT).await.unwrap();
        let document = measured.document;
        assert_eq!(document.outputs, outputs(), "in order of their names, every digit kept");
        assert_eq!((document.serial, document.resources), (Some(9_007_199_254_740_993), Some(2)));
        assert_eq!(document.lineage.as_deref(), Some("l"));
        assert_eq!(document.terraform_version.as_deref(), Some("1.11.4"));
        assert!(!document.encrypted);
    }
}

pub async fn a_missing_blob_is_corrupt_and_names_its_key(backend: &Backend) {
    let blobs = &*backend.open().blobs;
    for kind in [BlobKind::State, BlobKind::JsonState, BlobKind::Outputs] {
        let key = blob_key(1, kind);
        match (blobs.open(key).await, blobs.outputs(key).await) {
            (Err(StoreError::Corrupt(a)), Err(StoreError::Corrupt(b))) => {
                assert_eq!(a, b);
                assert!(a.contains(&key.version.to_string()) && a.contains(&key.attempt.to_string()), "{a}");
            }
            (opened, outputs) => panic!("{:?} {outputs:?}", opened.map(drop)),
        }
    }
}

pub async fn a_blob_is_never_written_twice(backend: &Backend) {
    let blobs = &*backend.open().blobs;
    let key = blob_key(1, BlobKind::State);
    blobs.put_state(key, body(state(1000, 1), 100), NO_LIMIT).await.unwrap();
    let again = blobs.put_state(key, body(state(1000, 2), 100), NO_LIMIT).await;
    assert!(matches!(again, Err(PutError::Store(StoreError::Corrupt(_)))), "{again:?}");
    assert_eq!(whole(blobs.open(key).await.unwrap()).await.unwrap(), state(1000, 1));
}

pub async fn two_attempts_at_one_version_keep_their_own_bytes(backend: &Backend) {
    let blobs = &*backend.open().blobs;
    let first = blob_key(1, BlobKind::State);
    let second = BlobKey { attempt: AttemptId::new(AT, ten(99)), ..first };
    for (key, seed, length) in [(first, 1, 1000), (second, 2, 200_000)] {
        blobs.put_state(key, body(state(length, seed), 5000), NO_LIMIT).await.unwrap();
    }
    assert!(whole(blobs.open(first).await.unwrap()).await.unwrap() == state(1000, 1));
    assert!(whole(blobs.open(second).await.unwrap()).await.unwrap() == state(200_000, 2));
}
