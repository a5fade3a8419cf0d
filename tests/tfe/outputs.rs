//! Outputs: complete, typed, and silent about what is sensitive until it is asked for by itself.

use opentaco_tests::client::state;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::{World, refused, text};

fn outputs() -> Value {
    json!({
        "public": {"value": "a", "type": "string"},
        "secret": {"value": "hunter2", "type": "string", "sensitive": true},
        "many": {"value": ["x", 1, null], "type": ["tuple", ["string", "number", "bool"]]},
    })
}

#[tokio::test]
async fn a_sensitive_value_is_withheld_in_lists_and_shown_singly() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    world.alice.write(&id, &state(1, "kept", 0, &outputs())).await;
    let version = world.alice.current(&id).await.id();
    for path in [
        format!("/workspaces/{id}/current-state-version-outputs"),
        format!("/state-versions/{version}/outputs"),
        format!("/state-versions/{version}/outputs?page%5Bsize%5D=10"),
    ] {
        let list = world.alice.get(&path).await.expect(StatusCode::OK);
        assert!(!list.text().contains("hunter2"), "{path} shows a secret");
        let list = list.json();
        assert_eq!(list["meta"]["pagination"]["total-count"], 3);
        let find = |name: &str| {
            let items = list["data"].as_array().unwrap();
            items.iter().find(|item| item["attributes"]["name"] == name).unwrap().clone()
        };
        let secret = find("secret");
        assert_eq!(
            (&secret["attributes"]["sensitive"], &secret["attributes"]["value"]),
            (&json!(true), &Value::Null)
        );
        assert_eq!(find("public")["attributes"]["value"], "a");
        assert_eq!(
            find("many")["attributes"]["detailed-type"],
            json!(["tuple", ["string", "number", "bool"]])
        );
        let one = world.alice.get(&format!("/state-version-outputs/{}", text(&secret["id"]))).await;
        assert_eq!(one.expect(StatusCode::OK).json()["data"]["attributes"]["value"], "hunter2");
    }
    for path in [format!("/workspaces/{id}"), format!("/state-versions/{version}")] {
        assert!(!world.alice.get(&path).await.text().contains("hunter2"), "{path} shows a secret");
    }
}

#[tokio::test]
async fn without_a_state_there_are_no_outputs() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    let list = world.alice.get(&format!("/workspaces/{id}/current-state-version-outputs")).await;
    assert_eq!(list.expect(StatusCode::OK).json()["data"], json!([]));
}

#[tokio::test]
async fn unknown_outputs_are_not_found() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    world.alice.write(&id, &state(1, "kept", 0, &outputs())).await;
    let list = world.alice.get(&format!("/workspaces/{id}/current-state-version-outputs")).await.json();
    let real = text(&list["data"][0]["id"]);
    let cut = &real[..real.len() - 1];
    let beyond = format!("{cut}9");
    let huge = format!("{cut}99999999999999999999999");
    for output in [cut, beyond.as_str(), &huge, "wsout-", "x", "%00", "..%2fx", "wsout--1"] {
        let reply = world.alice.get(&format!("/state-version-outputs/{output}")).await;
        assert_eq!(reply.status, 404, "{output}: {}", reply.text());
        refused(&reply, 404);
    }
}

#[tokio::test]
async fn a_hundred_and_fifty_outputs_come_in_one_list() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    let many: serde_json::Map<String, Value> = (0..150)
        .map(|n| (format!("o{n}"), json!({"value": {"@": n}, "type": ["object", {"@": "number"}]})))
        .collect();
    world.alice.write(&id, &state(1, "kept", 0, &many.into())).await;
    let path = format!("/workspaces/{id}/current-state-version-outputs");
    let all = world.alice.get(&path).await.expect(StatusCode::OK).json();
    assert_eq!(all["data"].as_array().unwrap().len(), 150);
    let page = world.alice.get(&format!("{path}?page%5Bsize%5D=100&page%5Bnumber%5D=2")).await.json();
    assert_eq!(page["data"].as_array().unwrap().len(), 50);
}
