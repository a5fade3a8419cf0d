//! What an operator reads when something fails: error texts, log lines, and the questions that are asked with `curl`.
//!
//! | text | where |
//! |---|---|
//! | `Invalid or expired authorization code` | `the_token_endpoint_says_what_is_wrong` |
//! | `Invalid or expired state` | `a_page_says_what_is_wrong` |
//! | `Invalid redirect_uri`, `Invalid client_id` | `a_page_says_what_is_wrong`; the second one also at the token endpoint |
//! | `JWT signer not available`, `Failed to create JWT signer` | `a_signing_key_that_cannot_be_used_stops_the_start_and_says_why` |
//! | `JWT: Loading Ed25519 private key`, `OAuth: Using custom state encryption key` | `the_log_says_which_keys_are_used` |
//! | `OIDC: Configuration loaded` | `the_log_says_when_the_provider_is_known` |
//! | `Token verification failed` | `ping_tells_a_good_token_from_a_bad_one`, and every table of `refusals` |
//!
//! | question | where |
//! |---|---|
//! | `/oidc/jwks.json` | `the_public_keys_are_there_for_anybody`; two servers: `rotation` |
//! | `/oauth/debug` | `how_the_login_is_set_up_is_for_administrators_and_for_the_development_login` |
//! | `/v1/auth/config` | `how_to_log_in_is_told_to_anybody_and_is_no_secret` |
//! | `/healthz`, `/readyz` | `health_asks_for_no_token_and_is_not_hurt_by_one` |
//! | `/tfe/api/v2/ping` | `ping_tells_a_good_token_from_a_bad_one` |
//! | `DELETE /v1/auth/tokens/otc_tfe_…` | `a_token_is_ended_by_itself_in_the_path` |
//! | public base URL, `X-Forwarded-*` | `refusals::forwarded` |
//!
//! What earlier manuals said and what is not so, on purpose: `what_does_not_hold`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use opentaco_tests::browser::{Browser, Who};
use opentaco_tests::client::{Attempt, http, login, login_through};
use opentaco_tests::provider::{CLIENT_SECRET, Provider, ProviderOptions, variables};
use opentaco_tests::server::{Options, Server};
use opentaco_tests::wait::eventually;
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::flow::{exchange, exchange_fields, open, post, session, start, varied, window, works};
use crate::refusals::{Key, taco, text, with, with_endpoints};

const PATIENCE: Duration = Duration::from_secs(40);

/// One line of `curl`.
struct Curl<'a> {
    client: Client,
    server: &'a Server,
}

impl<'a> Curl<'a> {
    fn at(server: &'a Server) -> Self {
        Self { client: http(server).build().unwrap(), server }
    }

    async fn send(&self, method: Method, path: &str, token: Option<&str>) -> Response {
        let request = self.client.request(method, format!("{}{path}", self.server.base_http()));
        let request = token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
        request.send().await.unwrap()
    }

    async fn get(&self, path: &str, token: Option<&str>) -> StatusCode {
        self.send(Method::GET, path, token).await.status()
    }

    async fn json(&self, path: &str, token: Option<&str>) -> Value {
        let response = self.send(Method::GET, path, token).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }
}

