//! Tokens at the cloud API, as go-tfe and the tfe provider ask for them.

use opentaco_tests::browser::Who;
use opentaco_tests::client::{Api, login};
use opentaco_tests::server::{Options, Server};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::v1::{V1, secret, taco_login};

struct Person {
    api: Api,
    v1: V1,
    /// Where their tokens are.
    path: String,
    user: String,
}

impl Person {
    async fn of(server: &Server, token: &str) -> Self {
        let api = Api::new(server, token);
        let user = api.get("/account/details").await.expect(StatusCode::OK).id();
        let path = format!("/users/{user}/authentication-tokens");
        Self { api, v1: V1::new(server, token), path, user }
    }

    async fn dev(server: &Server, name: &str) -> Self {
        Self::of(server, &login(server, &Who::dev(name)).await).await
    }

    async fn make(&self, attributes: Value) -> opentaco_tests::client::Reply {
        let body = json!({"data": {"type": "authentication-tokens", "attributes": attributes}});
        self.api.post(&self.path, body).await
    }

    async fn list(&self) -> Vec<Value> {
        let list = self.api.get(&self.path).await.expect(StatusCode::OK).json();
        list["data"].as_array().unwrap_or_else(|| panic!("{list}")).clone()
    }
}

fn start() -> Server {
    Server::start(Options::memory().dev_login())
}

/// What go-tfe takes for an id.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

async fn delete(api: &Api, id: &str) -> opentaco_tests::client::Reply {
    api.call(Method::DELETE, &format!("/authentication-tokens/{id}"), None).await
}

#[tokio::test]
async fn a_token_is_made_shown_and_ended() {
    let server = start();
    let alice = Person::dev(&server, "alice").await;
    assert!(is_id(&alice.user), "{}", alice.user);
    let wanted = json!({"description": "from ä client", "expired-at": "2099-01-31T12:00:00.000Z"});
    let made = alice.make(wanted).await.expect(StatusCode::CREATED);
    let (id, document) = (made.id(), made.json()["data"].clone());
    assert!(is_id(&id), "{id}");
    assert_eq!(document["type"], "authentication-tokens");
    let attributes = &document["attributes"];
    assert_eq!(attributes["description"], "from ä client");
    assert_eq!(attributes["expired-at"], "2099-01-31T12:00:00Z");
    assert_eq!(attributes["last-used-at"], Value::Null);
    let created = attributes["created-at"].as_str().unwrap();
    assert!(created.len() == 20 && created.ends_with('Z'), "{created}");
    let creator = &document["relationships"]["created-by"]["data"];
    assert_eq!((&creator["id"], &creator["type"]), (&json!(alice.user), &json!("users")));
    let token = attributes["token"].as_str().unwrap();
    let bearer = Person::of(&server, token).await;
    assert_eq!(bearer.user, alice.user);

    let shown = alice.api.get(&format!("/authentication-tokens/{id}")).await.expect(StatusCode::OK);
    assert!(!shown.text().contains(secret(token)));
    assert_eq!(shown.json()["data"]["attributes"]["token"], Value::Null);
    let listed = alice.list().await;
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|one| is_id(one["id"].as_str().unwrap())));
    assert!(!json!(listed).to_string().contains(secret(token)));
    // Both doors show one list.
    let there = alice.v1.tokens().await;
    let ids = |list: &[Value]| list.iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&listed), ids(&there));

    delete(&alice.api, &id).await.expect(StatusCode::NO_CONTENT);
    bearer.api.get("/account/details").await.expect_error(StatusCode::UNAUTHORIZED);
    delete(&alice.api, &id).await.expect_error(StatusCode::NOT_FOUND);
    let gone = alice.api.get(&format!("/authentication-tokens/{id}")).await;
    gone.expect_error(StatusCode::NOT_FOUND);
    assert_eq!(alice.list().await.len(), 1);
}

#[tokio::test]
async fn the_smallest_wish_is_none() {
    let server = start();
    let alice = Person::dev(&server, "alice").await;
    for attributes in [json!({}), json!({"description": null, "expired-at": null})] {
        let made = alice.make(attributes).await.expect(StatusCode::CREATED).json();
        let attributes = &made["data"]["attributes"];
        assert_eq!(attributes["expired-at"], Value::Null);
        assert!(attributes["description"].as_str().is_some_and(|text| !text.is_empty()), "{attributes}");
    }
}

