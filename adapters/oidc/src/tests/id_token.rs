//! Which id tokens are believed.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use opentaco_domain::secret::Secret;
use opentaco_ports::driven::idp::IdentityProvider;
use serde_json::{Value, json};

use super::world::{CODE, Key, World, ask, refusal, shared_secret};

#[tokio::test]
async fn a_token_for_somebody_else_is_refused() {
    let world = World::new();
    let slash = format!("{}/", world.fake.url(""));
    let cases = [
        (json!({ "nonce": "nonce-2" }), "another login"),
        (json!({ "nonce": null }), "another login"),
        (json!({ "iss": "https://evil.example" }), "another issuer"),
        (json!({ "iss": slash }), "another issuer"),
        (json!({ "iss": null }), "not what OpenID Connect says"),
        (json!({ "aud": "other" }), "another audience"),
        (json!({ "aud": [] }), "another audience"),
        (json!({ "aud": null }), "another audience"),
        (json!({ "aud": ["taco-client", "other"] }), "another audience"),
        (json!({ "sub": null }), "not what OpenID Connect says"),
        (json!({ "sub": "" }), "missing or unusable"),
        (json!({ "sub": "a b" }), "missing or unusable"),
        (json!({ "exp": null }), "not what OpenID Connect says"),
    ];
    for (changes, expected) in cases {
        let why = refusal(world.login_but(&changes).await);
        assert!(why.contains(expected), "{changes}: {why}");
    }
    world.login_but(&json!({ "aud": ["taco-client"] })).await.unwrap();
}

#[tokio::test]
async fn clocks_may_differ_by_thirty_seconds() {
    let world = World::new();
    let now = world.clock.secs();
    for good in [
        json!({ "exp": now - 29 }),
        json!({ "iat": now + 29 }),
        json!({ "iat": now - 86_400 }),
        json!({ "nbf": now + 29 }),
        // Nothing but seconds is sent, but some write them with a point.
        json!({ "exp": 1_764_072_100.5 }),
    ] {
        assert!(world.login_but(&good).await.is_ok(), "{good}");
    }
    for bad in [
        json!({ "exp": now - 30 }),
        json!({ "exp": now - 31 }),
        json!({ "iat": now + 31 }),
        json!({ "nbf": now + 31 }),
        json!({ "nbf": "soon" }),
    ] {
        refusal(world.login_but(&bad).await);
    }
}

#[tokio::test]
async fn an_old_token_expires_by_the_clock_of_the_port() {
    let world = World::new();
    let provider = world.provider();
    provider.identify(&ask(), CODE).await.unwrap();
    world.clock.advance(Duration::from_secs(300 + 29));
    provider.identify(&ask(), CODE).await.unwrap();
    world.clock.advance(Duration::from_secs(2));
    assert!(refusal(provider.identify(&ask(), CODE).await).contains("expired"));
}

#[tokio::test]
async fn an_unsigned_token_is_refused() {
    let world = World::new();
    for alg in ["none", "None", "NONE", ""] {
        let header = json!({ "alg": alg, "kid": "k1" }).to_string();
        let parts = [header, world.claims().to_string()].map(|part| BASE64URL_NOPAD.encode(part.as_bytes()));
        world.answer_token(Some(&format!("{}.{}.", parts[0], parts[1])));
        refusal(world.login().await);
    }
}

#[tokio::test]
async fn what_everybody_knows_is_no_key() {
    let mut world = World::with_key(Key::Rs256);
    let jwk = world.key.jwk("k1");
    let client_secret = "a client secret that is long enough for HS256";
    world.settings.client_secret = Some(Secret::new(client_secret.to_owned()));
    for secret in [client_secret, &jwk.to_string(), jwk["n"].as_str().unwrap()] {
        world.answer_token(Some(&shared_secret(secret, &world.claims())));
        assert!(refusal(world.login().await).contains("asymmetric"));
    }
}

#[tokio::test]
async fn a_token_of_another_key_or_a_changed_one_is_refused() {
    let world = World::new();
    world.answer_token(Some(&Key::new().sign("k1", &world.claims())));
    assert!(refusal(world.login().await).contains("signature"));
    let good = world.key.sign("k1", &world.claims());
    let parts: Vec<&str> = good.split('.').collect();
    let payload = world.claims_but(&json!({ "sub": "mallory" })).to_string();
    let payload = BASE64URL_NOPAD.encode(payload.as_bytes());
    world.answer_token(Some(&format!("{}.{payload}.{}", parts[0], parts[2])));
    assert!(refusal(world.login().await).contains("signature"));
    // The key says that it is not for signatures.
    let mut jwk = world.key.jwk("k1");
    jwk["use"] = "enc".into();
    world.fake.says_json("/keys", &json!({ "keys": [jwk] }));
    world.answer_token(Some(&good));
    assert!(refusal(world.login().await).contains("does not publish"));
}

#[tokio::test]
async fn keys_that_nobody_understands_do_not_hide_the_others() {
    let world = World::new();
    let strange = json!({ "kty": "AKP", "alg": "ML-DSA-44", "kid": "k0", "pub": "AAAA" });
    world.fake.says_json("/keys", &json!({ "keys": [strange, 17, world.key.jwk("k1")] }));
    world.login().await.unwrap();
}

#[tokio::test]
async fn dates_and_truths_as_texts_and_empty_claims_spoil_nothing() {
    let world = World::new();
    let odd = json!({ "updated_at": "2025-11-25T12:00:00.000Z", "email_verified": "true", "name": "Ä" });
    assert!(world.login_but(&odd).await.unwrap().email_verified);
    let mut empty = world.claims();
    for name in ["email", "email_verified", "groups", "picture", "address", "nbf", "amr"] {
        empty[name] = Value::Null;
    }
    world.answer(&empty);
    assert_eq!(world.login().await.unwrap().email, None);
}

#[tokio::test]
async fn tokens_that_are_none_are_refused() {
    let world = World::new();
    for text in ["", "a", "a.b.c", "....", "eyJhbGciOiJFZERTQSJ9.e30.AA"] {
        world.answer_token(Some(text));
        refusal(world.login().await);
    }
    world.fake.says_json("/token", &Value::Null);
    refusal(world.login().await);
}
