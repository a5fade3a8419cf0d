//! The rules of a workspace, held against a small model that is obviously right, over any sequence of commands.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

#[path = "rules/kit.rs"]
mod kit;

use std::time::Duration;

use kit::{ACTORS, actor, grant, lineage, md5, measured, random, workspace, workspace_of};
use opentaco_domain::commit::{CommitError, Proposal, TICKET_LIFE, Ticket};
use opentaco_domain::id::{AttemptId, LockId, StateVersionId};
use opentaco_domain::lock::{LockError, LockRequest};
use opentaco_domain::settings::SettingsChange;
use opentaco_domain::state::Sha256;
use opentaco_domain::time::Timestamp;
use opentaco_domain::workspace::{Deletion, Outcome, Update, Workspace, WorkspaceError};
use proptest::prelude::*;

/// What somebody tries.
#[derive(Clone, Debug)]
enum Command {
    Lock(usize),
    Unlock(usize),
    ForceUnlock(usize),
    Propose {
        who: usize,
        serial: u64,
        content: u8,
        lineage: u8,
        force: bool,
    },
    /// Uploads for the ticket that many proposals ago.
    Accept {
        who: usize,
        ticket: usize,
        bytes: Bytes,
        late: bool,
    },
    Settings(usize, u8),
    Delete(usize, Deletion),
    /// Time passes, in seconds.
    Wait(u64),
}

/// How the uploaded bytes compare with the announced ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bytes {
    Right,
    WrongContent,
    WrongSerial,
    WrongLineage,
    /// The announced MD5 over other bytes: a collision.
    Collision,
}

fn commands() -> impl Strategy<Value = Vec<Command>> {
    let who = 0..ACTORS;
    let bytes = prop_oneof![
        8 => Just(Bytes::Right),
        1 => Just(Bytes::WrongContent),
        1 => Just(Bytes::WrongSerial),
        1 => Just(Bytes::WrongLineage),
        1 => Just(Bytes::Collision),
    ];
    let command = prop_oneof![
        5 => who.clone().prop_map(Command::Lock),
        3 => who.clone().prop_map(Command::Unlock),
        1 => who.clone().prop_map(Command::ForceUnlock),
        8 => (who.clone(), 0u64..6, 0u8..4, 0u8..2, prop::bool::weighted(0.1)).prop_map(
            |(who, serial, content, lineage, force)| Command::Propose { who, serial, content, lineage, force }
        ),
        10 => (who.clone(), 0usize..4, bytes, prop::bool::weighted(0.05)).prop_map(
            |(who, ticket, bytes, late)| Command::Accept { who, ticket, bytes, late }
        ),
        1 => (who.clone(), 0u8..3).prop_map(|(who, text)| Command::Settings(who, text)),
        1 => (who, prop_oneof![Just(Deletion::Safe), Just(Deletion::Force)])
            .prop_map(|(who, how)| Command::Delete(who, how)),
        1 => (0u64..1200).prop_map(Command::Wait),
    ];
    prop::collection::vec(command, 1..80)
}

/// What the model remembers of a committed version.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    id: StateVersionId,
    serial: u64,
    /// What its MD5 says.
    content: u8,
    /// What it really is.
    sha256: Sha256,
    lineage: u8,
}

/// A ticket, with what was true when it was given.
struct Given {
    ticket: Ticket,
    content: u8,
    lineage: u8,
    /// Which taking of the lock it was proposed under.
    taking: usize,
    /// The newest version at that time; for a repeated proposal, the version before.
    on: Option<StateVersionId>,
}

/// The whole truth in a few plain fields.
#[derive(Default)]
struct Model {
    /// Who holds the lock, and which taking of it that is.
    holder: Option<(usize, usize)>,
    takings: usize,
    history: Vec<Kept>,
    description: u8,
    deleted: bool,
}

/// Model and workspace side by side.
struct Run {
    model: Model,
    workspace: Workspace,
    entry: u64,
    now: Timestamp,
    tickets: Vec<Given>,
    step: usize,
}

impl Run {
    fn new() -> Self {
        Self {
            model: Model::default(),
            workspace: workspace(),
            entry: 1,
            now: Timestamp::from_millis(1000),
            tickets: Vec::new(),
            step: 0,
        }
    }

    /// Follows an outcome as the store would. A refusal and "unchanged" leave everything as it is.
    fn follow<E: std::fmt::Debug>(&mut self, outcome: Result<Outcome, E>, expected: Result<bool, &str>) {
        match (outcome, expected) {
            (Ok(Outcome::Changed(next)), Ok(true)) => {
                assert_ne!(*next, self.workspace, "a change changes something");
                self.workspace = *next;
                self.entry += 1;
            }
            (Ok(Outcome::Unchanged), Ok(false)) => {}
            (Err(error), Err(name)) => {
                let error = format!("{error:?}");
                assert!(error.starts_with(name), "expected {name}, got {error}");
            }
            (outcome, expected) => panic!("the rule says {outcome:?}, the model {expected:?}"),
        }
    }

