//! Rollbacks: old content as a new version, with a serial that the next apply can count on from.

use data_encoding::BASE64;
use futures_util::future::join_all;
use opentaco_tests::client::{Reply, md5_hex, state};
use opentaco_tests::server::Options;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, inline, names, plain, refused, text, total};

/// A state with a layout of its own; only the serial at the top may ever change in it.
fn odd(serial: &str, pad: usize) -> Vec<u8> {
    let pad = "x".repeat(pad);
    format!(
        "\u{20}{{\r\n\t\"terraform_version\" : \"1.9.8\",\n\"note\":\"\\\"serial\\\": 1, {pad}\",\"outputs\":{{\"serial\"\
         :{{\"value\":{{\"serial\":9}},\"type\":[\"object\",{{\"serial\":\"number\"}}]}},\"pw\":{{\"type\":\"string\",\
         \"value\":\"hunter2\",\"sensitive\":true}}}},\n  \"serial\"  :\t{serial} ,\"lineage\":\"kept\",\"resources\":[\
         {{\"mode\":\"managed\",\"type\":\"t\",\"name\":\"serial\",\"instances\":[{{\"attributes\":{{\"serial\":3,\
         \"n\":1.50}}}}]}}],\"version\":4,\"z\":[\"serial\",1]}}\n\n"
    )
    .into_bytes()
}

async fn history(world: &World, workspace: &str) -> Reply {
    world.alice.get(&format!("/workspaces/{workspace}/state-versions")).await.expect(StatusCode::OK)
}

/// A locked workspace with these states, and the ids of its versions.
async fn written(world: &World, name: &str, states: &[Vec<u8>]) -> (String, Vec<String>) {
    let id = world.workspace(name).await;
    world.alice.lock(&id).await.expect(StatusCode::OK);
    let mut versions = Vec::new();
    for state in states {
        let made = world.propose(&id, inline(state)).await.expect(StatusCode::CREATED);
        versions.push(made.id());
    }
    (id, versions)
}

fn attribute(reply: &Reply, name: &str) -> Value {
    reply.json()["data"]["attributes"][name].clone()
}

