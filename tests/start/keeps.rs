//! What outlives a process, and what does not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use opentaco_tests::browser::{Browser, Who};
use opentaco_tests::client::{Api, Attempt, login, state};
use opentaco_tests::server::{Options, Server};
use reqwest::StatusCode;
use serde_json::json;

/// The files of a folder with their bytes.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = entries
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap()))
        .collect();
    all.sort();
    all
}

#[tokio::test]
async fn a_second_start_keeps_keys_certificate_tokens_and_uploads_under_way() {
    let mut server = Server::start(Options::local().dev_login());
    let token = login(&server, &Who::dev("alice")).await;
    let alice = Api::new(&server, &token);
    let id = alice.create_workspace("default", "web").await;
    let bytes = [1, 2].map(|serial| state(serial, "l", 1, &json!({})));
    alice.write(&id, &bytes[0]).await;
    alice.lock(&id).await.expect(StatusCode::OK);
    let proposal = alice.propose(&id, &bytes[1]).await.expect(StatusCode::CREATED);
    let attempt = Attempt::new(&server);
    let arrived = Browser::new(&server)
        .log_in(&attempt.authorization, &Who::dev("bob"), opentaco_tests::browser::Answer::Allow)
        .await;
    let keys = contents(&server.data_dir().join("keys"));
    let ca = fs::read(server.ca()).unwrap();
    server.restart();

    assert_eq!(contents(&server.data_dir().join("keys")), keys);
    assert_eq!(fs::read(server.ca()).unwrap(), ca);
    let alice = Api::new(&server, &token);
    assert_eq!(alice.download(&id).await.expect(StatusCode::OK).body, bytes[0]);
    alice.upload(&proposal, &bytes[1]).await.expect(StatusCode::OK);
    assert_eq!(alice.download(&id).await.expect(StatusCode::OK).body, bytes[1]);
    alice.unlock(&id).await.expect(StatusCode::OK);
    // A code from before the restart is good after it.
    let (status, body) = attempt.exchange(&server, &attempt.code(&arrived)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
}

#[tokio::test]
async fn everything_outlives_a_kill_too() {
    let mut server = Server::start(Options::local().dev_login());
    let token = login(&server, &Who::dev("alice")).await;
    let id = Api::new(&server, &token).create_workspace("default", "web").await;
    let bytes = state(1, "l", 1, &json!({}));
    Api::new(&server, &token).write(&id, &bytes).await;
    server.kill();
    server.restart();
    assert_eq!(Api::new(&server, &token).download(&id).await.expect(StatusCode::OK).body, bytes);
}

#[tokio::test]
async fn a_replayed_code_stays_refused_after_a_restart() {
    let mut server = Server::start(Options::local().dev_login());
    let attempt = Attempt::new(&server);
    let answer = opentaco_tests::browser::Answer::Allow;
    let arrived = Browser::new(&server).log_in(&attempt.authorization, &Who::dev("alice"), answer).await;
    let (_, body) = attempt.exchange(&server, &attempt.code(&arrived)).await;
    let token = body["access_token"].as_str().unwrap().to_owned();
    server.restart();
    let (status, body) = attempt.exchange(&server, &attempt.code(&arrived)).await;
    assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_grant")));
    Api::new(&server, &token).get("/account/details").await.expect_error(StatusCode::UNAUTHORIZED);
    server.restart();
    Api::new(&server, &token).get("/account/details").await.expect_error(StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn memory_forgets() {
    let mut server = Server::start(Options::memory().dev_login());
    let token = login(&server, &Who::dev("alice")).await;
    server.restart();
    Api::new(&server, &token).get("/account/details").await.expect_error(StatusCode::UNAUTHORIZED);
}

#[test]
fn a_data_dir_that_others_may_enter_is_closed_at_the_next_start() {
    let mut server = Server::start(Options::local());
    server.stop();
    fs::set_permissions(server.data_dir(), fs::Permissions::from_mode(0o755)).unwrap();
    server.restart();
    assert_eq!(fs::metadata(server.data_dir()).unwrap().permissions().mode() & 0o777, 0o700);
}
