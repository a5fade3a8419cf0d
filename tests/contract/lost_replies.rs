//! Replies that get lost, and replies that never come.

use std::sync::atomic::Ordering;
use std::time::Duration;

use opentaco_ports::driven::StoreError;
use opentaco_ports::driven::blobs::{BlobKind, PutError};
use opentaco_ports::driven::records::{Appended, ChangeKind};
use opentaco_ports::driven::tokens::{TokenMade, Used};

use crate::backend::Backend;
use crate::flaky::{ALWAYS, flaky};
use crate::records::created;
use crate::values::{
    blob_key, body, change, family, full_workspace, state, successor, token, whole, workspace_id,
};

pub async fn an_append_whose_reply_was_lost_is_ours(backend: &Backend) {
    let (server, faults) = flaky(backend);
    let id = workspace_id(1);
    let first = created(&*server.workspaces, 1).await;
    let change = change(2, ChangeKind::Changed, full_workspace(1));
    faults.lost.store(1, Ordering::SeqCst);
    let appended = server.workspaces.try_append(&id, Some(&first), &change).await;
    let Appended::Ours(entry) = appended else { panic!("{appended:?}") };
    assert_eq!((entry.number, &entry.value), (2, &full_workspace(1)));
    assert_eq!(backend.open().workspaces.newest(&id).await.unwrap(), Some(entry), "the stored entry");
}

pub async fn an_append_whose_reply_was_lost_and_that_cannot_be_read_is_unknown_then_ours(backend: &Backend) {
    let (server, faults) = flaky(backend);
    let id = workspace_id(1);
    let first = created(&*server.workspaces, 1).await;
    let change = change(2, ChangeKind::Changed, full_workspace(1));
    faults.lost.store(1, Ordering::SeqCst);
    faults.unread.store(1, Ordering::SeqCst);
    let unknown = server.workspaces.try_append(&id, Some(&first), &change).await;
    assert_eq!(unknown, Appended::Unknown(StoreError::Unavailable));
    let again = server.workspaces.try_append(&id, Some(&first), &change).await;
    assert!(matches!(again, Appended::Ours(ref entry) if entry.number == 2), "{again:?}");
}

pub async fn an_append_that_never_landed_is_unknown_and_lands_when_tried_again(backend: &Backend) {
    let (server, faults) = flaky(backend);
    let id = workspace_id(1);
    let first = created(&*server.workspaces, 1).await;
    let change = change(2, ChangeKind::Changed, full_workspace(1));
    faults.failed.store(1, Ordering::SeqCst);
    let unknown = server.workspaces.try_append(&id, Some(&first), &change).await;
    assert_eq!(unknown, Appended::Unknown(StoreError::Unavailable));
    assert_eq!(server.workspaces.newest(&id).await.unwrap(), Some(first.clone()), "nothing moved");
    let again = server.workspaces.try_append(&id, Some(&first), &change).await;
    assert!(matches!(again, Appended::Landed(ref entry) if entry.number == 2), "{again:?}");
}

pub async fn a_token_whose_reply_was_lost_is_created(backend: &Backend) {
    let (server, faults) = flaky(backend);
    faults.lost.store(1, Ordering::SeqCst);
    assert_eq!(server.tokens.create(&token(1, 1)).await, Ok(TokenMade::Created));
    // Lost, unreadable at first, and nothing written at first.
    faults.lost.store(1, Ordering::SeqCst);
    faults.unread.store(2, Ordering::SeqCst);
    assert_eq!(server.tokens.create(&token(2, 1)).await, Ok(TokenMade::Created));
    faults.failed.store(2, Ordering::SeqCst);
    assert_eq!(server.tokens.create(&token(3, 1)).await, Ok(TokenMade::Created));
    // Somebody else's stays somebody else's, whatever the store says.
    faults.lost.store(1, Ordering::SeqCst);
    assert_eq!(server.tokens.create(&token(1, 2)).await, Ok(TokenMade::Taken));
    for n in 1..=3 {
        assert_eq!(backend.open().tokens.read(&token(n, 1).id).await, Ok(Some(token(n, 1))));
    }
}

pub async fn a_use_of_a_refresh_token_whose_reply_was_lost_is_now(backend: &Backend) {
    let (server, faults) = flaky(backend);
    let id = family(1).id;
    server.tokens.create(&family(1)).await.unwrap();
    faults.lost.store(1, Ordering::SeqCst);
    let use_it = async |used: u8, next: u8| {
        server.tokens.use_refresh(&id, [used; 16], &successor(next, Duration::ZERO)).await
    };
    assert_eq!(use_it(1, 2).await, Ok(Used::Now), "the reply was lost, the use was not");
    faults.failed.store(2, Ordering::SeqCst);
    assert_eq!(use_it(2, 3).await, Ok(Used::Now), "nothing landed before");
    // Somebody else's stays somebody else's, whatever the store says.
    faults.lost.store(1, Ordering::SeqCst);
    assert_eq!(use_it(1, 9).await, Ok(Used::Before(successor(2, Duration::ZERO))));
}

pub async fn a_use_of_a_refresh_token_that_may_have_landed_gives_no_successor(backend: &Backend) {
    let (server, faults) = flaky(backend);
    let id = family(1).id;
    server.tokens.create(&family(1)).await.unwrap();
    let next = successor(2, Duration::ZERO);
    faults.lost.store(ALWAYS, Ordering::SeqCst);
    faults.unread.store(ALWAYS, Ordering::SeqCst);
    assert_eq!(server.tokens.use_refresh(&id, [1; 16], &next).await, Err(StoreError::Unavailable));
    // It had landed: whoever comes again learns what was decided then.
    let again = backend.open().tokens.use_refresh(&id, [1; 16], &successor(3, Duration::ZERO)).await;
    assert_eq!(again, Ok(Used::Before(next)));
}

pub async fn a_blob_whose_reply_was_lost_is_kept(backend: &Backend) {
    let (server, faults) = flaky(backend);
    faults.lost.store(1, Ordering::SeqCst);
    let key = blob_key(1, BlobKind::State);
    server.blobs.put_state(key, body(state(5000, 1), 100), u64::MAX).await.unwrap();
    assert_eq!(whole(backend.open().blobs.open(key).await.unwrap()).await.unwrap(), state(5000, 1));
    // One that streams is given up: its attempt's key is never used again.
    faults.lost.store(1, Ordering::SeqCst);
    let key = blob_key(2, BlobKind::State);
    let given_up = server.blobs.put_state(key, body(state(500_000, 1), 4096), u64::MAX).await;
    assert!(matches!(given_up, Ok(_) | Err(PutError::Store(StoreError::Unavailable))), "{given_up:?}");
}

pub async fn a_store_that_never_answers_is_unavailable_in_the_end(backend: &Backend) {
    let (server, faults) = flaky(backend);
    faults.failed.store(ALWAYS, Ordering::SeqCst);
    assert_eq!(server.tokens.create(&token(1, 1)).await, Err(StoreError::Unavailable));
    let put = server.blobs.put_state(blob_key(1, BlobKind::State), body(state(500, 1), 100), u64::MAX).await;
    assert_eq!(put, Err(PutError::Store(StoreError::Unavailable)));
    faults.unread.store(ALWAYS, Ordering::SeqCst);
    assert_eq!(server.tokens.read(&token(1, 1).id).await, Err(StoreError::Unavailable), "it admits nobody");
    assert_eq!(server.workspaces.newest(&workspace_id(1)).await, Err(StoreError::Unavailable));
}