#[tokio::test]
async fn what_is_outside_its_rule_is_named_and_makes_nothing() {
    let server = start();
    let alice = Person::dev(&server, "alice").await;
    for (name, value) in [
        ("description", json!("x".repeat(101))),
        ("description", json!("a\nb")),
        ("description", json!(7)),
        ("expired-at", json!("soon")),
        ("expired-at", json!("")),
        ("expired-at", json!(1_900_000_000)),
        ("expired-at", json!("2020-01-01T00:00:00Z")),
        ("expired-at", json!("2099-02-31T00:00:00Z")),
    ] {
        let reply =
            alice.make(json!({"description": "fine"}).as_object().map_or_else(Value::default, |fine| {
                let mut fine = fine.clone();
                fine.insert(name.to_owned(), value.clone());
                Value::Object(fine)
            }));
        let error = reply.await.expect_error(StatusCode::UNPROCESSABLE_ENTITY);
        assert!(error["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{name}={value}: {error}");
    }
    assert_eq!(alice.list().await.len(), 1);
}

#[tokio::test]
async fn only_the_caller_is_a_user_that_can_be_seen() {
    let server = Server::start(Options::local().dev_login());
    let (alice, bob) = (Person::dev(&server, "alice").await, Person::dev(&server, "bob").await);
    server.admin(&["grant", "dev:alice"]);
    crate::v1::soon("access control is on", async || bob.v1.me().await["administrator"] == false).await;
    let theirs = alice.list().await[0]["id"].as_str().unwrap().to_owned();
    for user in [alice.user.as_str(), "user-aaaaaaaaaaaaaaaa", "x", "..", "%00"] {
        let path = format!("/users/{user}/authentication-tokens");
        bob.api.get(&path).await.expect_error(StatusCode::NOT_FOUND);
        let body = json!({"data": {"type": "authentication-tokens", "attributes": {}}});
        bob.api.post(&path, body).await.expect_error(StatusCode::NOT_FOUND);
    }
    let secretive = format!("otc_tfe_{}_{}", "a".repeat(16), "b".repeat(52));
    for id in [theirs.as_str(), "aaaaaaaaaaaaaaaa", "x", &secretive] {
        let path = format!("/authentication-tokens/{id}");
        let error = bob.api.get(&path).await.expect_error(StatusCode::NOT_FOUND);
        assert!(!error.to_string().contains(&"b".repeat(52)), "{error}");
        delete(&bob.api, id).await.expect_error(StatusCode::NOT_FOUND);
    }
    assert_eq!(bob.list().await.len(), 1, "without any right, one's own tokens are still one's own");
    bob.make(json!({})).await.expect(StatusCode::CREATED);
    assert_eq!(alice.list().await.len(), 1);
}

#[tokio::test]
async fn limits_hold_here_too() {
    let server = start();
    let alice = Person::dev(&server, "alice").await;
    let (made, token) = alice.v1.make(json!({"name": "limited", "role": "operator", "ttl": "1h"})).await;
    let limited = Person::of(&server, &token).await;
    limited.make(json!({})).await.expect_error(StatusCode::FORBIDDEN);
    let listed = limited.list().await;
    assert_eq!(listed.len(), 1, "it sees itself alone");
    assert_eq!(listed[0]["id"], made["id"]);
    let other = alice.list().await[0]["id"].as_str().unwrap().to_owned();
    limited.api.get(&format!("/authentication-tokens/{other}")).await.expect_error(StatusCode::NOT_FOUND);
    delete(&limited.api, &other).await.expect_error(StatusCode::NOT_FOUND);

    let (made, token) = alice.v1.make(json!({"name": "short", "ttl": "1h"})).await;
    let short = Person::of(&server, &token).await;
    let late = json!({"expired-at": "2099-01-01T00:00:00Z"});
    short.make(late).await.expect_error(StatusCode::UNPROCESSABLE_ENTITY);
    let child = short.make(json!({})).await.expect(StatusCode::CREATED).json();
    assert_eq!(child["data"]["attributes"]["expired-at"], made["expires_at"]);
}

#[tokio::test]
async fn a_jwt_is_no_token_here() {
    let server = start();
    let alice = Person::dev(&server, "alice").await;
    let session = taco_login(&server, &Who::dev("alice")).await;
    for jwt in [alice.v1.access().await, session.access, session.refresh] {
        let api = Api::new(&server, &jwt);
        api.get(&alice.path).await.expect_error(StatusCode::UNAUTHORIZED);
        let body = json!({"data": {"type": "authentication-tokens", "attributes": {}}});
        api.post(&alice.path, body).await.expect_error(StatusCode::UNAUTHORIZED);
    }
    let family = alice.list().await;
    assert_eq!(family.len(), 2, "the session is listed, so that it can be ended");
    Api::anonymous(&server).get(&alice.path).await.expect_error(StatusCode::UNAUTHORIZED);
}
