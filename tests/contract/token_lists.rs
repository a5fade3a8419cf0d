//! Lists of tokens, and when each was used last.

use std::sync::Arc;
use std::time::Duration;

use opentaco_domain::actor::Subject;
use opentaco_domain::name::NamePattern;
use opentaco_domain::rbac::Scope;
use opentaco_domain::role::Role;
use opentaco_domain::time::Timestamp;
use opentaco_domain::token::TokenRecord;
use opentaco_ports::driven::StoreError;
use opentaco_ports::driven::tokens::{Listed, Tokens};
use opentaco_tests::wait::eventually;

use crate::backend::Backend;
use crate::values::{AT, family, token};

const PATIENCE: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_hours(1);

fn alice() -> Subject {
    token(1, 1).owner
}

/// A token of somebody else.
fn bobs(n: usize) -> TokenRecord {
    TokenRecord { owner: Subject::development("bob").unwrap(), ..token(n, 1) }
}

fn unused(records: impl IntoIterator<Item = TokenRecord>) -> Vec<Listed> {
    records.into_iter().map(|record| Listed { record, last_used_at: None }).collect()
}

/// Waits until a token was used last in that hour.
async fn used_in(tokens: &Arc<dyn Tokens>, record: &TokenRecord, hour: Timestamp) {
    let expected = Listed { record: record.clone(), last_used_at: Some(hour) };
    eventually(PATIENCE, async || {
        let listed = tokens.list(&record.owner).await.unwrap();
        if listed.contains(&expected) { Ok(()) } else { Err(format!("{listed:?}")) }
    })
    .await;
}

pub async fn an_owner_has_its_own_tokens_in_the_order_of_their_ids(backend: &Backend) {
    let (here, there) = (backend.open().tokens, backend.open().tokens);
    assert_eq!(here.list(&alice()).await, Ok(Vec::new()));
    for n in [7, 300, 2, 40] {
        here.create(&token(n, 1)).await.unwrap();
        here.create(&bobs(n + 1)).await.unwrap();
    }
    for tokens in [&here, &there] {
        assert_eq!(tokens.list(&alice()).await, Ok(unused([2, 7, 40, 300].map(|n| token(n, 1)))));
        assert_eq!(tokens.list(&bobs(1).owner).await, Ok(unused([3, 8, 41, 301].map(bobs))));
        assert_eq!(tokens.list(&Subject::local_owner()).await, Ok(Vec::new()));
    }
    there.create(&token(1, 1)).await.unwrap();
    assert_eq!(here.list(&alice()).await.unwrap().len(), 5, "what another server made is listed at once");
}

pub async fn a_revoked_token_is_listed_no_more(backend: &Backend) {
    let (here, there) = (backend.open().tokens, backend.open().tokens);
    for n in 1..=3 {
        here.create(&token(n, 1)).await.unwrap();
        there.read(&token(n, 1).id).await.unwrap();
    }
    there.list(&alice()).await.unwrap();
    here.revoke(&token(2, 1).id, &Subject::local_owner(), AT).await.unwrap();
    for tokens in [here, there] {
        assert_eq!(tokens.list(&alice()).await, Ok(unused([token(1, 1), token(3, 1)])));
    }
}

pub async fn a_family_is_listed_beside_tokens(backend: &Backend) {
    let tokens = backend.open().tokens;
    tokens.create(&family(1)).await.unwrap();
    tokens.create(&token(2, 1)).await.unwrap();
    assert_eq!(backend.open().tokens.list(&alice()).await, Ok(unused([family(1), token(2, 1)])));
    assert_eq!(tokens.read(&family(1).id).await, Ok(Some(family(1))));
    tokens.revoke(&family(1).id, &alice(), AT).await.unwrap();
    assert_eq!(tokens.list(&alice()).await, Ok(unused([token(2, 1)])));
}

pub async fn what_is_unreadable_hides_nothing_else(backend: &Backend) {
    let tokens = backend.open().tokens;
    for n in 1..=4 {
        tokens.create(&token(n, 1)).await.unwrap();
        tokens.note_use(&token(n, 1).id, AT);
        used_in(&tokens, &token(n, 1), AT).await;
    }
    let key = |n: usize, file| format!("_tfe_tokens/{}/{file}", token(n, 1).id);
    let last_use = format!("_last_used/{}.json", token(3, 1).id);
    for text in ["", "{}", "hunter2", "{\"id\":\"x\"}"] {
        backend.raw.put(&key(1, "created.json"), text).await;
        backend.raw.put(&key(2, "revoked.json"), text).await;
        backend.raw.put(&last_use, text).await;
        let fresh = backend.open().tokens;
        let mut expected = unused([token(3, 1), token(4, 1)]);
        expected[1].last_used_at = Some(AT);
        assert_eq!(fresh.list(&alice()).await, Ok(expected), "{text}");
        // What may be revoked counts as nobody's, and is not taken for a good token.
        let read = fresh.read(&token(2, 1).id).await;
        assert!(matches!(read, Err(StoreError::Corrupt(_))), "{text}: {read:?}");
    }
}

