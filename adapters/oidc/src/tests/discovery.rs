//! Endpoints and keys: found, remembered, renewed.

use std::time::Duration;

use opentaco_ports::driven::idp::{IdentityProvider, IdpError};
use serde_json::json;

use super::fake::Answer;
use super::world::{CODE, Key, World, ask, refusal};

const DOCUMENT: &str = "/.well-known/openid-configuration";

#[tokio::test]
async fn a_slash_at_the_end_of_the_issuer_is_forgiven_and_then_held_to() {
    for (set, said) in
        [("", ""), ("/", ""), ("", "/"), ("/", "/"), ("/realms/a", "/realms/a/"), ("/realms/a/", "/realms/a")]
    {
        let mut world = World::new();
        world.settings.issuer = world.fake.url(set);
        let mut document = world.document();
        document["issuer"] = world.fake.url(said).into();
        world.fake.says_json(&format!("{}{DOCUMENT}", said.trim_end_matches('/')), &document);
        let mine = json!({ "iss": world.fake.url(said) });
        world.login_but(&mine).await.unwrap_or_else(|error| panic!("{set} {said}: {error}"));
        if set != said {
            let as_set = json!({ "iss": world.fake.url(set) });
            assert!(refusal(world.login_but(&as_set).await).contains("another issuer"), "{set} {said}");
        }
        assert_eq!(world.provider().facts().issuer, world.fake.url(set));
    }
}

#[tokio::test]
async fn a_document_of_another_issuer_is_not_believed() {
    let world = World::new();
    let unavailable = Err(IdpError::Unavailable(world.fake.url("")));
    for other in ["https://evil.example", "", "http://127.0.0.1:1//"] {
        let mut document = world.document();
        document["issuer"] = other.into();
        world.fake.says_json(DOCUMENT, &document);
        assert_eq!(world.login().await, unavailable, "{other}");
    }
    world.fake.says_json(DOCUMENT, &json!({ "issuer": world.fake.url("//") }));
    assert_eq!(world.login().await, unavailable);
}

#[tokio::test]
async fn nothing_is_asked_before_it_is_needed_and_then_once() {
    let world = World::new();
    let provider = world.provider();
    assert_eq!(world.fake.asked_in_all(), 0);
    for _ in 0..3 {
        provider.warm().await.unwrap();
        provider.authorization_url(&ask(), "s").await.unwrap();
        provider.identify(&ask(), CODE).await.unwrap();
    }
    assert_eq!((world.fake.asked(DOCUMENT).len(), world.fake.asked("/keys").len()), (1, 1));
    world.clock.advance(Duration::from_mins(59));
    provider.warm().await.unwrap();
    assert_eq!(world.fake.asked(DOCUMENT).len(), 1);
    world.clock.advance(Duration::from_mins(1));
    provider.warm().await.unwrap();
    assert_eq!((world.fake.asked(DOCUMENT).len(), world.fake.asked("/keys").len()), (2, 2));
}

#[tokio::test]
async fn a_provider_that_is_down_is_met_when_it_is_up() {
    let world = World::new();
    let provider = world.provider();
    let unavailable = IdpError::Unavailable(world.fake.url(""));
    world.fake.is_down(true);
    assert_eq!(provider.warm().await, Err(unavailable.clone()));
    assert_eq!(provider.authorization_url(&ask(), "s").await, Err(unavailable.clone()));
    assert_eq!(provider.identify(&ask(), CODE).await, Err(unavailable.clone()));
    world.fake.is_down(false);
    // A failure is shared for a moment.
    assert_eq!(provider.warm().await, Err(unavailable));
    world.clock.advance(Duration::from_secs(1));
    provider.identify(&ask(), CODE).await.unwrap();
}