#[tokio::test]
async fn a_page_says_what_is_wrong() {
    let server = start();
    let attempt = Attempt::new(&server);
    let evil = varied(&attempt, &[("redirect_uri", Some("http://evil.example/login"))]);
    let nobody = varied(&attempt, &[("client_id", Some("any-non-empty-value"))]);
    let window = window(&server);
    for (url, says) in [
        (
            evil,
            "Invalid redirect_uri: it must be http on localhost, 127.0.0.1 or [::1], with a port from 10000 to 10010",
        ),
        (nobody, "Invalid client_id: this server knows the clients"),
        (format!("{}/oauth/oidc-callback?state=x&code=x", server.base_https()), "Invalid or expired state"),
    ] {
        let shown = open(&window, &url).await;
        shown.stops(400);
        assert!(shown.html.contains(says), "{says}: {}", shown.html);
    }
    let consent = format!("{}/oauth/consent", server.base_https());
    let shown = post(&window, &consent, &[("session", "x"), ("verdict", "allow")]).await;
    for says in ["Invalid or expired state", "OPENTACO_OAUTH_STATE_KEY", "terraform login"] {
        assert!(shown.html.contains(says), "{says}: {}", shown.html);
    }
    // In another browser it is another reason, with another thing to try.
    let mine = session(&open(&window, &attempt.authorization).await.html);
    let identify = format!("{}/oauth/authorization", server.base_https());
    let other = crate::flow::window(&server);
    let shown = post(&other, &identify, &[("session", &mine), ("proof", "alice")]).await;
    assert!(shown.html.contains("Invalid or expired state: this login was begun in another browser"));
}

#[tokio::test]
async fn the_token_endpoint_says_what_is_wrong() {
    let server = start();
    let fields = exchange_fields(&Attempt::new(&server), "no code");
    for (fields, error, says) in [
        (fields.clone(), "invalid_grant", "Invalid or expired authorization code"),
        (with(&fields, "client_id", "any-non-empty-value"), "invalid_client", "Invalid client_id"),
    ] {
        let (status, _, body) = exchange(&server, &fields).await;
        assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &json!(error)));
        assert!(text(&body["error_description"]).starts_with(says), "{body}");
    }
}

#[test]
fn a_signing_key_that_cannot_be_used_stops_the_start_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let key = Key::named("any");
    let (pem, secret) = (key.pem(), text(&json!(key.pem().lines().nth(1))));
    let encrypted = pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let files = [
        ("empty.pem", String::new(), "this is not a PEM file"),
        ("public.pem", key.public_pem(), "this is not a PEM file"),
        ("cut.pem", pem.replace("MC4", "MC5"), "is not an Ed25519 key in plain PKCS#8"),
        ("encrypted.pem", encrypted, "the private key is encrypted"),
    ];
    let refused = |options: Options, path: &str, says: &str| {
        let said = Server::does_not_start(options);
        for part in ["Failed to create JWT signer", "JWT signer not available", path, says] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains(&secret), "the key itself is nobody's concern: {said}");
    };
    let signing = "OPENTACO_TOKENS_PRIVATE_KEY_PEM_PATH";
    for (name, text, says) in files {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap();
        refused(Options::memory().env(signing, path), path, says);
        if name != "public.pem" {
            refused(Options::memory().env("OPENTACO_TOKENS_VERIFY_PEM_PATHS", path), path, says);
        }
    }
    for setting in [signing, "OPENTACO_TOKENS_VERIFY_PEM_PATHS"] {
        let path = folder.path().join("nowhere.pem");
        let path = path.to_str().unwrap();
        refused(Options::memory().env(setting, path), setting, &format!("{path} cannot be read"));
    }
}

#[test]
fn two_keys_of_one_name_stop_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for name in ["one", "two"] {
        fs::write(path(name), Key::named(name).pem()).unwrap();
    }
    let said = Server::does_not_start(
        Options::memory()
            .env("OPENTACO_TOKENS_KID", "v1")
            .env("OPENTACO_TOKENS_PRIVATE_KEY_PEM_PATH", &path("one"))
            .env("OPENTACO_TOKENS_VERIFY_PEM_PATHS", &format!("v1={}", path("two"))),
    );
    assert!(said.contains("JWT signer not available: two different keys have the same kid"), "{said}");
}