    fn take(&mut self, command: &Command) {
        self.step += 1;
        self.now = self.now.plus(Duration::from_secs(1));
        match *command {
            Command::Lock(who) => self.lock(who),
            Command::Unlock(who) => self.unlock(who),
            Command::ForceUnlock(who) => self.force_unlock(who),
            Command::Propose { who, serial, content, lineage, force } => {
                self.propose(who, serial, content, lineage, force);
            }
            Command::Accept { who, ticket, bytes, late } => self.accept(who, ticket, bytes, late),
            Command::Settings(who, text) => self.settings(who, text),
            Command::Delete(who, how) => self.delete(who, how),
            Command::Wait(seconds) => self.now = self.now.plus(Duration::from_secs(seconds)),
        }
        self.compare();
    }

    fn lock(&mut self, who: usize) {
        let request = LockRequest::new(LockId::new(self.now, random(self.step)), "plan");
        let outcome = self.workspace.lock(&grant(who, &self.workspace), &request, self.now);
        let expected = match self.model.holder {
            _ if self.model.deleted => Err("Deleted"),
            Some(_) => Err("Held"),
            None => {
                self.model.takings += 1;
                self.model.holder = Some((who, self.model.takings));
                Ok(true)
            }
        };
        self.names_the_holder(outcome.as_ref().err());
        self.follow(outcome, expected);
    }

    fn unlock(&mut self, who: usize) {
        let outcome = self.workspace.unlock(&grant(who, &self.workspace));
        let expected = match self.model.holder {
            _ if self.model.deleted => Err("Deleted"),
            None => Err("NotLocked"),
            Some((holder, _)) if holder != who => Err("Held"),
            Some(_) => {
                self.model.holder = None;
                Ok(true)
            }
        };
        self.names_the_holder(outcome.as_ref().err());
        self.follow(outcome, expected);
    }

    fn names_the_holder(&self, error: Option<&LockError>) {
        if let (Some(error @ LockError::Held(_)), Some((holder, _))) = (error, self.model.holder) {
            assert!(error.to_string().contains(actor(holder).subject.as_str()), "{error}");
        }
    }

    fn force_unlock(&mut self, who: usize) {
        let seen =
            self.workspace.lock.as_ref().map_or_else(|| LockId::new(self.now, [0; 10]), |lock| lock.id);
        let outcome = self.workspace.force_unlock(&grant(who, &self.workspace), seen);
        let expected = match self.model.holder {
            _ if self.model.deleted => Err("Deleted"),
            None => Err("NotLocked"),
            Some(_) => {
                self.model.holder = None;
                Ok(true)
            }
        };
        self.follow(outcome, expected);
    }

