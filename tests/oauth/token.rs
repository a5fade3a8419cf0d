//! The token endpoint: one code, one token, for the one who asked.

use std::collections::BTreeSet;
use std::fs;

use futures_util::future::join_all;
use opentaco_tests::browser::Who;
use opentaco_tests::client::{Api, Attempt, REDIRECT, http, login, state};
use opentaco_tests::server::{Options, Server};
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::flow::{code, exchange, exchange_fields, files, refused, start, works};

fn with(fields: &[(String, String)], name: &str, value: &str) -> Vec<(String, String)> {
    let change = |(field, old): &(String, String)| {
        (field.clone(), if field == name { value.to_owned() } else { old.clone() })
    };
    fields.iter().map(change).collect()
}

#[tokio::test]
async fn a_wrong_proof_gets_nothing_and_burns_nothing() {
    let server = start();
    let attempt = Attempt::new(&server);
    let fields = exchange_fields(&attempt, &code(&server, &attempt).await);
    for (name, value, error) in [
        ("code_verifier", "a".repeat(43).as_str(), "invalid_grant"),
        ("code_verifier", &Attempt::new(&server).verifier, "invalid_grant"),
        ("code_verifier", "short", "invalid_grant"),
        ("redirect_uri", "http://localhost:10005/login", "invalid_grant"),
        ("redirect_uri", "http://127.0.0.1:10004/login", "invalid_grant"),
        ("client_id", "somebody", "invalid_client"),
        ("code_verifier", "", "invalid_request"),
        ("code", "", "invalid_request"),
        ("grant_type", "", "invalid_request"),
        ("grant_type", "password", "unsupported_grant_type"),
        ("grant_type", "client_credentials", "unsupported_grant_type"),
    ] {
        let answer = exchange(&server, &with(&fields, name, value)).await;
        assert_eq!(answer.2["error"], error, "{name}={value:.50}: {}", answer.2);
        refused(&answer, error);
    }
    for place in 0..fields.len() {
        let (mut without, mut doubled) = (fields.clone(), fields.clone());
        without.remove(place);
        doubled.push(fields[place].clone());
        refused(&exchange(&server, &without).await, "invalid_request");
        refused(&exchange(&server, &doubled).await, "invalid_request");
    }
    let (status, headers, body) = exchange(&server, &fields).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(body["access_token"], body["token"]);
    assert_eq!((&body["token_type"], &body["scope"]), (&json!("Bearer"), &json!("api s3")));
    assert_eq!(body.get("expires_in"), None, "it does not expire");
    assert!(works(&server, body["token"].as_str().unwrap()).await);
}

