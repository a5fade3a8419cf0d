//! Streams of numbered entries.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use opentaco_domain::actor::Subject;
use opentaco_domain::organization::Organization;
use opentaco_domain::policy::Policy;
use opentaco_domain::project::Projects;
use opentaco_domain::user::{Identity, User};
use opentaco_domain::workspace::{NameClaim, Workspace};
use opentaco_ports::driven::records::{Appended, ChangeKind, Records, Versioned};
use tokio::sync::Barrier;

use crate::backend::Backend;
use crate::values::{AT, change, full_workspace, landed, workspace, workspace_id};

const MINUTE: Duration = Duration::from_mins(1);

/// The first entry of workspace `n`.
pub async fn created(records: &dyn Records<Workspace>, n: usize) -> Versioned<Workspace> {
    let creation = change(n, ChangeKind::Created, workspace(n));
    landed(records.try_append(&workspace_id(n), None, &creation).await)
}

pub async fn entries_are_numbered_from_one_and_read_back_whole(backend: &Backend) {
    let records = &*backend.open().workspaces;
    let id = workspace_id(1);
    assert_eq!(records.newest(&id).await, Ok(None));
    let first = created(records, 1).await;
    let second = landed(
        records.try_append(&id, Some(&first), &change(2, ChangeKind::Changed, full_workspace(1))).await,
    );
    assert_eq!((first.number, second.number), (1, 2));
    assert_eq!((&first.value, &second.value), (&workspace(1), &full_workspace(1)));
    let read = backend.open().workspaces.newest(&id).await.unwrap().unwrap();
    assert_eq!(read, second, "a server that remembers nothing reads the very entry that was written");
}

pub async fn every_kind_of_record_has_its_own_streams(backend: &Backend) {
    let server = backend.open();
    let (organization, name) = ("default".parse().unwrap(), "app/1".parse().unwrap());
    let claim = NameClaim {
        organization: "default".parse().unwrap(),
        name: "app/1".parse().unwrap(),
        workspace: Some(workspace_id(1)),
    };
    let home = Organization {
        name: "default".parse().unwrap(),
        email: Some("ops@example.org".to_owned()),
        created_at: AT,
        projects: Projects::default(),
    };
    let key = (organization, name);
    created(&*server.workspaces, 1).await;
    landed(server.names.try_append(&key, None, &change(2, ChangeKind::Claimed, claim.clone())).await);
    landed(
        server.organizations.try_append(&key.0, None, &change(3, ChangeKind::Created, home.clone())).await,
    );
    let other = backend.open();
    assert_eq!(other.names.newest(&key).await.unwrap().unwrap().value, claim);
    assert_eq!(other.organizations.newest(&key.0).await.unwrap().unwrap().value, home);
    let elsewhere = ("default".parse().unwrap(), "app/2".parse().unwrap());
    assert_eq!(other.names.newest(&elsewhere).await, Ok(None));
}

pub async fn users_are_kept_each_by_its_own_subject(backend: &Backend) {
    let users = backend.open().users;
    let everything = User {
        email: Some("alice@example.com".parse().unwrap()),
        email_verified: true,
        groups: ["ops".to_owned(), "näme \"quoted\"".to_owned()].into(),
        disabled: true,
        ..bare("oidc:auth0|17")
    };
    // The same name from another source is somebody else.
    let all = [everything, bare("dev:alice"), bare("oidc:alice"), bare("ci:a:alice"), bare("local:owner")];
    for (n, user) in all.iter().enumerate() {
        let login = change(n, ChangeKind::LoggedIn, user.clone());
        landed(users.try_append(&user.subject, None, &login).await);
    }
    let other = backend.open().users;
    for user in &all {
        let found = other.newest(&user.subject).await.unwrap().unwrap();
        assert_eq!((found.number, &found.value), (1, user));
    }
    assert_eq!(other.newest(&"dev:bob".parse().unwrap()).await, Ok(None));
    let first = other.newest(&all[0].subject).await.unwrap().unwrap();
    let later = User { last_login: AT.plus(MINUTE), groups: ["dev".to_owned()].into(), ..all[0].clone() };
    let login = change(9, ChangeKind::LoggedIn, later.clone());
    let second = landed(other.try_append(&later.subject, Some(&first), &login).await);
    assert_eq!((second.number, &second.value), (2, &later));
    assert_eq!(users.newest(&later.subject).await.unwrap(), Some(second), "seen by the other server at once");
}

