//! Terraform up to 1.5: the state in the request itself, and the versions it is written by.

use data_encoding::BASE64;
use opentaco_tests::client::{Reply, md5_hex, state};
use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, announced, answer, inline, names, of, plain, refused, total};

const ALL: &str = "/organizations/default/workspaces";

/// A proposal with the headers of that version.
async fn post(world: &World, id: &str, version: &str, attributes: Value) -> Reply {
    let request = world
        .request(Method::POST, &format!("/workspaces/{id}/state-versions"))
        .header(USER_AGENT, "go-tfe")
        .header("Terraform-Version", version)
        .header(CONTENT_TYPE, "application/vnd.api+json");
    answer(request.body(of("state-versions", attributes).to_string())).await
}

fn written_by(version: &Value, serial: u64, outputs: &Value) -> Vec<u8> {
    let mut document: Value = serde_json::from_slice(&state(serial, "kept", 2, outputs)).unwrap();
    document["terraform_version"] = version.clone();
    serde_json::to_vec_pretty(&document).unwrap()
}

fn base64(bytes: impl AsRef<[u8]>) -> Value {
    BASE64.encode(bytes.as_ref()).into()
}

#[tokio::test]
async fn each_generation_of_terraform_writes_as_it_always_did() {
    let world = World::new().await;
    let outputs = json!({"url": {"value": "x", "type": "string"}, "pw": {"value": "hunter2", "type": "string", "sensitive": true}});
    for (version, attributes) in [
        ("1.1.9", vec![]),
        ("1.2.9", vec!["ext-state-outputs"]),
        ("1.3.0", vec!["json-state", "json-state-outputs"]),
        ("1.5.7", vec!["json-state", "json-state-outputs", "force", "run"]),
    ] {
        let id = world.workspace(&format!("w{version}")).await;
        world.alice.lock(&id).await.expect(StatusCode::OK);
        for serial in [1, 2] {
            let bytes = written_by(&json!(version), serial, &outputs);
            let mut sent = inline(&bytes);
            for name in &attributes {
                sent[name] = match *name {
                    "force" => json!(false),
                    "run" => Value::Null,
                    "json-state" => base64("{\"format_version\":\"1.0\"}"),
                    _ => base64(outputs.to_string()),
                };
            }
            let made = post(&world, &id, version, sent).await.expect(StatusCode::CREATED);
            let shown = made.json()["data"]["attributes"].clone();
            assert_eq!(
                (&shown["status"], &shown["terraform-version"]),
                (&json!("finalized"), &json!(version))
            );
            assert_eq!(shown["md5"], md5_hex(&bytes));
            assert_eq!(world.alice.download(&id).await.body, bytes);
        }
        let list = world.alice.get(&format!("/workspaces/{id}/current-state-version-outputs")).await;
        assert_eq!(names(&list), ["pw", "url"]);
        assert!(!list.text().contains("hunter2"));
        world.alice.unlock(&id).await.expect(StatusCode::OK);
    }
}

#[tokio::test]
async fn a_state_sent_after_a_refused_proposal_is_taken() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let bytes = plain(6);
    // What 1.6 and later do when a server refuses the two steps: the same again, with everything in it.
    let proposal = post(&world, &id, "1.6.0", announced(&bytes)).await.expect(StatusCode::CREATED);
    let mut again = inline(&bytes);
    (again["json-state"], again["json-state-outputs"]) = (base64("{}"), base64("{}"));
    let made = post(&world, &id, "1.6.0", again.clone()).await.expect(StatusCode::CREATED);
    assert_ne!(made.id(), proposal.id());
    assert_eq!(world.alice.download(&id).await.body, bytes);
    let before = world.picture(&id).await;
    // The answer got lost: the same version is given, and the two steps lead there too.
    assert_eq!(post(&world, &id, "1.6.0", again).await.expect(StatusCode::CREATED).id(), made.id());
    refused(&world.alice.upload(&proposal, &bytes).await, 409);
    let repeated = post(&world, &id, "1.6.0", announced(&bytes)).await.expect(StatusCode::CREATED);
    assert_eq!(repeated.id(), made.id());
    world.alice.upload(&repeated, &bytes).await.expect(StatusCode::OK);
    assert_eq!(world.picture(&id).await, before);
}

#[tokio::test]
async fn an_inline_state_that_does_not_belong_is_refused_whatever_comes_with_it() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let before = world.picture(&id).await;
    let foreign = state(6, "foreign", 0, &json!({}));
    let mut wrong = inline(&plain(6));
    wrong["md5"] = "0".repeat(32).into();
    for (mut sent, status) in [(inline(&plain(5 - 1)), 409), (inline(&foreign), 409), (wrong, 422)] {
        (sent["json-state"], sent["json-state-outputs"]) = (base64("{}"), base64("{}"));
        refused(&post(&world, &id, "1.5.7", sent).await, status);
    }
    assert_eq!(world.picture(&id).await, before);
    world.alice.unlock(&id).await.expect(StatusCode::OK);
    refused(&post(&world, &id, "1.5.7", inline(&plain(6))).await, 409);
}

#[tokio::test]
async fn the_version_that_wrote_a_state_is_shown_with_it_and_a_newer_one_is_no_obstacle() {
    let world = World::new().await;
    let body = of("workspaces", json!({"name": "web", "terraform-version": "1.5.7"}));
    let id = world.alice.post(ALL, body).await.expect(StatusCode::CREATED).id();
    world.alice.lock(&id).await.expect(StatusCode::OK);
    let table = [
        (json!("1.5.7"), json!("1.5.7")),
        (json!("1.9.8"), json!("1.9.8")),
        (json!("1.12.0-alpha20250101"), json!("1.12.0-alpha20250101")),
        (json!(""), Value::Null),
        (json!("x".repeat(101)), Value::Null),
        (json!("1.5\n"), Value::Null),
        (Value::Null, Value::Null),
    ];
    for (serial, (version, _)) in (1..).zip(&table) {
        let bytes = written_by(version, serial, &json!({}));
        let made = world.propose(&id, inline(&bytes)).await;
        assert_eq!(made.status, StatusCode::CREATED, "{version}: {}", made.text());
        assert_eq!(world.alice.download(&id).await.body, bytes);
    }
    let list = world.alice.get(&format!("/workspaces/{id}/state-versions")).await.json();
    let shown: Vec<Value> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|item| item["attributes"]["terraform-version"].clone())
        .collect();
    assert_eq!(shown, table.map(|(_, shown)| shown));
    let workspace = world.alice.get(&format!("/workspaces/{id}")).await.json();
    assert_eq!(
        workspace["data"]["attributes"]["terraform-version"], "1.5.7",
        "the pin is the workspace's own"
    );
}

#[tokio::test]
async fn a_prefix_of_names_is_all_that_the_old_backend_asks_for() {
    let world = World::new().await;
    for name in ["cp-10-dns-dev", "cp-10-dns-prod", "other"] {
        let body = of("workspaces", json!({"name": name, "terraform-version": "1.1.9"}));
        world.alice.post(ALL, body).await.expect(StatusCode::CREATED);
    }
    let list = world.ask(ALL, &[("search[name]", "cp-10-dns-")]).await;
    assert_eq!(
        (names(&list), total(&list)),
        (vec!["cp-10-dns-dev".to_owned(), "cp-10-dns-prod".to_owned()], 2)
    );
}
