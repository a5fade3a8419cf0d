//! The end of what has died.

use std::time::Duration;

use opentaco_domain::actor::Subject;
use opentaco_domain::claims::Successor;
use opentaco_domain::time::Timestamp;
use opentaco_domain::token::TokenRecord;
use opentaco_ports::driven::tokens::{TokenMade, Tokens, Used};
use opentaco_tests::wait::eventually;

use crate::backend::Backend;
use crate::values::{AT, family, successor, token};

const DAY: Duration = Duration::from_hours(24);
const MONTH: Duration = Duration::from_hours(720);
const MOMENT: Duration = Duration::from_millis(1);

/// A token that ends so long after [`AT`].
fn ending(n: usize, after: Duration) -> TokenRecord {
    TokenRecord { expires_at: Some(AT.plus(after)), ..token(n, 1) }
}

fn endless(n: usize) -> TokenRecord {
    TokenRecord { expires_at: None, ..token(n, 1) }
}

/// Every key that has to do with tokens.
async fn keys(backend: &Backend) -> Vec<String> {
    let mut all = Vec::new();
    for place in ["_tfe_tokens", "_tokens_by_owner", "_refresh", "_last_used"] {
        all.extend(backend.raw.keys(place).await);
    }
    all
}

/// A day and a moment later than this.
fn long_after(at: Timestamp) -> Timestamp {
    at.plus(DAY + MOMENT)
}

async fn begin(tokens: &dyn Tokens, n: usize) {
    tokens.create(&family(n)).await.unwrap();
    let first = successor(1, Duration::ZERO);
    assert_eq!(tokens.use_refresh(&family(n).id, [0; 16], &first).await, Ok(Used::Now));
}

pub async fn what_expired_more_than_a_day_ago_is_gone_with_everything_of_it(backend: &Backend) {
    let (here, there) = (backend.open().tokens, backend.open().tokens);
    assert_eq!(here.sweep(long_after(AT)).await, Ok(0), "there is nothing");
    for n in 1..=2 {
        here.create(&ending(n, Duration::ZERO)).await.unwrap();
        here.note_use(&token(n, 1).id, AT);
        let written = format!("_last_used/{}.json", token(n, 1).id);
        eventually(Duration::from_secs(20), async || {
            let keys = keys(backend).await;
            if keys.contains(&written) { Ok(()) } else { Err(format!("{keys:?}")) }
        })
        .await;
    }
    here.revoke(&token(2, 1).id, &Subject::local_owner(), AT).await.unwrap();
    let before = keys(backend).await;
    assert_eq!(before.len(), 7, "{before:?}");
    assert_eq!(there.sweep(AT.plus(DAY)).await, Ok(0), "not more than a day ago");
    assert_eq!(keys(backend).await, before);
    assert_eq!(there.sweep(long_after(AT)).await, Ok(2));
    assert_eq!(keys(backend).await, Vec::<String>::new());
    assert_eq!(here.sweep(long_after(AT)).await, Ok(0), "once");
}

pub async fn what_is_younger_or_never_expires_is_kept(backend: &Backend) {
    let tokens = backend.open().tokens;
    let kept = [ending(1, MOMENT), ending(2, MONTH), endless(3)];
    for record in &kept {
        tokens.create(record).await.unwrap();
    }
    tokens.create(&ending(4, Duration::ZERO)).await.unwrap();
    begin(&*tokens, 5).await;
    // A sweeper may be a server whose clock is behind.
    assert_eq!(tokens.sweep(AT.plus(MOMENT)).await, Ok(0));
    assert_eq!(tokens.sweep(Timestamp::from_millis(0)).await, Ok(0));
    assert_eq!(tokens.sweep(long_after(AT)).await, Ok(1));
    let fresh = backend.open().tokens;
    for record in kept {
        assert_eq!(fresh.read(&record.id).await, Ok(Some(record)));
    }
    assert_eq!(fresh.read(&family(5).id).await, Ok(Some(family(5))));
    assert_eq!(fresh.list(&family(5).owner).await.unwrap().len(), 4);
}

pub async fn a_revoked_token_without_an_end_stays_revoked(backend: &Backend) {
    let tokens = backend.open().tokens;
    tokens.create(&endless(1)).await.unwrap();
    tokens.revoke(&endless(1).id, &Subject::local_owner(), AT).await.unwrap();
    assert_eq!(tokens.sweep(long_after(AT.plus(MONTH * 1000))).await, Ok(0));
    let found = backend.open().tokens.read(&endless(1).id).await.unwrap();
    assert_eq!(found.unwrap().revoked_at, Some(AT), "or its secret would open everything again");
    assert_eq!(tokens.create(&endless(1)).await, Ok(TokenMade::Created), "its own creation, tried again");
    assert_eq!(backend.open().tokens.read(&endless(1).id).await.unwrap().unwrap().revoked_at, Some(AT));
}

