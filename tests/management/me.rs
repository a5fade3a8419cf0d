//! What anybody may know, and who the caller is.

use jwt_simple::prelude::{Ed25519PublicKey, EdDSAPublicKeyLike as _};
use opentaco_tests::browser::Who;
use opentaco_tests::client::login;
use opentaco_tests::server::{Options, Server};
use reqwest::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::v1::{V1, answer, claims, life, opened, problem, taco_code, taco_login, tampered};

fn start() -> Server {
    Server::start(Options::memory().dev_login())
}

#[tokio::test]
async fn how_to_log_in_is_told_to_anybody() {
    let provider = Options::memory()
        .env("OPENTACO_AUTH_ISSUER", "http://127.0.0.1:9/realm")
        .env("OPENTACO_AUTH_CLIENT_ID", "opentaco-web")
        .env("OPENTACO_AUTH_CLIENT_SECRET", "hunter2-hunter2-hunter2")
        .env("OPENTACO_ADMINS", "oidc:alice");
    for (options, method) in [
        (Options::memory(), "code"),
        (Options::memory().dev_login(), "development"),
        // One that is down does not stop the start.
        (provider, "oidc"),
    ] {
        let server = Server::start(options);
        let reply = V1::anonymous(&server).get("/v1/auth/config").await.expect(StatusCode::OK);
        assert_eq!(reply.headers[CONTENT_TYPE], "application/json");
        assert_eq!(reply.headers[CACHE_CONTROL], "no-store");
        let config = reply.json();
        let base = server.base_https();
        assert_eq!(config["login"], method);
        assert_eq!(config["client_id"], "taco");
        assert_eq!(config["authorization_endpoint"], format!("{base}/oauth/authorization"));
        assert_eq!(config["token_endpoint"], format!("{base}/oauth/token"));
        assert_eq!(config["jwks_uri"], format!("{base}/oidc/jwks.json"));
        assert_eq!(config["ports"], json!([10000, 10010]));
        assert!(!reply.text().contains("hunter2"), "{config}");
        if method == "oidc" {
            assert_eq!(config["provider"]["issuer"], "http://127.0.0.1:9/realm");
            assert_eq!(config["provider"]["client_id"], "opentaco-web");
            assert_eq!(config["provider"]["ready"], false, "{config}");
        } else {
            assert_eq!(config["provider"], Value::Null);
        }
    }
}

#[tokio::test]
async fn whoever_presents_nothing_good_is_told_how_to() {
    let server = start();
    let token = login(&server, &Who::dev("alice")).await;
    let session = taco_login(&server, &Who::dev("alice")).await;
    let code = taco_code(&server, &Who::dev("alice")).await[1].1.clone();
    let anonymous = V1::anonymous(&server);
    for (method, path) in [
        (Method::GET, "/v1/auth/me"),
        (Method::GET, "/v1/auth/tokens"),
        (Method::POST, "/v1/auth/tokens"),
        (Method::DELETE, "/v1/auth/tokens/aaaaaaaaaaaaaaaa"),
        (Method::POST, "/v1/auth/issue-s3-creds"),
    ] {
        problem(&answer(anonymous.request(method, path)).await, 401);
    }
    let [unknown, other] = ["a", "b"].map(|id| format!("otc_tfe_{}_{}", id.repeat(16), "c".repeat(52)));
    let swapped = format!("{}{}", &token[..token.len() - 52], "d".repeat(52));
    let [cut, longer] = [token[..token.len() - 1].to_owned(), format!("{token}a")];
    let tampered = tampered(&session.access);
    let headless = session.access.split_once('.').unwrap().1;
    for bad in [
        unknown.as_str(),
        &other,
        &swapped,
        &cut,
        &longer,
        &tampered,
        headless,
        &session.refresh,
        &code,
        "eyJ",
        "eyJhbGciOiJub25lIn0.e30.",
        "hunter2",
    ] {
        problem(&V1::new(&server, bad).get("/v1/auth/me").await, 401);
    }
    for header in [format!("Basic {token}"), token.clone(), "Bearer".to_owned(), format!("Bearer, {token}")] {
        let request = anonymous.request(Method::GET, "/v1/auth/me").header(AUTHORIZATION, header);
        problem(&answer(request).await, 401);
    }
    let twice = V1::new(&server, &token).request(Method::GET, "/v1/auth/me");
    problem(&answer(twice.header(AUTHORIZATION, format!("Bearer {token}"))).await, 401);
}

