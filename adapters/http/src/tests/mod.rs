//! The route table, walked without a network.

mod ports;

use actix_web::App;
use actix_web::body::MessageBody as _;
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{
    AUTHORIZATION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE,
};
use actix_web::http::{Method, StatusCode};
use actix_web::test::{TestRequest, call_service, init_service};
use serde_json::{Value, json};

use self::ports::doors;
use super::{Doors, configure};

/// One request and its answer as status and JSON.
async fn ask(doors: &Doors, request: TestRequest) -> (u16, Value) {
    let answer = send(doors, request).await;
    let status = answer.status().as_u16();
    let body = answer.into_body().try_into_bytes().unwrap_or_default();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

async fn send(doors: &Doors, request: TestRequest) -> ServiceResponse {
    let service = init_service(App::new().configure(|config| configure(config, doors))).await;
    call_service(&service, request.insert_header(("host", "localhost:8080")).to_request()).await
}

fn request(method: Method, path: &str) -> TestRequest {
    TestRequest::default().method(method).uri(path)
}

fn call(token: &str, method: Method, path: &str) -> TestRequest {
    request(method, &format!("/tfe/api/v2{path}")).insert_header((AUTHORIZATION, format!("Bearer {token}")))
}

fn sent(token: &str, method: Method, path: &str, body: &Value) -> TestRequest {
    call(token, method, path).set_payload(body.to_string())
}

#[actix_web::test]
async fn what_needs_no_token_never_asks_for_one() {
    let (doors, alice, _) = doors();
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 503),
        ("/.well-known/terraform.json", 200),
        ("/tfe/api/v2/ping", 401),
        ("/api/v2/ping", 401),
        ("/oauth/authorization", 400),
    ] {
        let bad = request(Method::GET, path).insert_header((AUTHORIZATION, "Bearer junk"));
        assert_eq!(send(&doors, bad).await.status().as_u16(), status, "{path}");
    }
    let ping = send(&doors, request(Method::GET, "/api/v2/ping")).await;
    assert_eq!(ping.status(), StatusCode::NO_CONTENT);
    assert_eq!(ping.headers().get("tfp-api-version").unwrap(), "2.6");
    assert_eq!(send(&doors, call(&alice, Method::GET, "/ping")).await.status(), StatusCode::NO_CONTENT);
    let discovery = send(&doors, request(Method::GET, "/.well-known/terraform.json")).await;
    assert_eq!(discovery.headers().get(CONTENT_TYPE).unwrap(), "application/json");
}

#[actix_web::test]
async fn every_refusal_is_a_json_api_error() {
    let (doors, alice, _) = doors();
    for (refused, status) in [
        (request(Method::GET, "/tfe/api/v2/account/details"), 401),
        (call("eyJhbGciOi", Method::GET, "/account/details"), 401),
        (request(Method::GET, "/tfe/api/v2/workspaces/ws-junk"), 401),
        (call(&alice, Method::GET, "/workspaces/ws-junk"), 404),
        (call(&alice, Method::GET, "/nothing/here"), 404),
        (request(Method::GET, "/nothing/here"), 404),
        (call(&alice, Method::PUT, "/account/details"), 405),
        (call(&alice, Method::GET, "/organizations/Bad_Name/entitlement-set"), 404),
        (call(&alice, Method::GET, "/organizations/acme/workspaces/..%2f..%2fx"), 404),
        (call(&alice, Method::POST, "/organizations/acme/workspaces").set_payload("{"), 400),
        (sent(&alice, Method::POST, "/organizations/acme/workspaces", &json!({})), 422),
        (call(&alice, Method::GET, "/state-versions?%=%zz"), 422),
        (request(Method::PUT, "/tfe/api/v2/uploads/forged").set_payload("x"), 404),
    ] {
        let answer = send(&doors, refused).await;
        let asked = format!("{} {}", answer.request().method(), answer.request().path());
        assert_eq!(answer.status().as_u16(), status, "{asked}");
        assert_eq!(answer.headers().get(CONTENT_TYPE).unwrap(), "application/vnd.api+json", "{asked}");
        let is_api = answer.request().path().starts_with("/tfe/api/v2");
        assert_eq!(answer.headers().contains_key("tfp-api-version"), is_api, "{asked}");
        let body: Value = serde_json::from_slice(&answer.into_body().try_into_bytes().unwrap()).unwrap();
        assert_eq!(body["errors"][0]["status"], status.to_string(), "{asked}");
    }
}

