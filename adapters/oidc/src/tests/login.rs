//! The flow: where the browser goes, how the code is exchanged, who comes back.

use std::collections::BTreeMap;

use opentaco_ports::driven::idp::{IdentityProvider, IdpError};
use serde_json::json;
use url::Url;

use super::fake::Answer;
use super::world::{CLIENT, CODE, Key, SECRET, VERIFIER, World, ask, refusal};

fn query(text: &str) -> BTreeMap<String, String> {
    Url::parse(text).unwrap().query_pairs().into_owned().collect()
}

fn form(text: &str) -> BTreeMap<String, String> {
    query(&format!("http://x/?{text}"))
}

#[tokio::test]
async fn the_browser_goes_to_the_provider_with_everything_that_binds_the_login() {
    let world = World::new();
    let url = world.provider().authorization_url(&ask(), "state/1").await.unwrap();
    assert!(url.starts_with(&world.fake.url("/authorize?")), "{url}");
    let query = query(&url);
    // RFC 7636: base64url of the SHA-256 of the verifier, without padding; worked out by another program.
    let challenge = "fD3GLJ_KzCDB0w6uDOSFNNdflrHwtv8Cizh6P5pJkfQ";
    let expected = [
        ("client_id", CLIENT),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256"),
        ("nonce", "nonce-1"),
        ("redirect_uri", "https://taco.example/oauth/oidc-callback"),
        ("response_type", "code"),
        ("scope", "openid email profile"),
        ("state", "state/1"),
    ];
    for (name, value) in expected {
        assert_eq!(query.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(query.len(), expected.len(), "{query:?}");
    assert!(!url.contains(VERIFIER) && !url.contains(SECRET));
}

#[tokio::test]
async fn who_logs_in_is_who_the_id_token_says() {
    for key in [Key::new(), Key::Es256, Key::Rs256, Key::Ps256] {
        let world = World::with_key(key);
        let identity = world.login().await.unwrap();
        assert_eq!(identity.subject.as_str(), "oidc:alice");
        assert_eq!(identity.email.unwrap().as_str(), "alice@example.com");
        assert!(identity.email_verified);
        assert_eq!(identity.groups.iter().collect::<Vec<_>>(), ["devs", "ops"]);
    }
}

#[tokio::test]
async fn the_code_is_exchanged_with_verifier_redirect_and_basic_authentication() {
    let world = World::new();
    world.login().await.unwrap();
    let asked = world.fake.asked("/token").remove(0);
    assert_eq!(asked.method, "POST");
    let form = form(&asked.body);
    assert_eq!(form["grant_type"], "authorization_code");
    assert_eq!(form["code"], CODE);
    assert_eq!(form["code_verifier"], VERIFIER);
    assert_eq!(form["redirect_uri"], ask().redirect_uri);
    assert!(!form.contains_key("client_secret"));
    // RFC 6749 section 2.3.1: both halves are form-encoded first.
    let pair = data_encoding::BASE64.encode(format!("{CLIENT}:s3cret%2Fwith%2Bsigns").as_bytes());
    assert_eq!(asked.headers["authorization"], format!("Basic {pair}"));
}

#[tokio::test]
async fn the_secret_goes_the_way_that_the_provider_takes() {
    let ways = [
        (json!(["client_secret_post"]), true),
        (json!(["client_secret_post", "private_key_jwt"]), true),
        (json!(["client_secret_post", "client_secret_basic"]), false),
        (json!(["client_secret_jwt"]), false),
        (json!([]), false),
    ];
    for (methods, post) in ways {
        let world = World::new();
        let mut document = world.document();
        document["token_endpoint_auth_methods_supported"] = methods.clone();
        world.fake.says_json("/.well-known/openid-configuration", &document);
        world.login().await.unwrap();
        let asked = world.fake.asked("/token").remove(0);
        let form = form(&asked.body);
        assert_eq!(form.get("client_secret").is_some_and(|secret| secret == SECRET), post, "{methods}");
        assert_eq!(asked.headers.contains_key("authorization"), !post, "{methods}");
    }
}

#[tokio::test]
async fn a_client_without_a_secret_names_itself_only() {
    let mut world = World::new();
    world.settings.client_secret = None;
    world.login().await.unwrap();
    let asked = world.fake.asked("/token").remove(0);
    let form = form(&asked.body);
    assert_eq!(form["client_id"], CLIENT);
    assert!(!form.contains_key("client_secret") && !asked.headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_code_that_the_provider_refuses_identifies_nobody() {
    let world = World::new();
    for (error, word) in [
        ("invalid_grant", "invalid_grant"),
        ("invalid_client", "invalid_client"),
        ("unauthorized_client", "unauthorized_client"),
        ("an own <b>word</b>", "denied"),
    ] {
        let body = json!({ "error": error, "error_description": "a sentence of the provider" });
        world.fake.says("/token", Answer::json(400, &body));
        let why = refusal(world.login().await);
        assert!(why.contains(word), "{why}");
        assert!(!why.contains("sentence") && !why.contains("<b>"), "{why}");
    }
}

#[tokio::test]
async fn a_token_endpoint_that_cannot_now_may_be_asked_again() {
    let world = World::new();
    for status in [429, 500, 503] {
        world.fake.says("/token", Answer::json(status, &json!({ "error": "server_error" })));
        assert_eq!(world.login().await, Err(IdpError::Unavailable(world.fake.url(""))));
    }
    world.answer(&world.claims());
    world.login().await.unwrap();
}

#[tokio::test]
async fn redirects_and_endless_answers_are_not_followed() {
    let world = World::new();
    let elsewhere =
        Answer { status: 307, headers: vec![("Location", world.fake.url("/trap"))], body: vec![] };
    world.fake.says("/token", elsewhere);
    assert!(refusal(world.login().await).contains("redirect"));
    assert!(world.fake.asked("/trap").is_empty());
    let huge = Answer { status: 200, headers: vec![], body: vec![b' '; 3 * 1024 * 1024] };
    world.fake.says("/token", huge);
    assert!(refusal(world.login().await).contains("1 MiB"));
}

#[tokio::test]
async fn a_verifier_outside_the_rfc_is_refused_before_anybody_is_asked() {
    let world = World::new();
    let mut ask = ask();
    ask.verifier = opentaco_domain::secret::Secret::new("short".to_owned());
    let provider = world.provider();
    assert!(refusal(provider.authorization_url(&ask, "s").await).contains("PKCE"));
}

#[tokio::test]
async fn facts_tell_what_is_known_and_wait_for_nobody() {
    let world = World::new();
    let provider = world.provider();
    let before = provider.facts();
    assert_eq!((before.issuer, before.client_id.as_str()), (world.fake.url(""), CLIENT));
    assert_eq!(before.scopes, ["openid", "email", "profile"]);
    assert_eq!((before.authorization_endpoint, before.token_endpoint), (None, None));
    assert_eq!(world.fake.asked_in_all(), 0);
    provider.warm().await.unwrap();
    let after = provider.facts();
    assert_eq!(after.authorization_endpoint, Some(world.fake.url("/authorize")));
    assert_eq!(after.token_endpoint, Some(world.fake.url("/token")));
}