    /// Whether serial and lineage may follow the newest version.
    fn rises(&self, serial: u64, lineage: u8) -> Result<(), &'static str> {
        match self.model.history.last() {
            Some(last) if last.lineage != lineage => Err("ForeignLineage"),
            Some(last) if serial <= last.serial => Err("SerialDoesNotRise"),
            _ => Ok(()),
        }
    }

    fn propose(&mut self, who: usize, serial: u64, content: u8, letter: u8, force: bool) {
        let proposal = Proposal { serial, lineage: Some(lineage(letter)), md5: md5(content) };
        let manage = force.then(|| grant(who, &self.workspace));
        let decided = self.workspace.propose(
            &grant(who, &self.workspace),
            self.entry,
            proposal,
            manage.as_ref(),
            random(self.step),
            self.now,
        );
        let last = self.model.history.last();
        let repeated =
            last.is_some_and(|last| (last.serial, last.content, last.lineage) == (serial, content, letter));
        let expected = match self.model.holder {
            _ if self.model.deleted => Err("Deleted"),
            None => Err("NotLocked"),
            Some((holder, _)) if holder != who => Err("HeldByAnother"),
            Some(_) if repeated || force => Ok(()),
            Some(_) => self.rises(serial, letter),
        };
        match (decided, expected) {
            (Ok(ticket), Ok(())) => {
                let versions = self.model.history.len() - usize::from(repeated);
                assert_eq!(ticket.version.ordinal as usize, versions + 1, "no gap");
                assert_eq!(repeated, Some(ticket.version) == last.map(|last| last.id));
                let on = versions.checked_sub(1).map(|at| self.model.history[at].id);
                assert_eq!(ticket.predecessor, on, "it is made from the version before");
                let taking = self.model.holder.map_or(0, |(_, taking)| taking);
                self.tickets.push(Given { ticket, content, lineage: letter, taking, on });
            }
            (Err(error), Err(name)) => {
                assert!(format!("{error:?}").starts_with(name), "expected {name}, got {error:?}");
                if let (CommitError::HeldByAnother(_), Some((holder, _))) = (&error, self.model.holder) {
                    assert!(error.to_string().contains(actor(holder).subject.as_str()), "{error}");
                }
            }
            (decided, expected) => panic!("the rule says {decided:?}, the model {expected:?}"),
        }
    }

    fn accept(&mut self, who: usize, ago: usize, bytes: Bytes, late: bool) {
        let Some(at) = self.tickets.len().checked_sub(ago + 1) else { return };
        let given = &self.tickets[at];
        let serial = given.ticket.proposal.serial;
        let letter = |letter: u8| lineage(letter).as_str().to_owned();
        let mut measured =
            measured(given.content, serial, Some(&letter(given.lineage)), u64::from(given.content));
        match bytes {
            Bytes::Right => {}
            Bytes::WrongContent => measured.md5 = md5(given.content + 1),
            Bytes::WrongSerial => measured.document.serial = Some(serial + 1),
            Bytes::WrongLineage => measured.document.lineage = Some(letter(1 - given.lineage)),
            Bytes::Collision => measured.sha256 = Sha256([0xee; 32]),
        }
        let now = if late { given.ticket.expires_at.plus(Duration::from_millis(1)) } else { self.now };
        let attempt = AttemptId::new(self.now, random(self.step));
        let manage = grant(who, &self.workspace);
        let force = given.ticket.force.then_some(&manage);
        let write = grant(who, &self.workspace);
        let outcome = self.workspace.accept(&write, &given.ticket, &measured, force, attempt, now);
        let last = self.model.history.last();
        let bytes = match bytes {
            Bytes::WrongContent => Err("DigestMismatch"),
            Bytes::WrongSerial | Bytes::WrongLineage => Err("DocumentMismatch"),
            Bytes::Right | Bytes::Collision => Ok(()),
        };
        let expected = match self.model.holder {
            _ if self.model.deleted => Err("Deleted"),
            _ if now > given.ticket.expires_at => Err("Expired"),
            // Its own version is the newest: it was committed before, and nothing happens twice.
            _ if last.is_some_and(|last| last.id == given.ticket.version) => bytes.and_then(|()| {
                let same = last.is_some_and(|last| last.sha256 == measured.sha256);
                if same { Ok(false) } else { Err("Finalized") }
            }),
            _ if last.map(|last| last.id) != given.on => Err("Overtaken"),
            None => Err("NotLocked"),
            Some((holder, _)) if holder != who => Err("HeldByAnother"),
            Some((_, taking)) if taking != given.taking => Err("Fenced"),
            Some(_) => bytes.map(|()| true),
        };
        if expected == Ok(true) {
            assert!(
                given.ticket.force || self.rises(serial, given.lineage).is_ok(),
                "only force waives the rules"
            );
            let twice = self.model.history.iter().any(|kept| kept.id == given.ticket.version);
            assert!(!twice, "a ticket commits at most once");
            let (id, content, lineage) = (given.ticket.version, given.content, given.lineage);
            let kept = Kept { id, serial, content, sha256: measured.sha256, lineage };
            self.model.history.push(kept);
        }
        self.follow(outcome, expected);
    }

    fn settings(&mut self, who: usize, text: u8) {
        let settings = SettingsChange::new(None, Some(text.to_string())).unwrap();
        let update = Update { settings, ..Update::default() };
        let (write, manage) = (grant(who, &self.workspace), grant(who, &self.workspace));
        let outcome = self.workspace.update(&write, Some(&manage), &update, None, self.now);
        let same = self.workspace.settings.description == Some(text.to_string());
        let expected = if self.model.deleted { Err("Deleted") } else { Ok(!same) };
        self.follow(outcome, expected);
        if !self.model.deleted {
            self.model.description = text;
            assert_eq!(self.workspace.settings.description, Some(self.model.description.to_string()));
        }
    }

    fn delete(&mut self, who: usize, how: Deletion) {
        let outcome = self.workspace.delete(&grant(who, &self.workspace), how, self.now);
        if let (Err(error @ WorkspaceError::Locked(_)), Some((holder, _))) = (&outcome, self.model.holder) {
            assert!(error.to_string().contains(actor(holder).subject.as_str()), "{error}");
        }
        let manages = self.workspace.current.as_ref().is_some_and(|current| current.resources != Some(0));
        let expected = match self.model.holder {
            _ if self.model.deleted => Err("Deleted"),
            Some(_) => Err("Locked"),
            None if how == Deletion::Safe && manages => Err("StillManages"),
            None => {
                self.model.deleted = true;
                Ok(true)
            }
        };
        self.follow(outcome, expected);
    }

    /// After every step, the workspace is what the model says.
    fn compare(&self) {
        let Self { model, workspace, .. } = self;
        assert_eq!(workspace.is_live(), !model.deleted);
        let holder = workspace.lock.as_ref().map(|lock| (&lock.holder.subject, &lock.holder.parent));
        let expected = model.holder.map(|(who, _)| actor(who));
        assert_eq!(holder, expected.as_ref().map(|actor| (&actor.subject, &actor.parent)));
        let mut newest = model.history.iter().rev();
        let (last, before) = (newest.next(), newest.next());
        assert_eq!(workspace.current.is_some(), last.is_some());
        if let (Some(current), Some(last)) = (&workspace.current, last) {
            assert_eq!((current.id, current.serial), (last.id, last.serial));
            assert_eq!((current.md5, current.sha256), (md5(last.content), last.sha256));
            assert_eq!(current.lineage, Some(lineage(last.lineage)));
            assert_eq!(current.predecessor, before.map(|before| before.id), "the chain has no gap");
            assert_eq!(current.id.ordinal as usize, model.history.len());
        }
        assert_eq!(workspace.id, kit::workspace().id);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_do_what_the_model_says(commands in commands()) {
        let mut run = Run::new();
        for command in &commands {
            run.take(command);
        }
    }
}