#[test]
fn the_log_says_which_keys_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let (path, sealing) = (folder.path().join("key.pem"), "a key that is as long as it has to be");
    fs::write(&path, Key::named("any").pem()).unwrap();
    // As the manual wants it: its owner may read it, and nobody may write it.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    let options = Options::memory()
        .env("OPENTACO_TOKENS_PRIVATE_KEY_PEM_PATH", path.to_str().unwrap())
        .env("OPENTACO_OAUTH_STATE_KEY", sealing);
    let server = Server::start(options);
    server.wait_for(&format!("JWT: Loading Ed25519 private key from {}\n", path.display()));
    server.wait_for("OAuth: Using custom state encryption key\n");
    assert!(!server.output().contains(sealing));
    // Keys that the server makes for itself are neither loaded from anywhere nor custom.
    let said = Server::start(Options::memory()).output();
    assert!(!said.contains("JWT: Loading") && !said.contains("custom state encryption key"), "{said}");
}

#[tokio::test]
async fn the_log_says_when_the_provider_is_known() {
    let Some(installed) = Provider::find() else { return };
    let reserved = Provider::reserve();
    let settings = variables(&reserved.issuer());
    let options = settings.iter().fold(Options::memory(), |options, (name, value)| options.env(name, value));
    let server = Server::start(options.env("OPENTACO_AUTH_ALLOWED_DOMAINS", "*"));
    // A provider that is down is no reason not to start, and no reason for another server to be started.
    let curl = Curl::at(&server);
    let shown = open(&window(&server), &Attempt::new(&server).authorization).await;
    shown.stops(503);
    server.wait_for("OIDC: Configuration not loaded");
    assert!(!server.output().contains("OIDC: Configuration loaded"));
    assert_eq!(curl.json("/v1/auth/config", None).await["provider"]["ready"], false);

    let callback = format!("{}/oauth/oidc-callback", server.base_https());
    let provider =
        installed.start(&ProviderOptions { port: Some(reserved.port()), ..ProviderOptions::to(&callback) });
    drop(reserved);
    eventually(PATIENCE, async || {
        let shown = open(&window(&server), &Attempt::new(&server).authorization).await;
        if shown.status.is_redirection() { Ok(()) } else { Err(format!("still {}", shown.status)) }
    })
    .await;
    server.wait_for("OIDC: Configuration loaded");
    let token = login_through(&server, &provider, "alice").await;
    assert!(works(&server, &token).await);
    let config = curl.json("/v1/auth/config", None).await;
    assert_eq!(config["provider"]["ready"], true, "{config}");
    assert_eq!(config["provider"]["token_endpoint"], provider.endpoint("token"));
    assert!(!config.to_string().contains(CLIENT_SECRET) && !server.output().contains(CLIENT_SECRET));
    let log = provider.log();
    assert!(log.contains("GET /.well-known/openid-configuration 200"), "{log}");
    assert!(!log.contains("openid_configuration"), "nobody answers that spelling: {log}");
}

#[tokio::test]
async fn ping_tells_a_good_token_from_a_bad_one() {
    let server = start();
    let (token, curl) = (login(&server, &Who::dev("alice")).await, Curl::at(&server));
    let last = if token.ends_with('a') { 'q' } else { 'a' };
    let wrong = format!("{}{last}", &token[..token.len() - 1]);
    let cases = [
        (Some(token.as_str()), StatusCode::NO_CONTENT),
        (None, StatusCode::NO_CONTENT),
        (Some("otc_tfe_xyz"), StatusCode::UNAUTHORIZED),
        (Some(wrong.as_str()), StatusCode::UNAUTHORIZED),
    ];
    for (token, status) in cases {
        let answer = curl.send(Method::GET, "/tfe/api/v2/ping", token).await;
        assert_eq!(answer.status(), status, "{token:?}");
        assert_eq!(answer.headers()["tfp-api-version"], "2.6", "{token:?}");
    }
    curl.send(Method::from_bytes(b"LAST").unwrap(), "/tfe/api/v2/ping", None).await;
    server.wait_for("method=LAST");
    assert_eq!(server.output().matches("Token verification failed").count(), 2);
}

