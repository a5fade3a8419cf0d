//! The auditor: reads the store as it lies and holds it against what clients were told.

use std::collections::{BTreeMap, BTreeSet};

use bytes::BytesMut;
use futures_util::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use opentaco_domain::actor::{Actor, Door, Subject};
use opentaco_domain::id::TokenId;
use opentaco_domain::rbac::Rights;
use serde_json::Value;

use crate::client::{Ledger, Told};
use crate::server::{Fleet, Sabotage};

/// What broke the promise, in words.
pub type Verdict = Result<(), String>;

/// One workspace's stream, oldest first.
type Stream = Vec<Value>;

fn check(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(what()) }
}

/// Audits everything, after the last late write has landed.
pub async fn audit(fleet: &Fleet, ledger: &Ledger) -> Verdict {
    let streams = read_streams(fleet).await?;
    for (id, stream) in &streams {
        audit_stream(id, stream).map_err(|what| format!("workspace {id}: {what}"))?;
    }
    audit_names(&streams)?;
    audit_answers(&streams, ledger)?;
    audit_uploads(&streams, ledger)?;
    if fleet.sabotage == Sabotage::Nothing {
        audit_bytes(fleet, ledger).await?;
        audit_reach(fleet, &streams).await?;
        audit_rollbacks(fleet, ledger).await?;
    }
    Ok(())
}

async fn read_streams(fleet: &Fleet) -> Result<BTreeMap<String, Stream>, String> {
    let mut numbered: BTreeMap<String, BTreeMap<u64, Value>> = BTreeMap::new();
    let inner = fleet.store.inner.clone();
    let objects: Vec<_> = object_store::ObjectStore::list(&*inner, Some(&Path::from("workspaces")))
        .try_collect()
        .await
        .unwrap();
    for object in objects {
        let parts: Vec<String> = object.location.parts().map(|part| part.as_ref().to_owned()).collect();
        let [_, id, kind, file] = &parts[..] else { return Err(format!("odd key {}", object.location)) };
        if kind != "record" {
            continue;
        }
        let bytes = inner.get(&object.location).await.unwrap().bytes().await.unwrap();
        let entry: Value = serde_json::from_slice(&bytes).map_err(|e| format!("{}: {e}", object.location))?;
        let number = entry["n"].as_u64().unwrap();
        check(file.ends_with(&format!("-{number}.json")), || format!("{file} says number {number}"))?;
        numbered.entry(id.clone()).or_default().insert(number, entry);
    }
    Ok(numbered.into_iter().map(|(id, entries)| (id, entries.into_values().collect())).collect())
}

/// One history: no hole, no fork, one holder, fenced holders never write, nothing after a tombstone.
fn audit_stream(id: &str, stream: &Stream) -> Verdict {
    let mut before = &Value::Null;
    let mut operations = BTreeSet::new();
    for (place, entry) in stream.iter().enumerate() {
        let (kind, value, n) = (entry["kind"].as_str().unwrap(), &entry["value"], &entry["n"]);
        check(n == place as u64 + 1, || format!("entry {n} follows a hole"))?;
        check(value["id"] == id, || format!("entry {n} is of another workspace"))?;
        check(operations.insert(entry["operation"].to_string()), || {
            format!("entry {n} is an operation twice")
        })?;
        let first = matches!(kind, "created" | "abandoned");
        check((place == 0) == first, || format!("entry {n} is {kind}"))?;
        check(before.is_null() || before["life"] == "live", || format!("entry {n} follows a tombstone"))?;
        let (was, is) = (&before["lock"], &value["lock"]);
        let own = was["subject"] == entry["subject"];
        let lock_rule = match kind {
            "locked" => was.is_null() && is["subject"] == entry["subject"],
            "unlocked" => !was.is_null() && own && is.is_null(),
            "force-unlocked" => !was.is_null() && is.is_null(),
            "deleted" => was.is_null(),
            "renamed" => was == is && value["renaming_to"].is_null() && before["name"] != value["name"],
            "committed" => !was.is_null() && own && was == is,
            _ => was == is,
        };
        check(lock_rule, || format!("entry {n} ({kind}) breaks the rule of locks"))?;
        let (old, new) = (&before["current"], &value["current"]);
        if kind == "committed" {
            audit_commit(old, new).map_err(|what| format!("entry {n}: {what}"))?;
        } else if place > 0 {
            check(old == new, || format!("entry {n} ({kind}) changes the state"))?;
        }
        before = value;
    }
    Ok(())
}

