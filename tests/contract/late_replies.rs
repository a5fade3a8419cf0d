//! Reads whose answer was true when it was given and is not any more when it arrives; and how many reads there are.

use std::sync::atomic::Ordering;
use std::time::Duration;

use opentaco_domain::actor::Subject;
use opentaco_domain::token::TokenRecord;
use opentaco_ports::driven::records::ChangeKind;

use crate::backend::Backend;
use crate::flaky::flaky;
use crate::records::created;
use crate::values::{AT, change, landed, token, workspace, workspace_id};

/// The object whose absence says that a token lives.
const REVOKED: &str = "revoked.json";

fn revoked() -> TokenRecord {
    TokenRecord { revoked_at: Some(AT), ..token(1, 1) }
}

pub async fn a_read_that_a_revocation_overtook_is_not_remembered(backend: &Backend) {
    let (server, faults) = flaky(backend);
    let id = token(1, 1).id;
    server.tokens.create(&token(1, 1)).await.unwrap();
    let (reached, open) = faults.hold(REVOKED);
    let (tokens, asked) = (server.tokens.clone(), id.clone());
    let slow = tokio::spawn(async move { tokens.read(&asked).await });
    reached.await.unwrap();
    server.tokens.revoke(&id, &Subject::local_owner(), AT).await.unwrap();
    open.send(()).unwrap();
    slow.await.unwrap().unwrap();
    assert_eq!(server.tokens.read(&id).await, Ok(Some(revoked())), "at once on this server");
}

pub async fn an_answer_is_as_old_as_its_question(backend: &Backend) {
    let (server, faults) = flaky(backend);
    let id = token(1, 1).id;
    server.tokens.create(&token(1, 1)).await.unwrap();
    let (reached, open) = faults.hold(REVOKED);
    let (tokens, asked) = (server.tokens.clone(), id.clone());
    let slow = tokio::spawn(async move { tokens.read(&asked).await });
    reached.await.unwrap();
    backend.open().tokens.revoke(&id, &Subject::local_owner(), AT).await.unwrap();
    backend.clock.move_mono(Duration::from_secs(4));
    open.send(()).unwrap();
    slow.await.unwrap().unwrap();
    backend.clock.move_mono(Duration::from_secs(1));
    assert_eq!(server.tokens.read(&id).await, Ok(Some(revoked())), "five seconds after it was asked for");
}

pub async fn the_newest_of_many_entries_is_found_in_few_reads(backend: &Backend) {
    let writer = backend.open().workspaces;
    let id = workspace_id(1);
    let mut base = created(&*writer, 1).await;
    for n in 2..=300 {
        base =
            landed(writer.try_append(&id, Some(&base), &change(n, ChangeKind::Changed, workspace(1))).await);
    }
    let (server, faults) = flaky(backend);
    let reads = async || {
        let before = faults.reads.load(Ordering::SeqCst);
        assert_eq!(server.workspaces.newest(&id).await.unwrap().as_ref(), Some(&base));
        faults.reads.load(Ordering::SeqCst) - before
    };
    let cold = reads().await;
    assert!(cold <= 22, "twice the logarithm and a few, not {cold}");
    assert_eq!(reads().await, 1, "warm: is there a next one?");
    backend.clock.move_mono(Duration::from_mins(1));
    let stale = reads().await;
    assert!(stale <= 4, "from where it was, not {stale}");
}