#[tokio::test]
async fn the_public_keys_are_there_for_anybody() {
    let server = start();
    let jwks = Curl::at(&server).json("/oidc/jwks.json", None).await;
    let key = &jwks["keys"][0];
    for (member, value) in [("kty", "OKP"), ("crv", "Ed25519"), ("alg", "EdDSA"), ("use", "sig")] {
        assert_eq!(key[member], value, "{jwks}");
    }
    assert_eq!(text(&key["kid"]).len(), 43, "a thumbprint: {jwks}");
    assert_eq!(key.as_object().unwrap().len(), 6, "and nothing private: {jwks}");
}

#[tokio::test]
async fn how_to_log_in_is_told_to_anybody_and_is_no_secret() {
    let secret = "the-secret-of-the-client";
    let oidc = with_endpoints(Options::memory()).env("OPENTACO_AUTH_CLIENT_SECRET", secret);
    for (options, method) in
        [(Options::memory(), "code"), (Options::memory().dev_login(), "development"), (oidc, "oidc")]
    {
        let server = Server::start(options);
        let config = Curl::at(&server).json("/v1/auth/config", None).await;
        assert_eq!((&config["login"], &config["client_id"]), (&json!(method), &json!("taco")), "{config}");
        let endpoint = format!("{}/oauth/token", server.base_http());
        assert_eq!((&config["token_endpoint"], &config["ports"]), (&json!(endpoint), &json!([10000, 10010])));
        assert_eq!(config["provider"].is_object(), method == "oidc", "{config}");
        assert!(!config.to_string().contains(secret), "{config}");
        // It is what a client can log in with.
        let attempt = taco(&Attempt::new(&server));
        assert!(!open(&window(&server), &attempt.authorization).await.status.is_client_error());
    }
}

#[tokio::test]
async fn how_the_login_is_set_up_is_for_administrators_and_for_the_development_login() {
    let development = start();
    let debug = Curl::at(&development).json("/oauth/debug", None).await;
    let jwks = Curl::at(&development).json("/oidc/jwks.json", None).await;
    assert_eq!(debug["kids"][0], jwks["keys"][0]["kid"]);
    assert_eq!(debug["issuer"], development.base_https());
    assert_eq!(debug["clients"], json!(["terraform-cli", "taco"]));
    let redirects = text(&debug["redirect_uris"]);
    assert!(redirects.contains("port 10000 to 10010") && redirects.contains("127.0.0.1"), "{redirects}");

    let options = with_endpoints(Options::local())
        .env("OPENTACO_ADMINS", "oidc:ann")
        .env("OPENTACO_AUTH_CLIENT_SECRET", "the-secret-of-the-client");
    for server in [Server::start(Options::local()), Server::start(options)] {
        let curl = Curl::at(&server);
        assert_eq!(curl.get("/oauth/debug", None).await, StatusCode::UNAUTHORIZED);
        assert_eq!(curl.get("/oauth/debug", Some("otc_tfe_xyz")).await, StatusCode::UNAUTHORIZED);
        let ann = server.admin_token("oidc:ann");
        let debug = curl.json("/oauth/debug", Some(&ann)).await;
        assert_eq!(debug["callback"], format!("{}/oauth/oidc-callback", server.base_http()));
        assert!(!debug.to_string().contains("the-secret-of-the-client"), "{debug}");
        // Without access control everybody is one.
        let bob = server.admin_token("oidc:bob");
        let status = if debug["login"] == "oidc" { StatusCode::FORBIDDEN } else { StatusCode::OK };
        assert_eq!(curl.get("/oauth/debug", Some(&bob)).await, status);
    }
}

#[tokio::test]
async fn health_asks_for_no_token_and_is_not_hurt_by_one() {
    let server = Server::start(Options::memory());
    for path in ["/healthz", "/readyz"] {
        for token in [None, Some("otc_tfe_xyz"), Some("eyJhbGciOiJub25lIn0.e30.")] {
            assert_eq!(Curl::at(&server).get(path, token).await, StatusCode::OK, "{path} {token:?}");
        }
    }
}

