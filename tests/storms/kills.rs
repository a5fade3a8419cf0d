//! The server dies in the middle of everything, again and again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use futures_util::future::join_all;
use opentaco_tests::caller::{Caller, Listed};
use opentaco_tests::client::md5_hex;
use opentaco_tests::server::{Options, Server};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use reqwest::StatusCode;
use tokio::sync::mpsc;

use crate::damage::blob;
use crate::history::{Acknowledged, Target, Told, audit, write};
use crate::{asked, start, token, workspace};

/// So many write at the same time.
const CLIENTS: usize = 5;
/// To so many workspaces: some are wanted by two.
const WORKSPACES: usize = 3;

struct Storm {
    server: Server,
    tokens: Vec<String>,
    targets: Vec<Target>,
    /// Of every workspace, everything that was ever acknowledged.
    acknowledged: Vec<Vec<Acknowledged>>,
    chance: ChaCha8Rng,
}

/// Writes until the server is gone.
async fn work(
    caller: Caller,
    target: Target,
    place: usize,
    told: mpsc::UnboundedSender<(usize, Acknowledged)>,
) {
    loop {
        match caller.act(&target.id, "lock").await {
            None => return,
            Some(StatusCode::OK) => {}
            Some(StatusCode::CONFLICT) => continue,
            Some(other) => panic!("lock: {other}"),
        }
        match write(&caller, &target, "a client").await {
            Told::Nothing => return,
            Told::Refused => panic!("who holds the lock is refused"),
            Told::Done(version) => told.send((place, version)).expect("somebody listens"),
        }
        match caller.act(&target.id, "unlock").await {
            None => return,
            Some(status) => assert_eq!(status, StatusCode::OK, "unlock"),
        }
    }
}

impl Storm {
    async fn new(seed: u64) -> Self {
        let server = start(Options::local());
        let (mut tokens, mut targets) = (Vec::new(), Vec::new());
        for n in 0..CLIENTS {
            tokens.push(token(&server, &format!("client-{n}")).await);
        }
        for n in 0..WORKSPACES {
            let name = format!("workspace-{n}");
            targets.push(Target { id: workspace(&server, &tokens[0], &name).await, name });
        }
        let acknowledged = vec![Vec::new(); WORKSPACES];
        Self { server, tokens, targets, acknowledged, chance: ChaCha8Rng::seed_from_u64(seed) }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.chance.next_u64() % bound
    }

    /// Lets everybody write and kills the server somewhere between two answers. Gives what was acknowledged.
    async fn kill_once(&mut self) -> Vec<(usize, Acknowledged)> {
        let (told, mut heard) = mpsc::unbounded_channel();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let (caller, place) = (Caller::new(&self.server, &self.tokens[n]), n % WORKSPACES);
                tokio::spawn(work(caller, self.targets[place].clone(), place, told.clone()))
            })
            .collect();
        drop(told);
        let mut round = Vec::new();
        for _ in 0..self.below(8) {
            round.push(heard.recv().await.expect("a client that writes"));
        }
        // A random moment is the point here: no condition says when a process dies.
        tokio::time::sleep(Duration::from_micros(self.below(12_000))).await;
        tokio::task::block_in_place(|| self.server.kill());
        for client in join_all(clients).await {
            client.expect("a client");
        }
        while let Some(told) = heard.recv().await {
            round.push(told);
        }
        round
    }

    /// Looks at what was acknowledged last, and frees the locks of those who died.
    async fn check(&self, round: &[(usize, Acknowledged)]) {
        let caller = Caller::new(&self.server, &self.tokens[0]);
        for (place, version) in round {
            let reply = caller.get(&format!("/state-versions/{}", version.id)).await.expect("an answer");
            let listed = Listed::read(&reply.expect(StatusCode::OK).json()["data"]);
            let body =
                caller.download(&listed.download).await.expect("an answer").expect(StatusCode::OK).body;
            let name = &self.targets[*place].name;
            assert_eq!(md5_hex(&body), md5_hex(&version.bytes), "{name}: {} was acknowledged", version.id);
        }
        for target in &self.targets {
            let freed = caller.act(&target.id, "force-unlock").await;
            assert!([Some(StatusCode::OK), Some(StatusCode::CONFLICT)].contains(&freed), "{freed:?}");
            assert_eq!(caller.act(&target.id, "lock").await, Some(StatusCode::OK), "lockable again");
            assert_eq!(caller.act(&target.id, "unlock").await, Some(StatusCode::OK));
        }
    }

    async fn check_everything(&self) -> usize {
        let caller = Caller::new(&self.server, &self.tokens[0]);
        let mut all = 0;
        for (target, acknowledged) in self.targets.iter().zip(&self.acknowledged) {
            all += audit(&caller, target, acknowledged).await;
        }
        all
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_missing_after_two_hundred_kills() {
    let seed = asked("OPENTACO_SEED", || RandomState::new().hash_one("storm") % 1_000_000);
    let kills = asked("OPENTACO_KILLS", || 200);
    eprintln!("OPENTACO_SEED={seed}");
    let mut storm = Storm::new(seed).await;
    let mut during = 0;
    for kill in 1..=kills {
        let round = storm.kill_once().await;
        tokio::task::block_in_place(|| storm.server.restart());
        storm.check(&round).await;
        during += round.len();
        for (place, version) in round {
            storm.acknowledged[place].push(version);
        }
        if kill % 50 == 0 {
            storm.check_everything().await;
        }
    }
    let kept = storm.check_everything().await;
    eprintln!("{kills} kills, {during} versions acknowledged, {kept} kept");
}

/// The promise is only worth something if the audit notices that it is broken.
#[tokio::test(flavor = "multi_thread")]
async fn a_planted_loss_is_found() {
    let server = start(Options::local());
    let token = token(&server, "alice").await;
    let caller = Caller::new(&server, &token);
    let target = Target { id: workspace(&server, &token, "planted").await, name: "planted".to_owned() };
    assert_eq!(caller.act(&target.id, "lock").await, Some(StatusCode::OK));
    let mut kept = Vec::new();
    for _ in 0..3 {
        let Told::Done(version) = write(&caller, &target, "alice").await else { panic!("not written") };
        kept.push(version);
    }
    let fails = async |acknowledged: Vec<Acknowledged>| {
        let (caller, target) = (caller.clone(), target.clone());
        tokio::spawn(async move { audit(&caller, &target, &acknowledged).await }).await.is_err()
    };
    assert!(!fails(kept.clone()).await, "nothing is lost yet");
    let mut others = kept.clone();
    others[1].bytes[20] ^= 1;
    assert!(fails(others).await, "other bytes than were acknowledged");
    let lost = Acknowledged { id: kept[1].id.replace("0000000002", "0000000009"), ..kept[1].clone() };
    assert!(fails(vec![lost]).await, "a version that is not in the history");
    std::fs::remove_file(blob(&server, &target, &kept[1].id)).unwrap();
    assert!(fails(kept).await, "bytes that are gone");
}
