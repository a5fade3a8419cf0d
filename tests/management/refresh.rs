//! The sessions of `taco`: every refresh token has one successor.

use std::collections::BTreeSet;
use std::fs;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use futures_util::future::join_all;
use opentaco_tests::browser::Who;
use opentaco_tests::server::{Options, Server};
use reqwest::StatusCode;
use reqwest::header::CACHE_CONTROL;
use serde_json::{Value, json};

use crate::v1::{
    Pair, Session, V1, claims, is_nowhere, life, redeem, refresh, refreshed, refused, taco_code, taco_login,
};

fn start() -> Server {
    Server::start(Options::local().dev_login())
}

fn jti(jwt: &str) -> Value {
    claims(jwt)["jti"].clone()
}

/// Makes it look as if a refresh token had been used at another moment.
fn used_at(server: &Server, token: &str, moment: impl FnOnce(&str) -> String) {
    let said = claims(token);
    let family = said["par"].as_str().unwrap().strip_prefix("fam:").unwrap().to_owned();
    let jti = BASE64URL_NOPAD.decode(said["jti"].as_str().unwrap().as_bytes()).unwrap();
    let file = format!("_refresh/{family}/{}.json", HEXLOWER.encode(&jti));
    let path = server.data_dir().join(file);
    let mut used: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    used["issued_at"] = json!(moment(used["issued_at"].as_str().unwrap()));
    fs::write(&path, used.to_string()).unwrap();
}

/// Up to 20 seconds before a moment such as `2025-11-25T12:00:00.000Z`, in the same minute.
fn a_little_earlier(at: &str) -> String {
    let second: u32 = at[17..19].parse().unwrap();
    format!("{}{:02}{}", &at[..17], second.saturating_sub(20), &at[19..])
}

fn long_ago(_: &str) -> String {
    "2020-01-01T00:00:00.000Z".to_owned()
}

#[tokio::test]
async fn a_login_of_taco_gives_a_session_that_goes_on() {
    let server = start();
    let reply = redeem(&server, &taco_code(&server, &Who::dev("alice")).await).await;
    let body = reply.expect(StatusCode::OK).json();
    let names: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(names, ["access_token", "expires_in", "refresh_token", "scope", "token_type"]);
    assert_eq!((&body["expires_in"], &body["token_type"]), (&json!(3600), &json!("Bearer")));
    let first = Session::read(&body);
    let mut session = first.clone();
    let mut seen = BTreeSet::from([jti(&first.refresh).to_string()]);
    for turn in 0..5 {
        let reply = if turn % 2 == 0 {
            refresh(&server, &session.refresh).await
        } else {
            let form = [("grant_type", "refresh_token"), ("refresh_token", session.refresh.as_str())];
            let path = if turn == 1 { "/oauth/token" } else { "/v1/auth/token" };
            V1::anonymous(&server).form(path, &form).await
        };
        assert_eq!(reply.headers[CACHE_CONTROL], "no-store");
        session = Session::read(&reply.expect(StatusCode::OK).json());
        assert!(seen.insert(jti(&session.refresh).to_string()), "another refresh token each time");
        assert_eq!(claims(&session.refresh)["par"], claims(&first.refresh)["par"]);
        assert_eq!(life(&session.refresh), 720 * 3600, "each lives as long as the first");
        assert!(V1::new(&server, &session.access).works().await);
    }
    assert!(V1::new(&server, &first.access).works().await, "what was signed before still is");
    let listed = V1::new(&server, &session.access).tokens().await;
    assert_eq!(listed.len(), 1, "one family, however often it is refreshed: {listed:?}");
    assert_eq!((&listed[0]["kind"], &listed[0]["expires_at"]), (&json!("refresh"), &Value::Null));
    for part in session.refresh.split('.').skip(1).chain(session.access.split('.').skip(1)) {
        is_nowhere(&server, part);
    }
}

#[tokio::test]
async fn the_life_of_refresh_tokens_is_set() {
    let options = Options::memory().dev_login().env("OPENTACO_TOKENS_REFRESH_TTL", "2d");
    let server = Server::start(options);
    let session = taco_login(&server, &Who::dev("alice")).await;
    assert_eq!(life(&session.refresh), 2 * 24 * 3600);
    assert_eq!(life(&refreshed(&server, &session.refresh).await.refresh), 2 * 24 * 3600);
}