#[tokio::test]
async fn a_token_is_ended_by_itself_in_the_path() {
    let server = Server::start(Options::memory().dev_login().env("OPENTACO_LOG_LEVEL", "trace"));
    let [mine, lost, others] = ["alice", "alice", "bob"].map(|name| login_as(&server, name));
    let (mine, lost, others) = (mine.await, lost.await, others.await);
    let curl = Curl::at(&server);
    let delete = async |token: &str, by: &str| {
        curl.send(Method::DELETE, &format!("/v1/auth/tokens/{token}"), Some(by)).await.status()
    };
    assert_eq!(delete(&lost, &mine).await, StatusCode::NO_CONTENT);
    assert_eq!(curl.get("/tfe/api/v2/ping", Some(&lost)).await, StatusCode::UNAUTHORIZED);
    assert_eq!(curl.get("/tfe/api/v2/ping", Some(&mine)).await, StatusCode::NO_CONTENT);
    for gone in ["otc_tfe_xyz", &lost] {
        assert_eq!(delete(gone, &mine).await, StatusCode::NOT_FOUND, "{gone}");
    }
    assert_eq!(delete(&mine, &mine).await, StatusCode::NO_CONTENT);
    assert_eq!(curl.get("/tfe/api/v2/ping", Some(&mine)).await, StatusCode::UNAUTHORIZED);
    assert!(works(&server, &others).await);
    // A path is not logged, but its template is; the last one was about the last token.
    curl.send(Method::from_bytes(b"LAST").unwrap(), &format!("/v1/auth/tokens/{others}"), None).await;
    server.wait_for("method=LAST route=\"/v1/auth/tokens/{token}\"");
    let said = server.output();
    for token in [&mine, &lost, &others] {
        assert!(!said.contains(token.rsplit_once('_').unwrap().1));
    }
}

async fn login_as(server: &Server, name: &str) -> String {
    login(server, &Who::dev(name)).await
}

/// The names of all files, and what is in them.
fn everything(folder: &Path) -> String {
    let mut found = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found.push_str(&path.to_string_lossy());
        if path.is_dir() {
            found.push_str(&everything(&path));
        } else {
            found.push_str(&String::from_utf8_lossy(&fs::read(&path).unwrap()));
        }
    }
    found
}

#[tokio::test]
async fn what_does_not_hold() {
    // The storage lists tokens, and none that could be used: `_tfe_tokens/otc_tfe_xyz.json` was one in plain text.
    let server = Server::start(Options::local().dev_login());
    let token = login_as(&server, "alice").await;
    let (id, secret) = token.strip_prefix("otc_tfe_").unwrap().split_once('_').unwrap();
    let stored = everything(&server.data_dir());
    assert!(stored.contains(&format!("_tfe_tokens/{id}/")), "it is there by its public id");
    assert!(!stored.contains(secret) && !stored.contains("otc_tfe_"), "and it is not there");

    // Neither the one spelling nor the other: this server is no OpenID provider.
    let curl = Curl::at(&server);
    for path in ["/.well-known/openid_configuration", "/.well-known/openid-configuration"] {
        assert_eq!(curl.get(path, None).await, StatusCode::NOT_FOUND, "{path}");
    }

    // Not any client id: a page elsewhere must not be able to make one up.
    for client in ["any-non-empty-value", "opentaco", "terraform"] {
        let url = varied(&Attempt::new(&server), &[("client_id", Some(client))]);
        open(&window(&server), &url).await.stops(400);
    }

    // No login without the terminal's code, a provider, or the word of whoever has started the server.
    let plain = Server::start(Options::memory());
    let page = Browser::new(&plain).try_to_log_in(&Attempt::new(&plain).authorization, "alice").await.page();
    assert_eq!(page.status, 422, "{}", page.html);
    assert_eq!(Curl::at(&plain).get("/oauth/debug", None).await, StatusCode::UNAUTHORIZED);
}
