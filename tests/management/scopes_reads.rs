//! What limited tokens see at the cloud API: units of their pattern, and no trace of any other.

use opentaco_tests::client::Api;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::scopes::{ORG, UNITS, World, bytes};

fn names(list: &Value) -> Vec<&str> {
    let items = list["data"].as_array().unwrap_or_else(|| panic!("{list}")).iter();
    items.map(|item| item["attributes"]["name"].as_str().unwrap()).collect()
}

fn total(list: &Value) -> &Value {
    &list["meta"]["pagination"]["total-count"]
}

async fn list(api: &Api, query: &str) -> Value {
    api.get(&format!("{ORG}/workspaces{query}")).await.expect(StatusCode::OK).json()
}

#[tokio::test]
async fn lists_show_what_may_be_seen_with_right_totals() {
    let world = World::new().await;
    let all = list(&world.alice, "").await;
    assert_eq!((names(&all), total(&all)), (UNITS.to_vec(), &json!(4)));
    for (pattern, seen) in [
        ("app/*", &["app~x", "app~y"][..]),
        ("app*", &["app~x", "app~y", "apps"]),
        ("*x", &["app~x"]),
        ("*", &UNITS),
        ("other", &["other"]),
        ("App/*", &[]),
        ("app~*", &[]),
        ("nothing", &[]),
    ] {
        let reader = world.limited(&json!({"role": "reader", "unit": pattern})).await;
        let shown = list(&reader, "").await;
        assert_eq!((names(&shown), total(&shown)), (seen.to_vec(), &json!(seen.len())), "{pattern}");
        let searched = list(&reader, "?search%5Bname%5D=app").await;
        let found: Vec<&str> = seen.iter().copied().filter(|name| name.contains("app")).collect();
        assert_eq!((names(&searched), total(&searched)), (found.clone(), &json!(found.len())), "{pattern}");
        let paged = list(&reader, "?page%5Bsize%5D=1").await;
        assert_eq!(total(&paged), &json!(seen.len()), "{pattern}");
        assert_eq!(paged["meta"]["pagination"]["total-pages"], json!(seen.len().max(1)), "{pattern}");
    }
}

#[tokio::test]
async fn what_is_outside_the_pattern_is_not_there() {
    let world = World::new().await;
    let reader = world.limited(&json!({"role": "reader", "unit": "app/*"})).await;
    let id = world.id("other").await;
    let version = world.alice.current(&id).await.id();
    let outputs = world.alice.get(&format!("/state-versions/{version}/outputs")).await.json();
    let output = outputs["data"][0]["id"].as_str().unwrap().to_owned();
    let absent = reader.get(&format!("{ORG}/workspaces/absent")).await;
    let absent = absent.expect_error(StatusCode::NOT_FOUND);
    for path in [
        format!("{ORG}/workspaces/other"),
        format!("{ORG}/workspaces/apps"),
        format!("/workspaces/{id}"),
        format!("/workspaces/{id}/current-state-version"),
        format!("/workspaces/{id}/current-state-version-outputs"),
        format!("/workspaces/{id}/state-versions"),
        format!("/workspaces/{id}/tag-bindings"),
        format!("/workspaces/{id}/effective-tag-bindings"),
        format!("/workspaces/{id}/relationships/tags"),
        format!("/workspaces/{id}/relationships/remote-state-consumers"),
        format!("/workspaces/{id}/vars"),
        format!("/state-versions/{version}"),
        format!("/state-versions/{version}/download"),
        format!("/state-versions/{version}/json-download"),
        format!("/state-versions/{version}/outputs"),
        format!("/state-version-outputs/{output}"),
        "/state-versions?filter%5Borganization%5D%5Bname%5D=default&filter%5Bworkspace%5D%5Bname%5D=other"
            .to_owned(),
    ] {
        let error = reader.get(&path).await.expect_error(StatusCode::NOT_FOUND);
        assert_eq!(error["title"], absent["title"], "{path}: like one that is absent");
        let seen = error.to_string();
        assert!(!seen.contains("limited") && !seen.contains("permission"), "{path}: {seen}");
    }
    for action in ["lock", "unlock", "force-unlock", "safe-delete"] {
        let path = format!("/workspaces/{id}/actions/{action}");
        let reply = reader.call(Method::POST, &path, (action == "lock").then(|| json!({}))).await;
        reply.expect_error(StatusCode::NOT_FOUND);
    }
    reader.propose(&id, &bytes(2)).await.expect_error(StatusCode::NOT_FOUND);
    for method in [Method::DELETE, Method::PATCH] {
        let body = (method == Method::PATCH).then(|| json!({"data": {"attributes": {"description": "x"}}}));
        reader.call(method, &format!("/workspaces/{id}"), body).await.expect_error(StatusCode::NOT_FOUND);
    }
    assert_eq!(world.alice.download(&id).await.expect(StatusCode::OK).body, bytes(1));
}

