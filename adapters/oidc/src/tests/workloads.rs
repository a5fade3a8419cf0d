//! Tokens of CI systems.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use opentaco_domain::trust::WorkloadToken;
use opentaco_ports::driven::idp::{IdpError, Workloads};
use proptest::prelude::{Strategy, any, prop_assert, proptest};
use serde_json::{Value, json};

use super::world::{Key, TestClock, World, prepare, refusal, shared_secret};
use crate::{Issuers, OpenError};

const DOCUMENT: &str = "/.well-known/openid-configuration";

/// A CI system that says no more about itself than it must.
fn ci() -> World {
    let world = World::new();
    let document = json!({ "issuer": world.fake.url(""), "jwks_uri": world.fake.url("/keys") });
    world.fake.says_json(DOCUMENT, &document);
    world
}

fn issuers(world: &World) -> Issuers {
    let clock: Arc<TestClock> = Arc::clone(&world.clock);
    Issuers::new(vec!["https://other.example".to_owned(), world.fake.url("")], clock).unwrap()
}

/// What a job's token says.
fn job(world: &World) -> Value {
    json!({
        "iss": world.fake.url(""), "aud": "taco", "sub": "repo:acme/web:ref:refs/heads/main", "jti": "j",
        "iat": world.clock.secs(), "nbf": world.clock.secs(), "exp": world.clock.secs() + 300,
        "ref": "refs/heads/main", "repository_id": "17", "run_number": 12, "ref_protected": true,
        "name": "a standard claim", "email": "ci@example.com", "ratio": 0.5, "none": null,
        "kubernetes.io": { "namespace": "x" }, "amr": ["x"],
    })
}

fn but(world: &World, name: &str, value: &Value) -> Value {
    let mut job = job(world);
    if value.is_null() {
        job.as_object_mut().unwrap().remove(name);
    } else {
        job[name] = value.clone();
    }
    job
}

async fn verify(world: &World, payload: &Value) -> Result<WorkloadToken, IdpError> {
    issuers(world).verify(&world.key.sign("k1", payload)).await
}

#[tokio::test]
async fn a_job_is_known_by_what_its_token_says() {
    let world = ci();
    let token = verify(&world, &job(&world)).await.unwrap();
    assert_eq!(
        (token.issuer, token.subject.as_str()),
        (world.fake.url(""), "repo:acme/web:ref:refs/heads/main")
    );
    assert_eq!(token.audiences, ["taco"]);
    let claim = |name: &str| token.claims.get(name).map(String::as_str);
    let now = world.clock.secs().to_string();
    for (name, value) in [
        ("sub", "repo:acme/web:ref:refs/heads/main"),
        ("aud", "taco"),
        ("ref", "refs/heads/main"),
        ("repository_id", "17"),
        ("run_number", "12"),
        ("ref_protected", "true"),
        ("name", "a standard claim"),
        ("email", "ci@example.com"),
        ("iat", now.as_str()),
    ] {
        assert_eq!(claim(name), Some(value), "{name}");
    }
    for absent in ["ratio", "none", "kubernetes.io", "amr"] {
        assert_eq!(claim(absent), None, "{absent}");
    }
}

#[tokio::test]
async fn every_kind_of_key_pair_is_believed() {
    for key in [Key::Rs256, Key::Ps256, Key::Es256] {
        let world = World::with_key(key);
        verify(&world, &job(&world)).await.unwrap();
    }
}

#[tokio::test]
async fn the_audience_is_passed_on_and_not_judged() {
    let world = ci();
    for (aud, expected) in [
        (json!(["a", "b"]), vec!["a", "b"]),
        (json!("x"), vec!["x"]),
        (Value::Null, vec![]),
        (json!([]), vec![]),
    ] {
        assert_eq!(verify(&world, &but(&world, "aud", &aud)).await.unwrap().audiences, expected);
    }
}

#[tokio::test]
async fn times_are_judged_with_thirty_seconds_of_tolerance() {
    let world = ci();
    let now = world.clock.secs();
    for (name, value) in [("exp", now - 29), ("iat", now + 29), ("nbf", now + 29)] {
        assert!(verify(&world, &but(&world, name, &json!(value))).await.is_ok(), "{name}");
    }
    verify(&world, &but(&world, "nbf", &Value::Null)).await.unwrap();
    for (name, value) in [
        ("exp", json!(now - 31)),
        ("exp", Value::Null),
        ("exp", json!(1e300)),
        ("iat", json!(now + 31)),
        ("nbf", json!(now + 31)),
        ("nbf", json!("x")),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("sub", json!(1)),
    ] {
        let why = refusal(verify(&world, &but(&world, name, &value)).await);
        assert!(!why.is_empty(), "{name} {value}");
    }
}

#[tokio::test]
async fn an_issuer_that_is_not_listed_makes_nobody_fetch_anything() {
    let world = ci();
    let stranger = World::new();
    let slash = format!("{}/", world.fake.url(""));
    for issuer in [json!(stranger.fake.url("")), json!(slash), json!(""), json!(7), Value::Null] {
        let payload = but(&world, "iss", &issuer);
        refusal(issuers(&world).verify(&world.key.sign("k1", &payload)).await);
        refusal(issuers(&world).verify(&stranger.key.sign("k1", &payload)).await);
    }
    assert_eq!((world.fake.asked_in_all(), stranger.fake.asked_in_all()), (0, 0));
}

