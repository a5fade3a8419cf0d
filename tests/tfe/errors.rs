//! What every answer has in common, and every way of not being let in.

use opentaco_tests::client::{Api, JSON_API};
use opentaco_tests::server::Options;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use reqwest::{Method, StatusCode};

use crate::world::{World, answer, plain, refused, upload_url};

#[tokio::test]
async fn both_prefixes_lead_to_the_same_api_and_every_answer_tells_its_version() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    for prefix in ["/tfe/api/v2", "/api/v2"] {
        for base in [world.server.base_http(), world.server.base_https()] {
            for (path, status) in [
                ("/ping".to_owned(), 204),
                ("/organizations/default/entitlement-set".to_owned(), 200),
                ("/organizations/default/workspaces/web".to_owned(), 200),
                (format!("/workspaces/{id}"), 200),
                ("/account/details".to_owned(), 200),
                (format!("/workspaces/{id}/vars"), 200),
                (format!("/workspaces/{id}/current-state-version"), 404),
                ("/nothing".to_owned(), 404),
            ] {
                let url = format!("{base}{prefix}{path}");
                let reply = answer(world.http.get(&url).bearer_auth(&world.token)).await;
                assert_eq!(reply.status, status, "{url}: {}", reply.text());
                let version = reply.headers["tfp-api-version"].to_str().unwrap();
                assert!(version.parse::<f64>().unwrap() >= 2.5, "Terraform refuses {version}");
                assert_eq!(reply.headers["x-content-type-options"], "nosniff");
                assert_eq!(reply.headers["cache-control"], "no-store");
                if status != 204 {
                    assert!(reply.headers[CONTENT_TYPE].to_str().unwrap().starts_with(JSON_API));
                }
            }
        }
    }
}

#[tokio::test]
async fn ping_greets_strangers_and_refuses_bad_tokens() {
    let world = World::new().await;
    Api::anonymous(&world.server).get("/ping").await.expect(StatusCode::NO_CONTENT);
    world.alice.get("/ping").await.expect(StatusCode::NO_CONTENT);
    refused(&Api::new(&world.server, "garbage").get("/ping").await, 401);
    let head = answer(world.http.head(format!("{}/api/v2/ping", world.server.base_http()))).await;
    assert!(head.headers.contains_key("tfp-api-version"));
}

#[tokio::test]
async fn without_a_good_token_nobody_gets_in_and_is_told_how() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let before = world.picture(&id).await;
    let mut tokens = vec!["garbage".to_owned(), "otc_tfe_".to_owned(), "otc_tfe__".to_owned()];
    tokens.push("otc_tfe_aaaaaaaaaaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".to_owned());
    // A real id with another secret, a cut one, and one with any other end.
    let (all_but_one, last) = world.token.split_at(world.token.len() - 1);
    let ends = ('a'..='z').chain('A'..='Z').chain('0'..='9').chain(['-', '_', '=']);
    tokens.extend(ends.filter(|end| !last.starts_with(*end)).map(|end| format!("{all_but_one}{end}")));
    tokens.push(world.token[..world.token.len() - 1].to_owned());
    tokens.push(format!("{}x", world.token));
    tokens.push("x".repeat(4000));
    let calls = [
        (Method::GET, format!("/workspaces/{id}")),
        (Method::DELETE, format!("/workspaces/{id}")),
        (Method::POST, format!("/workspaces/{id}/actions/unlock")),
        (Method::POST, format!("/workspaces/{id}/actions/force-unlock")),
        (Method::POST, format!("/workspaces/{id}/state-versions")),
        (Method::GET, "/organizations".to_owned()),
        (Method::GET, "/account/details".to_owned()),
        // The token is judged before the path: a stranger does not learn what exists.
        (Method::GET, "/workspaces/ws-unknown".to_owned()),
    ];
    for (method, path) in &calls {
        for token in &tokens {
            let reply = Api::new(&world.server, token).call(method.clone(), path, None).await;
            assert_eq!(reply.status, 401, "{method} {path} with {token:.40}: {}", reply.text());
            let detail = refused(&reply, 401);
            assert!(detail.contains("terraform login"), "{detail}");
            assert!(!detail.contains(&token[..token.len().min(20)]) || token.len() < 20, "{detail}");
        }
        let detail = refused(&Api::anonymous(&world.server).call(method.clone(), path, None).await, 401);
        assert!(detail.contains("terraform login"), "{detail}");
    }
    let url = format!("{}/api/v2/account/details", world.server.base_http());
    for header in ["Basic dTpw", "Bearer", "bearer ", "Token x", &world.token, "Bearer a b c"] {
        refused(&answer(world.http.get(&url).header(AUTHORIZATION, header)).await, 401);
    }
    let not_text = HeaderValue::from_bytes(b"Bearer \xff\xfe").unwrap();
    refused(&answer(world.http.get(&url).header(AUTHORIZATION, not_text)).await, 401);
    assert_eq!(world.picture(&id).await, before);
}

#[tokio::test]
async fn a_jwt_is_refused_in_words_that_say_so() {
    let world = World::new().await;
    let jwt = "eyJhbGciOiJFZERTQSIsImtpZCI6IngifQ.eyJzdWIiOiJ4In0.c2ln";
    let detail = refused(&Api::new(&world.server, jwt).get("/account/details").await, 401);
    assert!(detail.contains("JWT") && detail.contains("otc_tfe_"), "{detail}");
}

