//! Two write to one workspace at the same time.

use opentaco_tests::caller::{Caller, Listed};
use opentaco_tests::server::{Options, Server};
use reqwest::StatusCode;

use crate::history::{Acknowledged, Target, Told, audit, write};
use crate::{on_a_bucket, start, token, workspace};

const TRIES: usize = 75;
/// The farther the data, the longer a try.
const TRIES_ON_A_BUCKET: usize = 8;

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
async fn apply(caller: Caller, target: Target, by: &'static str, manners: Manners, tries: usize) -> Applied {
    let mut applied = Applied::default();
    for n in 0..tries {
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

/// Each applier has a server of its own, if there are two.
async fn race(servers: &[Server], name: &str, tokens: [&str; 2], manners: Manners) {
    let tries = if servers[0].is_on_a_bucket() { TRIES_ON_A_BUCKET } else { TRIES };
    let (first, last) = (&servers[0], &servers[servers.len() - 1]);
    let target = Target { id: workspace(first, tokens[0], name).await, name: name.to_owned() };
    let callers = [Caller::new(first, tokens[0]), Caller::new(last, tokens[1])];
    let [a, b] = callers.clone();
    let a = tokio::spawn(apply(a, target.clone(), "a", manners, tries));
    let b = tokio::spawn(apply(b, target.clone(), "b", manners, tries));
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
        Manners::Waits => assert_eq!(kept, 2 * tries, "{name}: who holds the lock is never overtaken"),
        Manners::GoesOn => assert!(kept > 0, "{name}: somebody gets through"),
    }
}

async fn all_races(servers: &[Server]) {
    let (alice, bob) = (token(&servers[0], "alice").await, token(&servers[0], "bob").await);
    race(servers, "two-tokens", [&alice, &bob], Manners::Waits).await;
    race(servers, "two-tokens-no-manners", [&alice, &bob], Manners::GoesOn).await;
    race(servers, "one-token", [&alice, &alice], Manners::Waits).await;
    race(servers, "one-token-no-manners", [&alice, &alice], Manners::GoesOn).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_appliers_leave_one_history_without_a_gap_in_memory() {
    all_races(&[start(Options::memory())]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_appliers_leave_one_history_without_a_gap_on_a_local_disk() {
    all_races(&[start(Options::local())]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_appliers_leave_one_history_without_a_gap_through_two_servers_on_a_bucket() {
    if let Some(servers) = on_a_bucket() {
        all_races(&servers).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_server_wrote_the_other_reads_at_once() {
    let Some(servers) = on_a_bucket() else { return };
    let token = token(&servers[0], "alice").await;
    let target = Target { id: workspace(&servers[0], &token, "shared").await, name: "shared".to_owned() };
    let callers = [0, 1].map(|n| Caller::new(&servers[n], &token));
    for n in 0..40 {
        // Turn by turn: who writes must have read what the other wrote, or it would be refused.
        let (writer, reader) = (&callers[n % 2], &callers[(n + 1) % 2]);
        assert_eq!(writer.act(&target.id, "lock").await, Some(StatusCode::OK));
        let Told::Done(version) = write(writer, &target, &format!("turn {n}")).await else {
            panic!("turn {n} is not kept")
        };
        let current = reader.get(&format!("/workspaces/{}/current-state-version", target.id)).await;
        let current = Listed::read(&current.expect("an answer").expect(StatusCode::OK).json()["data"]);
        assert_eq!(current.id, version.id, "turn {n}");
        let read = reader.download(&current.download).await.expect("an answer").expect(StatusCode::OK);
        assert_eq!(read.body, version.bytes, "turn {n}");
        assert_eq!(reader.act(&target.id, "unlock").await, Some(StatusCode::OK), "one token, one lock");
    }
    assert_eq!(audit(&callers[0], &target, &[]).await, 40);
}