fn audit_commit(old: &Value, new: &Value) -> Verdict {
    check(new["predecessor"] == old["id"], || {
        "a commit on a version that was not current: a fork".to_owned()
    })?;
    let serial = |version: &Value| version["serial"].as_u64();
    check(serial(new) > serial(old), || "the serial does not rise".to_owned())?;
    check(old.is_null() || new["lineage"] == old["lineage"], || "the lineage changed".to_owned())?;
    check(ordinal(new) == ordinal(old) + 1, || "a gap in the history".to_owned())
}

fn ordinal(version: &Value) -> u64 {
    version["id"].as_str().map_or(0, |id| id[29..39].parse().unwrap())
}

/// No two living workspaces have one name.
fn audit_names(streams: &BTreeMap<String, Stream>) -> Verdict {
    let mut names = BTreeSet::new();
    for (id, stream) in streams {
        let last = &stream[stream.len() - 1]["value"];
        if last["life"] == "live" {
            check(names.insert(last["name"].to_string()), || {
                format!("{id} lives under a name that another has")
            })?;
        }
    }
    Ok(())
}

/// Each change is in the store as often as its author was told so: done is there, refused is not.
fn audit_answers(streams: &BTreeMap<String, Stream>, ledger: &Ledger) -> Verdict {
    let mut stored: BTreeMap<(String, String), u64> = BTreeMap::new();
    for entry in streams.values().flatten() {
        let key = (entry["subject"].as_str().unwrap().to_owned(), entry["kind"].as_str().unwrap().to_owned());
        *stored.entry(key).or_default() += 1;
    }
    let told = ledger.told.lock().unwrap();
    let subjects: BTreeSet<&String> = told.keys().map(|(subject, ..)| subject).collect();
    for subject in subjects {
        for kind in ["created", "changed", "locked", "unlocked", "force-unlocked", "deleted"] {
            let of = |what| told.get(&(subject.clone(), kind, what)).copied().unwrap_or(0);
            let found = stored.get(&(subject.clone(), kind.to_owned())).copied().unwrap_or(0);
            let (done, unknown) = (of(Told::Done), of(Told::Unknown));
            check((done..=done + unknown).contains(&found), || {
                format!(
                    "{subject}: {found} times {kind} in the store, but told {done} times, {unknown} unknown"
                )
            })?;
        }
    }
    Ok(())
}

/// Acknowledged versions are in the history as proposed; refused ones are not.
fn audit_uploads(streams: &BTreeMap<String, Stream>, ledger: &Ledger) -> Verdict {
    let mut committed: BTreeMap<String, &Value> = BTreeMap::new();
    for entry in streams.values().flatten().filter(|entry| entry["kind"] == "committed") {
        let current = &entry["value"]["current"];
        let before = committed.insert(current["id"].as_str().unwrap().to_owned(), entry);
        check(before.is_none(), || format!("{} was committed twice", current["id"]))?;
    }
    let uploads = ledger.uploads.lock().unwrap();
    let mut best: BTreeMap<String, Told> = BTreeMap::new();
    for upload in uploads.iter() {
        let id = upload.ticket.version.to_string();
        // Done counts most, then unknown: one attempt of several may have committed.
        let rank = |told| [Told::Refused, Told::Unknown, Told::Done].iter().position(|t| *t == told);
        let known = best.entry(id.clone()).or_insert(upload.told);
        if rank(upload.told) > rank(*known) {
            *known = upload.told;
        }
        if let Some(entry) = committed.get(&id) {
            let current = &entry["value"]["current"];
            let predecessor = upload.ticket.predecessor.map(|id| id.to_string());
            check(current["predecessor"].as_str() == predecessor.as_deref(), || {
                format!("{id} stands on another version than it was proposed on")
            })?;
            check(entry["value"]["lock"]["id"] == upload.ticket.lock.to_string(), || {
                format!("{id} was written under another lock than it was proposed under")
            })?;
        }
    }
    for (id, told) in best {
        match told {
            Told::Done => {
                check(committed.contains_key(&id), || format!("{id} was acknowledged and is missing"))?;
            }
            Told::Refused => {
                check(!committed.contains_key(&id), || format!("{id} was refused and is there"))?;
            }
            Told::Unknown => {}
        }
    }
    Ok(())
}