#[actix_web::test]
async fn the_log_sees_templates_never_paths() {
    let (doors, alice, _) = doors();
    for (asked, template) in [
        (
            request(Method::PUT, "/tfe/api/v2/uploads/secret").set_payload("x"),
            Some("/tfe/api/v2/uploads/{ticket}"),
        ),
        (call(&alice, Method::GET, "/workspaces/ws-junk"), Some("/tfe/api/v2/workspaces/{workspace}")),
        (request(Method::GET, "/oauth/authorization?state=secret"), Some("/oauth/authorization")),
        (request(Method::GET, "/secret"), None),
        (request(Method::GET, "/tfe/api/v2/secret"), None),
    ] {
        let pattern = send(&doors, asked).await.request().match_pattern();
        assert_eq!(pattern.as_deref().filter(|pattern| !pattern.ends_with("secret")), template);
        assert!(pattern.is_none_or(|pattern| !pattern.contains("secret")));
    }
}

#[actix_web::test]
async fn another_host_is_misdirected_except_for_health() {
    let (doors, ..) = doors();
    for (path, status) in [("/healthz", 200), ("/.well-known/terraform.json", 421), ("/tfe/api/v2/ping", 421)]
    {
        let service = init_service(App::new().configure(|config| configure(config, &doors))).await;
        let rebound = request(Method::GET, path)
            .insert_header(("host", "evil.example:8080"))
            .insert_header(("x-forwarded-host", "localhost:8080"));
        assert_eq!(call_service(&service, rebound.to_request()).await.status().as_u16(), status, "{path}");
    }
}

#[actix_web::test]
async fn a_workspace_is_made_found_changed_and_deleted() {
    let (doors, alice, _) = doors();
    let new = json!({"data": {"type": "workspaces", "attributes": {"name": "app~web", "description": "d"},
        "relationships": {"tags": {"data": [{"type": "tags", "attributes": {"name": "net"}}]}}}});
    let (status, made) =
        ask(&doors, sent(&alice, Method::POST, "/organizations/acme/workspaces", &new)).await;
    assert_eq!(status, 201, "{made}");
    let id = made["data"]["id"].as_str().unwrap();
    let attributes = &made["data"]["attributes"];
    assert_eq!((&attributes["execution-mode"], &attributes["name"]), (&json!("local"), &json!("app~web")));
    assert_eq!(attributes["permissions"]["can-force-delete"], true);
    assert_eq!(attributes["tag-names"], json!(["net"]));
    assert_eq!(ask(&doors, sent(&alice, Method::POST, "/organizations/acme/workspaces", &new)).await.0, 422);
    for path in [format!("/workspaces/{id}"), "/organizations/acme/workspaces/app~web".to_owned()] {
        let (status, read) = ask(&doors, call(&alice, Method::GET, &path)).await;
        assert_eq!((status, &read["data"]["id"]), (200, &json!(id)));
        let change = json!({"data": {"attributes": {"terraform-version": "1.11.4", "unknown": {}}}});
        let (status, changed) = ask(&doors, sent(&alice, Method::PATCH, &path, &change)).await;
        assert_eq!((status, &changed["data"]["attributes"]["terraform-version"]), (200, &json!("1.11.4")));
        let remote = json!({"data": {"attributes": {"execution-mode": "remote"}}});
        assert_eq!(ask(&doors, sent(&alice, Method::PATCH, &path, &remote)).await.0, 422);
    }
    let bindings = format!("/workspaces/{id}/tag-bindings");
    let bind = json!({"data": [{"type": "tag-bindings", "attributes": {"key": "app", "value": "web"}}]});
    let (_, bound) = ask(&doors, sent(&alice, Method::PATCH, &bindings, &bind)).await;
    assert_eq!(bound["data"].as_array().unwrap().len(), 2);
    let (_, list) = ask(
        &doors,
        call(&alice, Method::GET, "/organizations/acme/workspaces?search[tags]=app,net&TagBindings={"),
    )
    .await;
    assert_eq!(list["meta"]["pagination"]["total-count"], 1);
    let (_, list) =
        ask(&doors, call(&alice, Method::GET, "/organizations/acme/workspaces?search%5Btags%5D=other")).await;
    assert_eq!(list["data"], json!([]));
    assert_eq!(
        ask(&doors, call(&alice, Method::GET, &format!("/workspaces/{id}/vars"))).await.1["data"],
        json!([])
    );
    assert_eq!(
        ask(&doors, call(&alice, Method::GET, &format!("/workspaces/{id}/current-state-version"))).await.0,
        404
    );
    assert_eq!(
        ask(&doors, call(&alice, Method::POST, &format!("/workspaces/{id}/actions/safe-delete"))).await.0,
        204
    );
    assert_eq!(
        ask(&doors, call(&alice, Method::DELETE, "/organizations/acme/workspaces/app~web")).await.0,
        404
    );
}