pub async fn a_family_ends_with_its_newest_refresh_token(backend: &Backend) {
    let (here, there) = (backend.open().tokens, backend.open().tokens);
    begin(&*here, 1).await;
    begin(&*here, 2).await;
    here.revoke(&family(2).id, &Subject::local_owner(), AT).await.unwrap();
    // The first family goes on for a month; who uses its tokens out of turn does not make it any shorter.
    let id = family(1).id;
    there.use_refresh(&id, [1; 16], &successor(2, MONTH)).await.unwrap();
    there.use_refresh(&id, [9; 16], &successor(3, MONTH / 2)).await.unwrap();
    let first_end = AT.plus(MONTH);
    assert_eq!(there.sweep(first_end.plus(DAY)).await, Ok(0));
    assert_eq!(there.sweep(long_after(first_end)).await, Ok(1), "the one that nobody refreshed");
    assert_eq!(there.read(&family(2).id).await, Ok(None));
    assert_eq!(there.sweep(AT.plus(MONTH * 2).plus(DAY)).await, Ok(0));
    assert_eq!(backend.open().tokens.read(&id).await, Ok(Some(family(1))));
    let used = there.use_refresh(&id, [1; 16], &successor(8, MONTH)).await;
    assert_eq!(used, Ok(Used::Before(successor(2, MONTH))), "what was used is remembered as long");
    assert_eq!(here.sweep(long_after(AT.plus(MONTH * 2))).await, Ok(1));
    assert_eq!(keys(backend).await, Vec::<String>::new(), "with all its uses");
}

pub async fn a_use_is_remembered_as_long_as_what_was_used_could_come_again(backend: &Backend) {
    let tokens = backend.open().tokens;
    begin(&*tokens, 1).await;
    let id = family(1).id;
    // From now on refresh tokens live for an hour, as the operator wishes; the first one still has its month.
    let short = |n, hours: u64| {
        let issued_at = AT.plus(Duration::from_hours(hours));
        Successor { jti: [n; 16], issued_at, expires_at: issued_at.plus(Duration::from_hours(1)) }
    };
    assert_eq!(tokens.use_refresh(&id, [1; 16], &short(2, 1)).await, Ok(Used::Now));
    assert_eq!(tokens.use_refresh(&id, [2; 16], &short(3, 2)).await, Ok(Used::Now));
    assert_eq!(tokens.sweep(AT.plus(DAY * 10)).await, Ok(0), "the first one is still good by its own word");
    let stolen = tokens.use_refresh(&id, [1; 16], &successor(9, DAY * 10)).await;
    assert_eq!(stolen, Ok(Used::Before(short(2, 1))), "or nobody would learn that it came twice");
}

pub async fn what_was_removed_is_unknown_everywhere_and_its_id_is_free(backend: &Backend) {
    let servers = [backend.open().tokens, backend.open().tokens];
    let record = ending(1, Duration::ZERO);
    servers[0].create(&record).await.unwrap();
    for tokens in &servers {
        assert_eq!(tokens.read(&record.id).await, Ok(Some(record.clone())));
    }
    assert_eq!(servers[0].sweep(long_after(AT)).await, Ok(1));
    backend.clock.move_mono(Duration::from_secs(5));
    for tokens in &servers {
        assert_eq!(tokens.read(&record.id).await, Ok(None));
        assert_eq!(tokens.list(&record.owner).await, Ok(Vec::new()));
    }
    // The folders that it lay in may be gone, too.
    assert_eq!(servers[0].create(&endless(1)).await, Ok(TokenMade::Created));
    assert_eq!(servers[1].read(&record.id).await, Ok(Some(endless(1))));
}

pub async fn servers_that_sweep_together_remove_everything(backend: &Backend) {
    let servers = [backend.open().tokens, backend.open().tokens];
    for n in 1..=20 {
        servers[n % 2].create(&ending(n, Duration::ZERO)).await.unwrap();
        servers[n % 2].create(&endless(100 + n)).await.unwrap();
    }
    let at = long_after(AT);
    let (here, there) = tokio::join!(servers[0].sweep(at), servers[1].sweep(at));
    let (here, there) = (here.unwrap(), there.unwrap());
    assert!(here + there >= 20, "{here} and {there}: each is removed by one of them at least");
    let left = servers[0].list(&token(1, 1).owner).await.unwrap();
    assert_eq!(left.len(), 20);
    assert!(left.iter().all(|listed| listed.record.expires_at.is_none()), "{left:?}");
    assert_eq!(keys(backend).await.len(), 40, "two keys of each that is left");
}

pub async fn what_is_unreadable_stops_no_sweep(backend: &Backend) {
    let tokens = backend.open().tokens;
    for n in 1..=3 {
        tokens.create(&ending(n, Duration::ZERO)).await.unwrap();
    }
    begin(&*tokens, 4).await;
    tokens.create(&ending(5, Duration::ZERO)).await.unwrap();
    backend.raw.put(&format!("_tfe_tokens/{}/created.json", token(2, 1).id), "hunter2").await;
    let used = backend.raw.keys("_refresh").await.remove(0);
    backend.raw.put(&used, "hunter2").await;
    let swept = tokens.sweep(long_after(AT)).await;
    assert_eq!(swept, Ok(3), "one unreadable object keeps nothing else from its end");
    let left = backend.raw.keys("_tfe_tokens").await;
    assert_eq!(left.len(), 2, "what cannot be judged is left to a person: {left:?}");
}
