//! Simulation: the real use cases over a store that fails in every way, on a clock that jumps, from one seed.
//!
//! A failing seed is printed; `OPENTACO_SIM_SEED=N` runs that seed alone and `OPENTACO_SIM_SEEDS=N` runs that many.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "in a test a broken expectation must end the test, loudly, at the place where it broke"
)]

mod audit;
mod client;
mod server;
mod world;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use opentaco_ports::driven::Clock;

use crate::audit::{Verdict, audit};
use crate::client::{Client, Ledger, Told};
use crate::server::{Fleet, Sabotage};
use crate::world::{Chance, FaultyStore, SimClock};

const SERVERS: usize = 3;
const STEPS: usize = 20;

/// What a run came to, and a digest of all that clients were told.
struct Run {
    verdict: Verdict,
    told: String,
    /// How many uploads were done, refused, and left unknown.
    uploads: [usize; 3],
}

fn run(seed: u64, sabotage: Sabotage) -> Run {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let chance = Chance::new(seed);
        let store = FaultyStore::new(chance.clone());
        let clock: Arc<dyn Clock> = Arc::new(SimClock::new());
        let fleet = Fleet::new(store, clock, chance, SERVERS, sabotage);
        let ledger = Ledger::default();
        // The first two share a token, as two jobs of one pipeline do.
        let names = [("alice", 1), ("alice", 1), ("bob", 2), ("carol", 3)];
        let clients = names.map(|(name, token)| Client::new(&fleet, &ledger, name, token));
        let work = clients.iter().map(|client| async move {
            for _ in 0..STEPS {
                client.step().await;
            }
        });
        join_all(work).await;
        fleet.store.calm();
        tokio::time::sleep(Duration::from_mins(2)).await;
        let verdict = audit(&fleet, &ledger).await;
        let told = format!("{:?} {:?}", ledger.told.lock().unwrap(), ledger.uploads.lock().unwrap());
        let uploads = [Told::Done, Told::Refused, Told::Unknown]
            .map(|what| ledger.uploads.lock().unwrap().iter().filter(|upload| upload.told == what).count());
        Run { verdict, told, uploads }
    })
}

#[expect(clippy::disallowed_methods, reason = "which seeds to run is asked of the person at the terminal")]
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn the_promise_holds_on_every_seed() {
    let seeds = match (asked("OPENTACO_SIM_SEED"), asked("OPENTACO_SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => 0..count.unwrap_or(1000),
    };
    for seed in seeds {
        if let Err(what) = run(seed, Sabotage::Nothing).verdict {
            panic!("seed {seed}: {what}");
        }
    }
}

#[test]
fn one_seed_is_always_the_same_run() {
    for seed in 0..5 {
        assert_eq!(run(seed, Sabotage::Nothing).told, run(seed, Sabotage::Nothing).told, "seed {seed}");
    }
}

#[test]
fn the_simulated_clients_get_work_done_and_meet_trouble() {
    let runs = (0..20).map(|seed| run(seed, Sabotage::Nothing).uploads);
    let [done, refused, unknown] =
        runs.fold([0; 3], |sum, run| [sum[0] + run[0], sum[1] + run[1], sum[2] + run[2]]);
    eprintln!("20 seeds: {done} uploads done, {refused} refused, {unknown} unknown");
    assert!(done > 200 && refused > 50 && unknown > 10, "{done} {refused} {unknown}");
}

fn first_red(sabotage: Sabotage) -> Option<(u64, String)> {
    (0..200).find_map(|seed| run(seed, sabotage).verdict.err().map(|what| (seed, what)))
}

#[test]
fn the_auditor_notices_when_the_own_echo_check_is_taken_out() {
    let (seed, what) = first_red(Sabotage::OwnEcho).expect("200 seeds without the own-echo check stay green");
    eprintln!("own-echo check taken out: seed {seed}: {what}");
}

#[test]
fn the_auditor_notices_when_the_predecessor_check_is_taken_out() {
    let (seed, what) =
        first_red(Sabotage::Predecessor).expect("200 seeds without the predecessor check stay green");
    eprintln!("predecessor check taken out: seed {seed}: {what}");
}
