//! What a hostile client tries: each of these got past the rules once, or could have.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

#[path = "rules/kit.rs"]
#[allow(dead_code, reason = "shared with the model's tests, which use all of it")]
mod kit;

use kit::{grant, lineage, md5, measured, workspace};
use opentaco_domain::commit::{CommitError, Proposal};
use opentaco_domain::id::{AttemptId, LockId, OperationId};
use opentaco_domain::lock::{LockError, LockRequest};
use opentaco_domain::settings::SettingsChange;
use opentaco_domain::state::{Measured, StateVersion};
use opentaco_domain::time::Timestamp;
use opentaco_domain::workspace::{Outcome, Update, Workspace, WorkspaceError};

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

fn changed(outcome: Result<Outcome, WorkspaceError>) -> Workspace {
    match outcome {
        Ok(Outcome::Changed(next)) => *next,
        other => panic!("not changed: {other:?}"),
    }
}

fn renamed_to(name: &str) -> Update {
    Update { name: Some(name.parse().unwrap()), ..Update::default() }
}

#[test]
fn only_the_request_that_announced_a_name_may_bear_it() {
    let (old, now) = (workspace(), Timestamp::from_millis(5000));
    let (write, manage) = (grant(0, &old), grant(0, &old));
    let (first, retry) = (OperationId::new(now, [1; 10]), OperationId::new(now, [2; 10]));
    let update = renamed_to("other");
    let bear = |from: &Workspace, by| from.update(&write, Some(&manage), &update, by, now);
    let lost = |outcome| matches!(outcome, Err(WorkspaceError::RenameLost(_)));
    assert!(lost(bear(&old, None)), "a name is announced first");
    let announced = changed(old.begin_rename(&manage, &"other".parse().unwrap(), first));
    assert!(lost(bear(&announced, None)) && lost(bear(&announced, Some(retry))));
    // Somebody else ended it, and a repetition of the same request announced it again.
    let Outcome::Changed(ended) = announced.cancel_rename(&"other".parse().unwrap()) else {
        panic!("not ended")
    };
    let again = changed(ended.begin_rename(&manage, &"other".parse().unwrap(), retry));
    assert!(lost(bear(&again, Some(first))), "the first one has lost its claim");
    let renamed = changed(bear(&again, Some(retry)));
    assert_eq!((renamed.name.as_str(), renamed.renaming_to), ("other", None));
}

#[test]
fn a_rename_needs_the_right_to_manage_and_a_terraform_version_does_not() {
    let (old, now) = (workspace(), Timestamp::from_millis(5000));
    let (write, another) = (grant(0, &old), grant(1, &old));
    for manage in [None, Some(&another)] {
        let refused = old.update(&write, manage, &renamed_to("other"), None, now);
        assert_eq!(refused, Err(WorkspaceError::NotManager));
    }
    let settings = SettingsChange::new(Some("1.11.4".to_owned()), None).unwrap();
    let update = Update { settings, ..Update::default() };
    assert!(matches!(old.update(&write, None, &update, None, now), Ok(Outcome::Changed(_))));
}

#[test]
fn a_rollback_is_judged_again_when_its_bytes_are_there() {
    let kept = locked_with_a_version();
    let second = commit(
        &kept,
        Proposal { serial: 2, lineage: Some(lineage(0)), md5: md5(2) },
        &measured(2, 2, Some("a"), 0),
    );
    let (second, now) = (second.unwrap(), Timestamp::from_millis(6000));
    let (write, first) = (grant(0, &kept), kept.current.clone().unwrap());
    let rollback = second.propose_rollback(&write, 3, &first, None, [9; 10]).unwrap();
    assert_eq!(rollback.serial, 3);
    let accept = |from: &Workspace, serial| {
        let bytes = measured(1, serial, Some("a"), 0);
        from.accept_rollback(&write, &rollback, &bytes, AttemptId::new(now, [7; 10]), now)
    };
    assert!(matches!(accept(&second, 1), Err(CommitError::NoSerial(_))), "the serial in the bytes must rise");
    assert_eq!(accept(&kept, 3), Err(CommitError::Overtaken));
    let swept = Workspace { sweep_floor: 4, ..second.clone() };
    assert_eq!(accept(&swept, 3), Err(CommitError::Fenced), "its bytes may be gone");
    let free = Workspace { lock: None, ..second.clone() };
    assert_eq!(accept(&free, 3), Err(CommitError::NotLocked));
    assert_eq!(free.propose_rollback(&write, 3, &first, None, [9; 10]), Err(CommitError::NotLocked));
    let Ok(Outcome::Changed(back)) = accept(&second, 3) else { panic!("not rolled back") };
    let current = back.current.unwrap();
    assert_eq!((current.serial, current.rolled_back_from), (3, Some(first.id)));
    assert_eq!(current.predecessor, second.current_id(), "history is never shortened");
}

#[test]
fn going_back_to_another_lineage_is_for_who_may_force() {
    let kept = locked_with_a_version();
    let write = grant(0, &kept);
    let first = kept.current.clone().unwrap();
    let foreign = StateVersion { lineage: Some(lineage(1)), ..first };
    let refused = kept.propose_rollback(&write, 2, &foreign, None, [9; 10]);
    assert!(matches!(refused, Err(CommitError::ForeignLineage { .. })), "{refused:?}");
    let manage = grant(0, &kept);
    assert!(kept.propose_rollback(&write, 2, &foreign, Some(&manage), [9; 10]).is_ok());
}
