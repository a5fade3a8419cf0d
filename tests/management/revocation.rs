//! The end of a token, and of everything that hangs from it.

use futures_util::{StreamExt as _, stream};
use opentaco_tests::browser::Who;
use opentaco_tests::client::{Api, JSON_API, login, state};
use opentaco_tests::server::{Options, Server, Storage};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Body, Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::v1::{
    Pair, Session, V1, answer, claims, is_nowhere, problem, refresh, refreshed, refused, secret, soon,
    taco_login,
};

async fn cloud_works(server: &Server, token: &str) -> bool {
    match Api::new(server, token).get("/account/details").await.status {
        StatusCode::OK => true,
        StatusCode::UNAUTHORIZED => false,
        other => panic!("neither yes nor no: {other}"),
    }
}

#[tokio::test]
async fn everything_made_with_a_token_ends_with_it_at_once() {
    let server = Server::start(Options::local().dev_login().env("OPENTACO_LOG_LEVEL", "trace"));
    let alice = V1::new(&server, &login(&server, &Who::dev("alice")).await);
    let (made, token) = alice.make(json!({"name": "doomed"})).await;
    let doomed = V1::new(&server, &token);
    let accesses = [doomed.access().await, doomed.access().await];
    let s3 = doomed.post("/v1/auth/issue-s3-creds", &json!({})).await.expect(StatusCode::OK).json();
    let api = Api::new(&server, &token);
    let workspace = api.create_workspace("default", "web").await;
    api.lock(&workspace).await.expect(StatusCode::OK);
    let bytes = state(1, "l", 0, &json!({}));
    let proposal = api.propose(&workspace, &bytes).await.expect(StatusCode::CREATED);
    for access in &accesses {
        assert!(V1::new(&server, access).works().await);
    }

    let path = format!("/v1/auth/tokens/{}", made["id"].as_str().unwrap());
    alice.delete(&path).await.expect(StatusCode::NO_CONTENT);
    problem(&doomed.get("/v1/auth/me").await, 401);
    refused(&doomed.post("/v1/auth/token", &json!({})).await, "invalid_grant");
    problem(&doomed.post("/v1/auth/issue-s3-creds", &json!({})).await, 401);
    api.get("/account/details").await.expect_error(StatusCode::UNAUTHORIZED);
    for access in &accesses {
        let by_access = V1::new(&server, access);
        problem(&by_access.get("/v1/auth/me").await, 401);
        problem(&by_access.post("/v1/auth/tokens", &json!({"name": "x"})).await, 401);
        problem(&by_access.post("/v1/auth/issue-s3-creds", &json!({})).await, 401);
    }
    api.upload(&proposal, &bytes).await.expect_error(StatusCode::FORBIDDEN);
    let alices = Api::new(&server, &login(&server, &Who::dev("alice")).await);
    alices.current(&workspace).await.expect_error(StatusCode::NOT_FOUND);
    alices.force_unlock(&workspace).await.expect(StatusCode::OK);

    for jwt in accesses.iter().map(String::as_str).chain(s3["SessionToken"].as_str()) {
        is_nowhere(&server, jwt.rsplit('.').next().unwrap());
    }
    is_nowhere(&server, secret(&token));
    let url = proposal.json()["data"]["attributes"]["hosted-state-upload-url"].as_str().unwrap().to_owned();
    is_nowhere(&server, url.rsplit('/').next().unwrap());
}

#[tokio::test]
async fn a_token_that_is_ended_by_its_own_text_is_nowhere_to_be_found() {
    let mut server = Server::start(Options::local().dev_login().env("OPENTACO_LOG_LEVEL", "trace"));
    let alice = V1::new(&server, &login(&server, &Who::dev("alice")).await);
    let (_, token) = alice.make(json!({"name": "leaked"})).await;
    let session = taco_login(&server, &Who::dev("alice")).await;
    let session = refreshed(&server, &session.refresh).await;
    alice.delete(&format!("/v1/auth/tokens/{token}")).await.expect(StatusCode::NO_CONTENT);
    problem(&alice.delete(&format!("/v1/auth/tokens/{token}")).await, 404);
    problem(&alice.delete(&format!("/v1/auth/tokens/{}", session.refresh)).await, 404);
    Api::new(&server, secret(&token)).get("/account/details").await.expect_error(StatusCode::UNAUTHORIZED);
    let needles = [
        secret(&token).to_owned(),
        session.refresh.rsplit('.').next().unwrap().to_owned(),
        session.access.rsplit('.').next().unwrap().to_owned(),
    ];
    for needle in &needles {
        is_nowhere(&server, needle);
    }
    server.restart();
    assert!(!V1::new(&server, &token).works().await, "it stays dead");
    for needle in &needles {
        is_nowhere(&server, needle);
    }
}

#[tokio::test]
async fn a_session_ends_with_its_family() {
    let server = Server::start(Options::local().dev_login());
    let alice = V1::new(&server, &login(&server, &Who::dev("alice")).await);
    let first = taco_login(&server, &Who::dev("alice")).await;
    let second = refreshed(&server, &first.refresh).await;
    let bystander = taco_login(&server, &Who::dev("alice")).await;
    let family = claims(&first.refresh)["par"].as_str().unwrap().replace("fam:", "");
    // taco ends its own session with its own access token.
    let own = V1::new(&server, &second.access);
    own.delete(&format!("/v1/auth/tokens/{family}")).await.expect(StatusCode::NO_CONTENT);
    for Session { access, refresh: token } in [&first, &second] {
        problem(&V1::new(&server, access).get("/v1/auth/me").await, 401);
        refused(&refresh(&server, token).await, "invalid_grant");
    }
    assert!(V1::new(&server, &bystander.access).works().await);
    refreshed(&server, &bystander.refresh).await;
    assert_eq!(alice.tokens().await.len(), 2);
}