fn auditor() -> Actor {
    let subject = Subject::development("auditor").unwrap();
    Actor { subject, parent: TokenId::from_bytes([255; 10]), door: Door::Cloud, rights: Rights::everything() }
}

/// Every living workspace is found by its name.
async fn audit_reach(fleet: &Fleet, streams: &BTreeMap<String, Stream>) -> Verdict {
    let server = fleet.auditor();
    for (id, stream) in streams {
        let last = &stream[stream.len() - 1]["value"];
        if last["life"] != "live" {
            continue;
        }
        let name = last["name"].as_str().unwrap().parse().unwrap();
        let found = server.workspaces.read_by_name(&auditor(), &"default".parse().unwrap(), &name).await;
        let found = found.map_err(|e| format!("{id} is not found as {name}: {e}"))?;
        check(found.id.to_string() == *id, || format!("{name} leads to {} instead of {id}", found.id))?;
    }
    Ok(())
}

/// A rollback that was acknowledged is in the history, with its own serial in its bytes.
async fn audit_rollbacks(fleet: &Fleet, ledger: &Ledger) -> Verdict {
    let server = fleet.auditor();
    let rollbacks = ledger.rollbacks.lock().unwrap().clone();
    for version in rollbacks {
        let id = version.id;
        if server.workspaces.read(&auditor(), id.workspace).await.is_err() {
            continue; // deleted since
        }
        let read = server.state_versions.download(&auditor(), id).await;
        let (kept, body) = read.map_err(|e| format!("rollback {id}: {e}"))?;
        check(kept == version, || format!("rollback {id} is kept as another"))?;
        let bytes: BytesMut = body.try_collect().await.map_err(|e| format!("rollback {id}: {e}"))?;
        let document: Value = serde_json::from_slice(&bytes).map_err(|e| format!("rollback {id}: {e}"))?;
        check(document["serial"] == version.serial, || format!("rollback {id} has another serial inside"))?;
    }
    Ok(())
}

/// What was acknowledged can be read back, byte for byte, through any server.
async fn audit_bytes(fleet: &Fleet, ledger: &Ledger) -> Verdict {
    let server = fleet.auditor();
    let actor = auditor();
    let uploads = ledger.uploads.lock().unwrap().clone();
    for upload in uploads.iter().filter(|upload| upload.told == Told::Done) {
        let id = upload.ticket.version;
        if server.workspaces.read(&actor, id.workspace).await.is_err() {
            continue; // deleted since
        }
        let (_, body) = server.state_versions.download(&actor, id).await.map_err(|e| format!("{id}: {e}"))?;
        let bytes: BytesMut = body.try_collect().await.map_err(|e| format!("{id}: {e}"))?;
        check(bytes == upload.body, || format!("{id} reads back other bytes"))?;
        let outputs = server.state_versions.outputs(&actor, id).await.map_err(|e| format!("{id}: {e}"))?;
        check(outputs.len() == 1, || format!("{id} lost its outputs"))?;
    }
    Ok(())
}
