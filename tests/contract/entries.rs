//! Entries as they lie in the store: damaged, forged, or written by a newer server.

use bytes::Bytes;
use opentaco_domain::settings::Settings;
use opentaco_domain::workspace::Workspace;
use opentaco_ports::driven::StoreError;
use opentaco_ports::driven::blobs::BlobKind;
use opentaco_ports::driven::records::{Appended, ChangeKind, Records, Versioned};
use serde_json::{Value, json};

use crate::backend::{Backend, Raw};
use crate::records::created;
use crate::values::{blob_key, body, change, full_workspace, landed, workspace, workspace_id};

/// The key of entry `number` of workspace 1, as found in the store.
async fn key_of(raw: &Raw, number: u64) -> String {
    let keys = raw.keys("workspaces").await;
    keys.into_iter().find(|key| key.ends_with(&format!("-{number}.json"))).unwrap()
}

/// Where entry `number` will be: named by counting down from the largest number.
fn sibling(key: &str, number: u64) -> String {
    let (stream, _) = key.rsplit_once('/').unwrap();
    format!("{stream}/{:020}-{number}.json", u64::MAX - number)
}

async fn json_of(raw: &Raw, key: &str) -> Value {
    serde_json::from_slice(&raw.get(key).await).unwrap()
}

async fn second(records: &dyn Records<Workspace>, first: &Versioned<Workspace>) -> Versioned<Workspace> {
    let change = change(2, ChangeKind::Changed, full_workspace(1));
    landed(records.try_append(&workspace_id(1), Some(first), &change).await)
}

/// Bytes that no reader may take for an entry.
async fn unreadable(backend: &Backend, good: &Value) -> Vec<(&'static str, Bytes)> {
    let mut cases: Vec<(&'static str, Bytes)> = vec![
        ("nothing", Bytes::new()),
        ("no JSON", Bytes::from_static(b"hunter2")),
        ("no UTF-8", Bytes::from_static(b"\xff\xfe\x00")),
        ("an array", Bytes::from_static(b"[]")),
        ("an empty object", Bytes::from_static(b"{}")),
        ("deep nesting", Bytes::from("[".repeat(100_000))),
        ("the magic of a compressed entry alone", Bytes::from_static(b"\x28\xb5\x2f\xfd")),
        ("garbage behind the magic", Bytes::from_static(b"\x28\xb5\x2f\xfd\xff\xff\xff\xff\xff\xff")),
        ("more behind the object", Bytes::from(format!("{good} {{}}"))),
    ];
    let text = good.to_string();
    cases.push(("half of it", Bytes::from(text[..text.len() / 2].to_owned())));
    let wrong: [(&str, &str, Value); 9] = [
        ("a number that is text", "/n", json!("one")),
        ("a number below zero", "/n", json!(-1)),
        ("an operation that is none", "/operation", json!("hunter2")),
        ("a digest that is none", "/previous", json!("hunter2")),
        ("a moment that is none", "/value/created_at", json!("yesterday")),
        ("an id that climbs", "/value/id", json!("../../etc")),
        ("a name that climbs", "/value/name", json!("../x")),
        ("a life that is unknown", "/value/life", json!("undead")),
        ("tags that are outside the rule", "/value/tags", json!({"a,b": ""})),
    ];
    for (what, place, value) in wrong {
        let mut bad = good.clone();
        *bad.pointer_mut(place).unwrap() = value;
        cases.push((what, Bytes::from(bad.to_string())));
    }
    // A blob is a header of eight bytes and a compressed frame: this frame unpacks to far more than an entry may have.
    let key = blob_key(9, BlobKind::JsonState);
    let zeros = body(vec![b' '; 64 * 1024 * 1024], 1024 * 1024);
    backend.open().blobs.put_plain(key, zeros, u64::MAX).await.unwrap();
    let keys = backend.raw.keys("workspaces").await;
    let blob = keys.iter().find(|found| found.contains(&key.attempt.to_string())).unwrap();
    cases.push(("a bomb", backend.raw.get(blob).await.slice(8..)));
    cases
}