fn bare(subject: &str) -> User {
    let subject: Subject = subject.parse().unwrap();
    User::after_login(None, Identity::bare(subject), AT)
}

pub async fn there_is_one_policy_and_of_two_first_ones_one_lands(backend: &Backend) {
    let [here, there] = [backend.open().policies, backend.open().policies];
    assert_eq!(here.newest(&()).await, Ok(None));
    assert_eq!(there.newest(&()).await, Ok(None));
    let named = |all: &[&str]| all.iter().map(|one| one.parse().unwrap()).collect();
    let on = Policy::open().switched_on(&named(&["alice@example.com", "oidc:auth0|17", "dev:alice"]));
    let other = Policy::open().switched_on(&named(&["oidc:bob"]));
    let first = landed(here.try_append(&(), None, &change(1, ChangeKind::Created, on.clone())).await);
    let second = there.try_append(&(), None, &change(2, ChangeKind::Created, other)).await;
    assert_eq!(second, Appended::Theirs, "a second first one changes nothing");
    assert_eq!(there.newest(&()).await.unwrap().as_ref(), Some(&first));
    let off = change(3, ChangeKind::Changed, on.switched_off());
    landed(there.try_append(&(), Some(&first), &off).await);
    for policies in [here, there, backend.open().policies] {
        assert_eq!(policies.newest(&()).await.unwrap().unwrap().value, on.switched_off());
    }
}

pub async fn an_append_to_a_stale_base_is_theirs(backend: &Backend) {
    let (here, there) = (backend.open(), backend.open());
    let id = workspace_id(1);
    let first = created(&*here.workspaces, 1).await;
    let theirs = change(2, ChangeKind::Changed, full_workspace(1));
    landed(there.workspaces.try_append(&id, Some(&first), &theirs).await);
    let ours = change(3, ChangeKind::Changed, workspace(1));
    assert_eq!(here.workspaces.try_append(&id, Some(&first), &ours).await, Appended::Theirs);
    assert_eq!(here.workspaces.try_append(&id, None, &ours).await, Appended::Theirs);
    let newest = here.workspaces.newest(&id).await.unwrap().unwrap();
    assert_eq!((newest.number, newest.value), (2, full_workspace(1)), "what landed stays");
}

pub async fn the_same_change_tried_again_is_ours_with_the_stored_entry(backend: &Backend) {
    let (here, there) = (backend.open(), backend.open());
    let id = workspace_id(1);
    let first = created(&*here.workspaces, 1).await;
    let change = change(2, ChangeKind::Changed, full_workspace(1));
    let second = landed(here.workspaces.try_append(&id, Some(&first), &change).await);
    for server in [&here, &there] {
        let again = server.workspaces.try_append(&id, Some(&first), &change).await;
        assert_eq!(again, Appended::Ours(second.clone()));
    }
    assert_eq!(there.workspaces.newest(&id).await.unwrap().unwrap().number, 2, "it is there once");
}

/// Lets tasks on two servers append to one base at one moment; gives the entry that landed.
async fn race(
    servers: &[Arc<dyn Records<Workspace>>; 2],
    n: usize,
    base: Option<Versioned<Workspace>>,
    (round, racers): (usize, usize),
) -> Versioned<Workspace> {
    let barrier = Arc::new(Barrier::new(racers));
    let tasks = (0..racers).map(|racer| {
        let (records, barrier, base) = (servers[racer % 2].clone(), barrier.clone(), base.clone());
        let kind = if base.is_some() { ChangeKind::Changed } else { ChangeKind::Created };
        let value = Workspace { sweep_floor: racer as u64, ..workspace(n) };
        let change = change(1_000 + round * racers + racer, kind, value);
        tokio::spawn(async move {
            barrier.wait().await;
            records.try_append(&workspace_id(n), base.as_ref(), &change).await
        })
    });
    let mut winners = Vec::new();
    for outcome in join_all(tasks).await {
        match outcome.unwrap() {
            Appended::Landed(entry) => winners.push(entry),
            Appended::Theirs => {}
            other => panic!("round {round}: {other:?}"),
        }
    }
    assert_eq!(winners.len(), 1, "round {round} has one winner");
    winners.remove(0)
}