#[tokio::test]
async fn old_bytes_come_back_as_the_newest_version_with_the_next_serial() {
    let world = World::new().await;
    let (id, versions) = written(&world, "web", &[odd("1", 0), plain(2), plain(99)]).await;
    let back = world.roll_back(&id, &versions[0]).await.expect(StatusCode::OK);
    let expected = odd("100", 0);
    assert_eq!(world.alice.download(&id).await.body, expected, "every byte but the serial");
    assert_eq!(world.alice.current(&id).await.json(), back.json());
    assert_eq!(world.bytes(&versions[0]).await, odd("1", 0), "the old version keeps its own");
    for (name, value) in [
        ("serial", json!(100)),
        ("md5", json!(md5_hex(&expected))),
        ("size", json!(expected.len())),
        ("lineage", json!("kept")),
        ("status", json!("finalized")),
        ("resource-count", json!(1)),
        ("terraform-version", json!("1.9.8")),
    ] {
        assert_eq!(attribute(&back, name), value, "{name}");
    }
    let related = &back.json()["data"]["relationships"];
    assert_eq!(
        related["rollback-state-version"]["data"],
        json!({"type": "state-versions", "id": versions[0]})
    );
    assert_eq!(related["outputs"]["data"].as_array().map(Vec::len), Some(2));
    let list = history(&world, &id).await;
    assert_eq!(total(&list), 4, "history grows by one and loses nothing");
    let ids: Vec<String> =
        list.json()["data"].as_array().unwrap().iter().map(|item| text(&item["id"])).collect();
    assert_eq!(ids, [&back.id(), &versions[2], &versions[1], &versions[0]].map(String::clone));
    let outputs = world.alice.get(&format!("/workspaces/{id}/current-state-version-outputs")).await;
    assert_eq!(names(&outputs), ["pw", "serial"]);
    assert!(!outputs.text().contains("hunter2"));
    let secret = text(&outputs.json()["data"][0]["id"]);
    let shown = world.alice.get(&format!("/state-version-outputs/{secret}")).await;
    assert_eq!(attribute(&shown, "value"), "hunter2");
    let shown = world.alice.get(&format!("/workspaces/{id}")).await;
    assert_eq!(attribute(&shown, "resource-count"), 1);
    // The next apply counts on from it.
    world.propose(&id, inline(&plain(100))).await.expect_error(StatusCode::CONFLICT);
    world.propose(&id, inline(&plain(101))).await.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn another_rollback_undoes_a_rollback() {
    let world = World::new().await;
    let (id, versions) = written(&world, "web", &[odd("1", 0), plain(2)]).await;
    let mut serial = 2;
    for _ in 0..6 {
        for (version, bytes) in [
            (&versions[0], (|serial| odd(&serial, 0)) as fn(String) -> Vec<u8>),
            (&versions[1], |serial| plain(serial.parse().unwrap())),
        ] {
            world.roll_back(&id, version).await.expect(StatusCode::OK);
            serial += 1;
            assert_eq!(world.alice.download(&id).await.body, bytes(serial.to_string()));
        }
    }
    assert_eq!(total(&history(&world, &id).await), 14);
}

#[tokio::test]
async fn a_rollback_to_a_rollback_and_to_the_current_version_are_versions_too() {
    let world = World::new().await;
    let (id, versions) = written(&world, "web", &[odd("1", 0), plain(2)]).await;
    let first = world.roll_back(&id, &versions[0]).await.expect(StatusCode::OK);
    let second = world.roll_back(&id, &first.id()).await.expect(StatusCode::OK);
    assert_ne!(first.id(), second.id());
    assert_eq!(attribute(&second, "serial"), 4);
    assert_eq!(second.json()["data"]["relationships"]["rollback-state-version"]["data"]["id"], first.id());
    assert_eq!(world.alice.download(&id).await.body, odd("4", 0));
}

#[tokio::test]
async fn only_the_holder_of_the_lock_rolls_back() {
    let world = World::new().await;
    let (id, versions) = written(&world, "web", &[plain(1), plain(2)]).await;
    world.alice.unlock(&id).await.expect(StatusCode::OK);
    let before = world.picture(&id).await;
    assert!(refused(&world.roll_back(&id, &versions[0]).await, 409).contains("not locked"));
    assert_eq!(world.picture(&id).await, before);
    for other in [world.person("bob").await, world.person("alice").await] {
        other.lock(&id).await.expect(StatusCode::OK);
        let before = world.picture(&id).await;
        let detail = refused(&world.roll_back(&id, &versions[0]).await, 409);
        assert!(detail.contains("is locked by User") && detail.contains("default/web"), "{detail}");
        assert_eq!(world.picture(&id).await, before);
        other.unlock(&id).await.expect(StatusCode::OK);
    }
}

#[tokio::test]
async fn what_is_no_version_of_the_workspace_is_not_found() {
    let world = World::new().await;
    let (id, versions) = written(&world, "web", &[plain(1), plain(2)]).await;
    let (other, foreign) = written(&world, "other", &[plain(1), plain(2)]).await;
    let pending = world.alice.propose(&id, &plain(3)).await.expect(StatusCode::CREATED).id();
    let discarded = world.alice.propose(&other, &plain(3)).await.expect(StatusCode::CREATED).id();
    world.propose(&other, inline(&state(3, "kept", 1, &json!({})))).await.expect(StatusCode::CREATED);
    let neighbour = format!(
        "{}{}",
        &versions[0][..versions[0].len() - 1],
        if versions[0].ends_with('A') { 'B' } else { 'A' }
    );
    let before = (world.picture(&id).await, world.picture(&other).await);
    for version in
        [&foreign[0], &foreign[1], &pending, &discarded, &neighbour, "", "x", "sv-", "../x", "\u{0}", &id]
    {
        refused(&world.roll_back(&id, version).await, 404);
    }
    refused(&world.roll_back(&other, &discarded).await, 404);
    refused(&world.roll_back("ws-01ARZ3NDEKTSV4RRFFQ69G5FAV", &versions[0]).await, 404);
    refused(&world.roll_back("x", &versions[0]).await, 404);
    assert_eq!((world.picture(&id).await, world.picture(&other).await), before);
    let fresh = world.workspace("fresh").await;
    world.alice.lock(&fresh).await.expect(StatusCode::OK);
    refused(&world.roll_back(&fresh, &versions[0]).await, 404);
    world.alice.unlock(&other).await.expect(StatusCode::OK);
    world.delete(&format!("/workspaces/{other}")).await.expect(StatusCode::NO_CONTENT);
    refused(&world.roll_back(&other, &foreign[0]).await, 404);
}

#[tokio::test]
async fn a_malformed_rollback_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let (id, versions) = written(&world, "web", &[plain(1), plain(2)]).await;
    let path = format!("/workspaces/{id}/state-versions");
    let before = world.picture(&id).await;
    for body in ["{", "[]", "7", "\u{0}"] {
        refused(&world.send(Method::PATCH, &path, body).await, 400);
    }
    let related =
        |data: Value| json!({"data": {"relationships": {"rollback-state-version": {"data": data}}}});
    for body in [
        json!({}),
        json!({"data": []}),
        json!({"data": {"relationships": {}}}),
        json!({"data": {"relationships": []}}),
        json!({"data": {"attributes": {"rollback-state-version": versions[0]}}}),
        related(Value::Null),
        related(json!({})),
        related(json!({"id": 7})),
        related(json!([{"id": versions[0]}])),
        related(json!(versions[0])),
    ] {
        let reply = world.patch(&path, body.clone()).await;
        assert_eq!(reply.status, 422, "{body}: {}", reply.text());
        assert!(refused(&reply, 422).contains("rollback-state-version"), "{body}");
    }
    refused(&world.send(Method::PATCH, &path, "").await, 422);
    assert_eq!(world.picture(&id).await, before);
}

