//! API tokens as they are kept.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use opentaco_domain::actor::Subject;
use opentaco_domain::token::TokenRecord;
use opentaco_ports::driven::StoreError;
use opentaco_ports::driven::tokens::TokenMade;
use tokio::sync::Barrier;

use crate::backend::Backend;
use crate::values::{AT, token};

pub async fn a_token_is_made_once(backend: &Backend) {
    let (here, there) = (backend.open().tokens, backend.open().tokens);
    assert_eq!(here.create(&token(1, 1)).await, Ok(TokenMade::Created));
    for tokens in [&here, &there] {
        assert_eq!(tokens.create(&token(1, 2)).await, Ok(TokenMade::Taken));
        assert_eq!(tokens.read(&token(1, 1).id).await, Ok(Some(token(1, 1))), "the first one stays");
    }
}

pub async fn the_same_token_made_again_is_still_ones_own(backend: &Backend) {
    let tokens = &*backend.open().tokens;
    for _ in 0..2 {
        assert_eq!(tokens.create(&token(1, 1)).await, Ok(TokenMade::Created));
    }
}

pub async fn of_racing_creations_one_is_told_created(backend: &Backend) {
    let servers = [backend.open().tokens, backend.open().tokens];
    for round in 0..100 {
        let barrier = Arc::new(Barrier::new(backend.racers()));
        let racers = (0..u8::try_from(backend.racers()).unwrap()).map(|racer| {
            let (tokens, barrier) = (servers[usize::from(racer) % 2].clone(), barrier.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                (racer, tokens.create(&token(round, racer)).await.unwrap())
            })
        });
        let told: Vec<_> = join_all(racers).await.into_iter().map(Result::unwrap).collect();
        let winners: Vec<u8> =
            told.iter().filter(|(_, made)| *made == TokenMade::Created).map(|(racer, _)| *racer).collect();
        assert_eq!(winners.len(), 1, "round {round}: {told:?}");
        let kept = servers[0].read(&token(round, 0).id).await.unwrap();
        assert_eq!(kept, Some(token(round, winners[0])), "who was told so is who is kept");
    }
}

pub async fn an_unknown_token_is_none(backend: &Backend) {
    let tokens = &*backend.open().tokens;
    assert_eq!(tokens.read(&token(1, 1).id).await, Ok(None));
    tokens.create(&token(1, 1)).await.unwrap();
    assert_eq!(
        tokens.read(&token(1, 1).id).await,
        Ok(Some(token(1, 1))),
        "that it was absent is not remembered"
    );
    assert_eq!(tokens.read(&token(2, 1).id).await, Ok(None));
}

pub async fn a_revoked_token_ends_here_at_once_and_elsewhere_within_five_seconds(backend: &Backend) {
    let (here, there) = (backend.open().tokens, backend.open().tokens);
    let id = token(1, 1).id;
    here.create(&token(1, 1)).await.unwrap();
    for tokens in [&here, &there] {
        assert_eq!(tokens.read(&id).await, Ok(Some(token(1, 1))));
    }
    backend.clock.move_mono(Duration::from_secs(4));
    here.revoke(&id, &Subject::local_owner(), AT).await.unwrap();
    let revoked = TokenRecord { revoked_at: Some(AT), ..token(1, 1) };
    assert_eq!(here.read(&id).await, Ok(Some(revoked.clone())), "at once");
    // Reading does not make what is remembered any younger.
    there.read(&id).await.unwrap();
    backend.clock.move_mono(Duration::from_secs(1));
    assert_eq!(there.read(&id).await, Ok(Some(revoked.clone())), "five seconds after it was read");
    assert_eq!(backend.open().tokens.read(&id).await, Ok(Some(revoked)));
}

pub async fn revoking_again_changes_nothing(backend: &Backend) {
    let (here, there) = (backend.open().tokens, backend.open().tokens);
    let id = token(1, 1).id;
    here.create(&token(1, 1)).await.unwrap();
    here.revoke(&id, &Subject::local_owner(), AT).await.unwrap();
    there.revoke(&id, &Subject::development("bob").unwrap(), AT.plus(Duration::from_secs(9))).await.unwrap();
    for tokens in [here, there] {
        assert_eq!(
            tokens.read(&id).await.unwrap().unwrap().revoked_at,
            Some(AT),
            "the first revocation counts"
        );
    }
}

pub async fn a_revocation_survives_a_read_that_began_before_it(backend: &Backend) {
    let tokens = backend.open().tokens;
    for n in 0..200 {
        let id = token(n, 1).id;
        tokens.create(&token(n, 1)).await.unwrap();
        let readers = (0..4).map(|_| {
            let (tokens, id) = (tokens.clone(), id.clone());
            tokio::spawn(async move { tokens.read(&id).await.unwrap() })
        });
        let readers: Vec<_> = readers.collect();
        tokens.revoke(&id, &Subject::local_owner(), AT).await.unwrap();
        assert_eq!(tokens.read(&id).await.unwrap().unwrap().revoked_at, Some(AT), "round {n}");
        join_all(readers).await;
        assert_eq!(
            tokens.read(&id).await.unwrap().unwrap().revoked_at,
            Some(AT),
            "round {n}, after all reads"
        );
    }
}

pub async fn an_unreadable_token_is_an_error_and_admits_nobody(backend: &Backend) {
    backend.open().tokens.create(&token(1, 1)).await.unwrap();
    let key = backend.raw.keys("_tfe_tokens").await.remove(0);
    for text in ["", "{}", "hunter2", "{\"id\":\"x\"}"] {
        backend.raw.put(&key, text).await;
        let read = backend.open().tokens.read(&token(1, 1).id).await;
        assert_eq!(read, Err(StoreError::Corrupt(key.clone())), "{text}");
    }
}
