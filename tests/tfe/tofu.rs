//! OpenTofu: another agent, tags as a set, and states that it encrypts before anybody sees them.

use data_encoding::BASE64;
use opentaco_tests::client::{JSON_API, Reply, md5_hex};
use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, answer, inline, names, of, plain, refused, text, total, upload_url};

const ALL: &str = "/organizations/default/workspaces";

/// A call as OpenTofu makes it.
async fn tofu(world: &World, method: Method, path: &str, body: Value) -> Reply {
    let request = world
        .request(method, path)
        .header(USER_AGENT, "OpenTofu/1.11.14")
        .header("Terraform-Version", "1.11.14")
        .header("X-Terraform-Integration", "cloud")
        .header(CONTENT_TYPE, JSON_API);
    answer(request.body(body.to_string())).await
}

/// An encrypted state; `known` stands in it in clear.
fn secret(cipher: &str, known: &Value) -> Vec<u8> {
    let mut document = json!({
        "meta": {"key_provider.pbkdf2.k": "eyJzYWx0Ijoi"}, "encrypted_data": cipher, "encryption_version": "v0",
    });
    for (name, value) in known.as_object().unwrap() {
        document[name] = value.clone();
    }
    let mut bytes = document.to_string().into_bytes();
    bytes.push(b'\n');
    bytes
}

fn outputs() -> Value {
    json!({
        "url": {"value": "https://x", "type": "string", "sensitive": false},
        "pw": {"value": "hunter2", "type": "string", "sensitive": true},
        "n": {"value": [1, {"a": null}], "type": ["tuple", ["number", ["object", {"a": "string"}]]]},
    })
}

/// What OpenTofu says of a state: serial and lineage are in the request, the outputs in clear.
fn said(bytes: &[u8], serial: u64, outputs: &Value) -> Value {
    let outputs = BASE64.encode(outputs.to_string().as_bytes());
    json!({"serial": serial, "lineage": "kept", "md5": md5_hex(bytes), "force": false, "json-state-outputs": outputs})
}

async fn propose(world: &World, id: &str, said: Value) -> Reply {
    tofu(world, Method::POST, &format!("/workspaces/{id}/state-versions"), of("state-versions", said)).await
}

async fn locked(world: &World, name: &str) -> String {
    let id = world.workspace(name).await;
    let body = of("", json!({"reason": "Locked by OpenTofu"}));
    tofu(world, Method::POST, &format!("/workspaces/{id}/actions/lock"), body).await.expect(StatusCode::OK);
    id
}

