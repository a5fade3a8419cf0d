//! Terraform's JSON rendering of a state: kept beside it, given back as it came, and never a state itself.

use data_encoding::BASE64;
use opentaco_tests::client::{Api, Reply, state};
use opentaco_tests::server::Options;
use reqwest::{StatusCode, Url};
use serde_json::{Value, json};

use crate::world::{World, answer, inline, plain, refused, text};

const JSON: &[u8] = b"{\"format_version\":\"1.0\",\r\n \"values\": {\"a\":1.0} }\n";

/// The address to send the rendering of a proposal to.
fn json_url(proposal: &Reply) -> String {
    text(&proposal.json()["data"]["attributes"]["hosted-json-state-upload-url"])
}

/// What lies where the description of a version says its rendering is.
async fn rendering(world: &World, described: &Reply) -> Reply {
    let url = text(&described.json()["data"]["attributes"]["hosted-json-state-download-url"]);
    let base = Url::parse(&format!("{}/", world.server.base_http())).unwrap();
    answer(world.http.get(base.join(&url).unwrap()).bearer_auth(&world.token)).await
}

async fn of_version(world: &World, version: &str) -> Reply {
    world.alice.get(&format!("/state-versions/{version}/json-download")).await
}

#[tokio::test]
async fn a_rendering_that_comes_before_or_after_its_state_is_given_back_as_it_came() {
    let world = World::new().await;
    let id = world.locked("web").await;
    for (serial, json_first) in [(6, true), (7, false)] {
        let proposal = world.alice.propose(&id, &plain(serial)).await.expect(StatusCode::CREATED);
        if json_first {
            world.put(&json_url(&proposal), JSON).await.expect(StatusCode::OK);
            refused(&of_version(&world, &proposal.id()).await, 404);
        }
        world.alice.upload(&proposal, &plain(serial)).await.expect(StatusCode::OK);
        if !json_first {
            refused(&of_version(&world, &proposal.id()).await, 404);
            world.put(&json_url(&proposal), JSON).await.expect(StatusCode::OK);
        }
        let current = world.alice.current(&id).await;
        let by_id = world.alice.get(&format!("/state-versions/{}", proposal.id())).await;
        for described in [current, by_id] {
            let given = rendering(&world, &described).await.expect(StatusCode::OK);
            assert_eq!(given.body, JSON);
            assert!(given.headers["content-type"].to_str().unwrap().starts_with("application/json"));
        }
        assert_eq!(world.alice.download(&id).await.body, plain(serial), "the state is the state");
    }
}

#[tokio::test]
async fn without_a_rendering_nothing_is_given_and_the_reason_is_told() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let current = world.alice.current(&id).await;
    assert!(refused(&rendering(&world, &current).await, 404).contains("JSON"));
    let pending = world.alice.propose(&id, &plain(6)).await.expect(StatusCode::CREATED);
    world.put(&json_url(&pending), JSON).await.expect(StatusCode::OK);
    refused(&of_version(&world, &pending.id()).await, 404);
    let shown = world.alice.get(&format!("/state-versions/{}", pending.id())).await.json();
    assert_eq!(shown["data"]["attributes"]["hosted-json-state-download-url"], Value::Null);
    // Overtaken: its rendering is nobody's, and another version does not inherit it.
    world.propose(&id, inline(&state(6, "kept", 1, &json!({})))).await.expect(StatusCode::CREATED);
    refused(&of_version(&world, &pending.id()).await, 404);
    refused(&rendering(&world, &world.alice.current(&id).await).await, 404);
    refused(&world.put(&json_url(&pending), JSON).await, 409);
    for version in ["x", "sv-", "%00", &id] {
        refused(&of_version(&world, version).await, 404);
    }
    refused(
        &Api::anonymous(&world.server).get(&format!("/state-versions/{}/json-download", current.id())).await,
        401,
    );
    world.alice.unlock(&id).await.expect(StatusCode::OK);
    world.delete(&format!("/workspaces/{id}")).await.expect(StatusCode::NO_CONTENT);
    refused(&of_version(&world, &current.id()).await, 404);
}