pub async fn an_unreadable_entry_is_corrupt_and_names_its_key(backend: &Backend) {
    let id = workspace_id(1);
    let warm = backend.open().workspaces;
    let first = created(&*warm, 1).await;
    let next = sibling(&key_of(&backend.raw, 1).await, 2);
    second(&*backend.open().workspaces, &first).await;
    let good = json_of(&backend.raw, &next).await;
    for (what, bytes) in unreadable(backend, &good).await {
        backend.raw.put(&next, bytes).await;
        let corrupt = StoreError::Corrupt(next.clone());
        assert_eq!(warm.newest(&id).await, Err(corrupt.clone()), "{what}: read on");
        assert_eq!(backend.open().workspaces.newest(&id).await, Err(corrupt.clone()), "{what}: found");
        let change = change(3, ChangeKind::Changed, workspace(1));
        let appended = warm.try_append(&id, Some(&first), &change).await;
        assert_eq!(appended, Appended::Unknown(corrupt), "{what}: an append onto it");
    }
    backend.raw.put(&next, good.to_string()).await;
    assert_eq!(warm.newest(&id).await.unwrap().unwrap().number, 2, "mended, it is read again");
}

pub async fn no_flipped_bit_makes_a_reader_panic(backend: &Backend) {
    let id = workspace_id(1);
    for value in [full_workspace(1), long_workspace()] {
        let first = change(1, ChangeKind::Created, value);
        backend.open().workspaces.try_append(&id, None, &first).await;
        let key = key_of(&backend.raw, 1).await;
        let good = backend.raw.get(&key).await;
        let mut noticed = 0;
        for place in (0..good.len()).step_by(backend.one_in()) {
            for bit in 0..8 {
                let mut damaged = good.to_vec();
                damaged[place] ^= 1 << bit;
                backend.raw.put(&key, damaged).await;
                match backend.open().workspaces.newest(&id).await {
                    // Perhaps with another value: the newest entry has no witness yet, the next one holds its digest.
                    Ok(Some(_)) => {}
                    Err(StoreError::Corrupt(named)) => {
                        assert_eq!(named, key);
                        noticed += 1;
                    }
                    other => panic!("bit {bit} of byte {place}: {other:?}"),
                }
            }
        }
        assert!(noticed > 0, "some damage is noticed");
        object_store::ObjectStoreExt::delete(&*backend.raw.0, &key.as_str().into()).await.unwrap();
    }
}

pub async fn an_entry_under_a_foreign_number_is_corrupt(backend: &Backend) {
    let warm = backend.open().workspaces;
    let first = created(&*warm, 1).await;
    let next = sibling(&key_of(&backend.raw, 1).await, 2);
    second(&*backend.open().workspaces, &first).await;
    let mut moved = json_of(&backend.raw, &next).await;
    moved["n"] = json!(3);
    backend.raw.put(&next, moved.to_string()).await;
    for records in [warm, backend.open().workspaces] {
        assert_eq!(records.newest(&workspace_id(1)).await, Err(StoreError::Corrupt(next.clone())));
    }
}

pub async fn an_entry_that_does_not_continue_the_chain_is_corrupt(backend: &Backend) {
    let id = workspace_id(1);
    let warm = backend.open().workspaces;
    let first = created(&*warm, 1).await;
    let next = sibling(&key_of(&backend.raw, 1).await, 2);
    second(&*backend.open().workspaces, &first).await;
    let good = json_of(&backend.raw, &next).await;
    for previous in [Value::Null, json!("00".repeat(32))] {
        let mut forged = good.clone();
        forged["previous"] = previous;
        backend.raw.put(&next, forged.to_string()).await;
        assert_eq!(warm.newest(&id).await, Err(StoreError::Corrupt(next.clone())));
    }
    // An entry that was changed afterwards breaks the chain to the one after it.
    backend.raw.put(&next, good.to_string()).await;
    let rewritten = backend.open().workspaces;
    let mut before = json_of(&backend.raw, &sibling(&next, 1)).await;
    before["value"]["sweep_floor"] = json!(99);
    backend.raw.put(&sibling(&next, 1), before.to_string()).await;
    let hidden = backend.raw.get(&next).await;
    object_store::ObjectStoreExt::delete(&*backend.raw.0, &next.as_str().into()).await.unwrap();
    assert_eq!(rewritten.newest(&id).await.unwrap().unwrap().value.sweep_floor, 99);
    backend.raw.put(&next, hidden).await;
    assert_eq!(rewritten.newest(&id).await, Err(StoreError::Corrupt(next)));
}

