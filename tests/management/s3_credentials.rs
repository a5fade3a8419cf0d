//! Credentials of the S3 door, as an AWS `credential_process` prints them.

use std::collections::BTreeMap;

use opentaco_tests::browser::Who;
use opentaco_tests::client::{Api, login};
use opentaco_tests::server::{Options, Server};
use reqwest::header::CACHE_CONTROL;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::v1::{
    V1, answer, claims, files, is_nowhere, life, opened, problem, refresh, refused, secret, soon, taco_login,
};

const PATH: &str = "/v1/auth/issue-s3-creds";

async fn issue(caller: &V1) -> Value {
    let reply = answer(caller.request(Method::POST, PATH)).await.expect(StatusCode::OK);
    assert_eq!(reply.headers[CACHE_CONTROL], "no-store");
    reply.json()
}

fn session(credentials: &Value) -> &str {
    credentials["SessionToken"].as_str().unwrap()
}

/// What is kept, but for what changes by itself: the hour of a token's last use, and the minute probe.
fn kept(server: &Server) -> BTreeMap<String, Vec<u8>> {
    let mut files = files(&server.data_dir());
    files.retain(|name, _| !name.starts_with("_last_used/") && !name.starts_with("_probe/"));
    files
}

#[tokio::test]
async fn credentials_have_the_shape_that_aws_expects() {
    let server = Server::start(Options::memory().dev_login());
    let token = login(&server, &Who::dev("alice")).await;
    let caller = V1::new(&server, &token);
    let session_of_taco = taco_login(&server, &Who::dev("alice")).await;
    for (caller, parent) in [
        (&caller, format!("tok:{}", token.split('_').nth(2).unwrap())),
        (&V1::new(&server, &caller.access().await), format!("tok:{}", token.split('_').nth(2).unwrap())),
        (
            &V1::new(&server, &session_of_taco.access),
            claims(&session_of_taco.refresh)["par"].as_str().unwrap().to_owned(),
        ),
    ] {
        let credentials = issue(caller).await;
        let names: Vec<&String> = credentials.as_object().unwrap().keys().collect();
        assert_eq!(names, ["AccessKeyId", "Expiration", "SecretAccessKey", "SessionToken", "Version"]);
        assert_eq!(credentials["Version"], 1);
        let id = credentials["AccessKeyId"].as_str().unwrap();
        assert!((16..=128).contains(&id.len()), "{id}");
        assert!(id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()), "{id}");
        assert!(credentials["SecretAccessKey"].as_str().unwrap().len() >= 40);
        let end = credentials["Expiration"].as_str().unwrap();
        assert!(end.len() == 20 && end.ends_with('Z') && end.contains('T'), "{end}");
        let (header, said) = opened(session(&credentials));
        assert_eq!(header["typ"], "s3+jwt");
        assert_eq!(said["aud"], format!("{}/s3", server.base_https()));
        assert_eq!((said["sub"].as_str(), said["par"].as_str()), (Some("dev:alice"), Some(parent.as_str())));
        assert_eq!(life(session(&credentials)), 3600);
    }
}

#[tokio::test]
async fn each_call_gives_others_and_keeps_nothing() {
    let server = Server::start(Options::local().dev_login().env("OPENTACO_LOG_LEVEL", "trace"));
    let caller = V1::new(&server, &login(&server, &Who::dev("alice")).await);
    caller.me().await;
    soon("the use is noted", async || !caller.tokens().await[0]["last_used_at"].is_null()).await;
    let before = kept(&server);
    let all = [issue(&caller).await, issue(&caller).await, issue(&caller).await];
    for name in ["AccessKeyId", "SecretAccessKey", "SessionToken"] {
        assert!(all[0][name] != all[1][name] && all[1][name] != all[2][name], "{name}");
    }
    assert_eq!(kept(&server), before);
    for credentials in &all {
        is_nowhere(&server, credentials["SecretAccessKey"].as_str().unwrap());
        is_nowhere(&server, session(credentials).rsplit('.').next().unwrap());
    }
}

#[tokio::test]
async fn credentials_never_outlive_what_they_hang_from() {
    let options = Options::memory().dev_login().env("OPENTACO_TERRAFORM_TOKEN_TTL", "2m");
    let server = Server::start(options);
    let caller = V1::new(&server, &login(&server, &Who::dev("alice")).await);
    let own = caller.tokens().await[0]["expires_at"].clone();
    for caller in [&caller, &V1::new(&server, &caller.access().await)] {
        let credentials = issue(caller).await;
        assert_eq!(credentials["Expiration"], own);
        assert!(life(session(&credentials)) <= 120);
    }
    let (made, token) = caller.make(json!({"name": "shorter", "ttl": "1m", "role": "reader"})).await;
    let credentials = issue(&V1::new(&server, &token)).await;
    assert_eq!(credentials["Expiration"], made["expires_at"]);
}

#[tokio::test]
async fn their_life_is_that_of_access_tokens() {
    let options = Options::memory().dev_login().env("OPENTACO_TOKENS_ACCESS_TTL", "15m");
    let server = Server::start(options);
    let caller = V1::new(&server, &login(&server, &Who::dev("alice")).await);
    assert_eq!(life(session(&issue(&caller).await)), 900);
}

#[tokio::test]
async fn they_open_no_other_door() {
    let server = Server::start(Options::memory().dev_login());
    let token = login(&server, &Who::dev("alice")).await;
    let credentials = issue(&V1::new(&server, &token)).await;
    for part in ["SessionToken", "SecretAccessKey", "AccessKeyId"] {
        let part = credentials[part].as_str().unwrap();
        problem(&V1::new(&server, part).get("/v1/auth/me").await, 401);
        problem(&answer(V1::new(&server, part).request(Method::POST, PATH)).await, 401);
        Api::new(&server, part).get("/account/details").await.expect_error(StatusCode::UNAUTHORIZED);
        refused(&refresh(&server, part).await, "invalid_grant");
    }
    assert!(!server.output().contains(secret(&token)));
}