#[tokio::test]
async fn a_caller_is_the_same_by_its_token_and_by_what_is_signed_for_it() {
    let server = start();
    let token = login(&server, &Who::dev("alice")).await;
    let caller = V1::new(&server, &token);
    let me = caller.me().await;
    let id = token.split('_').nth(2).unwrap();
    let created = me["token"]["created_at"].as_str().unwrap();
    assert!(created.len() == 20 && created.ends_with('Z'), "{created}");
    let name = me["token"]["name"].as_str().unwrap();
    assert!(name.starts_with("terraform"), "{name}");
    assert_eq!(
        me,
        json!({
            "subject": "dev:alice", "name": "alice", "email": null, "email_verified": false, "groups": [],
            "access_control": false, "administrator": true,
            "token": {
                "id": id, "kind": "api", "name": name, "role": null, "unit": null,
                "created_at": created, "last_used_at": null, "expires_at": null,
            },
        })
    );
    let access = caller.access().await;
    assert_eq!(V1::new(&server, &access).me().await, me);
    let session = taco_login(&server, &Who::dev("alice")).await;
    let by_session = V1::new(&server, &session.access).me().await;
    assert_eq!(by_session["subject"], "dev:alice");
    assert_eq!(by_session["token"]["kind"], "refresh");
    assert_ne!(by_session["token"]["id"], id);
}

#[tokio::test]
async fn a_limited_token_says_what_it_is_limited_to() {
    let server = start();
    let alice = V1::new(&server, &login(&server, &Who::dev("alice")).await);
    let (_, token) = alice.make(json!({"name": "ci", "role": "reader", "unit": "app/*", "ttl": "90d"})).await;
    let me = V1::new(&server, &token).me().await;
    assert_eq!((&me["token"]["role"], &me["token"]["unit"]), (&json!("reader"), &json!("app/*")));
    assert_eq!(me["administrator"], false, "{me}");
    let by_access = V1::new(&server, &V1::new(&server, &token).access().await).me().await;
    assert_eq!(by_access, me, "what is signed for it is worth no more");
}

#[tokio::test]
async fn what_this_door_does_not_have_is_a_problem_document() {
    let server = start();
    let alice = V1::new(&server, &login(&server, &Who::dev("alice")).await);
    for path in ["/v1", "/v1/", "/v1/auth", "/v1/auth/nothing", "/v1/auth/me/x", "/v1/auth/tokens/a/b"] {
        problem(&alice.get(path).await, 404);
    }
    for (method, path) in [
        (Method::POST, "/v1/auth/config"),
        (Method::DELETE, "/v1/auth/me"),
        (Method::GET, "/v1/auth/token"),
        (Method::PUT, "/v1/auth/tokens"),
        (Method::GET, "/v1/auth/tokens/aaaaaaaaaaaaaaaa"),
        (Method::GET, "/v1/auth/issue-s3-creds"),
    ] {
        problem(&answer(alice.request(method, path)).await, 405);
    }
}

#[tokio::test]
async fn what_is_signed_verifies_with_the_published_keys_also_after_a_restart() {
    let mut server = Server::start(Options::local().dev_login());
    let session = taco_login(&server, &Who::dev("alice")).await;
    let published = V1::anonymous(&server).get("/oidc/jwks.json").await.expect(StatusCode::OK).json();
    let [key] = &published["keys"].as_array().unwrap()[..] else { panic!("not one key: {published}") };
    for (name, value) in [("kty", "OKP"), ("crv", "Ed25519"), ("alg", "EdDSA"), ("use", "sig")] {
        assert_eq!(key[name], value);
    }
    assert_eq!(key.get("d"), None, "the private part stays here");
    let x = data_encoding::BASE64URL_NOPAD.decode(key["x"].as_str().unwrap().as_bytes()).unwrap();
    let public = Ed25519PublicKey::from_bytes(&x).unwrap();
    let base = server.base_https();
    for (jwt, kind, audience, seconds) in
        [(&session.access, "at+jwt", "/v1", 3600), (&session.refresh, "rt+jwt", "/v1/auth/token", 720 * 3600)]
    {
        public.verify_token::<Value>(jwt, None).unwrap();
        let (header, said) = opened(jwt);
        assert_eq!(header, json!({"alg": "EdDSA", "typ": kind, "kid": key["kid"]}));
        assert_eq!((&said["iss"], &said["aud"]), (&json!(base), &json!(format!("{base}{audience}"))));
        assert_eq!((said["sub"].as_str(), life(jwt)), (Some("dev:alice"), seconds));
        assert!(said["jti"].as_str().unwrap().len() >= 20, "{said}");
    }
    assert_eq!(claims(&session.access)["par"], claims(&session.refresh)["par"]);
    assert!(claims(&session.access)["par"].as_str().unwrap().starts_with("fam:"));
    assert_ne!(claims(&session.access)["jti"], claims(&session.refresh)["jti"]);
    server.restart();
    assert_eq!(V1::anonymous(&server).get("/oidc/jwks.json").await.json(), published);
    assert_eq!(V1::new(&server, &session.access).me().await["subject"], "dev:alice");
}
