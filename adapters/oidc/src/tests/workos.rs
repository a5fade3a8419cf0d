//! `WorkOS` user management, played by the tests.

use opentaco_domain::secret::Secret;
use opentaco_ports::driven::idp::{IdentityProvider, IdpError};
use serde_json::{Value, json};
use url::Url;

use super::fake::Answer;
use super::world::{CLIENT, CODE, SECRET, VERIFIER, World, ask, refusal};
use crate::EmailVerified;
use crate::workos::WorkOs;

fn workos() -> World {
    let mut world = World::new();
    world.settings.issuer = world.fake.url("/user_management");
    world.fake.says_json(
        "/user_management/authenticate",
        &json!({
            "user": { "object": "user", "id": "user_01E4", "email": "Alice@Example.com", "email_verified": true,
                "groups": ["not", "these"], "": ["nor", "these"] },
            "organization_id": "org_01", "role": "admin", "access_token": "eyJ.x.y", "refresh_token": "r",
        }),
    );
    world
}

#[tokio::test]
async fn the_browser_goes_to_authkit() {
    let mut world = workos();
    for slash in ["", "/"] {
        world.settings.issuer = world.fake.url(&format!("/user_management{slash}"));
        let provider = world.provider();
        provider.warm().await.unwrap();
        let url = Url::parse(&provider.authorization_url(&ask(), "state 1").await.unwrap()).unwrap();
        assert!(url.as_str().starts_with(&world.fake.url("/user_management/authorize?")), "{url}");
        let mut names: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let challenge = names.remove(5);
        assert_eq!((challenge.0.as_str(), challenge.1.len()), ("code_challenge", 43));
        let names: Vec<(&str, &str)> = names.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(
            names,
            [
                ("client_id", CLIENT),
                ("redirect_uri", "https://taco.example/oauth/oidc-callback"),
                ("response_type", "code"),
                ("provider", "authkit"),
                ("state", "state 1"),
                ("code_challenge_method", "S256"),
            ]
        );
        let facts = provider.facts();
        assert_eq!(facts.issuer, world.settings.issuer);
        assert_eq!(facts.token_endpoint, Some(world.fake.url("/user_management/authenticate")));
        assert!(facts.scopes.is_empty());
    }
    assert_eq!(world.fake.asked_in_all(), 0);
}

#[tokio::test]
async fn who_logs_in_is_the_user_of_the_answer() {
    let world = workos();
    let identity = world.login().await.unwrap();
    assert_eq!(identity.subject.as_str(), "oidc:user_01E4");
    assert_eq!(identity.email.unwrap().as_str(), "alice@example.com");
    assert!(identity.email_verified && identity.groups.is_empty());
    let asked = world.fake.asked("/user_management/authenticate").remove(0);
    assert_eq!((asked.method.as_str(), asked.headers["content-type"].as_str()), ("POST", "application/json"));
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    let expected = json!({
        "client_id": CLIENT, "client_secret": SECRET, "grant_type": "authorization_code", "code": CODE,
        "code_verifier": VERIFIER,
    });
    assert_eq!(body, expected);
    assert_eq!(world.fake.asked_in_all(), 1, "nothing is discovered");
}

#[tokio::test]
async fn a_public_client_sends_no_secret() {
    let mut world = workos();
    world.settings.client_secret = None;
    world.login().await.unwrap();
    assert!(!world.fake.asked("/user_management/authenticate")[0].body.contains("client_secret"));
    world.settings.client_secret = Some(Secret::new("x".to_owned()));
    world.login().await.unwrap();
    assert!(world.fake.asked("/user_management/authenticate")[1].body.contains("client_secret"));
}

#[tokio::test]
async fn addresses_are_judged_as_everywhere() {
    let mut world = workos();
    let path = "/user_management/authenticate";
    world.fake.says_json(path, &json!({ "user": { "id": "u", "email": "a@b.c" } }));
    assert!(!world.login().await.unwrap().email_verified);
    world.settings.email_verified = EmailVerified::Always;
    assert!(world.login().await.unwrap().email_verified);
}

#[tokio::test]
async fn answers_that_name_nobody_are_refused() {
    let world = workos();
    let path = "/user_management/authenticate";
    for body in
        [json!({}), json!({ "user": {} }), json!({ "user": { "id": "" } }), json!({ "user": { "id": 7 } })]
    {
        world.fake.says_json(path, &body);
        refusal(world.login().await);
    }
    world.fake.says(path, Answer::json(400, &json!({ "error": "invalid_grant", "user": { "id": "u" } })));
    assert!(refusal(world.login().await).contains("status 400"));
    let elsewhere =
        Answer { status: 308, headers: vec![("Location", world.fake.url("/trap"))], body: vec![] };
    world.fake.says(path, elsewhere);
    assert!(refusal(world.login().await).contains("redirect"));
    assert!(world.fake.asked("/trap").is_empty());
    world.fake.says(path, Answer::json(502, &json!({})));
    assert_eq!(world.login().await, Err(IdpError::Unavailable(world.settings.issuer.clone())));
}

#[test]
fn user_management_is_told_by_its_host_and_path() {
    let is = |text: &str| WorkOs::is(&Url::parse(text).unwrap());
    for yes in [
        "https://api.workos.com/user_management",
        "https://api.workos.com/user_management/",
        "http://127.0.0.1:9000/user_management",
        "http://localhost/user_management",
        "http://[::1]:9/user_management/",
    ] {
        assert!(is(yes), "{yes}");
    }
    for no in [
        "https://api.workos.com/",
        "https://api.workos.com/user_management/x",
        "http://api.workos.com/user_management",
        "https://api.workos.com.evil.example/user_management",
        "https://id.example/user_management",
    ] {
        assert!(!is(no), "{no}");
    }
}
