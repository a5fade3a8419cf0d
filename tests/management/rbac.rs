//! Roles and who has them, from outside.

use opentaco_tests::browser::Who;
use opentaco_tests::client::{Api, login};
use opentaco_tests::server::{Options, Server};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::v1::{V1, answer, problem, taco_login};

/// A server of the development login, and somebody who has begun access control there.
async fn begun() -> (Server, V1) {
    let server = Server::start(Options::memory().dev_login());
    let root = V1::new(&server, &login(&server, &Who::dev("root")).await);
    root.post("/v1/rbac/init", &json!({})).await.expect(StatusCode::OK);
    (server, root)
}

async fn somebody(server: &Server, name: &str) -> (V1, Api) {
    let token = login(server, &Who::dev(name)).await;
    (V1::new(server, &token), Api::new(server, &token))
}

async fn assign(root: &V1, user: &str, role: &str, unit: &str) {
    let change = json!([{"assign": {"user": user, "role": role, "unit": unit}}]);
    root.post("/v1/rbac/assignments", &change).await.expect(StatusCode::OK);
}

async fn allowed(caller: &V1, user: &str, permission: &str, unit: &str) -> (bool, String) {
    let path = format!("/v1/rbac/test?user={user}&permission={permission}&unit={unit}");
    let said = caller.get(&path).await.expect(StatusCode::OK).json();
    (said["allowed"].as_bool().unwrap(), said["because"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn who_begins_access_control_is_administrator_and_nobody_else_may_anything() {
    let (server, root) = begun().await;
    let me = root.get("/v1/rbac/me").await.json();
    assert_eq!((&me["access_control"], &me["administrator"]), (&true.into(), &true.into()));
    assert_eq!(
        me["assignments"],
        json!([{"user": "dev:root", "group": null, "role": "admin", "org": "*", "unit": "*"}])
    );
    let (bob, cloud) = somebody(&server, "bob").await;
    assert_eq!(cloud.get("/organizations/default/workspaces").await.json()["data"], json!([]));
    assert_eq!(cloud.get("/organizations").await.json()["data"], json!([]));
    for path in ["/v1/rbac/assignments", "/v1/users"] {
        assert!(problem(&bob.get(path).await, 403).contains("rbac:manage"));
    }
    // Once it is on, any name at the development login is not enough to begin it.
    let said = problem(&bob.post("/v1/rbac/init", &json!({})).await, 403);
    assert!(said.contains("opentacosvc admin grant") && said.contains("OPENTACO_ADMINS"), "{said}");
    root.post("/v1/rbac/init", &json!({})).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_role_counts_on_its_pattern_and_at_the_cloud_door() {
    let (server, root) = begun().await;
    let (_, admin) = somebody(&server, "root").await;
    for name in ["app~prod", "app~dev", "other"] {
        admin.create_workspace("default", name).await;
    }
    let (_, bob) = somebody(&server, "bob").await;
    assign(&root, "dev:bob", "reader", "app/*").await;
    assign(&root, "dev:bob", "writer", "app/dev").await;
    let list = bob.get("/organizations/default/workspaces").await.json();
    let names: Vec<&str> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["attributes"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["app~dev", "app~prod"]);
    assert_eq!(list["meta"]["pagination"]["total-count"], 2);
    let id = |name: &str| format!("/organizations/default/workspaces/{name}");
    let read = async |name: &str| bob.get(&id(name)).await;
    assert_eq!(read("other").await.status, StatusCode::NOT_FOUND);
    let prod = read("app~prod").await.expect(StatusCode::OK).json();
    assert_eq!(prod["data"]["attributes"]["permissions"]["can-lock"], false);
    let locked = bob.lock(prod["data"]["id"].as_str().unwrap()).await;
    assert_eq!(locked.status, StatusCode::FORBIDDEN);
    let said = String::from_utf8_lossy(&locked.body).into_owned();
    assert!(said.contains("unit:lock"), "the missing permission is named: {said}");
    let dev = read("app~dev").await.json();
    bob.lock(dev["data"]["id"].as_str().unwrap()).await.expect(StatusCode::OK);
    let made = bob.post(
        "/organizations/default/workspaces",
        json!({"data": {"type": "workspaces", "attributes": {"name": "app~new"}}}),
    );
    assert_eq!(made.await.status, StatusCode::FORBIDDEN, "writing is for app/dev alone");
}

#[tokio::test]
async fn a_deny_wins_and_a_decision_says_which_rule_made_it() {
    let (_server, root) = begun().await;
    assign(&root, "alice@example.com", "operator", "*").await;
    root.post(
        "/v1/rbac/roles",
        &json!({"name": "hands-off", "description": "production is not for everybody"}),
    )
    .await
    .expect(StatusCode::CREATED);
    let change = json!({"deny": ["unit:write", "unit:manage"]});
    let patched = answer(root.request(Method::PATCH, "/v1/rbac/roles/hands-off").json(&change)).await;
    assert_eq!(patched.expect(StatusCode::OK).json()["deny"], json!(["unit:write", "unit:manage"]));
    assign(&root, "alice@example.com", "hands-off", "*/prod").await;
    let (yes, why) = allowed(&root, "alice@example.com", "unit:write", "app/dev").await;
    assert!(yes && why.contains("operator"), "{why}");
    let (yes, why) = allowed(&root, "alice@example.com", "unit:write", "app/prod").await;
    assert!(!yes && why.contains("hands-off") && why.contains("*/prod"), "{why}");
    assert!(allowed(&root, "alice@example.com", "unit:read", "app/prod").await.0);
    let (yes, why) = allowed(&root, "bob@example.com", "unit:read", "app/prod").await;
    assert!(!yes && why.contains("no role"), "{why}");
}

#[tokio::test]
async fn changes_are_made_together_or_not_at_all() {
    let (_server, root) = begun().await;
    let before = root.get("/v1/rbac/assignments").await.json();
    let change = json!([
        {"assign": {"user": "alice@example.com", "role": "reader"}},
        {"assign": {"user": "alice@example.com", "role": "nobody-knows-it"}},
    ]);
    assert!(problem(&root.post("/v1/rbac/assignments", &change).await, 404).contains("nobody-knows-it"));
    let last = json!([{"revoke": {"user": "dev:root", "role": "admin", "org": "*"}}]);
    assert!(problem(&root.post("/v1/rbac/assignments", &last).await, 409).contains("last administrator"));
    assert_eq!(root.get("/v1/rbac/assignments").await.json(), before);
    let many: Vec<Value> = (0..2_000)
        .map(|n| json!({"assign": {"user": format!("user{n}@example.com"), "role": "reader", "unit": format!("team-{n}/*")}}))
        .collect();
    let done = root.post("/v1/rbac/assignments", &json!(many)).await.expect(StatusCode::OK).json();
    assert_eq!(done["assignments"], 2_001);
}

#[tokio::test]
async fn who_manages_a_pattern_gives_roles_inside_it_alone() {
    let (server, root) = begun().await;
    root.post("/v1/rbac/roles", &json!({"name": "team-lead"})).await.expect(StatusCode::CREATED);
    let change = json!({"add": ["unit:read", "rbac:manage"]});
    answer(root.request(Method::PATCH, "/v1/rbac/roles/team-lead").json(&change))
        .await
        .expect(StatusCode::OK);
    assign(&root, "dev:lead", "team-lead", "app/*").await;
    let (lead, _) = somebody(&server, "lead").await;
    assign(&lead, "dev:bob", "writer", "app/web*").await;
    for (unit, org) in [("*", "default"), ("other/*", "default"), ("app*", "default"), ("app/*", "*")] {
        let change = json!([{"assign": {"user": "dev:bob", "role": "writer", "unit": unit, "org": org}}]);
        problem(&lead.post("/v1/rbac/assignments", &change).await, 403);
    }
    problem(&lead.post("/v1/rbac/roles", &json!({"name": "mine"})).await, 403);
}

#[tokio::test]
async fn built_in_roles_stay_and_a_role_in_use_is_not_deleted() {
    let (_server, root) = begun().await;
    let roles = root.get("/v1/rbac/roles").await.json();
    let names: Vec<&str> =
        roles["roles"].as_array().unwrap().iter().map(|role| role["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["reader", "planner", "writer", "operator", "admin"]);
    for (method, path, body, status) in [
        (Method::DELETE, "/v1/rbac/roles/reader", json!({}), 409),
        (Method::PATCH, "/v1/rbac/roles/admin", json!({"remove": ["unit:read"]}), 409),
        (Method::DELETE, "/v1/rbac/roles/unknown", json!({}), 404),
        (Method::POST, "/v1/rbac/roles", json!({"name": "writer"}), 409),
        (Method::POST, "/v1/rbac/roles", json!({"name": "Not A Name"}), 422),
        (Method::POST, "/v1/rbac/roles", json!({"name": "x", "color": "red"}), 400),
        (Method::PATCH, "/v1/rbac/roles/admin", json!({"add": ["unit:fly"]}), 422),
        (Method::POST, "/v1/rbac/assignments", json!([{"assign": {"user": "x", "role": "reader"}}]), 422),
        (Method::POST, "/v1/rbac/assignments", json!([{"assign": {"role": "reader"}}]), 422),
        (Method::POST, "/v1/rbac/assignments", json!([{"revoke": {"group": "ops", "role": "reader"}}]), 404),
        (Method::POST, "/v1/rbac/assignments", json!({"assign": 1}), 400),
    ] {
        problem(&answer(root.request(method, path).json(&body)).await, status);
    }
    root.post("/v1/rbac/roles", &json!({"name": "deployer"})).await.expect(StatusCode::CREATED);
    assign(&root, "dev:bob", "deployer", "*").await;
    problem(&root.delete("/v1/rbac/roles/deployer").await, 409);
    let change = json!([{"revoke": {"user": "dev:bob", "role": "deployer", "unit": "*"}}]);
    root.post("/v1/rbac/assignments", &change).await.expect(StatusCode::OK);
    assert_eq!(root.delete("/v1/rbac/roles/deployer").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn everything_that_a_disabled_user_holds_counts_no_more() {
    let (server, root) = begun().await;
    assign(&root, "dev:bob", "operator", "*").await;
    let (bob, cloud) = somebody(&server, "bob").await;
    let access = V1::new(&server, &bob.access().await);
    let session = taco_login(&server, &Who::dev("bob")).await;
    assert_eq!(
        root.post("/v1/users/dev:bob/disable", &json!({})).await.json()["subjects"],
        json!(["dev:bob"])
    );
    assert!(!bob.works().await && !access.works().await);
    assert_eq!(cloud.get("/account/details").await.status, StatusCode::UNAUTHORIZED);
    crate::v1::refused(&crate::v1::refresh(&server, &session.refresh).await, "invalid_grant");
    let users = root.get("/v1/users").await.json();
    let seen = users["users"].as_array().unwrap().iter().find(|user| user["subject"] == "dev:bob").unwrap();
    assert_eq!(seen["disabled"], true);
    assert!(problem(&root.post("/v1/users/dev:root/disable", &json!({})).await, 409).contains("yourself"));
    problem(&root.post("/v1/users/local:owner/disable", &json!({})).await, 409);
    problem(&root.post("/v1/users/nobody@example.com/disable", &json!({})).await, 404);
    root.post("/v1/users/dev:bob/enable", &json!({})).await.expect(StatusCode::OK);
    assert!(bob.works().await && access.works().await);
}