#[tokio::test]
async fn an_encrypted_state_is_not_rolled_back_to_and_the_way_out_is_told() {
    let world = World::new().await;
    for (name, secret) in [
        ("bare", json!({"meta": {}, "encrypted_data": "AAAA", "encryption_version": "v0"})),
        ("told", json!({"serial": 1, "lineage": "kept", "meta": {}, "encrypted_data": "AAAA"})),
    ] {
        let id = world.workspace(name).await;
        world.alice.lock(&id).await.expect(StatusCode::OK);
        let bytes = secret.to_string().into_bytes();
        let sent =
            json!({"serial": 1, "lineage": "kept", "md5": md5_hex(&bytes), "state": BASE64.encode(&bytes)});
        let old = world.propose(&id, sent).await.expect(StatusCode::CREATED).id();
        world.propose(&id, inline(&plain(2))).await.expect(StatusCode::CREATED);
        let before = world.picture(&id).await;
        let detail = refused(&world.roll_back(&id, &old).await, 422);
        assert!(detail.contains("encrypted") && detail.contains("push"), "{detail}");
        assert_eq!(world.picture(&id).await, before);
    }
}

#[tokio::test]
async fn the_largest_serial_is_not_rolled_back_from() {
    let world = World::new().await;
    let largest = u64::try_from(i64::MAX).unwrap() - 1;
    let (id, versions) = written(&world, "web", &[plain(1), plain(largest)]).await;
    let before = world.picture(&id).await;
    assert!(refused(&world.roll_back(&id, &versions[0]).await, 422).contains("serial"));
    assert_eq!(world.picture(&id).await, before);
}