/// A workspace that actor 0 has locked, with a first version of serial 1, content 1 and lineage `a`.
fn locked_with_a_version() -> Run {
    let mut run = Run::new();
    run.take(&Command::Lock(0));
    run.take(&Command::Propose { who: 0, serial: 1, content: 1, lineage: 0, force: false });
    run.take(&Command::Accept { who: 0, ticket: 0, bytes: Bytes::Right, late: false });
    assert_eq!(run.model.history.len(), 1);
    run
}

#[test]
fn a_relock_by_the_same_holder_fences_the_tickets_of_before() {
    let mut run = locked_with_a_version();
    run.take(&Command::Propose { who: 0, serial: 2, content: 2, lineage: 0, force: false });
    run.take(&Command::ForceUnlock(1));
    run.take(&Command::Lock(0));
    let ticket = &run.tickets.last().unwrap().ticket;
    let attempt = AttemptId::new(run.now, [0; 10]);
    let outcome = run.workspace.accept(
        &grant(0, &run.workspace),
        ticket,
        &measured(2, 2, Some("a"), 0),
        None,
        attempt,
        run.now,
    );
    assert_eq!(outcome, Err(CommitError::Fenced));
}

#[test]
fn the_same_serial_with_the_same_content_is_a_success_without_a_change() {
    let mut run = locked_with_a_version();
    run.take(&Command::Propose { who: 0, serial: 1, content: 1, lineage: 0, force: false });
    let before = run.workspace.clone();
    run.take(&Command::Accept { who: 0, ticket: 0, bytes: Bytes::Right, late: false });
    assert_eq!(run.workspace, before);
    let proposal = Proposal { serial: 1, lineage: Some(lineage(0)), md5: md5(2) };
    let refused =
        run.workspace.propose(&grant(0, &run.workspace), run.entry, proposal, None, [9; 10], run.now);
    assert!(matches!(refused, Err(CommitError::SerialDoesNotRise { given: 1, current: 1, .. })));
}

#[test]
fn a_ticket_dies_after_its_hour_and_a_forced_one_still_needs_the_lock() {
    let mut run = locked_with_a_version();
    run.take(&Command::Propose { who: 0, serial: 1, content: 3, lineage: 1, force: true });
    let ticket = run.tickets.last().unwrap().ticket.clone();
    assert_eq!(ticket.expires_at, run.now.plus(TICKET_LIFE));
    run.take(&Command::Unlock(0));
    run.take(&Command::Accept { who: 0, ticket: 0, bytes: Bytes::Right, late: false });
    assert_eq!(run.model.history.len(), 1, "nothing was committed without the lock");
}

#[test]
fn a_grant_on_one_workspace_is_worth_nothing_on_another() {
    let (mine, other) = (workspace(), workspace_of([2; 10]));
    let request = LockRequest::new(LockId::new(Timestamp::from_millis(1), [1; 10]), "x");
    let now = Timestamp::from_millis(2);
    assert_eq!(mine.lock(&grant(0, &other), &request, now), Err(LockError::Deleted));
    assert_eq!(mine.delete(&grant(0, &other), Deletion::Force, now), Err(WorkspaceError::Deleted));
    // A forced proposal whose force was granted elsewhere is judged as if there were none.
    let run = locked_with_a_version();
    let proposal = Proposal { serial: 0, lineage: Some(lineage(1)), md5: md5(2) };
    let force = grant(0, &other);
    let write = grant(0, &run.workspace);
    let refused = run.workspace.propose(&write, run.entry, proposal, Some(&force), [9; 10], run.now);
    assert!(matches!(refused, Err(CommitError::ForeignLineage { .. })));
}
