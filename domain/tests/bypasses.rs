//! What a hostile client tries: each of these got past the rules once, or could have.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

#[path = "rules/kit.rs"]
#[allow(dead_code, reason = "shared with the model's tests, which use all of it")]
mod kit;

use kit::{grant, lineage, md5, measured, workspace};
use opentaco_domain::commit::{CommitError, Proposal};
use opentaco_domain::id::{AttemptId, LockId};
use opentaco_domain::lock::{LockError, LockRequest};
use opentaco_domain::state::Measured;
use opentaco_domain::time::Timestamp;
use opentaco_domain::workspace::{Outcome, Workspace};

/// A workspace that the first actor has locked and written one version to.
fn locked_with_a_version() -> Workspace {
    let (new, now) = (workspace(), Timestamp::from_millis(1000));
    let request = LockRequest::new(LockId::new(now, [1; 10]), "apply");
    let Ok(Outcome::Changed(locked)) = new.lock(&grant(0, &new), &request, now) else { panic!("not locked") };
    let first = Proposal { serial: 1, lineage: Some(lineage(0)), md5: md5(1) };
    commit(&locked, first, &measured(1, 1, Some(lineage(0).as_str()), 0)).unwrap()
}

/// Commits a version through the rules and gives the workspace after it.
fn commit(workspace: &Workspace, proposal: Proposal, measured: &Measured) -> Result<Workspace, CommitError> {
    let now = Timestamp::from_millis(5000);
    let (write, attempt) = (grant(0, workspace), AttemptId::new(now, [8; 10]));
    let ticket = workspace.propose(&write, 1, proposal, None, [8; 10], now)?;
    match workspace.accept(&write, &ticket, measured, None, attempt, now)? {
        Outcome::Changed(next) => Ok(*next),
        Outcome::Unchanged => Ok(workspace.clone()),
    }
}

#[test]
fn a_proposal_without_a_lineage_does_not_open_the_history_to_another() {
    let kept = locked_with_a_version();
    let unnamed = Proposal { serial: 2, lineage: None, md5: md5(2) };
    let foreign = commit(&kept, unnamed, &measured(2, 2, Some("b"), 0));
    assert!(matches!(foreign, Err(CommitError::ForeignLineage { .. })), "{foreign:?}");
}

#[test]
fn a_version_without_a_lineage_keeps_that_of_its_history() {
    let kept = locked_with_a_version();
    let unnamed = Proposal { serial: 2, lineage: None, md5: md5(2) };
    let next = commit(&kept, unnamed, &measured(2, 2, None, 0)).unwrap();
    assert_eq!(next.current.and_then(|current| current.lineage), Some(lineage(0)));
}

#[test]
fn force_is_for_who_may_manage_and_must_still_hold_at_the_commit() {
    let kept = locked_with_a_version();
    let now = Timestamp::from_millis(5000);
    let (write, manage, another) = (grant(0, &kept), grant(0, &kept), grant(1, &kept));
    let lower = || Proposal { serial: 1, lineage: Some(lineage(1)), md5: md5(2) };
    let borrowed = kept.propose(&write, 1, lower(), Some(&another), [8; 10], now);
    assert!(matches!(borrowed, Err(CommitError::ForeignLineage { .. })), "{borrowed:?}");
    let ticket = kept.propose(&write, 1, lower(), Some(&manage), [8; 10], now).unwrap();
    let bytes = measured(2, 1, Some(lineage(1).as_str()), 0);
    let accept = |force| kept.accept(&write, &ticket, &bytes, force, AttemptId::new(now, [8; 10]), now);
    assert!(matches!(accept(None), Err(CommitError::ForeignLineage { .. })));
    assert!(matches!(accept(Some(&manage)), Ok(Outcome::Changed(_))));
}

#[test]
fn a_serial_that_nothing_can_follow_is_refused() {
    let kept = locked_with_a_version();
    let largest = Proposal { serial: u64::MAX, lineage: Some(lineage(0)), md5: md5(2) };
    let refused = commit(&kept, largest, &measured(2, u64::MAX, Some("a"), 0));
    assert_eq!(refused.err(), Some(CommitError::SerialTooLarge(u64::MAX)));
}

#[test]
fn a_forced_unlock_frees_only_the_lock_that_was_seen() {
    let kept = locked_with_a_version();
    let other = LockId::new(Timestamp::from_millis(1), [42; 10]);
    let refused = kept.force_unlock(&grant(1, &kept), other);
    assert!(matches!(refused, Err(LockError::Held(_))), "{refused:?}");
}

#[test]
fn a_lock_id_seen_elsewhere_does_not_give_the_lock() {
    let kept = locked_with_a_version();
    let id = kept.lock.as_ref().unwrap().id;
    let request = LockRequest::new(id, "mine now");
    let refused = kept.lock(&grant(1, &kept), &request, Timestamp::from_millis(9));
    assert!(matches!(refused, Err(LockError::Held(_))), "{refused:?}");
    let repeated = kept.lock(&grant(0, &kept), &request, Timestamp::from_millis(9));
    assert_eq!(repeated, Ok(Outcome::Unchanged));
}