#[tokio::test]
async fn a_lineage_that_was_replaced_by_force_comes_back_with_its_content() {
    let world = World::new().await;
    let (id, versions) = written(&world, "web", &[plain(1)]).await;
    let mut forced = inline(&state(7, "foreign", 0, &json!({})));
    forced["force"] = true.into();
    world.propose(&id, forced).await.expect(StatusCode::CREATED);
    let back = world.roll_back(&id, &versions[0]).await.expect(StatusCode::OK);
    assert_eq!((attribute(&back, "lineage"), attribute(&back, "serial")), (json!("kept"), json!(8)));
    world.propose(&id, inline(&plain(9))).await.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn large_states_are_rolled_back_byte_for_byte_in_memory_and_on_disk() {
    for options in [Options::memory(), Options::local()] {
        let world = World::of(options).await;
        // Around the length up to which a state is handled on the spot, and far beyond one chunk.
        for pad in [64 * 1024 - 700, 64 * 1024, 70_000, 6_000_000] {
            let (id, versions) = written(&world, &format!("w{pad}"), &[odd("9", pad)]).await;
            let back = world.roll_back(&id, &versions[0]).await.expect(StatusCode::OK);
            let expected = odd("10", pad);
            assert_eq!(attribute(&back, "md5"), md5_hex(&expected), "{pad}");
            assert!(world.alice.download(&id).await.body == expected, "{pad}");
            assert_eq!(attribute(&back, "size"), expected.len());
        }
    }
}

#[tokio::test]
async fn a_state_at_the_limit_is_rolled_back_although_its_serial_gets_longer() {
    let world = World::of(Options::memory().env("OPENTACO_MAX_STATE_BYTES", "1048576")).await;
    let exact = odd("9", 1_048_576 - odd("9", 0).len());
    let (id, versions) = written(&world, "web", std::slice::from_ref(&exact)).await;
    world.roll_back(&id, &versions[0]).await.expect(StatusCode::OK);
    assert_eq!(world.alice.download(&id).await.body.len(), exact.len() + 1);
}

#[tokio::test]
async fn an_upload_proposed_before_a_rollback_is_overtaken_by_it() {
    let world = World::new().await;
    let (id, versions) = written(&world, "web", &[plain(1), plain(2)]).await;
    let proposal = world.alice.propose(&id, &plain(3)).await.expect(StatusCode::CREATED);
    world.roll_back(&id, &versions[0]).await.expect(StatusCode::OK);
    let before = world.picture(&id).await;
    refused(&world.alice.upload(&proposal, &plain(3)).await, 409);
    assert_eq!(world.picture(&id).await, before);
}

#[tokio::test]
async fn a_rollback_outlives_a_restart() {
    let mut world = World::of(Options::local()).await;
    let (id, versions) = written(&world, "web", &[odd("1", 70_000), plain(2)]).await;
    world.roll_back(&id, &versions[0]).await.expect(StatusCode::OK);
    let before = world.picture(&id).await;
    world.server.restart();
    world.alice = opentaco_tests::client::Api::new(&world.server, &world.token);
    assert_eq!(world.picture(&id).await, before);
    assert_eq!(world.alice.download(&id).await.body, odd("3", 70_000));
}

/// Demands that the whole history can be read, newest first, its serials rising and its places without a gap.
async fn no_gap(world: &World, id: &str, versions: u64) {
    let list = world.ask(&format!("/workspaces/{id}/state-versions"), &[("page[size]", "100")]).await;
    assert_eq!(total(&list.clone().expect(StatusCode::OK)), versions);
    let items = list.json()["data"].as_array().unwrap().clone();
    assert_eq!(items.len() as u64, versions);
    let serials: Vec<u64> = items.iter().map(|item| item["attributes"]["serial"].as_u64().unwrap()).collect();
    assert!(serials.windows(2).all(|pair| pair[0] > pair[1]), "{serials:?}");
    for item in &items {
        let bytes = world.bytes(&text(&item["id"])).await;
        assert_eq!(md5_hex(&bytes), text(&item["attributes"]["md5"]));
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(document["serial"], item["attributes"]["serial"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_rollback_and_an_upload_at_once_one_wins_and_history_has_no_gap() {
    let world = World::new().await;
    let (id, versions) = written(&world, "web", &[plain(1), plain(2)]).await;
    let mut count = 2;
    for _ in 0..12 {
        let current = attribute(&world.alice.current(&id).await, "serial").as_u64().unwrap();
        let next = state(current + 1, "kept", 1, &json!({}));
        let proposal = world.alice.propose(&id, &next).await.expect(StatusCode::CREATED);
        let (back, uploaded) =
            tokio::join!(world.roll_back(&id, &versions[0]), world.alice.upload(&proposal, &next));
        if uploaded.status != StatusCode::OK {
            refused(&uploaded, 409);
        }
        if back.status != StatusCode::OK {
            refused(&back, 409);
        }
        let landed = [&back, &uploaded].iter().filter(|reply| reply.status == StatusCode::OK).count() as u64;
        assert!(landed >= 1, "{} {}", back.text(), uploaded.text());
        count += landed;
        no_gap(&world, &id, count).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rollbacks_at_once_are_refused_or_done_and_each_one_that_is_done_is_a_version() {
    let world = World::new().await;
    let (id, versions) = written(&world, "web", &[plain(1), plain(2)]).await;
    let replies = join_all((0..8).map(|n| world.roll_back(&id, &versions[n % 2]))).await;
    let done = replies.iter().filter(|reply| reply.status == StatusCode::OK).count();
    assert!(done >= 1);
    replies.iter().filter(|reply| reply.status != StatusCode::OK).for_each(|reply| drop(refused(reply, 409)));
    no_gap(&world, &id, 2 + done as u64).await;
    // Who got no answer asks again: one version more, and nothing else.
    world.roll_back(&id, &versions[0]).await.expect(StatusCode::OK);
    no_gap(&world, &id, 3 + done as u64).await;
}