#[tokio::test]
async fn who_lost_the_answer_gets_the_same_successor() {
    let pair = Pair::start(Options::local().dev_login());
    let (server, there) = (&pair.here, &pair.there);
    let first = taco_login(server, &Who::dev("alice")).await;
    let second = refreshed(server, &first.refresh).await;
    let again = refreshed(server, &first.refresh).await;
    assert_eq!(jti(&again.refresh), jti(&second.refresh));
    for name in ["iat", "exp", "par", "sub", "aud"] {
        assert_eq!(claims(&again.refresh)[name], claims(&second.refresh)[name], "{name}");
    }
    assert_ne!(jti(&again.access), jti(&second.access));
    // Also on another server, and by the other of the two texts, which are one token.
    assert_eq!(jti(&refreshed(there, &first.refresh).await.refresh), jti(&second.refresh));
    let third = refreshed(there, &again.refresh).await;
    assert_eq!(jti(&refreshed(server, &second.refresh).await.refresh), jti(&third.refresh));
    assert!(V1::new(server, &third.access).works().await);
}

#[tokio::test]
async fn uses_in_parallel_learn_one_successor() {
    let pair = Pair::start(Options::local().dev_login());
    let servers = [&pair.here, &pair.there];
    for _ in 0..5 {
        let first = taco_login(servers[0], &Who::dev("alice")).await;
        let uses = (0..8).map(|n| refreshed(servers[n % 2], &first.refresh));
        let sessions = join_all(uses).await;
        let successors: BTreeSet<String> =
            sessions.iter().map(|session| jti(&session.refresh).to_string()).collect();
        assert_eq!(successors.len(), 1, "{successors:?}");
        for session in sessions {
            assert!(V1::new(servers[1], &session.access).works().await);
        }
    }
}

#[tokio::test]
async fn a_later_use_ends_the_family() {
    let pair = Pair::start(Options::local().dev_login());
    let (server, there) = (&pair.here, &pair.there);
    let first = taco_login(server, &Who::dev("alice")).await;
    let bystander = taco_login(server, &Who::dev("alice")).await;
    let second = refreshed(server, &first.refresh).await;
    let third = refreshed(server, &second.refresh).await;
    used_at(server, &second.refresh, a_little_earlier);
    assert_eq!(jti(&refreshed(server, &second.refresh).await.refresh), jti(&third.refresh), "in time");

    used_at(server, &first.refresh, long_ago);
    let said = refused(&refresh(server, &first.refresh).await, "invalid_grant");
    assert!(said.contains("used before"), "{said}");
    for session in [&first, &second, &third] {
        assert!(!V1::new(server, &session.access).works().await);
        refused(&refresh(server, &session.refresh).await, "invalid_grant");
    }
    assert!(V1::new(server, &bystander.access).works().await, "another login is another family");
    refreshed(server, &bystander.refresh).await;
    assert!(!V1::new(there, &third.access).works().await);
    refused(&refresh(there, &third.refresh).await, "invalid_grant");
}

#[tokio::test]
async fn of_redemptions_in_parallel_at_most_one_session_lives() {
    let server = start();
    for round in 0..10 {
        let code = taco_code(&server, &Who::dev("alice")).await;
        let replies = join_all((0..8).map(|_| redeem(&server, &code))).await;
        let mut successors = BTreeSet::new();
        for reply in replies {
            if reply.status != StatusCode::OK {
                refused(&reply, "invalid_grant");
                continue;
            }
            let session = Session::read(&reply.json());
            successors.insert(jti(&session.refresh).to_string());
        }
        assert!(successors.len() <= 1, "round {round}: {} sessions for one code", successors.len());
    }
}

#[tokio::test]
async fn a_replayed_code_ends_the_session_that_it_gave() {
    let server = start();
    let code = taco_code(&server, &Who::dev("alice")).await;
    let session = Session::read(&redeem(&server, &code).await.expect(StatusCode::OK).json());
    assert!(V1::new(&server, &session.access).works().await);
    refused(&redeem(&server, &code).await, "invalid_grant");
    assert!(!V1::new(&server, &session.access).works().await);
    refused(&refresh(&server, &session.refresh).await, "invalid_grant");
}

#[tokio::test]
async fn only_taco_refreshes() {
    let server = start();
    let session = taco_login(&server, &Who::dev("alice")).await;
    let form = |client| {
        [("grant_type", "refresh_token"), ("refresh_token", session.refresh.as_str()), ("client_id", client)]
    };
    for other in ["terraform-cli", "somebody", ""] {
        for path in ["/oauth/token", "/v1/auth/token"] {
            refused(&V1::anonymous(&server).form(path, &form(other)).await, "invalid_client");
        }
    }
    let reply = V1::anonymous(&server).form("/oauth/token", &form("taco")).await;
    let next = Session::read(&reply.expect(StatusCode::OK).json());
    assert_eq!(jti(&refreshed(&server, &session.refresh).await.refresh), jti(&next.refresh));
}