pub async fn an_entry_that_leads_to_nothing_or_to_a_strangers_token_is_left_out(backend: &Backend) {
    let tokens = backend.open().tokens;
    tokens.create(&token(1, 1)).await.unwrap();
    let [entry] = &backend.raw.keys("_tokens_by_owner").await[..] else { panic!("not one entry") };
    let (folder, _) = entry.rsplit_once('/').unwrap();
    tokens.create(&bobs(2)).await.unwrap();
    // As a server that died before it made the token leaves it; as nobody leaves it; and as no id.
    for name in [token(3, 1).id.as_str(), bobs(2).id.as_str(), "hunter2"] {
        backend.raw.put(&format!("{folder}/{name}"), "{}").await;
    }
    assert_eq!(tokens.list(&alice()).await, Ok(unused([token(1, 1)])));
    assert_eq!(tokens.list(&bobs(2).owner).await, Ok(unused([bobs(2)])));
}

pub async fn a_use_is_kept_to_the_hour(backend: &Backend) {
    let (here, there) = (backend.open().tokens, backend.open().tokens);
    let record = token(1, 1);
    here.create(&record).await.unwrap();
    let before = backend.raw.get(&format!("_tfe_tokens/{}/created.json", record.id)).await;
    here.note_use(&record.id, AT.plus(HOUR).plus(Duration::from_millis(3_599_999)));
    for tokens in [&here, &there] {
        used_in(tokens, &record, AT.plus(HOUR)).await;
    }
    there.note_use(&record.id, AT.plus(HOUR * 2));
    used_in(&here, &record, AT.plus(HOUR * 2)).await;
    let after = backend.raw.get(&format!("_tfe_tokens/{}/created.json", record.id)).await;
    assert_eq!(before, after, "never in the token's own record");
    assert_eq!(here.read(&record.id).await, Ok(Some(record)));
    assert_eq!(backend.raw.keys("_tfe_tokens").await.len(), 1);
    assert_eq!(backend.raw.keys("_last_used").await.len(), 1, "one object, however often it is used");
}

pub async fn a_later_hour_is_never_put_back(backend: &Backend) {
    let (ahead, behind) = (backend.open().tokens, backend.open().tokens);
    ahead.create(&token(1, 1)).await.unwrap();
    ahead.create(&token(2, 1)).await.unwrap();
    ahead.note_use(&token(1, 1).id, AT.plus(HOUR * 5));
    used_in(&behind, &token(1, 1), AT.plus(HOUR * 5)).await;
    behind.note_use(&token(1, 1).id, AT);
    behind.note_use(&token(2, 1).id, AT);
    used_in(&behind, &token(2, 1), AT).await;
    used_in(&behind, &token(1, 1), AT.plus(HOUR * 5)).await;
}

pub async fn a_use_noted_after_a_revocation_never_undoes_it(backend: &Backend) {
    let (here, there) = (backend.open().tokens, backend.open().tokens);
    let record = token(1, 1);
    here.create(&record).await.unwrap();
    there.read(&record.id).await.unwrap();
    here.revoke(&record.id, &alice(), AT).await.unwrap();
    // The other server still takes the token for a good one.
    there.note_use(&record.id, AT);
    eventually(PATIENCE, async || {
        let keys = backend.raw.keys("_last_used").await;
        if keys.len() == 1 { Ok(()) } else { Err(format!("{keys:?}")) }
    })
    .await;
    let revoked = TokenRecord { revoked_at: Some(AT), ..record.clone() };
    backend.clock.move_mono(Duration::from_secs(5));
    for tokens in [here, there, backend.open().tokens] {
        assert_eq!(tokens.read(&record.id).await, Ok(Some(revoked.clone())));
        assert_eq!(tokens.list(&alice()).await, Ok(Vec::new()));
    }
}

pub async fn limits_of_a_token_come_back(backend: &Backend) {
    let tokens = backend.open().tokens;
    let pattern = |text: &str| Some(NamePattern::new(text));
    let scopes = [
        (None, None),
        (Some(Role::Reader), None),
        (None, pattern("app/*")),
        (Some(Role::Admin), pattern("*")),
        (Some(Role::Operator), pattern("ünit \"x\"\u{1F32E}*")),
    ];
    for (n, (role, unit)) in scopes.into_iter().enumerate() {
        let record = TokenRecord { scope: Scope { role, unit }, expires_at: None, ..token(n, 1) };
        tokens.create(&record).await.unwrap();
        assert_eq!(backend.open().tokens.read(&record.id).await, Ok(Some(record)));
    }
}