#[tokio::test]
async fn what_is_of_the_pattern_is_read_whole() {
    let world = World::new().await;
    let reader = world.limited(&json!({"role": "reader", "unit": "app/*"})).await;
    let id = world.id("app~x").await;
    assert_eq!(reader.get(&format!("{ORG}/workspaces/app~x")).await.expect(StatusCode::OK).id(), id);
    assert_eq!(reader.download(&id).await.expect(StatusCode::OK).body, bytes(1));
    let version = reader.current(&id).await.id();
    for path in [
        format!("/workspaces/{id}/current-state-version-outputs"),
        format!("/workspaces/{id}/state-versions"),
        format!("/workspaces/{id}/tag-bindings"),
        format!("/state-versions/{version}/outputs"),
        "/state-versions?filter%5Borganization%5D%5Bname%5D=default&filter%5Bworkspace%5D%5Bname%5D=app~x"
            .to_owned(),
        "/organizations/default".to_owned(),
        "/organizations/default/entitlement-set".to_owned(),
        "/account/details".to_owned(),
    ] {
        reader.get(&path).await.expect(StatusCode::OK);
    }
}

#[tokio::test]
async fn the_permissions_in_a_document_are_the_callers_own() {
    let world = World::new().await;
    let id = world.id("app~x").await;
    for (role, rights) in [("reader", 1), ("planner", 2), ("writer", 3), ("operator", 4), ("admin", 4)] {
        let limited = world.limited(&json!({"role": role, "unit": "app/*"})).await;
        let shown = limited.get(&format!("/workspaces/{id}")).await.expect(StatusCode::OK).json();
        let permissions = &shown["data"]["attributes"]["permissions"];
        for (name, needs) in [
            ("can-read-settings", 1),
            ("can-read-state-versions", 1),
            ("can-read-state-outputs", 1),
            ("can-lock", 2),
            ("can-unlock", 2),
            ("can-create-state-versions", 3),
            ("can-manage-tags", 3),
            ("can-force-unlock", 4),
            ("can-destroy", 4),
            ("can-force-delete", 4),
        ] {
            assert_eq!(permissions[name], rights >= needs, "{role}, {name}: {permissions}");
        }
    }
}

#[tokio::test]
async fn consumers_outside_the_pattern_are_neither_shown_nor_counted() {
    let world = World::new().await;
    let reader = world.limited(&json!({"role": "reader", "unit": "app/*"})).await;
    let id = world.id("app~x").await;
    let mut consumers = Vec::new();
    for unit in ["app~y", "apps", "other"] {
        consumers.push(json!({"type": "workspaces", "id": world.id(unit).await}));
    }
    let path = format!("/workspaces/{id}/relationships/remote-state-consumers");
    let added = world.alice.post(&path, json!({"data": consumers})).await;
    added.expect(StatusCode::NO_CONTENT);
    let all = world.alice.get(&path).await.expect(StatusCode::OK).json();
    assert_eq!((names(&all).len(), total(&all)), (3, &json!(3)));
    let seen = reader.get(&path).await.expect(StatusCode::OK).json();
    assert_eq!((names(&seen), total(&seen)), (vec!["app~y"], &json!(1)));
}

#[tokio::test]
async fn a_download_needs_the_token_and_its_limits() {
    let world = World::new().await;
    let reader = world.limited(&json!({"role": "reader", "unit": "app/*"})).await;
    let id = world.id("app~x").await;
    let version = reader.current(&id).await.id();
    let path = format!("/state-versions/{version}/download");
    Api::anonymous(&world.server).get(&path).await.expect_error(StatusCode::UNAUTHORIZED);
    let elsewhere = world.limited(&json!({"role": "admin", "unit": "other"})).await;
    elsewhere.get(&path).await.expect_error(StatusCode::NOT_FOUND);
    assert_eq!(reader.get(&path).await.expect(StatusCode::OK).body, bytes(1));
}