#[tokio::test]
async fn discovery_never_asks_who_is_there() {
    let world = World::new().await;
    for authorization in ["", "Bearer garbage", "Basic x", "Bearer otc_tfe_dead_dead", "\u{1}"] {
        let url = format!("{}/.well-known/terraform.json", world.server.base_https());
        let mut request = world.http.get(url);
        if let Ok(value) = HeaderValue::from_str(authorization) {
            request = request.header(AUTHORIZATION, value);
        }
        let services = answer(request).await.expect(StatusCode::OK).json();
        for service in ["tfe.v2", "tfe.v2.1", "tfe.v2.2", "state.v2"] {
            assert_eq!(services[service], "/tfe/api/v2/");
        }
        assert_eq!(services["login.v1"]["client"], "terraform-cli");
        assert_eq!(services["login.v1"]["ports"], serde_json::json!([10000, 10010]));
    }
}

#[tokio::test]
async fn a_foreign_host_is_turned_away_and_health_is_not() {
    let world = World::new().await;
    let port = world.server.port();
    for host in
        ["evil.example", "evil.example:80", "localhost:1", "localhost.evil.example", "127.0.0.2", "[::2]"]
    {
        for path in ["/api/v2/ping", "/.well-known/terraform.json", "/oauth/authorization", "/nothing"] {
            let url = format!("{}{path}", world.server.base_http());
            let reply = answer(world.http.get(url).header(HOST, host)).await;
            let error = reply.expect_error(StatusCode::MISDIRECTED_REQUEST);
            assert!(error["detail"].as_str().unwrap().contains("OPENTACO_PUBLIC_BASE_URL"), "{error}");
        }
        for path in ["/healthz", "/readyz"] {
            let url = format!("{}{path}", world.server.base_http());
            answer(world.http.get(url).header(HOST, host)).await.expect(StatusCode::OK);
        }
    }
    for head in
        [String::new(), format!("Host: localhost:{port}\r\nHost: evil.example\r\n"), "Host: \r\n".to_owned()]
    {
        let said = world.raw(&format!("GET /api/v2/ping HTTP/1.1\r\n{head}Connection: close\r\n\r\n"));
        assert!(said.starts_with("HTTP/1.1 4"), "{head:?}: {said}");
    }
    let absolute = format!(
        "GET http://evil.example/api/v2/ping HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n"
    );
    assert!(world.raw(&absolute).starts_with("HTTP/1.1 421"), "{}", world.raw(&absolute));
}

#[tokio::test]
async fn the_host_of_the_public_base_url_is_no_foreign_one() {
    let options = Options::memory().env("OPENTACO_TLS", "dev");
    let world = World::of(options.env("OPENTACO_PUBLIC_BASE_URL", "https://127.0.0.1:9")).await;
    let url = format!("{}/api/v2/ping", world.server.base_https());
    answer(world.http.get(&url).header(HOST, "127.0.0.1:9")).await.expect(StatusCode::NO_CONTENT);
    answer(world.http.get(&url).header(HOST, "evil.example")).await.expect(StatusCode::MISDIRECTED_REQUEST);
    let id = world.workspace("web").await;
    world.alice.lock(&id).await.expect(StatusCode::OK);
    let proposal = world.alice.propose(&id, &plain(1)).await.expect(StatusCode::CREATED);
    assert!(
        upload_url(&proposal).starts_with("https://127.0.0.1:9/tfe/api/v2/"),
        "{}",
        upload_url(&proposal)
    );
}

#[tokio::test]
async fn an_unknown_route_is_a_json_api_404() {
    let world = World::new().await;
    for path in ["/api/v2", "/api/v2/", "/api/v2/x", "/tfe/api/v2/workspaces", "/tfe/api/v2/workspaces/a/b/c"]
    {
        let url = format!("{}{path}", world.server.base_http());
        for method in [Method::GET, Method::POST, Method::DELETE, Method::from_bytes(b"LOCK").unwrap()] {
            refused(&answer(world.http.request(method, &url)).await, 404);
        }
    }
    for path in ["/", "/nothing", "/api/v2x", "/%2e%2e/keys", "/api/v2/../../keys/state-key"] {
        let said = world.raw(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n\r\n",
            world.server.port()
        ));
        assert!(said.starts_with("HTTP/1.1 404") && said.contains("errors"), "{path}: {said}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_and_does_nothing() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let before = world.picture(&id).await;
    for (method, path) in [
        (Method::POST, "/ping".to_owned()),
        (Method::PUT, format!("/workspaces/{id}")),
        (Method::GET, format!("/workspaces/{id}/actions/unlock")),
        (Method::DELETE, format!("/workspaces/{id}/actions/force-unlock")),
        (Method::DELETE, "/organizations/default".to_owned()),
        (Method::DELETE, format!("/workspaces/{id}/state-versions")),
        (Method::from_bytes(b"UNLOCK").unwrap(), format!("/workspaces/{id}")),
        (Method::PUT, "/organizations".to_owned()),
    ] {
        refused(&world.send(method, &path, "{}").await, 405);
    }
    assert_eq!(world.picture(&id).await, before);
}

#[tokio::test]
async fn an_expired_token_is_refused_and_told_how_to_get_another() {
    let world = World::of(Options::memory().env("OPENTACO_TERRAFORM_TOKEN_TTL", "1s")).await;
    let reply = world.until_expired().await;
    let detail = refused(&reply, 401);
    assert!(detail.contains("terraform login"), "{detail}");
}