/// Rewrites entry 1 as a newer server of the same format would have written it.
async fn enrich(backend: &Backend) -> String {
    created(&*backend.open().workspaces, 1).await;
    let key = key_of(&backend.raw, 1).await;
    let mut entry = json_of(&backend.raw, &key).await;
    entry["trace"] = json!({"a": [1, 2.5, null, "ä"]});
    entry["value"]["auto_apply"] = json!(true);
    entry["value"]["pins"] = json!([{"version": "sv-1"}]);
    backend.raw.put(&key, entry.to_string()).await;
    key
}

fn assert_enriched(entry: &Value) {
    assert_eq!(entry["trace"], json!({"a": [1, 2.5, null, "ä"]}), "{entry}");
    assert_eq!(entry["value"]["auto_apply"], json!(true), "{entry}");
    assert_eq!(entry["value"]["pins"], json!([{"version": "sv-1"}]), "{entry}");
}

pub async fn fields_of_a_newer_server_survive_an_append(backend: &Backend) {
    let key = enrich(backend).await;
    let records = backend.open().workspaces;
    let first = records.newest(&workspace_id(1)).await.unwrap().unwrap();
    second(&*records, &first).await;
    let raw = json_of(&backend.raw, &sibling(&key, 2)).await;
    assert_enriched(&raw);
    assert_eq!(raw["value"]["sweep_floor"], json!(5), "and the change is there");
}

pub async fn fields_of_a_newer_server_survive_two_appends_from_memory(backend: &Backend) {
    let key = enrich(backend).await;
    let records = backend.open().workspaces;
    let first = records.newest(&workspace_id(1)).await.unwrap().unwrap();
    let second = second(&*records, &first).await;
    let third = change(3, ChangeKind::Changed, workspace(1));
    let third = landed(records.try_append(&workspace_id(1), Some(&second), &third).await);
    assert_enriched(&json_of(&backend.raw, &sibling(&key, 3)).await);
    let read = backend.open().workspaces.newest(&workspace_id(1)).await.unwrap();
    assert_eq!(read, Some(third), "what was written is what is read");
}

pub async fn a_record_of_a_newer_format_is_read_but_not_changed(backend: &Backend) {
    let id = workspace_id(1);
    created(&*backend.open().workspaces, 1).await;
    let key = key_of(&backend.raw, 1).await;
    let mut entry = json_of(&backend.raw, &key).await;
    entry["format"] = json!(7);
    entry["min_writer"] = json!(7);
    backend.raw.put(&key, entry.to_string()).await;
    let records = backend.open().workspaces;
    let first = records.newest(&id).await.unwrap().unwrap();
    assert_eq!(first.value, workspace(1), "it reads");
    let change = change(2, ChangeKind::Changed, workspace(1));
    let refused = records.try_append(&id, Some(&first), &change).await;
    assert_eq!(refused, Appended::Unknown(StoreError::TooNew(7)));
    assert_eq!(backend.raw.keys("workspaces").await.len(), 1, "nothing was written");
}

/// One whose entry is over 4 KB.
fn long_workspace() -> Workspace {
    let settings = Settings { description: Some("long ".repeat(800)), ..full_workspace(1).settings };
    Workspace { settings, ..full_workspace(1) }
}

pub async fn a_long_entry_is_compressed_and_reads_back(backend: &Backend) {
    let records = backend.open().workspaces;
    let first = change(1, ChangeKind::Created, long_workspace());
    let first = landed(records.try_append(&workspace_id(1), None, &first).await);
    let stored = backend.raw.get(&key_of(&backend.raw, 1).await).await;
    assert!(stored.len() < 2000, "{} bytes", stored.len());
    let second = second(&*records, &first).await;
    let cold = backend.open().workspaces;
    assert_eq!(cold.newest(&workspace_id(1)).await.unwrap(), Some(second));
}
