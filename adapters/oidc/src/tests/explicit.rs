//! Endpoints that the operator sets.

use std::sync::Arc;

use opentaco_ports::driven::idp::IdentityProvider;
use serde_json::json;
use url::Url;

use super::world::{ACCESS, CODE, World, ask, refusal};
use crate::{OpenError, Provider, ProviderSettings};

const DOCUMENT: &str = "/.well-known/openid-configuration";

fn url(world: &World, path: &str) -> Url {
    Url::parse(&world.fake.url(path)).unwrap()
}

/// A world in which nothing can be discovered.
fn told() -> World {
    let mut world = World::new();
    world.fake.says_json(DOCUMENT, &json!({ "issuer": "https://not.here" }));
    world.settings.auth_url = Some(url(&world, "/authorize"));
    world.settings.token_url = Some(url(&world, "/token"));
    world
}

fn error(settings: &ProviderSettings) -> Option<OpenError> {
    let clock = Arc::<super::world::TestClock>::default();
    Provider::new(settings.clone(), clock).err()
}

#[tokio::test]
async fn with_keys_the_id_token_is_verified_and_nothing_is_discovered() {
    let mut world = told();
    world.settings.jwks_url = Some(url(&world, "/keys"));
    assert_eq!(world.login().await.unwrap().subject.as_str(), "oidc:alice");
    let asked = world.fake.asked("/token").remove(0);
    assert!(asked.headers["authorization"].starts_with("Basic "));
    refusal(world.login_but(&json!({ "nonce": "x" })).await);
    refusal(world.login_but(&json!({ "iss": format!("{}/", world.fake.url("")) })).await);
    world.answer_token(None);
    assert!(refusal(world.login().await).contains("no id token"));
    assert!(world.fake.asked(DOCUMENT).is_empty());
}

#[tokio::test]
async fn with_userinfo_alone_that_says_who_it_is() {
    let mut world = told();
    world.settings.userinfo_url = Some(url(&world, "/userinfo"));
    world.fake.says_json(
        "/userinfo",
        &json!({ "sub": "bob", "email": "bob@example.com", "email_verified": true, "groups": "admins" }),
    );
    // Nobody can verify the id token, so it says nothing: with or without one it is bob.
    for token in [Some(world.key.sign("k1", &world.claims())), None] {
        world.answer_token(token.as_deref());
        let identity = world.login().await.unwrap();
        assert_eq!(identity.subject.as_str(), "oidc:bob");
        assert_eq!(identity.email.unwrap().as_str(), "bob@example.com");
        assert!(identity.groups.contains("admins"));
    }
    let asked = world.fake.asked("/userinfo").remove(0);
    assert_eq!(asked.headers["authorization"], format!("Bearer {ACCESS}"));
    assert!(world.fake.asked(DOCUMENT).is_empty() && world.fake.asked("/keys").is_empty());
    world.fake.says_json("/userinfo", &json!({ "email": "bob@example.com" }));
    assert!(refusal(world.login().await).contains("missing or unusable"));
}

#[tokio::test]
async fn the_browser_can_go_while_the_keys_cannot_be_had() {
    let mut world = told();
    world.settings.jwks_url = Some(url(&world, "/keys"));
    world.fake.is_down(true);
    let provider = world.provider();
    let to = provider.authorization_url(&ask(), "s").await.unwrap();
    assert!(to.starts_with(&world.fake.url("/authorize?")));
    assert_eq!(provider.facts().token_endpoint, Some(world.fake.url("/token")));
}

#[tokio::test]
async fn what_is_set_wins_over_what_is_discovered() {
    let mut world = World::new();
    let mut document = world.document();
    document["token_endpoint"] = world.fake.url("/trap").into();
    document["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
    document["userinfo_endpoint"] = world.fake.url("/trap").into();
    world.fake.says_json(DOCUMENT, &document);
    world.settings.token_url = Some(url(&world, "/token"));
    world.settings.userinfo_url = Some(url(&world, "/userinfo"));
    world.fake.says_json("/userinfo", &json!({ "sub": "alice", "groups": ["x"] }));
    let identity = world.login_but(&json!({ "groups": null })).await.unwrap();
    assert!(identity.groups.contains("x"));
    assert!(world.fake.asked("/token")[0].headers["authorization"].starts_with("Basic "));
    assert!(world.fake.asked("/trap").is_empty());
    // The authorization endpoint is still the discovered one.
    let to = world.provider().authorization_url(&ask(), "s").await.unwrap();
    assert!(to.starts_with(&world.fake.url("/authorize?")));
    world.settings.auth_url = Some(url(&world, "/other?tenant=1"));
    let to = world.provider().authorization_url(&ask(), "s").await.unwrap();
    assert!(to.starts_with(&world.fake.url("/other?tenant=1&")), "{to}");
}

#[tokio::test]
async fn a_provider_without_an_endpoint_that_is_needed_is_refused() {
    let world = World::new();
    for endpoint in ["token_endpoint", "jwks_uri"] {
        let mut document = world.document();
        document.as_object_mut().unwrap().remove(endpoint);
        world.fake.says_json(DOCUMENT, &document);
        refusal(world.provider().identify(&ask(), CODE).await);
    }
}

#[test]
fn settings_that_cannot_work_are_said_at_once() {
    let world = told();
    assert_eq!(error(&world.settings), Some(OpenError::NoTrust));
    let good = World::new().settings;
    assert_eq!(error(&good), None);
    for issuer in [
        "",
        "example.com",
        "ftp://example.com",
        "https://u@example.com",
        "https://example.com/?a",
        "https://example.com/#a",
    ] {
        let bad = ProviderSettings { issuer: issuer.to_owned(), ..good.clone() };
        assert_eq!(error(&bad), Some(OpenError::Issuer(issuer.to_owned())));
    }
    assert_eq!(
        error(&ProviderSettings { client_id: String::new(), ..good.clone() }),
        Some(OpenError::ClientId)
    );
    let odd = Some(Url::parse("file:///keys").unwrap());
    assert_eq!(error(&ProviderSettings { jwks_url: odd, ..good }), Some(OpenError::Endpoint("JWKS URL")));
}
