//! Organizations and what they may use.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::{World, refused};

#[tokio::test]
async fn the_default_organization_exists_and_runs_nothing() {
    let world = World::new().await;
    let set = world.alice.get("/organizations/default/entitlement-set").await.expect(StatusCode::OK).json();
    assert_eq!(set["data"]["type"], "entitlement-sets");
    assert_eq!(set["data"]["attributes"]["operations"], false, "true would make Terraform run remotely");
    assert_eq!(set["data"]["attributes"]["state-storage"], true);
    assert_eq!(world.alice.get("/organizations/default").await.expect(StatusCode::OK).id(), "default");
    // Names are folded, as the client may type them in any case.
    assert_eq!(world.alice.get("/organizations/DEFAULT").await.expect(StatusCode::OK).id(), "default");
}

#[tokio::test]
async fn an_organization_is_made_once_and_listed() {
    let world = World::new().await;
    let body = json!({"data": {"type": "organizations", "attributes": {"name": "Acme", "email": "a@b.c"}}});
    let made = world.alice.post("/organizations", body.clone()).await.expect(StatusCode::CREATED);
    assert_eq!(made.id(), "acme");
    refused(&world.alice.post("/organizations", body).await, 422);
    let id = world.alice.create_workspace("acme", "web").await;
    assert_eq!(world.alice.get("/organizations/acme/workspaces/web").await.id(), id);
    refused(&world.alice.get("/organizations/default/workspaces/web").await, 404);
    let list = world.alice.get("/organizations?page%5Bsize%5D=100").await.expect(StatusCode::OK).json();
    let names: Vec<_> = list["data"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
    assert!(names.contains(&json!("acme")), "{names:?}");
}

#[tokio::test]
async fn a_bad_organization_is_refused_and_not_made() {
    let world = World::new().await;
    let before = world.alice.get("/organizations").await.json();
    let long = "x".repeat(64);
    for name in ["", "a", "ab", "-ab", "ab-", "a_b", "a b", "a/b", "../x", "größe", "a\u{0}b", "a.b", &long]
    {
        let body = json!({"data": {"attributes": {"name": name}}});
        let detail = refused(&world.alice.post("/organizations", body).await, 422);
        assert!(detail.contains("name"), "{name}: {detail}");
    }
    for attributes in [json!({}), json!({"name": 7}), json!({"name": "fine", "email": 7})] {
        refused(&world.alice.post("/organizations", json!({"data": {"attributes": attributes}})).await, 422);
    }
    refused(&world.send(Method::POST, "/organizations", "{").await, 400);
    assert_eq!(world.alice.get("/organizations").await.json(), before);
}

#[tokio::test]
async fn names_outside_the_rule_are_not_found() {
    let world = World::new().await;
    for name in ["a", "-ab", "a_b", "..%2fx", "%00", "%ff", "a%20b", "x%2fy"] {
        for tail in ["", "/entitlement-set", "/workspaces", "/workspaces/web"] {
            let reply = world.alice.get(&format!("/organizations/{name}{tail}")).await;
            assert_eq!(reply.status, 404, "{name}{tail}: {}", reply.text());
            refused(&reply, 404);
        }
    }
}