pub async fn of_racing_appends_exactly_one_lands_every_time(backend: &Backend) {
    let servers = [backend.open().workspaces, backend.open().workspaces];
    let rounds = backend.rounds();
    let mut base = created(&*servers[0], 1).await;
    for round in 0..rounds {
        let winner = race(&servers, 1, Some(base.clone()), (round, backend.racers())).await;
        for records in &servers {
            assert_eq!(records.newest(&workspace_id(1)).await.unwrap().as_ref(), Some(&winner));
        }
        base = winner;
    }
    assert_eq!(base.number, rounds as u64 + 1, "one entry per round");
}

pub async fn of_racing_creations_exactly_one_lands(backend: &Backend) {
    let servers = [backend.open().workspaces, backend.open().workspaces];
    for round in 0..50 {
        let winner = race(&servers, round, None, (round, backend.racers())).await;
        assert_eq!(servers[1].newest(&workspace_id(round)).await.unwrap(), Some(winner));
    }
}

pub async fn what_one_server_appended_the_other_sees_at_once(backend: &Backend) {
    let servers = [backend.open().workspaces, backend.open().workspaces];
    let id = workspace_id(1);
    let mut base = created(&*servers[0], 1).await;
    for n in 2..20 {
        let (here, there) = (&servers[n % 2], &servers[(n + 1) % 2]);
        // The other one has an older entry in memory.
        assert_eq!(there.newest(&id).await.unwrap().unwrap().number, n as u64 - 1);
        base = landed(here.try_append(&id, Some(&base), &change(n, ChangeKind::Changed, workspace(1))).await);
        assert_eq!(there.newest(&id).await.unwrap().as_ref(), Some(&base));
    }
}

pub async fn a_minute_by_either_clock_and_nothing_is_remembered(backend: &Backend) {
    let records = &*backend.open().workspaces;
    let id = workspace_id(1);
    assert_eq!(records.remembered(&id), None);
    let first = created(records, 1).await;
    assert_eq!(records.remembered(&id).as_ref(), Some(&first));
    backend.clock.move_mono(Duration::from_millis(59_999));
    backend.clock.move_wall(59_999);
    assert_eq!(records.remembered(&id).as_ref(), Some(&first));
    backend.clock.move_mono(Duration::from_millis(1));
    assert_eq!(records.remembered(&id), None, "a minute by the steady clock");
    records.newest(&id).await.unwrap();
    assert_eq!(records.remembered(&id).as_ref(), Some(&first), "it was checked against the store");
    backend.clock.move_wall(60_000);
    assert_eq!(records.remembered(&id), None, "a minute by the wall clock");
}

pub async fn a_wall_clock_that_went_back_ends_remembering(backend: &Backend) {
    let records = &*backend.open().workspaces;
    created(records, 1).await;
    backend.clock.move_wall(-1);
    assert_eq!(records.remembered(&workspace_id(1)), None);
}

pub async fn what_was_remembered_for_too_long_is_found_anew(backend: &Backend) {
    let (here, there) = (backend.open().workspaces, backend.open().workspaces);
    let id = workspace_id(1);
    let mut base = created(&*here, 1).await;
    for n in 2..=9 {
        base =
            landed(there.try_append(&id, Some(&base), &change(n, ChangeKind::Changed, workspace(1))).await);
    }
    backend.clock.move_mono(MINUTE);
    assert_eq!(here.newest(&id).await.unwrap(), Some(base));
}

pub async fn the_newest_entry_is_found_at_any_length(backend: &Backend) {
    let writer = backend.open().workspaces;
    for (n, length) in [1, 2, 3, 4, 17, 300].into_iter().enumerate() {
        let id = workspace_id(n);
        let behind = backend.open().workspaces;
        let mut base = created(&*writer, n).await;
        for number in 2..=length {
            let value = Workspace { sweep_floor: number, ..workspace(n) };
            let change = change(1_000 * n + usize::try_from(number).unwrap(), ChangeKind::Changed, value);
            base = landed(writer.try_append(&id, Some(&base), &change).await);
            if number == length / 3 {
                // This server remembers an entry in the middle and then hears nothing for long.
                assert_eq!(behind.newest(&id).await.unwrap().unwrap().number, number);
            }
        }
        assert_eq!(base.number, length);
        assert_eq!(behind.newest(&id).await.unwrap().as_ref(), Some(&base), "read on, {length} entries");
        backend.clock.move_mono(MINUTE);
        assert_eq!(behind.newest(&id).await.unwrap().as_ref(), Some(&base), "found from the middle");
        assert_eq!(backend.open().workspaces.newest(&id).await.unwrap(), Some(base), "found from nothing");
    }
}
