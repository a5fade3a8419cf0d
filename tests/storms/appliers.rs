//! Two write to one workspace at the same time.

use opentaco_tests::caller::Caller;
use opentaco_tests::server::{Options, Server};
use reqwest::StatusCode;

use crate::history::{Acknowledged, Target, Told, audit, write};
use crate::{start, token, workspace};

const TRIES: usize = 75;

/// Whether an applier goes on when it did not get the lock, as `-lock=false` does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manners {
    Waits,
    GoesOn,
}

#[derive(Default)]
struct Applied {
    acknowledged: Vec<Acknowledged>,
    refused: usize,
    without_lock: usize,
}

/// Takes the lock. Who waits gets it in the end; who does not says whether it did.
async fn lock(caller: &Caller, target: &Target, manners: Manners) -> bool {
    loop {
        let locked = caller.act(&target.id, "lock").await.expect("an answer");
        assert!([StatusCode::OK, StatusCode::CONFLICT].contains(&locked), "{locked}");
        if locked == StatusCode::OK || manners == Manners::GoesOn {
            return locked == StatusCode::OK;
        }
    }
}

/// Locks, writes and unlocks, again and again.
async fn apply(caller: Caller, target: Target, by: &'static str, manners: Manners) -> Applied {
    let mut applied = Applied::default();
    for n in 0..TRIES {
        let locked = lock(&caller, &target, manners).await;
        applied.without_lock += usize::from(!locked);
        match write(&caller, &target, &format!("{by} {n}")).await {
            Told::Done(version) => applied.acknowledged.push(version),
            Told::Refused => applied.refused += 1,
            Told::Nothing => panic!("{by}: no answer"),
        }
        if locked {
            let unlocked = caller.act(&target.id, "unlock").await.expect("an answer");
            assert_eq!(unlocked, StatusCode::OK, "{by}: who took the lock frees it");
        }
    }
    applied
}

async fn race(server: &Server, name: &str, tokens: [&str; 2], manners: Manners) {
    let target = Target { id: workspace(server, tokens[0], name).await, name: name.to_owned() };
    let callers = tokens.map(|token| Caller::new(server, token));
    let [a, b] = callers.clone();
    let a = tokio::spawn(apply(a, target.clone(), "a", manners));
    let b = tokio::spawn(apply(b, target.clone(), "b", manners));
    let (a, b) = (a.await.unwrap(), b.await.unwrap());
    let all: Vec<Acknowledged> = [&a, &b].iter().flat_map(|applied| applied.acknowledged.clone()).collect();
    let kept = audit(&callers[0], &target, &all).await;
    eprintln!(
        "{name}: {} + {} acknowledged, {} + {} refused, {} + {} times no lock",
        a.acknowledged.len(),
        b.acknowledged.len(),
        a.refused,
        b.refused,
        a.without_lock,
        b.without_lock
    );
    assert_eq!(kept, all.len(), "{name}: what was refused is not there");
    match manners {
        Manners::Waits => assert_eq!(kept, 2 * TRIES, "{name}: who holds the lock is never overtaken"),
        Manners::GoesOn => assert!(kept > 0, "{name}: somebody gets through"),
    }
}

async fn all_races(options: Options) {
    let server = start(options);
    let (alice, bob) = (token(&server, "alice").await, token(&server, "bob").await);
    race(&server, "two-tokens", [&alice, &bob], Manners::Waits).await;
    race(&server, "two-tokens-no-manners", [&alice, &bob], Manners::GoesOn).await;
    race(&server, "one-token", [&alice, &alice], Manners::Waits).await;
    race(&server, "one-token-no-manners", [&alice, &alice], Manners::GoesOn).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_appliers_leave_one_history_without_a_gap_in_memory() {
    all_races(Options::memory()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_appliers_leave_one_history_without_a_gap_on_a_local_disk() {
    all_races(Options::local()).await;
}