/// Demands the outputs of the request: complete, typed, and silent about the secret until it is asked for.
async fn outputs_are_served(world: &World, id: &str) {
    let list = world.alice.get(&format!("/workspaces/{id}/current-state-version-outputs")).await;
    assert_eq!(names(&list), ["n", "pw", "url"]);
    assert!(!list.text().contains("hunter2"));
    let items = list.json()["data"].as_array().unwrap().clone();
    assert_eq!(items[0]["attributes"]["detailed-type"], outputs()["n"]["type"]);
    assert_eq!(items[0]["attributes"]["value"], outputs()["n"]["value"]);
    assert_eq!(
        (&items[1]["attributes"]["sensitive"], &items[1]["attributes"]["value"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(items[2]["attributes"]["value"], "https://x");
    let one = world.alice.get(&format!("/state-version-outputs/{}", text(&items[1]["id"]))).await;
    assert_eq!(one.expect(StatusCode::OK).json()["data"]["attributes"]["value"], "hunter2");
}

#[tokio::test]
async fn a_workspace_is_found_by_a_set_of_tags_and_remembers_tofus_version() {
    let world = World::new().await;
    let none = tofu(&world, Method::GET, &format!("{ALL}?search%5Btags%5D=app%2Cnet"), Value::Null).await;
    assert_eq!(names(&none), Vec::<String>::new());
    let tag = |name: &str| json!({"type": "tags", "attributes": {"name": name}});
    let body = json!({"data": {
        "type": "workspaces", "attributes": {"name": "web"}, "relationships": {"tags": {"data": [tag("app")]}},
    }});
    let made = tofu(&world, Method::POST, ALL, body).await.expect(StatusCode::CREATED);
    assert_eq!(made.json()["data"]["attributes"]["tag-names"], json!(["app"]));
    let at = format!("/workspaces/{}", made.id());
    let version = of("workspaces", json!({"terraform-version": "1.11.14"}));
    let shown = tofu(&world, Method::PATCH, &at, version).await.expect(StatusCode::OK).json();
    assert_eq!(shown["data"]["attributes"]["terraform-version"], "1.11.14");
    let added =
        tofu(&world, Method::POST, &format!("{at}/relationships/tags"), json!({"data": [tag("net")]})).await;
    added.expect(StatusCode::NO_CONTENT);
    let found = tofu(&world, Method::GET, &format!("{ALL}?search%5Btags%5D=app%2Cnet"), Value::Null).await;
    assert_eq!(names(&found), ["web"]);
}

#[tokio::test]
async fn an_encrypted_state_comes_back_as_it_was_and_its_outputs_are_those_of_the_request() {
    let world = World::new().await;
    let pad = "A".repeat(100_000);
    for (name, known, cipher) in [
        ("bare", json!({}), "AAAA"),
        ("told", json!({"serial": 1, "lineage": "kept"}), "AAAA"),
        ("large", json!({"serial": 1, "lineage": "kept"}), pad.as_str()),
    ] {
        for two_step in [true, false] {
            let id = locked(&world, &format!("{name}-{two_step}")).await;
            let bytes = secret(cipher, &known);
            let mut sent = said(&bytes, 1, &outputs());
            if two_step {
                let proposal = propose(&world, &id, sent).await.expect(StatusCode::CREATED);
                world.put(&upload_url(&proposal), bytes.clone()).await.expect(StatusCode::OK);
            } else {
                sent["state"] = BASE64.encode(&bytes).into();
                propose(&world, &id, sent).await.expect(StatusCode::CREATED);
            }
            assert_eq!(world.alice.download(&id).await.body, bytes, "{name}");
            let shown = world.alice.current(&id).await.json()["data"]["attributes"].clone();
            assert_eq!((&shown["serial"], &shown["lineage"]), (&json!(1), &json!("kept")), "{name}");
            assert_eq!(
                (&shown["encrypted-by-client"], &shown["resource-count"]),
                (&json!(true), &Value::Null)
            );
            outputs_are_served(&world, &id).await;
            let safe = format!("/workspaces/{id}/actions/safe-delete");
            world.alice.unlock(&id).await.expect(StatusCode::OK);
            refused(&world.alice.call(Method::POST, &safe, None).await, 409);
        }
    }
}

#[tokio::test]
async fn the_next_write_continues_an_encrypted_history() {
    let world = World::new().await;
    let id = locked(&world, "web").await;
    for serial in 1..=3 {
        let bytes = secret(&format!("AAA{serial}"), &json!({}));
        let mut sent = said(&bytes, serial, &json!({}));
        if serial == 2 {
            sent.as_object_mut().unwrap().remove("lineage");
        }
        let proposal = propose(&world, &id, sent).await.expect(StatusCode::CREATED);
        world.put(&upload_url(&proposal), bytes.clone()).await.expect(StatusCode::OK);
        assert_eq!(world.alice.download(&id).await.body, bytes);
        let shown = world.alice.current(&id).await.json()["data"]["attributes"].clone();
        assert_eq!((&shown["serial"], &shown["lineage"]), (&json!(serial), &json!("kept")));
        let list = world.alice.get(&format!("/workspaces/{id}/current-state-version-outputs")).await;
        assert_eq!(total(&list), 0, "no outputs are left over");
    }
    let before = world.picture(&id).await;
    let bytes = secret("BBBB", &json!({}));
    refused(&propose(&world, &id, said(&bytes, 3, &outputs())).await, 409);
    let mut foreign = said(&bytes, 4, &outputs());
    foreign["lineage"] = "foreign".into();
    refused(&propose(&world, &id, foreign).await, 409);
    assert_eq!(world.picture(&id).await, before);
    // Encryption is switched off and on again.
    world.propose(&id, inline(&plain(4))).await.expect(StatusCode::CREATED);
    let mut sent = said(&bytes, 5, &outputs());
    sent["state"] = BASE64.encode(&bytes).into();
    propose(&world, &id, sent).await.expect(StatusCode::CREATED);
    outputs_are_served(&world, &id).await;
}

#[tokio::test]
async fn an_encrypted_state_that_is_not_what_was_announced_is_refused() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let before = world.picture(&id).await;
    let bytes = secret("AAAA", &json!({}));
    let proposal = propose(&world, &id, said(&bytes, 6, &outputs())).await.expect(StatusCode::CREATED);
    let mut cut = bytes.clone();
    cut.pop();
    for wrong in [secret("AAAB", &json!({})), cut, plain(6), Vec::new()] {
        refused(&world.put(&upload_url(&proposal), wrong).await, 422);
    }
    for known in
        [json!({"serial": 7}), json!({"lineage": "foreign"}), json!({"serial": 6, "lineage": "foreign"})]
    {
        let bytes = secret("AAAA", &known);
        let mut sent = said(&bytes, 6, &outputs());
        sent["state"] = BASE64.encode(&bytes).into();
        let detail = refused(&propose(&world, &id, sent).await, 422);
        assert!(detail.contains("serial") || detail.contains("lineage"), "{detail}");
    }
    assert_eq!(world.picture(&id).await, before);
    world.put(&upload_url(&proposal), bytes.clone()).await.expect(StatusCode::OK);
    outputs_are_served(&world, &id).await;
    let before = world.picture(&id).await;
    world.put(&upload_url(&proposal), bytes).await.expect(StatusCode::OK);
    assert_eq!(world.picture(&id).await, before, "a repeated upload changes nothing");
    outputs_are_served(&world, &id).await;
}

#[tokio::test]
async fn malformed_outputs_are_refused_by_name_and_change_nothing() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let before = world.picture(&id).await;
    let bytes = secret("AAAA", &json!({}));
    let in_base64 =
        ["[]", "7", "{", "{\"a\":7}", "{\"a\":{\"value\":1}}", "{\"a\":{\"type\":\"string\"}}", "\u{0}"];
    let many: serde_json::Map<String, Value> =
        (0..10_001).map(|n| (format!("o{n}"), json!({"value": 1, "type": "number"}))).collect();
    let many = Value::from(many).to_string();
    for outputs in in_base64.into_iter().chain([many.as_str()]) {
        let mut sent = said(&bytes, 6, &json!({}));
        sent["json-state-outputs"] = BASE64.encode(outputs.as_bytes()).into();
        let detail = refused(&propose(&world, &id, sent).await, 422);
        assert!(detail.contains("json-state-outputs"), "{detail}");
    }
    for value in [json!("*"), json!(7), json!([])] {
        let mut sent = said(&bytes, 6, &json!({}));
        sent["json-state-outputs"] = value;
        assert!(refused(&propose(&world, &id, sent).await, 422).contains("json-state-outputs"));
    }
    assert_eq!(world.picture(&id).await, before);
    for nothing in ["", "null", "{}", " "] {
        let mut sent = said(&bytes, 6, &json!({}));
        sent["json-state-outputs"] = BASE64.encode(nothing.as_bytes()).into();
        propose(&world, &id, sent).await.expect(StatusCode::CREATED);
    }
}

#[tokio::test]
async fn outputs_of_a_state_that_can_be_read_are_its_own_whatever_the_request_says() {
    let world = World::new().await;
    let id = locked(&world, "web").await;
    let own = json!({"own": {"value": "true", "type": "string"}});
    let bytes = opentaco_tests::client::state(1, "kept", 0, &own);
    let proposal = propose(&world, &id, said(&bytes, 1, &outputs())).await.expect(StatusCode::CREATED);
    world.put(&upload_url(&proposal), bytes).await.expect(StatusCode::OK);
    let list = world.alice.get(&format!("/workspaces/{id}/current-state-version-outputs")).await;
    assert_eq!(names(&list), ["own"]);
    let proposal = propose(&world, &id, said(&plain(2), 2, &outputs())).await.expect(StatusCode::CREATED);
    world.put(&upload_url(&proposal), plain(2)).await.expect(StatusCode::OK);
    let list = world.alice.get(&format!("/workspaces/{id}/current-state-version-outputs")).await;
    assert_eq!(total(&list), 0, "a readable state without outputs has none");
}
