//! Many want one lock.

use futures_util::future::join_all;
use opentaco_tests::caller::Caller;
use opentaco_tests::server::{Options, Server};
use reqwest::StatusCode;

use crate::{on_a_bucket, start, token, workspace};

const ROUNDS: usize = 200;
/// The farther the data, the longer a round.
const ROUNDS_ON_A_BUCKET: usize = 5;
const LOCKERS: usize = 50;
/// So many tokens; several lockers share one, as the jobs of one pipeline do.
const TOKENS: usize = 5;

/// Lockers come through every one of the servers.
async fn one_of_fifty_gets_the_lock(servers: &[Server], rounds: usize) {
    let mut people = Vec::new();
    for n in 0..TOKENS {
        people.push(token(&servers[0], &format!("person-{n}")).await);
    }
    let id = workspace(&servers[0], &people[0], "wanted").await;
    let callers: Vec<Caller> =
        people.iter().zip(servers.iter().cycle()).map(|(token, server)| Caller::new(server, token)).collect();
    for round in 0..rounds {
        let lockers = (0..LOCKERS).map(|n| {
            let (caller, id) = (callers[n % TOKENS].clone(), id.clone());
            tokio::spawn(async move { caller.act(&id, "lock").await.expect("an answer") })
        });
        let told: Vec<StatusCode> = join_all(lockers).await.into_iter().map(Result::unwrap).collect();
        let got = |status| told.iter().filter(|told| **told == status).count();
        // A bucket that is too slow for that many at once is told as such; then the lock may be anybody's, but only once.
        let slow = if servers[0].is_on_a_bucket() { got(StatusCode::SERVICE_UNAVAILABLE) } else { 0 };
        assert_eq!(
            got(StatusCode::OK) + got(StatusCode::CONFLICT) + slow,
            LOCKERS,
            "round {round}: {told:?}"
        );
        assert!(
            got(StatusCode::OK) == 1 || (got(StatusCode::OK) == 0 && slow > 0),
            "round {round}: {told:?}"
        );
        let Some(holder) = told.iter().position(|told| *told == StatusCode::OK).map(|n| n % TOKENS) else {
            callers[0].act(&id, "force-unlock").await.expect("an answer");
            continue;
        };
        let other = &callers[(holder + 1) % TOKENS];
        assert_eq!(
            other.act(&id, "unlock").await,
            Some(StatusCode::CONFLICT),
            "round {round}: not the holder"
        );
        assert_eq!(callers[holder].act(&id, "unlock").await, Some(StatusCode::OK), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_lockers_one_gets_the_lock_every_time_in_memory() {
    one_of_fifty_gets_the_lock(&[start(Options::memory())], ROUNDS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_lockers_one_gets_the_lock_every_time_on_a_local_disk() {
    one_of_fifty_gets_the_lock(&[start(Options::local())], ROUNDS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_lockers_one_gets_the_lock_every_time_through_two_servers_on_a_bucket() {
    if let Some(servers) = on_a_bucket() {
        one_of_fifty_gets_the_lock(&servers, ROUNDS_ON_A_BUCKET).await;
    }
}
