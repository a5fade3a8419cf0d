//! An API token for an access token.

use std::time::Duration;

use opentaco_tests::browser::Who;
use opentaco_tests::client::{Api, login};
use opentaco_tests::server::{Options, Server};
use opentaco_tests::wait::eventually;
use reqwest::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::v1::{V1, answer, claims, life, opened, problem, refused, secret, taco_code, taco_login};

const PATH: &str = "/v1/auth/token";

async fn alice(options: Options) -> (Server, String) {
    let server = Server::start(options.dev_login());
    let token = login(&server, &Who::dev("alice")).await;
    (server, token)
}

#[tokio::test]
async fn an_api_token_is_worth_an_access_token_and_nothing_more() {
    let (server, token) = alice(Options::memory()).await;
    let caller = V1::new(&server, &token);
    let reply = caller.post(PATH, &json!({})).await.expect(StatusCode::OK);
    assert_eq!(reply.headers[CACHE_CONTROL], "no-store");
    let body = reply.json();
    let names: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(names, ["access_token", "expires_in", "token_type"], "no refresh token");
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(3600)));
    let access = body["access_token"].as_str().unwrap();
    let (header, said) = opened(access);
    assert_eq!(header["typ"], "at+jwt");
    assert_eq!(said["par"], format!("tok:{}", token.split('_').nth(2).unwrap()));
    assert_eq!(said["aud"], format!("{}/v1", server.base_https()), "whatever address the client used");
    assert_eq!(life(access), 3600);
    let names: Vec<&String> = said.as_object().unwrap().keys().collect();
    assert_eq!(names, ["aud", "exp", "iat", "iss", "jti", "par", "sub"], "nothing that could go stale");
    let again = caller.access().await;
    assert_ne!(claims(&again)["jti"], said["jti"], "each is another one");
    // No body at all is the empty object.
    answer(caller.request(Method::POST, PATH)).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn the_cloud_api_takes_no_access_token_and_says_so() {
    let (server, token) = alice(Options::memory()).await;
    let access = V1::new(&server, &token).access().await;
    let error = Api::new(&server, &access).get("/account/details").await;
    let error = error.expect_error(StatusCode::UNAUTHORIZED);
    let said = error["detail"].as_str().or(error["title"].as_str()).unwrap();
    assert!(said.contains("JWT"), "{error}");
}

#[tokio::test]
async fn nothing_signed_lives_past_its_parent() {
    let options = Options::memory().env("OPENTACO_TERRAFORM_TOKEN_TTL", "2m");
    let (server, token) = alice(options.env("OPENTACO_TOKENS_ACCESS_TTL", "1h")).await;
    let caller = V1::new(&server, &token);
    let answer = caller.post(PATH, &json!({})).await.expect(StatusCode::OK).json();
    let left = answer["expires_in"].as_i64().unwrap();
    assert!((60..=120).contains(&left), "{answer}");
    let access = answer["access_token"].as_str().unwrap();
    assert_eq!(life(access), left);
    // What is left grows shorter, and the end stays where it is.
    eventually(Duration::from_secs(10), async || {
        let later = caller.access().await;
        assert!(claims(&later)["exp"].as_i64() <= claims(access)["exp"].as_i64());
        if life(&later) < left { Ok(()) } else { Err(format!("{}", claims(&later))) }
    })
    .await;
    let own = caller.tokens().await;
    assert_eq!(own.len(), 1);
    assert_ne!(own[0]["expires_at"], Value::Null);
}

#[tokio::test]
async fn access_tokens_end_after_the_time_that_is_set() {
    let (server, token) = alice(Options::memory().env("OPENTACO_TOKENS_ACCESS_TTL", "90s")).await;
    assert_eq!(life(&V1::new(&server, &token).access().await), 90);
    let session = taco_login(&server, &Who::dev("alice")).await;
    assert_eq!(life(&session.access), 90);
}

