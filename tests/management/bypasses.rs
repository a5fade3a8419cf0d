//! Ways around a revocation or a limit, each tried once by somebody who meant it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use data_encoding::BASE64;
use opentaco_tests::browser::{Answer, Browser, Who};
use opentaco_tests::client::{Api, Attempt, REDIRECT, http, login, md5_hex, state};
use opentaco_tests::server::{Options, Server};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// A request whose head is judged already and whose body has not come yet.
struct Slow {
    stream: TcpStream,
    body: Vec<u8>,
}

impl Slow {
    /// Sends the head and the first byte, and returns once the server waits for more.
    fn begin(server: &Server, path: &str, token: &str, kind: &str, body: &Value) -> Self {
        let body = body.to_string().into_bytes();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
            server.host(),
            body.len()
        )
        .unwrap();
        let mut answer = [0; 25];
        stream.read_exact(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 100 Continue"), "{}", String::from_utf8_lossy(&answer));
        stream.write_all(&body[..1]).unwrap();
        Self { stream, body }
    }

    /// Sends the rest and gives the status and everything that came.
    fn end(mut self) -> (u16, String) {
        self.stream.write_all(&self.body[1..]).unwrap();
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    }
}

async fn revoke(server: &Server, token: &str) {
    let client = http(server).build().unwrap();
    let url = format!("{}/v1/auth/tokens/{token}", server.base_https());
    let answer = client.delete(url).bearer_auth(token).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_body_that_comes_after_the_revocation_makes_no_token() {
    let server = Server::start(Options::memory().dev_login());
    let token = login(&server, &Who::dev("alice")).await;
    let slow =
        Slow::begin(&server, "/v1/auth/tokens", &token, "application/json", &json!({"name": "another"}));
    revoke(&server, &token).await;
    let (status, answer) = slow.end();
    assert_eq!(status, 401, "{answer}");
    assert!(!answer.contains("otc_tfe_"), "{answer}");
}

#[tokio::test]
async fn a_body_that_comes_after_the_revocation_commits_no_state() {
    let server = Server::start(Options::memory().dev_login());
    let [token, other] = [login(&server, &Who::dev("alice")).await, login(&server, &Who::dev("alice")).await];
    let api = Api::new(&server, &token);
    let workspace = api.create_workspace("default", "web").await;
    api.lock(&workspace).await.expect(StatusCode::OK);
    let content = state(1, "lineage", 1, &json!({}));
    let attributes = json!({
        "serial": 1, "lineage": "lineage", "md5": md5_hex(&content), "state": BASE64.encode(&content),
    });
    let body = json!({"data": {"type": "state-versions", "attributes": attributes}});
    let path = format!("/tfe/api/v2/workspaces/{workspace}/state-versions");
    let slow = Slow::begin(&server, &path, &token, "application/vnd.api+json", &body);
    revoke(&server, &token).await;
    let (status, answer) = slow.end();
    assert_eq!(status, 401, "{answer}");
    let current =
        Api::new(&server, &other).get(&format!("/workspaces/{workspace}/current-state-version")).await;
    assert_eq!(current.status, StatusCode::NOT_FOUND, "nothing was committed");
}

#[tokio::test]
async fn a_rename_leads_out_of_no_limit() {
    let server = Server::start(Options::memory().dev_login());
    let token = login(&server, &Who::dev("alice")).await;
    let client = http(&server).build().unwrap();
    let wanted = json!({"name": "app", "role": "operator", "unit": "app/*"});
    let url = format!("{}/v1/auth/tokens", server.base_https());
    let made: Value =
        client.post(url).bearer_auth(&token).json(&wanted).send().await.unwrap().json().await.unwrap();
    let limited = Api::new(&server, made["token"].as_str().unwrap());
    let workspace = limited.create_workspace("default", "app~web").await;
    let rename = async |name: &str| {
        let body = json!({"data": {"type": "workspaces", "attributes": {"name": name}}});
        limited.call(Method::PATCH, &format!("/workspaces/{workspace}"), Some(body)).await.status
    };
    assert_eq!(rename("prod~web").await, StatusCode::FORBIDDEN);
    assert_eq!(rename("app~api").await, StatusCode::OK, "inside it is free");
    let all = Api::new(&server, &token);
    all.create_workspace("default", "prod~web").await;
    assert_eq!(rename("prod~web").await, StatusCode::FORBIDDEN, "a name that is taken looks the same");
}

#[tokio::test]
async fn of_a_code_of_tacos_that_many_present_at_once_at_most_one_session_lives() {
    let server = Server::start(Options::memory().dev_login());
    for _ in 0..10 {
        let attempt = Attempt::new(&server);
        let address = attempt.authorization.replace("client_id=terraform-cli", "client_id=taco");
        let arrived = Browser::new(&server).log_in(&address, &Who::dev("alice"), Answer::Allow).await;
        let form = [
            ("client_id", "taco"),
            ("code", &attempt.code(&arrived)),
            ("code_verifier", &attempt.verifier),
            ("grant_type", "authorization_code"),
            ("redirect_uri", REDIRECT),
        ];
        let client = http(&server).build().unwrap();
        let url = format!("{}/oauth/token", server.base_https());
        let tries = (0..6).map(|_| client.post(&url).form(&form).send());
        let answers = futures_util::future::join_all(tries).await;
        let mut sessions = Vec::new();
        for answer in answers {
            let answer = answer.unwrap();
            if answer.status() == StatusCode::OK {
                let body: Value = answer.json().await.unwrap();
                sessions.push(body["refresh_token"].as_str().unwrap().to_owned());
            }
        }
        assert!(sessions.len() <= 1, "{} sessions of one code", sessions.len());
        // The others were second presentations, so what the first one got is ended.
        for refresh in sessions {
            let url = format!("{}/v1/auth/token", server.base_https());
            let again = client.post(url).json(&json!({"refresh_token": refresh})).send().await.unwrap();
            assert_eq!(again.status(), StatusCode::BAD_REQUEST);
        }
    }
}
