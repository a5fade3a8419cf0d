//! Settings that are kept for clients: what they set reads back, and what would run something is refused.

use std::collections::BTreeSet;

use opentaco_domain::settings::KEPT;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::{World, of, refused};

const ALL: &str = "/organizations/default/workspaces";

/// Name, default, and another value.
fn table() -> Vec<(&'static str, Value, Value)> {
    vec![
        ("allow-destroy-plan", json!(true), json!(false)),
        ("assessments-enabled", json!(false), json!(true)),
        ("auto-apply", json!(false), json!(true)),
        ("auto-apply-run-trigger", json!(false), json!(true)),
        ("file-triggers-enabled", json!(true), json!(false)),
        ("inherits-project-auto-destroy", json!(true), json!(false)),
        ("queue-all-runs", json!(false), json!(true)),
        ("speculative-enabled", json!(true), json!(false)),
        ("structured-run-output-enabled", json!(false), json!(true)),
        ("source-name", json!(""), json!("tool — ü\n")),
        ("source-url", json!(""), json!("https://example.org/x")),
        ("working-directory", json!(""), json!("infra/prod")),
        ("trigger-patterns", json!([]), json!(["/**/*.tf", ""])),
        ("trigger-prefixes", json!([]), json!(["b", "a", "b"])),
        ("global-remote-state", json!(false), json!(true)),
        ("description", Value::Null, json!("ours — ü")),
        ("terraform-version", json!("latest"), json!("~> 1.11, != 1.11.2")),
    ]
}

#[tokio::test]
async fn every_kept_setting_has_its_default_and_reads_back_what_was_set() {
    let covered: BTreeSet<&str> = table().iter().map(|(name, ..)| *name).collect();
    assert!(KEPT.iter().all(|(name, _)| covered.contains(name)), "the table has every one");
    let world = World::new().await;
    let bare = world.workspace("bare").await;
    let shown = |id: String| {
        let world = &world;
        async move { world.alice.get(&format!("/workspaces/{id}")).await.json()["data"]["attributes"].clone() }
    };
    let attributes = shown(bare.clone()).await;
    for (name, default, _) in table() {
        assert_eq!(attributes[name], default, "{name}");
    }
    let mut all = json!({"name": "made"});
    for (name, _, other) in table() {
        all[name] = other;
    }
    let made = world.alice.post(ALL, of("workspaces", all)).await.expect(StatusCode::CREATED);
    let attributes = shown(made.id()).await;
    assert_eq!(made.json()["data"]["attributes"], attributes);
    for (name, _, other) in table() {
        assert_eq!(attributes[name], other, "{name}");
    }
    // One by one, each leaves the others alone; null and absence change nothing; the default can be set again.
    let mut expected = shown(bare.clone()).await;
    for (name, default, other) in table() {
        for (sent, shown_then) in
            [(other.clone(), other), (Value::Null, Value::Null), (default.clone(), default)]
        {
            if sent.is_null() {
                world.change(&bare, json!({name: null})).await.expect(StatusCode::OK);
                continue;
            }
            world.change(&bare, json!({name: sent})).await.expect(StatusCode::OK);
            expected[name] = shown_then;
            let now = shown(bare.clone()).await;
            expected["updated-at"] = now["updated-at"].clone();
            assert_eq!(now, expected, "{name}");
        }
    }
}

#[tokio::test]
async fn a_setting_of_a_wrong_type_is_refused_by_its_name_and_changes_nothing() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let before = world.picture(&id).await;
    let long = "x".repeat(1025);
    let wrong = [
        json!(true),
        json!("x"),
        json!(["x"]),
        json!(7),
        json!({}),
        json!([1]),
        json!([null]),
        json!([["x"]]),
    ];
    for (name, default, _) in table() {
        let right = |value: &Value| match &default {
            Value::Null => value.is_string(),
            Value::Array(_) => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
            other => std::mem::discriminant(other) == std::mem::discriminant(value),
        };
        let mut bad: Vec<Value> = wrong.iter().filter(|value| !right(value)).cloned().collect();
        match default {
            Value::String(_) if name != "description" => bad.push(json!(long)),
            Value::Array(_) => bad.extend([json!([long]), json!(vec!["x"; 101])]),
            _ => {}
        }
        for value in bad {
            let new = of("workspaces", json!({"name": "new", name: value}));
            for reply in [
                world.change(&id, json!({name: value, "description": value})).await,
                world.alice.post(ALL, new).await,
            ] {
                assert_eq!(reply.status, 422, "{name}={value:.60}: {}", reply.text());
                refused(&reply, 422);
            }
            let alone = refused(&world.change(&id, json!({name: value})).await, 422);
            assert!(alone.contains(name), "{name}={value:.60}: {alone}");
        }
    }
    assert_eq!(world.picture(&id).await, before);
    refused(&world.alice.get(&format!("{ALL}/new")).await, 404);
}

#[tokio::test]
async fn unknown_attributes_are_ignored() {
    let world = World::new().await;
    let sent = json!({
        "name": "web", "agent-pool-id": null, "setting-overwrites": {"execution-mode": true}, "source-url": "x",
        "hyok-enabled": false, "auto-destroy-at": null, "auto-destroy-activity-duration": null, "locked": true,
        "vcs-repo": null, "execution-mode": "local", "operations": false, "migration-environment": "x", "new": [{}],
    });
    let made = world.alice.post(ALL, of("workspaces", sent.clone())).await.expect(StatusCode::CREATED).json();
    assert_eq!(made["data"]["attributes"]["locked"], false);
    assert_eq!(made["data"]["attributes"]["execution-mode"], "local");
    let id = made["data"]["id"].as_str().unwrap();
    let before = world.picture(id).await;
    world.change(id, sent).await.expect(StatusCode::OK);
    assert_eq!(world.picture(id).await, before);
}

#[tokio::test]
async fn what_would_run_terraform_on_the_server_is_refused() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let before = world.picture(&id).await;
    for attributes in [
        json!({"execution-mode": "remote"}),
        json!({"execution-mode": "agent", "agent-pool-id": "apool-1"}),
        json!({"execution-mode": "LOCAL"}),
        json!({"execution-mode": ""}),
        json!({"operations": true}),
        json!({"vcs-repo": {"identifier": "acme/web", "oauth-token-id": "ot-1"}}),
        json!({"vcs-repo": {}}),
        json!({"vcs-repo": "acme/web"}),
        json!({"vcs-repo": false}),
    ] {
        let mut new = attributes.clone();
        new["name"] = "new".into();
        for reply in
            [world.change(&id, attributes.clone()).await, world.alice.post(ALL, of("workspaces", new)).await]
        {
            let detail = refused(&reply, 422);
            assert!(
                detail.contains("execution-mode") || detail.contains("vcs-repo"),
                "{attributes}: {detail}"
            );
        }
    }
    assert_eq!(world.picture(&id).await, before);
    refused(&world.alice.get(&format!("{ALL}/new")).await, 404);
}