#[tokio::test]
async fn what_is_known_serves_while_the_provider_is_down() {
    let world = World::new();
    let provider = world.provider();
    provider.warm().await.unwrap();
    world.fake.is_down(true);
    world.clock.advance(Duration::from_hours(2));
    provider.warm().await.unwrap();
    assert!(provider.authorization_url(&ask(), "s").await.is_ok());
    world.fake.is_down(false);
    world.clock.advance(Duration::from_secs(10));
    provider.warm().await.unwrap();
    assert_eq!(world.fake.asked(DOCUMENT).len(), 2);
}

#[tokio::test]
async fn every_bad_answer_is_a_provider_that_does_not_answer() {
    let world = World::new();
    let unavailable = Err(IdpError::Unavailable(world.fake.url("")));
    let elsewhere = vec![("Location", world.fake.url("/trap"))];
    let answers = [
        Answer::json(404, &json!({})),
        Answer::json(500, &json!({})),
        Answer::json(200, &json!([])),
        Answer::json(200, &json!({})),
        Answer { status: 302, headers: elsewhere, body: vec![] },
        Answer { status: 200, headers: vec![], body: b"<html>".to_vec() },
        Answer { status: 200, headers: vec![], body: vec![b' '; 3 * 1024 * 1024] },
    ];
    for path in [DOCUMENT, "/keys"] {
        for answer in &answers {
            world.fake.says(path, answer.clone());
            assert_eq!(world.provider().warm().await, unavailable, "{path}");
        }
        world.fake.says_json(DOCUMENT, &world.document());
    }
    assert!(world.fake.asked("/trap").is_empty());
}

#[tokio::test]
async fn newer_keys_are_fetched_when_a_token_needs_them_but_not_at_every_token() {
    let world = World::new();
    let provider = world.provider();
    provider.identify(&ask(), CODE).await.unwrap();
    let next = Key::new();
    let rotated = next.sign("k2", &world.claims());
    world.answer_token(Some(&rotated));
    // Nobody looks again within ten seconds of the last look.
    assert!(refusal(provider.identify(&ask(), CODE).await).contains("does not publish"));
    assert_eq!(world.fake.asked("/keys").len(), 1);
    world.clock.advance(Duration::from_secs(10));
    assert!(refusal(provider.identify(&ask(), CODE).await).contains("does not publish"));
    assert_eq!(world.fake.asked("/keys").len(), 2);
    world.fake.says_json("/keys", &json!({ "keys": [world.key.jwk("k1"), next.jwk("k2")] }));
    for _ in 0..3 {
        refusal(provider.identify(&ask(), CODE).await);
    }
    assert_eq!(world.fake.asked("/keys").len(), 2);
    world.clock.advance(Duration::from_secs(10));
    provider.identify(&ask(), CODE).await.unwrap();
    assert_eq!(world.fake.asked("/keys").len(), 3);
    // The same name for another key is a rotation, too.
    let third = Key::new();
    world.fake.says_json("/keys", &json!({ "keys": [third.jwk("k2")] }));
    world.answer_token(Some(&third.sign("k2", &world.claims())));
    world.clock.advance(Duration::from_secs(10));
    provider.identify(&ask(), CODE).await.unwrap();
    assert_eq!(world.fake.asked("/keys").len(), 4);
}

#[tokio::test]
async fn a_token_that_no_key_can_save_fetches_no_keys() {
    let world = World::new();
    let provider = world.provider();
    provider.warm().await.unwrap();
    world.clock.advance(Duration::from_mins(1));
    for changes in
        [json!({ "nonce": "x" }), json!({ "aud": "x" }), json!({ "iss": "x:y" }), json!({ "exp": 1 })]
    {
        world.answer(&world.claims_but(&changes));
        refusal(provider.identify(&ask(), CODE).await);
    }
    assert_eq!(world.fake.asked("/keys").len(), 1);
}

#[tokio::test]
async fn many_who_come_at_once_ask_once() {
    let world = World::new();
    let provider = world.provider();
    let ask = ask();
    let (a, b, c) = tokio::join!(
        provider.authorization_url(&ask, "a"),
        provider.authorization_url(&ask, "b"),
        provider.warm()
    );
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(world.fake.asked(DOCUMENT).len(), 1);
}
