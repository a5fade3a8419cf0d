//! Golden files: everything that lies on disk, as every later version must be able to read it.
//!
//! The files in `tests/golden/files` hold the bytes, `keys.json` the keys they lie under. `OPENTACO_BLESS=1` writes them
//! anew. A file that changes means that buckets written before are told apart from buckets written now: then keep the
//! old file under another name and read both. A `.bin` file also changes with the version of zstd, which is harmless
//! as long as the old one still loads.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "in a test a broken expectation must end the test, loudly, at the place where it broke"
)]

mod gallery;
#[allow(dead_code, reason = "the contract suite uses the rest")]
#[path = "../contract/values.rs"]
mod values;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use opentaco_domain::claims::Successor;
use opentaco_domain::workspace::{NameClaim, Workspace};
use opentaco_ports::driven::blobs::BlobKind;
use opentaco_ports::driven::catalog::Hint;
use opentaco_ports::driven::records::Versioned;
use opentaco_ports::driven::tokens::{Listed, Used};

use crate::gallery::{
    Picture, Server, USED, bare_user, claim, family, json_state, limited_token, long_workspace, organization,
    organization_with_projects, outputs, paint, pending, pending_with_outputs, policy, rolled_back,
    settled_workspace, successor, user,
};
use crate::values::{AT, blob_key, full_workspace, state, token, version, whole, workspace, workspace_id};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/files")
}

#[expect(
    clippy::disallowed_methods,
    reason = "whether to write golden files anew is asked of the person at the terminal"
)]
fn bless() -> bool {
    std::env::var_os("OPENTACO_BLESS").is_some()
}

/// Which file lies under which key.
fn keys() -> BTreeMap<String, String> {
    serde_json::from_slice(&fs::read(folder().join("keys.json")).unwrap()).unwrap()
}

/// A server over a bucket that holds these files and nothing else.
async fn bucket(files: &[&str]) -> Server {
    let (server, keys) = (Server::new(), keys());
    for file in files {
        let key = keys.get(*file).unwrap_or_else(|| panic!("{file} has no key"));
        server.hang(key, fs::read(folder().join(file)).unwrap()).await;
    }
    server
}

#[tokio::test]
async fn what_is_written_today_is_what_was_written_then() {
    let pictures = paint().await;
    let keys: BTreeMap<&str, &str> =
        pictures.iter().map(|picture| (picture.file.as_str(), picture.key.as_str())).collect();
    let keys = serde_json::to_string_pretty(&keys).unwrap() + "\n";
    if bless() {
        fs::create_dir_all(folder()).unwrap();
        fs::write(folder().join("keys.json"), &keys).unwrap();
        for Picture { file, bytes, .. } in &pictures {
            fs::write(folder().join(file), bytes).unwrap();
        }
    }
    assert_eq!(fs::read_to_string(folder().join("keys.json")).unwrap(), keys, "keys are part of the format");
    for Picture { file, bytes, .. } in pictures {
        let golden = fs::read(folder().join(&file)).unwrap();
        let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(golden == bytes, "{file}:\n  then {}\n  now  {}", show(&golden), show(&bytes));
    }
}

#[tokio::test]
async fn every_golden_file_is_still_written() {
    let mut found: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "keys.json")
        .collect();
    found.sort();
    assert_eq!(found, keys().into_keys().collect::<Vec<_>>());
}

#[tokio::test]
async fn entries_of_workspaces_load() {
    let stream = [
        "workspace-1-created.json",
        "workspace-2-full.json",
        "workspace-3-long.bin",
        "workspace-4-settled.json",
    ];
    let expected: [Workspace; 4] = [workspace(1), full_workspace(1), long_workspace(), settled_workspace()];
    for (n, value) in expected.into_iter().enumerate() {
        let server = bucket(&stream[..=n]).await;
        let newest = server.workspaces.newest(&workspace_id(1)).await.unwrap().unwrap();
        assert_eq!((newest.number, newest.value), (n as u64 + 1, value), "{}", stream[n]);
    }
}

#[tokio::test]
async fn the_chain_of_a_golden_stream_holds() {
    let server = bucket(&["workspace-1-created.json"]).await;
    server.workspaces.newest(&workspace_id(1)).await.unwrap();
    // Now read on from the first entry, which checks every link.
    for file in ["workspace-2-full.json", "workspace-3-long.bin", "workspace-4-settled.json"] {
        server.hang(&keys()[file], fs::read(folder().join(file)).unwrap()).await;
        server.workspaces.newest(&workspace_id(1)).await.unwrap();
    }
}