#[tokio::test]
async fn the_first_rendering_stays_however_often_another_is_sent() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let proposal = world.alice.propose(&id, &plain(6)).await.expect(StatusCode::CREATED);
    world.alice.upload(&proposal, &plain(6)).await.expect(StatusCode::OK);
    for bytes in [JSON, JSON, b"{}", b"", b"no JSON \xff"] {
        world.put(&json_url(&proposal), bytes).await.expect(StatusCode::OK);
    }
    assert_eq!(of_version(&world, &proposal.id()).await.expect(StatusCode::OK).body, JSON);
}

#[tokio::test]
async fn a_state_is_never_taken_at_the_address_for_its_rendering_nor_given_for_it() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let proposal = world.alice.propose(&id, &plain(6)).await.expect(StatusCode::CREATED);
    world.put(&json_url(&proposal), plain(6)).await.expect(StatusCode::OK);
    assert_eq!(world.alice.download(&id).await.body, plain(5), "nothing was committed");
    refused(&of_version(&world, &world.alice.current(&id).await.id()).await, 404);
    refused(&world.alice.upload(&proposal, JSON).await, 422);
}

#[tokio::test]
async fn a_rollback_has_the_rendering_of_the_version_it_went_back_to() {
    let world = World::of(Options::local()).await;
    let id = world.workspace("web").await;
    world.alice.lock(&id).await.expect(StatusCode::OK);
    let mut versions = Vec::new();
    for (serial, json) in [(1, Some("{\"one\":1}")), (2, Some("{\"two\":2}")), (3, None)] {
        let mut sent = inline(&plain(serial));
        sent["json-state"] = json.map(|json| BASE64.encode(json.as_bytes())).into();
        versions.push(world.propose(&id, sent).await.expect(StatusCode::CREATED).id());
    }
    for (version, json) in [(0, Some("{\"one\":1}")), (2, None), (1, Some("{\"two\":2}"))] {
        let back = world.roll_back(&id, &versions[version]).await.expect(StatusCode::OK);
        let again = world.roll_back(&id, &back.id()).await.expect(StatusCode::OK);
        for made in [back, again] {
            let given = rendering(&world, &made).await;
            match json {
                Some(json) => assert_eq!(given.expect(StatusCode::OK).text(), json),
                None => drop(refused(&given, 404)),
            }
        }
    }
    assert_eq!(of_version(&world, &versions[0]).await.text(), "{\"one\":1}");
}

#[tokio::test]
async fn a_rendering_in_the_request_itself_is_kept_too() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let before = world.picture(&id).await;
    let mut sent = inline(&plain(6));
    sent["json-state"] = "*".into();
    assert!(refused(&world.propose(&id, sent.clone()).await, 422).contains("json-state"));
    sent["json-state"] = json!(7);
    assert!(refused(&world.propose(&id, sent.clone()).await, 422).contains("json-state"));
    assert_eq!(world.picture(&id).await, before);
    sent["json-state"] = BASE64.encode(JSON).into();
    let made = world.propose(&id, sent).await.expect(StatusCode::CREATED);
    assert_eq!(rendering(&world, &made).await.expect(StatusCode::OK).body, JSON);
    let mut empty = inline(&plain(7));
    empty["json-state"] = "".into();
    let made = world.propose(&id, empty).await.expect(StatusCode::CREATED);
    refused(&rendering(&world, &made).await, 404);
}

#[tokio::test]
async fn a_large_rendering_comes_back_whole_also_after_a_restart() {
    let mut world = World::of(Options::local()).await;
    let id = world.locked("web").await;
    let proposal = world.alice.propose(&id, &plain(6)).await.expect(StatusCode::CREATED);
    let large = format!("{{\"pad\":\"{}\"}}", "ä".repeat(2_000_000)).into_bytes();
    world.put(&json_url(&proposal), large.clone()).await.expect(StatusCode::OK);
    world.alice.upload(&proposal, &plain(6)).await.expect(StatusCode::OK);
    assert!(of_version(&world, &proposal.id()).await.expect(StatusCode::OK).body == large);
    world.server.restart();
    world.alice = Api::new(&world.server, &world.token);
    assert!(of_version(&world, &proposal.id()).await.expect(StatusCode::OK).body == large);
}
