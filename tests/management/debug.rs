//! `/oauth/debug`: what an operator looks at when nobody can log in.

use std::fs;

use opentaco_tests::browser::Who;
use opentaco_tests::client::login;
use opentaco_tests::server::{Options, Server};
use reqwest::StatusCode;
use reqwest::header::CACHE_CONTROL;
use serde_json::{Value, json};

use crate::v1::{V1, problem, soon};

const PATH: &str = "/oauth/debug";

/// Demands the setup, and nothing secret in it.
async fn shown(server: &Server, caller: &V1) -> Value {
    let reply = caller.get(PATH).await.expect(StatusCode::OK);
    assert_eq!(reply.headers[CACHE_CONTROL], "no-store");
    let text = reply.text();
    for entry in fs::read_dir(server.data_dir().join("keys")).into_iter().flatten().flatten() {
        let key = fs::read_to_string(entry.path()).unwrap();
        for line in key.lines().filter(|line| line.len() > 20) {
            assert!(!text.contains(line.trim()), "a line of {}: {text}", entry.path().display());
        }
    }
    let setup = reply.json();
    assert_eq!(setup["issuer"], server.base_https());
    assert_eq!(setup["callback"], format!("{}/oauth/oidc-callback", server.base_https()));
    assert_eq!(setup["clients"], json!(["terraform-cli", "taco"]));
    let published = V1::anonymous(server).get("/oidc/jwks.json").await.json();
    assert_eq!(setup["kids"], json!([published["keys"][0]["kid"]]));
    setup
}

#[tokio::test]
async fn under_the_development_login_it_is_open() {
    let server = Server::start(Options::local().dev_login());
    let setup = shown(&server, &V1::anonymous(&server)).await;
    assert_eq!(setup["login"], "development");
    let alice = V1::new(&server, &login(&server, &Who::dev("alice")).await);
    assert_eq!(shown(&server, &alice).await, setup);
    problem(&V1::new(&server, "hunter2").get(PATH).await, 401);
}

#[tokio::test]
async fn elsewhere_it_is_for_administrators() {
    let server = Server::start(Options::local());
    let owner = V1::new(&server, &login(&server, &Who::owner(&server)).await);
    problem(&V1::anonymous(&server).get(PATH).await, 401);
    problem(&V1::new(&server, "hunter2").get(PATH).await, 401);
    let setup = shown(&server, &owner).await;
    assert_eq!(setup["login"], "code");
    assert!(!setup.to_string().contains(&server.login_code()), "the code is for the terminal");
    shown(&server, &V1::new(&server, &owner.access().await)).await;
    let (_, limited) = owner.make(json!({"name": "limited", "role": "operator"})).await;
    problem(&V1::new(&server, &limited).get(PATH).await, 403);

    let other = V1::new(&server, &server.admin_token("oidc:bob"));
    shown(&server, &other).await;
    server.admin(&["grant", "oidc:alice"]);
    soon("access control is on", async || other.get(PATH).await.status == StatusCode::FORBIDDEN).await;
    problem(&other.get(PATH).await, 403);
    shown(&server, &V1::new(&server, &server.admin_token("oidc:alice"))).await;
    shown(&server, &owner).await;
}

#[tokio::test]
async fn the_providers_secret_is_not_shown() {
    let secret = "hunter2-hunter2-hunter2";
    let options = Options::local()
        .env("OPENTACO_AUTH_ISSUER", "http://127.0.0.1:9/realm")
        .env("OPENTACO_AUTH_CLIENT_ID", "opentaco-web")
        .env("OPENTACO_AUTH_CLIENT_SECRET", secret)
        .env("OPENTACO_ADMINS", "oidc:alice");
    let server = Server::start(options);
    problem(&V1::anonymous(&server).get(PATH).await, 401);
    let setup = shown(&server, &V1::new(&server, &server.admin_token("oidc:alice"))).await;
    assert_eq!(setup["provider"]["client_id"], "opentaco-web");
    assert!(!setup.to_string().contains("hunter2"), "{setup}");
    problem(&V1::new(&server, &server.admin_token("oidc:bob")).get(PATH).await, 403);
    assert!(!server.output().contains(secret));
}