#[actix_web::test]
async fn a_state_goes_in_under_the_lock_and_comes_back() {
    let (doors, alice, bob) = doors();
    let new = json!({"data": {"attributes": {"name": "web"}}});
    let (_, made) = ask(&doors, sent(&alice, Method::POST, "/organizations/acme/workspaces", &new)).await;
    let id = made["data"]["id"].as_str().unwrap().to_owned();
    let path = |rest: &str| format!("/workspaces/{id}/{rest}");
    // The test store's digest of `state` is its first 16 bytes.
    let state = "{\"state\":\"......\"}";
    let md5: String = data_encoding::HEXLOWER.encode(&state.as_bytes()[..16]);
    let proposal =
        json!({"data": {"type": "state-versions", "attributes": {"serial": 1, "md5": md5, "lineage": "l"}}});
    let propose = || sent(&alice, Method::POST, &path("state-versions"), &proposal);
    assert_eq!(ask(&doors, propose()).await.0, 409);
    assert_eq!(
        ask(&doors, sent(&alice, Method::POST, &path("actions/lock"), &json!({"data": {"type": ""}})))
            .await
            .0,
        200
    );
    let (status, refused) = ask(&doors, call(&bob, Method::POST, &path("actions/lock"))).await;
    assert_eq!(status, 409);
    let detail = refused["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("alice") && detail.contains("terraform force-unlock acme/web"), "{detail}");

    let (status, proposed) = ask(&doors, propose()).await;
    assert_eq!(status, 201, "{proposed}");
    let attributes = &proposed["data"]["attributes"];
    assert_eq!(
        (&attributes["status"], &attributes["hosted-state-download-url"]),
        (&json!("pending"), &Value::Null)
    );
    let upload = |name: &str| {
        let url = proposed["data"]["attributes"][name].as_str().unwrap();
        url.strip_prefix("http://localhost:8080").unwrap().to_owned()
    };
    let put = |name: &str| request(Method::PUT, &upload(name)).set_payload(state);
    let large =
        request(Method::PUT, &upload("hosted-state-upload-url")).insert_header(("content-length", "1001"));
    assert_eq!(ask(&doors, large).await.0, 413);
    let other = request(Method::PUT, &upload("hosted-state-upload-url")).set_payload("other bytes");
    assert_eq!(ask(&doors, other).await.0, 422);
    assert_eq!(ask(&doors, put("hosted-state-upload-url")).await.0, 200);
    assert_eq!(ask(&doors, put("hosted-json-state-upload-url")).await.0, 200);
    assert_eq!(ask(&doors, put("hosted-state-upload-url")).await.0, 200);

    let (_, current) = ask(&doors, call(&bob, Method::GET, &path("current-state-version"))).await;
    assert_eq!(current["data"]["id"], proposed["data"]["id"]);
    let attributes = &current["data"]["attributes"];
    assert_eq!(
        (&attributes["status"], &attributes["hosted-state-upload-url"]),
        (&json!("finalized"), &Value::Null)
    );
    let url = attributes["hosted-state-download-url"].as_str().unwrap();
    let url = url.strip_prefix("http://localhost:8080/tfe/api/v2").unwrap();
    let (status, bytes) = ask(&doors, call(&bob, Method::GET, url)).await;
    assert_eq!((status, bytes), (200, Value::Null), "a stream, read below");
    let answer = send(&doors, call(&bob, Method::GET, url)).await;
    assert_eq!(actix_web::test::read_body(answer).await, state);

    let (_, again) = ask(&doors, propose()).await;
    assert_eq!(again["data"]["id"], proposed["data"]["id"]);
    assert!(again["data"]["attributes"]["hosted-json-state-upload-url"].is_string());
    let (_, list) = ask(
        &doors,
        call(
            &bob,
            Method::GET,
            "/state-versions?filter%5Bworkspace%5D%5Bname%5D=web&filter%5Borganization%5D%5Bname%5D=acme",
        ),
    )
    .await;
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    let (_, outputs) = ask(&doors, call(&bob, Method::GET, &path("current-state-version-outputs"))).await;
    assert_eq!(outputs["data"][0]["attributes"]["value"], "v");
    assert_eq!(outputs["data"][1]["attributes"]["value"], Value::Null);
    let secret = outputs["data"][1]["id"].as_str().unwrap();
    let (_, shown) = ask(&doors, call(&bob, Method::GET, &format!("/state-version-outputs/{secret}"))).await;
    assert_eq!(shown["data"]["attributes"]["value"], "v");

    assert_eq!(ask(&doors, call(&bob, Method::POST, &path("actions/unlock"))).await.0, 409);
    assert_eq!(ask(&doors, call(&bob, Method::POST, &path("actions/force-unlock"))).await.0, 200);
    assert_eq!(ask(&doors, call(&alice, Method::POST, &path("actions/unlock"))).await.0, 409);
    let (status, refused) = ask(&doors, call(&alice, Method::POST, &path("actions/safe-delete"))).await;
    assert_eq!(status, 409, "{refused}");
    assert_eq!(ask(&doors, call(&alice, Method::DELETE, &format!("/workspaces/{id}"))).await.0, 204);
}

#[actix_web::test]
async fn an_inline_state_is_finalized_at_once() {
    let (doors, alice, _) = doors();
    let new = json!({"data": {"attributes": {"name": "web"}}});
    let (_, made) = ask(&doors, sent(&alice, Method::POST, "/organizations/acme/workspaces", &new)).await;
    let id = made["data"]["id"].as_str().unwrap();
    ask(&doors, call(&alice, Method::POST, &format!("/workspaces/{id}/actions/lock"))).await;
    let attributes =
        json!({"serial": 1, "md5": "6162636465666768696a6b6c6d6e6f70", "state": "YWJjZGVmZ2hpamtsbW5vcA=="});
    let inline = json!({"data": {"attributes": attributes}});
    let (status, made) =
        ask(&doors, sent(&alice, Method::POST, &format!("/workspaces/{id}/state-versions"), &inline)).await;
    assert_eq!((status, &made["data"]["attributes"]["status"]), (201, &json!("finalized")), "{made}");
}

#[actix_web::test]
async fn a_login_ends_in_a_token_or_in_a_denial() {
    let (doors, ..) = doors();
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let redirect = "http%3A%2F%2Flocalhost%3A10000%2Flogin";
    let begin = format!(
        "/oauth/authorization?client_id=terraform-cli&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM\
         &code_challenge_method=S256&redirect_uri={redirect}&response_type=code&state=s"
    );
    for (verdict, status, key) in [("allow", 200, "access_token"), ("deny", 400, "error")] {
        let page = send(&doors, request(Method::GET, &begin)).await;
        let cookie = page.headers().get(SET_COOKIE).unwrap().to_str().unwrap().to_owned();
        assert!(
            cookie.starts_with("opentaco_login=") && cookie.contains("HttpOnly; SameSite=Lax"),
            "{cookie}"
        );
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let form = |path: &str, body: String| {
            request(Method::POST, path)
                .insert_header((CONTENT_TYPE, "application/x-www-form-urlencoded"))
                .insert_header((COOKIE, cookie.clone()))
                .set_payload(body)
        };
        let session = sealed(page);
        let wrong = send(&doors, form("/oauth/authorization", format!("session={session}&proof=%20"))).await;
        assert_eq!(wrong.status().as_u16(), 422);
        let page = send(&doors, form("/oauth/authorization", format!("session={session}&proof=alice"))).await;
        let policy = page.headers().get(CONTENT_SECURITY_POLICY).unwrap().to_str().unwrap().to_owned();
        assert!(policy.contains("form-action 'self' http://localhost:10000;"), "{policy}");
        let consent = format!("session={}&verdict={verdict}", sealed(page));
        let stranger = request(Method::POST, "/oauth/consent")
            .insert_header((CONTENT_TYPE, "application/x-www-form-urlencoded"))
            .set_payload(consent.clone());
        assert_eq!(send(&doors, stranger).await.status().as_u16(), 400);
        let back = send(&doors, form("/oauth/consent", consent)).await;
        assert_eq!(back.status(), StatusCode::FOUND);
        let address = back.headers().get(LOCATION).unwrap().to_str().unwrap().to_owned();
        let code =
            address.strip_prefix("http://localhost:10000/login?code=").unwrap().split('&').next().unwrap();
        let exchange = format!(
            "client_id=terraform-cli&code={code}&code_verifier={verifier}&grant_type=authorization_code&redirect_uri={redirect}"
        );
        let (got, body) = ask(&doors, form("/oauth/token", exchange)).await;
        assert_eq!(got, status, "{body}");
        assert!(body[key].is_string(), "{body}");
    }
}

fn sealed(page: ServiceResponse) -> String {
    assert_eq!(page.status(), StatusCode::OK);
    let html = page.into_body().try_into_bytes().unwrap();
    let html = String::from_utf8(html.to_vec()).unwrap();
    let (_, rest) = html.split_once("name=\"session\" value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}
