//! Uses of refresh tokens.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use opentaco_ports::driven::StoreError;
use opentaco_ports::driven::tokens::Used;
use tokio::sync::Barrier;

use crate::backend::Backend;
use crate::values::{family, successor};

const NOW: Duration = Duration::ZERO;

pub async fn a_refresh_token_is_used_once_whatever_server_it_comes_to(backend: &Backend) {
    let (here, there) = (backend.open().tokens, backend.open().tokens);
    let id = family(1).id;
    here.create(&family(1)).await.unwrap();
    assert_eq!(here.use_refresh(&id, [1; 16], &successor(2, NOW)).await, Ok(Used::Now));
    let later = successor(3, Duration::from_secs(20));
    for tokens in [&here, &there, &backend.open().tokens] {
        let used = tokens.use_refresh(&id, [1; 16], &later).await;
        assert_eq!(used, Ok(Used::Before(successor(2, NOW))), "what followed it first, follows it for ever");
    }
    assert_eq!(there.use_refresh(&id, [2; 16], &later).await, Ok(Used::Now), "the successor is its own");
    assert_eq!(here.use_refresh(&id, [2; 16], &successor(4, NOW)).await, Ok(Used::Before(later)));
}

pub async fn of_racing_uses_exactly_one_is_now_and_all_learn_the_same_successor(backend: &Backend) {
    let servers = [backend.open().tokens, backend.open().tokens];
    servers[0].create(&family(1)).await.unwrap();
    let id = family(1).id;
    for round in 0..100 {
        let barrier = Arc::new(Barrier::new(backend.racers()));
        let racers = (0..u8::try_from(backend.racers()).unwrap()).map(|racer| {
            let (tokens, barrier) = (servers[usize::from(racer) % 2].clone(), barrier.clone());
            let id = id.clone();
            tokio::spawn(async move {
                barrier.wait().await;
                let own = successor(racer, Duration::from_secs(u64::from(racer)));
                let used = tokens.use_refresh(&id, [round; 16], &own).await.unwrap();
                match used {
                    Used::Now => (true, own),
                    Used::Before(earlier) => (false, earlier),
                }
            })
        });
        let told: Vec<_> = join_all(racers).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(told.iter().filter(|(now, _)| *now).count(), 1, "round {round}: {told:?}");
        assert!(told.iter().all(|(_, next)| *next == told[0].1), "round {round}: {told:?}");
    }
}

pub async fn uses_of_one_family_are_not_those_of_another(backend: &Backend) {
    let tokens = backend.open().tokens;
    for n in 1..=3 {
        tokens.create(&family(n)).await.unwrap();
        let next = successor(u8::try_from(n).unwrap(), NOW);
        assert_eq!(tokens.use_refresh(&family(n).id, [0; 16], &next).await, Ok(Used::Now));
    }
    let used = tokens.use_refresh(&family(2).id, [0; 16], &successor(9, NOW)).await;
    assert_eq!(used, Ok(Used::Before(successor(2, NOW))));
}

pub async fn an_unreadable_use_is_an_error_and_gives_no_successor(backend: &Backend) {
    let tokens = backend.open().tokens;
    let id = family(1).id;
    tokens.create(&family(1)).await.unwrap();
    tokens.use_refresh(&id, [1; 16], &successor(2, NOW)).await.unwrap();
    let key = backend.raw.keys("_refresh").await.remove(0);
    for text in ["", "{}", "hunter2", "{\"jti\":\"02\"}"] {
        backend.raw.put(&key, text).await;
        let used = backend.open().tokens.use_refresh(&id, [1; 16], &successor(3, NOW)).await;
        assert_eq!(used, Err(StoreError::Corrupt(key.clone())), "{text}");
    }
}