#[tokio::test]
async fn nothing_else_is_worth_anything_here() {
    let (server, token) = alice(Options::memory()).await;
    let caller = V1::new(&server, &token);
    let access = caller.access().await;
    let session = taco_login(&server, &Who::dev("alice")).await;
    let code = taco_code(&server, &Who::dev("alice")).await[1].1.clone();
    let (_, revoked) = caller.make(json!({"name": "short"})).await;
    let key = format!("/v1/auth/tokens/{revoked}");
    caller.delete(&key).await.expect(StatusCode::NO_CONTENT);
    let unknown = format!("otc_tfe_{}_{}", "a".repeat(16), "b".repeat(52));
    let forged = format!("{}{}", &token[..token.len() - 52], "b".repeat(52));
    let s3 = caller.post("/v1/auth/issue-s3-creds", &json!({})).await.expect(StatusCode::OK).json();
    let s3 = s3["SessionToken"].as_str().unwrap();
    let bad = [&access, &session.access, &session.refresh, &code, &revoked, &unknown, &forged, s3, "x"];
    for bad in bad {
        let presented = V1::new(&server, bad);
        let said = refused(&presented.post(PATH, &json!({})).await, "invalid_grant");
        assert!(!said.contains(bad), "{said}");
    }
    for bad in [&access, &session.access, &code, &token, &unknown, s3, "x", "", "eyJhbGciOiJub25lIn0.e30."] {
        let body = json!({"refresh_token": bad});
        refused(&V1::anonymous(&server).post(PATH, &body).await, "invalid_grant");
        if !bad.is_empty() {
            let form = [("grant_type", "refresh_token"), ("refresh_token", bad)];
            for path in [PATH, "/oauth/token"] {
                refused(&V1::anonymous(&server).form(path, &form).await, "invalid_grant");
            }
        }
    }
    assert!(V1::new(&server, &session.access).works().await, "none of that has ended anything");
    assert!(!server.output().contains(secret(&token)));
}

#[tokio::test]
async fn what_is_no_request_is_refused_as_such() {
    let (server, token) = alice(Options::memory()).await;
    let (caller, anonymous) = (V1::new(&server, &token), V1::anonymous(&server));
    let session = taco_login(&server, &Who::dev("alice")).await;
    for nothing in [json!({}), json!({"refresh_token": 7}), json!({"refresh_token": null})] {
        refused(&anonymous.post(PATH, &nothing).await, "invalid_grant");
    }
    refused(&caller.post(PATH, &json!({"refresh_token": session.refresh})).await, "invalid_request");
    for body in ["{", "[]", "\"x\"", "null", "7", "{\"refresh_token\":", "\u{feff}{}"] {
        let request = anonymous.request(Method::POST, PATH).header(CONTENT_TYPE, "application/json");
        refused(&answer(request.body(body)).await, "invalid_request");
    }
    let basic = anonymous.request(Method::POST, PATH).header(AUTHORIZATION, "Basic dTpw");
    refused(&answer(basic).await, "invalid_request");
    for form in [
        &[][..],
        &[("refresh_token", session.refresh.as_str())],
        &[("grant_type", "refresh_token")],
        &[("grant_type", "refresh_token"), ("refresh_token", "a"), ("refresh_token", "b")],
        &[("grant_type", "refresh_token"), ("grant_type", "refresh_token"), ("refresh_token", "a")],
    ] {
        refused(&anonymous.form(PATH, form).await, "invalid_request");
    }
    for grant in ["authorization_code", "password", "client_credentials", "urn:x"] {
        refused(&anonymous.form(PATH, &[("grant_type", grant)]).await, "unsupported_grant_type");
    }
    let by_query = format!("{PATH}?grant_type=refresh_token&refresh_token={}", session.refresh);
    assert_eq!(answer(anonymous.request(Method::POST, &by_query)).await.status, 400);
    problem(&anonymous.get(&by_query).await, 405);
    // None of that was a use of the refresh token.
    let next = crate::v1::refreshed(&server, &session.refresh).await;
    assert!(V1::new(&server, &next.access).works().await);
}
