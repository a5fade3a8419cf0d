//! What only a disk can do: keep leftovers of a process that died, and fail before anything was written.

use std::fs;

use opentaco_ports::driven::StoreError;
use opentaco_ports::driven::records::{Appended, ChangeKind};

use crate::backend::Backend;
use crate::records::created;
use crate::values::{change, full_workspace, landed, workspace, workspace_id};

#[tokio::test]
async fn leftovers_of_a_process_that_died_are_in_nobodys_way() {
    let backend = Backend::local();
    let id = workspace_id(1);
    let first = created(&*backend.open().workspaces, 1).await;
    let stream = backend.folder().join("workspaces").join(id.to_string()).join("record");
    // Staged writes that were never published, for the entry to come and for later ones.
    for number in 2..5u64 {
        for attempt in 1..3 {
            let name = format!("{:020}-{number}.json#{attempt}", u64::MAX - number);
            fs::write(stream.join(name), "half of an ent").unwrap();
        }
    }
    let records = backend.open().workspaces;
    assert_eq!(records.newest(&id).await.unwrap().as_ref(), Some(&first));
    let mut base = first;
    for n in 2..5 {
        base =
            landed(records.try_append(&id, Some(&base), &change(n, ChangeKind::Changed, workspace(1))).await);
    }
    assert_eq!(backend.open().workspaces.newest(&id).await.unwrap(), Some(base));
}

#[tokio::test]
async fn a_write_that_cannot_have_landed_fails_alone() {
    let backend = Backend::local();
    let server = backend.open();
    let broken = created(&*server.workspaces, 1).await;
    let whole = created(&*server.workspaces, 2).await;
    let stream = backend.folder().join("workspaces").join(workspace_id(1).to_string()).join("record");
    fs::rename(&stream, stream.with_file_name("elsewhere")).unwrap();
    fs::write(&stream, "not a folder any more").unwrap();

    let change = change(3, ChangeKind::Changed, full_workspace(1));
    let appended = server.workspaces.try_append(&broken.value.id, Some(&broken), &change).await;
    assert_eq!(appended, Appended::Unknown(StoreError::Unavailable));
    assert_eq!(server.workspaces.newest(&workspace_id(2)).await.unwrap().as_ref(), Some(&whole), "it reads");
    landed(server.workspaces.try_append(&workspace_id(2), Some(&whole), &change).await);
}