#[tokio::test]
async fn entries_of_names_and_organizations_load() {
    let server = bucket(&["name-1-claimed.json"]).await;
    let key = ("default".parse().unwrap(), "app/1".parse().unwrap());
    let value = |found: Option<Versioned<NameClaim>>| found.unwrap().value;
    assert_eq!(value(server.names.newest(&key).await.unwrap()), claim(Some(workspace_id(1))));
    let server =
        bucket(&["name-1-claimed.json", "name-2-released.json", "organization-1-created.json"]).await;
    assert_eq!(value(server.names.newest(&key).await.unwrap()), claim(None));
    let found = server.organizations.newest(&key.0).await.unwrap().unwrap();
    assert_eq!(found.value, organization());
    let server = bucket(&["organization-1-created.json", "organization-2-projects.json"]).await;
    let found = server.organizations.newest(&key.0).await.unwrap().unwrap();
    assert_eq!(found.value, organization_with_projects());
    assert_eq!(server.catalog.organizations().await.unwrap(), [key.0]);
}

#[tokio::test]
async fn descriptions_proposals_and_hints_load() {
    let server = bucket(&[
        "version.json",
        "version-rollback.json",
        "pending.json",
        "pending-outputs.json",
        "hint.json",
    ])
    .await;
    assert_eq!(server.versions.at(workspace_id(1), 2).await.unwrap(), Some(version(1, 2)));
    assert_eq!(server.versions.at(workspace_id(1), 3).await.unwrap(), Some(rolled_back()));
    assert_eq!(server.versions.pending(pending().version).await.unwrap(), Some(pending()));
    let proposal = pending_with_outputs();
    assert_eq!(server.versions.pending(proposal.version).await.unwrap(), Some(proposal));
    let hints = server.catalog.hints(&"default".parse().unwrap()).await.unwrap();
    assert_eq!(hints, [Hint::of(&full_workspace(1))]);
    let server = bucket(&["hint.json", "hint-project.json"]).await;
    let hints = server.catalog.hints(&"default".parse().unwrap()).await.unwrap();
    assert_eq!(hints, [Hint::of(&settled_workspace())]);
}

#[tokio::test]
async fn tokens_load() {
    let server = bucket(&["token-created.json"]).await;
    let id = token(1, 1).id;
    assert_eq!(server.tokens.read(&id).await.unwrap(), Some(token(1, 1)));
    let server = bucket(&["token-created.json", "token-revoked.json"]).await;
    assert_eq!(server.tokens.read(&id).await.unwrap().unwrap().revoked_at, Some(AT));
}

#[tokio::test]
async fn limits_uses_and_families_of_tokens_load() {
    let server = bucket(&[
        "token-created.json",
        "token-owned.json",
        "token-limited.json",
        "token-limited-owned.json",
        "token-last-used.json",
        "family-created.json",
        "family-owned.json",
        "refresh-used.json",
    ])
    .await;
    let tokens = &server.tokens;
    assert_eq!(tokens.read(&limited_token().id).await.unwrap(), Some(limited_token()));
    assert_eq!(tokens.read(&family().id).await.unwrap(), Some(family()));
    let unused = |record| Listed { record, last_used_at: None };
    let used = Listed { record: limited_token(), last_used_at: Some(AT) };
    assert_eq!(tokens.list(&family().owner).await.unwrap(), [unused(token(1, 1)), used, unused(family())]);
    let other = Successor { jti: [1; 16], ..successor() };
    assert_eq!(tokens.use_refresh(&family().id, USED, &other).await.unwrap(), Used::Before(successor()));
}

#[tokio::test]
async fn entries_of_users_and_of_the_policy_load() {
    let server = bucket(&["user-1-logged-in.json", "user-bare.json", "policy-1-on.json"]).await;
    for user in [user(), bare_user()] {
        let found = server.users.newest(&user.subject).await.unwrap().unwrap();
        assert_eq!((found.number, found.value), (1, user));
    }
    assert_eq!(server.policies.newest(&()).await.unwrap().unwrap().value, policy());
    let server = bucket(&["policy-1-on.json", "policy-2-open.json"]).await;
    assert_eq!(server.policies.newest(&()).await.unwrap().unwrap().value, policy().switched_off());
}

#[tokio::test]
async fn blobs_load() {
    let server = bucket(&["blob-state.bin", "blob-json.bin", "blob-outputs.bin"]).await;
    let read = async |kind| whole(server.blobs.open(blob_key(1, kind)).await.unwrap()).await.unwrap();
    assert_eq!(read(BlobKind::State).await, state(400, 1));
    assert_eq!(read(BlobKind::JsonState).await, json_state().as_bytes());
    assert_eq!(server.blobs.outputs(blob_key(1, BlobKind::Outputs)).await.unwrap(), outputs());
}

#[tokio::test]
async fn the_record_of_the_layout_loads() {
    let server = bucket(&["layout.json"]).await;
    server.probe().await;
    assert_eq!(server.keys().await, [keys()["layout.json"].clone()], "it is not written a second time");
}