#[tokio::test]
async fn a_replayed_code_gets_nothing_and_kills_what_the_first_got() {
    let server = start();
    let attempt = Attempt::new(&server);
    let fields = exchange_fields(&attempt, &code(&server, &attempt).await);
    let (status, _, body) = exchange(&server, &fields).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let token = body["access_token"].as_str().unwrap().to_owned();
    // What cannot prove itself is no replay.
    refused(&exchange(&server, &with(&fields, "code_verifier", &"a".repeat(43))).await, "invalid_grant");
    let alice = Api::new(&server, &token);
    let workspace = alice.create_workspace("default", "web").await;
    alice.lock(&workspace).await.expect(StatusCode::OK);
    let bytes = state(1, "l", 0, &json!({}));
    let proposal = alice.propose(&workspace, &bytes).await.expect(StatusCode::CREATED);

    refused(&exchange(&server, &fields).await, "invalid_grant");
    assert!(!works(&server, &token).await, "the first token is dead");
    alice.get("/account/details").await.expect_error(StatusCode::UNAUTHORIZED);
    alice.upload(&proposal, &bytes).await.expect_error(StatusCode::FORBIDDEN);
    refused(&exchange(&server, &fields).await, "invalid_grant");
    let other = Api::new(&server, &login(&server, &Who::dev("alice")).await);
    other.current(&workspace).await.expect_error(StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn exchanges_in_parallel_give_at_most_one_working_token() {
    let server = start();
    for _ in 0..5 {
        let attempt = Attempt::new(&server);
        let fields = exchange_fields(&attempt, &code(&server, &attempt).await);
        let answers = join_all((0..4).map(|_| exchange(&server, &fields))).await;
        let tokens: BTreeSet<String> = answers
            .iter()
            .filter_map(|answer| answer.2["access_token"].as_str().map(str::to_owned))
            .collect();
        for answer in &answers {
            if answer.0 != StatusCode::OK {
                refused(answer, "invalid_grant");
            }
        }
        let mut working = 0;
        for token in &tokens {
            working += usize::from(works(&server, token).await);
        }
        assert!(working <= 1, "{working} working tokens for one code");
        assert!(tokens.len() <= 1, "{} tokens for one code", tokens.len());
    }
}

#[tokio::test]
async fn a_code_of_another_login_or_none_at_all_is_refused() {
    let server = start();
    let there = start();
    let [mine, other] = [Attempt::new(&server), Attempt::new(&server)];
    let own = code(&server, &mine).await;
    let foreign_attempt = Attempt::new(&there);
    let foreign = code(&there, &foreign_attempt).await;
    refused(&exchange(&server, &exchange_fields(&other, &own)).await, "invalid_grant");
    refused(&exchange(&server, &exchange_fields(&foreign_attempt, &foreign)).await, "invalid_grant");
    let token = login(&server, &Who::dev("alice")).await;
    let mut parts = own.split('.');
    let (head, body) = (parts.next().unwrap(), parts.next().unwrap_or_default());
    let unsigned = format!("{head}.{body}.");
    let none = format!("eyJhbGciOiJub25lIiwidHlwIjoib2FjK2p3dCJ9.{body}.");
    let long = "A".repeat(20_000);
    for garbage in
        ["x", "..", "a.b.c", "\u{0}", &token, &unsigned, &none, &own[1..], &own[..own.len() - 4], &long]
    {
        refused(&exchange(&server, &exchange_fields(&mine, garbage)).await, "invalid_grant");
    }
    let (status, _, body) = exchange(&server, &exchange_fields(&mine, &own)).await;
    assert_eq!(status, StatusCode::OK, "none of that has burned the real one: {body}");
}

#[tokio::test]
async fn only_a_form_in_the_body_is_a_token_request() {
    let server = start();
    let attempt = Attempt::new(&server);
    let own = code(&server, &attempt).await;
    let fields = exchange_fields(&attempt, &own);
    let client = http(&server).build().unwrap();
    let url = format!("{}/oauth/token", server.base_https());
    let form = client.post(&url).form(&fields).build().unwrap();
    let form = String::from_utf8(form.body().unwrap().as_bytes().unwrap().to_vec()).unwrap();
    let document: Value = fields.iter().cloned().map(|(name, value)| (name, Value::from(value))).collect();
    let large = format!("{form}&x={}", "x".repeat(100_000));
    for (kind, body) in [
        ("application/json", document.to_string()),
        ("text/plain", form.clone()),
        ("", form.clone()),
        ("multipart/form-data; boundary=x", form.clone()),
        ("application/x-www-form-urlencoded", "%zz=%".to_owned()),
        ("application/x-www-form-urlencoded", String::new()),
        ("application/x-www-form-urlencoded", large),
    ] {
        let response = client.post(&url).header(CONTENT_TYPE, kind).body(body).send().await.unwrap();
        let answer = (response.status(), response.headers().clone(), response.json().await.unwrap());
        refused(&answer, "invalid_request");
    }
    let in_query = client.post(format!("{url}?{form}")).send().await.unwrap();
    assert_eq!(in_query.status(), 400);
    let by_get = client.get(format!("{url}?{form}")).send().await.unwrap();
    assert_eq!(by_get.status(), 405);
    let (status, _, body) = exchange(&server, &fields).await;
    assert_eq!(status, StatusCode::OK, "{body}");
}

#[tokio::test]
async fn a_token_with_a_life_says_how_long_it_is() {
    let server = Server::start(Options::memory().dev_login().env("OPENTACO_TERRAFORM_TOKEN_TTL", "1h"));
    let attempt = Attempt::new(&server);
    let (_, _, body) = exchange(&server, &exchange_fields(&attempt, &code(&server, &attempt).await)).await;
    assert_eq!(body["expires_in"], 3600, "{body}");
}

#[tokio::test]
async fn a_token_a_code_and_a_verifier_are_nowhere_to_be_found() {
    let server = Server::start(Options::local().dev_login().env("OPENTACO_LOG_LEVEL", "trace"));
    let attempt = Attempt::new(&server);
    let own = code(&server, &attempt).await;
    let fields = exchange_fields(&attempt, &own);
    let (_, _, body) = exchange(&server, &fields).await;
    let token = body["access_token"].as_str().unwrap().to_owned();
    assert!(works(&server, &token).await);
    exchange(&server, &fields).await;
    let secret = token.rsplit_once('_').unwrap().1;
    assert!(secret.len() >= 32, "{secret}");
    let output = server.output();
    for needle in [secret, own.as_str(), &attempt.verifier, &attempt.state, REDIRECT] {
        assert!(!output.contains(needle), "{needle} was printed");
        for file in files(&server.data_dir()) {
            let bytes = fs::read(&file).unwrap();
            let lies = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
            assert!(!lies && !file.to_string_lossy().contains(needle), "{needle} lies in {}", file.display());
        }
    }
}