#[tokio::test]
async fn tokens_that_no_key_could_save_make_nobody_fetch_anything() {
    let world = ci();
    let issuers = issuers(&world);
    let job = job(&world);
    let unsigned = [json!({ "alg": "none" }).to_string(), job.to_string()];
    let unsigned = unsigned.map(|part| BASE64URL_NOPAD.encode(part.as_bytes()));
    let long = but(&world, "filler", &json!("x".repeat(16 * 1024)));
    let good = world.key.sign("k1", &job);
    for token in [
        format!("{}.{}.", unsigned[0], unsigned[1]),
        shared_secret(&world.key.jwk("k1").to_string(), &job),
        world.key.sign("k1", &long),
        format!("{good}.x"),
        good[..good.len() - 1].rsplit_once('.').unwrap().0.to_owned(),
        String::new(),
    ] {
        refusal(issuers.verify(&token).await);
    }
    assert_eq!(world.fake.asked_in_all(), 0);
    issuers.verify(&good).await.unwrap();
}

#[tokio::test]
async fn a_token_of_another_key_is_refused_until_the_issuer_publishes_it() {
    let world = ci();
    let issuers = issuers(&world);
    let next = Key::new();
    let forged = next.sign("k1", &job(&world));
    let rotated = next.sign("k2", &job(&world));
    issuers.verify(&world.key.sign("k1", &job(&world))).await.unwrap();
    for _ in 0..5 {
        assert!(refusal(issuers.verify(&forged).await).contains("signature"));
        assert!(refusal(issuers.verify(&rotated).await).contains("does not publish"));
    }
    assert_eq!(world.fake.asked("/keys").len(), 1);
    world.fake.says_json("/keys", &json!({ "keys": [world.key.jwk("k1"), next.jwk("k2")] }));
    world.clock.advance(Duration::from_secs(10));
    issuers.verify(&rotated).await.unwrap();
    assert!(refusal(issuers.verify(&forged).await).contains("signature"));
    assert_eq!(world.fake.asked("/keys").len(), 2);
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_may_be_asked_again() {
    let world = ci();
    let issuers = issuers(&world);
    let token = world.key.sign("k1", &job(&world));
    world.fake.is_down(true);
    let unavailable = Err(IdpError::Unavailable(world.fake.url("")));
    assert_eq!(issuers.verify(&token).await, unavailable);
    world.fake.is_down(false);
    world.clock.advance(Duration::from_secs(1));
    issuers.verify(&token).await.unwrap();
}

#[tokio::test]
async fn a_document_must_name_its_issuer_to_the_letter() {
    let world = ci();
    let document = json!({ "issuer": world.fake.url("/"), "jwks_uri": world.fake.url("/keys") });
    world.fake.says_json(DOCUMENT, &document);
    assert_eq!(verify(&world, &job(&world)).await, Err(IdpError::Unavailable(world.fake.url(""))));
    world.fake.says_json(DOCUMENT, &json!({ "issuer": world.fake.url("") }));
    assert!(refusal(verify(&world, &job(&world)).await).contains("no keys"));
}

#[tokio::test]
async fn without_trust_rules_nobody_is_known() {
    let world = ci();
    let clock: Arc<TestClock> = Arc::clone(&world.clock);
    let nobody = Issuers::new(Vec::new(), clock).unwrap();
    assert!(refusal(nobody.verify(&world.key.sign("k1", &job(&world))).await).contains("no trust rule"));
}

#[test]
fn an_issuer_that_is_no_url_is_said_at_once() {
    prepare();
    let clock = Arc::<TestClock>::default();
    let error = Issuers::new(vec!["ci.example".to_owned()], clock).err();
    assert_eq!(error, Some(OpenError::Issuer("ci.example".to_owned())));
}

/// Texts that get further than noise: parts of JSON that look like those of a token.
fn almost() -> impl Strategy<Value = String> {
    let alg =
        proptest::sample::select(vec!["EdDSA", "RS256", "ES256", "ES512", "HS256", "none", "A128GCM", "x"]);
    let odd = proptest::sample::select(vec![
        "null",
        "1e400",
        "-1",
        "9223372036854775808",
        "1.5",
        "\"x\"",
        "[]",
        "{}",
        "true",
        "253402300800",
        "-9e18",
    ]);
    (alg, odd.clone(), odd.clone(), odd, any::<Vec<u8>>()).prop_map(|(alg, exp, iat, other, signature)| {
        let header = format!("{{\"alg\":\"{alg}\",\"kid\":\"k1\"}}");
        let payload = format!(
            "{{\"iss\":\"http://127.0.0.1:9\",\"sub\":\"s\",\"exp\":{exp},\"iat\":{iat},\"nbf\":{other},\"aud\":{other}}}"
        );
        let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        format!("{}.{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()), encode(&signature))
    })
}

proptest! {
    #[test]
    fn no_text_breaks_the_server(noise in any::<String>(), parts in "[A-Za-z0-9_-]{0,40}(\\.[A-Za-z0-9_-]{0,40}){0,4}", almost in almost()) {
        prepare();
        let clock = Arc::<TestClock>::default();
        // Nobody listens there; what gets as far as a fetch fails at once.
        let issuers = Issuers::new(vec!["http://127.0.0.1:9".to_owned()], clock).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for text in [noise, parts, almost] {
            prop_assert!(runtime.block_on(issuers.verify(&text)).is_err());
        }
    }
}