/// A body whose second half comes when somebody says so.
fn halting(body: &Value) -> (oneshot::Sender<()>, Body) {
    let text = body.to_string().into_bytes();
    let (first, second) = text.split_at(text.len() / 2);
    let (first, second) = (first.to_vec(), second.to_vec());
    let (go_on, told) = oneshot::channel::<()>();
    let rest = stream::once(async move {
        told.await.map(|()| second).map_err(|_| std::io::Error::other("the test ended"))
    });
    (go_on, Body::wrap_stream(stream::iter([Ok(first)]).chain(rest)))
}

#[tokio::test]
async fn a_request_whose_body_is_still_on_its_way_ends_with_its_token() {
    let server = Server::start(Options::memory().dev_login());
    let alice = V1::new(&server, &login(&server, &Who::dev("alice")).await);
    let attributes = json!({"name": "late", "description": "late"});
    let document = |kind| json!({"data": {"type": kind, "attributes": attributes}});
    let user = Api::new(&server, &alice.make(json!({"name": "x"})).await.1);
    let user = user.get("/account/details").await.id();
    for (path, body) in [
        ("/v1/auth/tokens".to_owned(), json!({"name": "late"})),
        ("/tfe/api/v2/organizations/default/workspaces".to_owned(), document("workspaces")),
        (format!("/tfe/api/v2/users/{user}/authentication-tokens"), document("authentication-tokens")),
        ("/v1/auth/token".to_owned(), json!({})),
    ] {
        let (made, token) = alice.make(json!({"name": "doomed"})).await;
        let (go_on, body) = halting(&body);
        let request = V1::new(&server, &token).request(Method::POST, &path);
        let media = if path.starts_with("/v1") { "application/json" } else { JSON_API };
        let pending = tokio::spawn(answer(request.header(CONTENT_TYPE, media).body(body)));
        if path != "/v1/auth/token" {
            // The server has read the head, and believed the token.
            let has_begun = async || {
                let listed = alice.tokens().await;
                let doomed = listed.iter().find(|listed| listed["id"] == made["id"]).expect("it lives");
                !doomed["last_used_at"].is_null()
            };
            soon("the request has begun", has_begun).await;
        }
        let own = format!("/v1/auth/tokens/{}", made["id"].as_str().unwrap());
        alice.delete(&own).await.expect(StatusCode::NO_CONTENT);
        let before = alice.tokens().await.len();
        go_on.send(()).unwrap();
        let reply = pending.await.unwrap();
        let expected = if path == "/v1/auth/token" { 400 } else { 401 };
        assert_eq!(reply.status.as_u16(), expected, "{path}: {}", reply.text());
        assert_eq!(alice.tokens().await.len(), before, "{path}");
    }
    let found = Api::new(&server, &login(&server, &Who::dev("alice")).await);
    let found = found.get("/organizations/default/workspaces/late").await;
    found.expect_error(StatusCode::NOT_FOUND);
}

/// Ends tokens on one server, and waits until another knows.
async fn elsewhere(storage: Storage) {
    if !storage.is_there() {
        return;
    }
    let pair = Pair::start(Options::on(storage));
    let (here, there) = (&pair.here, &pair.there);
    let owner = V1::new(here, &login(here, &Who::owner(here)).await);
    let (made, token) = owner.make(json!({"name": "doomed"})).await;
    let access = V1::new(here, &token).access().await;
    let session = taco_login(here, &Who::owner(here)).await;
    let (api, bytes) = (Api::new(there, &token), state(1, "l", 0, &json!({})));
    let workspace = api.create_workspace("default", "web").await;
    api.lock(&workspace).await.expect(StatusCode::OK);
    let proposal = api.propose(&workspace, &bytes).await.expect(StatusCode::CREATED);
    // What one server signed, the other takes; and then remembers.
    for bearer in [&token, &access, &session.access] {
        assert!(V1::new(there, bearer).works().await);
    }
    let family = claims(&session.refresh)["par"].as_str().unwrap().replace("fam:", "");
    for id in [made["id"].as_str().unwrap(), &family] {
        owner.delete(&format!("/v1/auth/tokens/{id}")).await.expect(StatusCode::NO_CONTENT);
    }
    for bearer in [&token, &access, &session.access] {
        assert!(!V1::new(here, bearer).works().await, "at once here");
    }
    soon("the API token ends", async || !cloud_works(there, &token).await).await;
    for bearer in [&token, &access, &session.access] {
        soon("all of it ends", async || !V1::new(there, bearer).works().await).await;
    }
    api.upload(&proposal, &bytes).await.expect_error(StatusCode::FORBIDDEN);
    refused(&V1::new(there, &token).post("/v1/auth/token", &json!({})).await, "invalid_grant");
    refused(&refresh(there, &session.refresh).await, "invalid_grant");
    let owners = V1::new(there, &login(there, &Who::owner(there)).await);
    assert!(owners.tokens().await.iter().all(|listed| listed["id"] != made["id"]));
}

#[tokio::test]
async fn another_server_on_the_same_disk_knows_within_five_seconds() {
    elsewhere(Storage::Local).await;
}

#[tokio::test]
async fn another_server_on_the_same_bucket_knows_within_five_seconds() {
    elsewhere(Storage::S3).await;
}
