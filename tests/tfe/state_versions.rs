//! State versions: what rises and belongs is taken, everything else is refused, and each version keeps its bytes.

use data_encoding::BASE64;
use opentaco_tests::client::{md5_hex, state};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, announced, inline, plain, refused, text};

/// A state that is not the one of that serial in [`plain`].
fn other(serial: u64, lineage: &str) -> Vec<u8> {
    state(serial, lineage, 1, &json!({}))
}

fn total(picture: &Value) -> u64 {
    picture["versions"]["meta"]["pagination"]["total-count"].as_u64().expect("a count")
}

#[tokio::test]
async fn a_malformed_proposal_is_refused_and_names_what_is_wrong() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let before = world.picture(&id).await;
    let path = format!("/workspaces/{id}/state-versions");
    for body in ["{", "[1]", "\"x\"", "\u{0}", "{\"data\":{\"attributes\":{\"serial\":6,}}}"] {
        let detail = refused(&world.send(Method::POST, &path, body).await, 400);
        assert!(detail.contains("JSON"), "{detail}");
    }
    let good = announced(&plain(6));
    for (attribute, value) in [
        ("serial", Value::Null),
        ("serial", json!("6")),
        ("serial", json!(-1)),
        ("serial", json!(6.5)),
        ("serial", json!(1e30)),
        ("md5", Value::Null),
        ("md5", json!(7)),
        ("md5", json!("")),
        ("md5", json!("0")),
        ("md5", json!("z".repeat(32))),
        ("md5", json!("a".repeat(1000))),
        ("lineage", json!(7)),
        ("lineage", json!("ü")),
        ("lineage", json!("x".repeat(201))),
        ("force", json!("no")),
        ("state", json!(["x"])),
        ("state", json!("*not base64*")),
    ] {
        let mut attributes = good.clone();
        attributes[attribute] = value.clone();
        let reply = world.propose(&id, attributes).await;
        assert_eq!(reply.status, 422, "{attribute}={value}: {}", reply.text());
        let detail = refused(&reply, 422);
        assert!(detail.contains(attribute), "{attribute}={value}: {detail}");
    }
    for body in [json!({}), json!({"data": [good]}), json!({"data": {"attributes": 7}})] {
        refused(&world.alice.post(&path, body).await, 422);
    }
    assert_eq!(world.picture(&id).await, before);
}

#[tokio::test]
async fn a_serial_that_does_not_rise_is_refused_with_both_numbers() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let before = world.picture(&id).await;
    for state in [other(5, "kept"), plain(4), plain(0)] {
        for attributes in [announced(&state), inline(&state)] {
            let given = attributes["serial"].to_string();
            let detail = refused(&world.propose(&id, attributes).await, 409);
            assert!(detail.contains(&format!("serial {given}")) && detail.contains("serial 5"), "{detail}");
        }
    }
    for serial in [u64::MAX, 1 << 63] {
        refused(&world.propose(&id, announced(&plain(serial))).await, 422);
    }
    assert_eq!(world.picture(&id).await, before);
}

#[tokio::test]
async fn a_foreign_lineage_is_refused_also_when_the_proposal_omits_it() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let before = world.picture(&id).await;
    let foreign = other(6, "foreign");
    for attributes in [announced(&foreign), inline(&foreign)] {
        let detail = refused(&world.propose(&id, attributes).await, 409);
        assert!(detail.contains("foreign") && detail.contains("kept"), "{detail}");
    }
    let mut silent = announced(&foreign);
    silent.as_object_mut().unwrap().remove("lineage");
    let proposal = world.propose(&id, silent).await.expect(StatusCode::CREATED);
    let detail = refused(&world.alice.upload(&proposal, &foreign).await, 409);
    assert!(detail.contains("lineage"), "{detail}");
    for empty in [Value::Null, json!("")] {
        let mut silent = inline(&foreign);
        silent["lineage"] = empty;
        refused(&world.propose(&id, silent).await, 409);
    }
    assert_eq!(world.picture(&id).await, before);
}

#[tokio::test]
async fn a_state_that_is_not_what_was_announced_is_refused() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let before = world.picture(&id).await;
    let state = plain(6);
    let mut wrong_digest = inline(&state);
    wrong_digest["md5"] = md5_hex(b"something else").into();
    let mut wrong_serial = inline(&state);
    wrong_serial["serial"] = 7.into();
    for (attributes, word) in [(wrong_digest, "md5"), (wrong_serial, "serial")] {
        let detail = refused(&world.propose(&id, attributes).await, 422);
        assert!(detail.contains(word), "{detail}");
    }
    for junk in [&b"not a state"[..], b"[]", b"{}", b"\x00\xff", b"{\"version\":4,\"serial\":6"] {
        let attributes = json!({"serial": 6, "md5": md5_hex(junk), "state": BASE64.encode(junk)});
        refused(&world.propose(&id, attributes).await, 422);
    }
    assert_eq!(world.picture(&id).await, before);
}

#[tokio::test]
async fn only_the_holder_of_the_lock_proposes() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    world.alice.write(&id, &plain(5)).await;
    let bob = world.person("bob").await;
    let before = world.picture(&id).await;
    for attributes in [announced(&plain(6)), inline(&plain(6))] {
        let detail = refused(&world.propose(&id, attributes).await, 409);
        assert!(detail.contains("not locked"), "{detail}");
    }
    assert_eq!(world.picture(&id).await, before);
    bob.lock(&id).await.expect(StatusCode::OK);
    let before = world.picture(&id).await;
    for attributes in [announced(&plain(6)), inline(&plain(6))] {
        let detail = refused(&world.propose(&id, attributes).await, 409);
        assert!(detail.contains("bob") && detail.contains("default/web"), "{detail}");
    }
    assert_eq!(world.picture(&id).await, before);
}

#[tokio::test]
async fn a_state_in_the_proposal_is_current_at_once() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let mut attributes = inline(&plain(6));
    for (name, value) in
        [("json-state-outputs", json!("e30=")), ("json-state", json!("e30=")), ("new", json!([]))]
    {
        attributes[name] = value;
    }
    let made = world.propose(&id, attributes.clone()).await.expect(StatusCode::CREATED);
    assert_eq!(made.json()["data"]["attributes"]["status"], "finalized");
    assert_eq!(world.alice.current(&id).await.id(), made.id());
    assert_eq!(world.alice.download(&id).await.body, plain(6));
    let again = world.propose(&id, attributes).await;
    assert!(again.status.is_success(), "{}", again.text());
    assert_eq!(again.id(), made.id());
    assert_eq!(total(&world.picture(&id).await), 2);
}

#[tokio::test]
async fn a_repeated_write_is_a_success_with_one_version() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let before = world.picture(&id).await;
    let again = world.alice.propose(&id, &plain(5)).await.expect(StatusCode::CREATED);
    assert_eq!(again.id(), text(&before["current"]["data"]["id"]));
    world.alice.upload(&again, &plain(5)).await.expect(StatusCode::OK);
    assert_eq!(world.picture(&id).await, before);
}

#[tokio::test]
async fn a_version_is_shown_pending_then_finalized_or_discarded() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let [won, lost] = [plain(6), other(6, "kept")];
    let winner = world.alice.propose(&id, &won).await.expect(StatusCode::CREATED);
    let loser = world.alice.propose(&id, &lost).await.expect(StatusCode::CREATED);
    let shown = |proposal| {
        let path = format!("/state-versions/{proposal}");
        async { world.alice.get(&{ path }).await.expect(StatusCode::OK).json()["data"]["attributes"].clone() }
    };
    for proposal in [&winner, &loser] {
        let attributes = shown(proposal.id()).await;
        assert_eq!(attributes["status"], "pending");
        assert_eq!(attributes["hosted-state-download-url"], Value::Null);
    }
    refused(&world.alice.get(&format!("/state-versions/{}/download", winner.id())).await, 404);
    refused(&world.alice.get(&format!("/state-versions/{}/outputs", winner.id())).await, 404);
    assert_eq!(world.alice.download(&id).await.body, plain(5), "a proposal is not a state");

    world.alice.upload(&winner, &won).await.expect(StatusCode::OK);
    let attributes = shown(winner.id()).await;
    assert_eq!(attributes["status"], "finalized");
    assert_eq!(attributes["md5"], md5_hex(&won));
    assert_eq!(attributes["hosted-state-upload-url"], Value::Null);
    let detail = refused(&world.alice.upload(&loser, &lost).await, 409);
    assert!(detail.contains("another state version"), "{detail}");
    assert_eq!(shown(loser.id()).await["status"], "discarded");
    assert_eq!(world.alice.download(&id).await.body, won);
}

#[tokio::test]
async fn a_second_writer_with_the_same_token_does_not_overwrite_the_first() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let [first, second] = [plain(6), other(6, "kept")];
    let one = world.alice.propose(&id, &first).await.expect(StatusCode::CREATED);
    let two = world.alice.propose(&id, &second).await.expect(StatusCode::CREATED);
    world.alice.upload(&one, &first).await.expect(StatusCode::OK);
    let before = world.picture(&id).await;
    refused(&world.alice.upload(&two, &second).await, 409);
    let detail = refused(&world.alice.propose(&id, &second).await, 409);
    assert!(detail.contains("serial 6"), "{detail}");
    assert_eq!(world.picture(&id).await, before);
    assert_eq!(total(&before), 2);
}

#[tokio::test]
async fn every_version_gives_its_own_bytes_and_the_list_has_the_newest_first() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    let states = [plain(1), other(2, "kept"), plain(9)];
    for state in &states {
        world.alice.write(&id, state).await;
    }
    let by_id = format!("/workspaces/{id}/state-versions");
    let by_name =
        "/state-versions?filter%5Bworkspace%5D%5Bname%5D=web&filter%5Borganization%5D%5Bname%5D=default";
    for path in [by_id.as_str(), by_name] {
        let list = world.alice.get(path).await.expect(StatusCode::OK).json();
        let items = list["data"].as_array().unwrap();
        let serials: Vec<_> =
            items.iter().map(|item| item["attributes"]["serial"].as_u64().unwrap()).collect();
        assert_eq!(serials, [9, 2, 1]);
        for (item, state) in items.iter().zip(states.iter().rev()) {
            let version = text(&item["id"]);
            let bytes =
                world.alice.get(&format!("/state-versions/{version}/download")).await.expect(StatusCode::OK);
            assert_eq!(&bytes.body, state);
            assert_eq!(item["attributes"]["size"], state.len());
        }
    }
    let page = world.alice.get(&format!("{by_id}?page%5Bsize%5D=2&page%5Bnumber%5D=2")).await.json();
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    assert_eq!(page["meta"]["pagination"]["total-pages"], 2);
}

#[tokio::test]
async fn a_list_by_name_needs_both_names() {
    let world = World::new().await;
    world.workspace("web").await;
    let org = "filter%5Borganization%5D%5Bname%5D=default";
    for query in ["", "filter%5Bworkspace%5D%5Bname%5D=web", org, "filter%5Bworkspace%5D=web"] {
        let detail = refused(&world.alice.get(&format!("/state-versions?{query}")).await, 422);
        assert!(detail.contains("filter["), "{detail}");
    }
    for name in ["nobody", "..", "%00", "a%20b"] {
        let query = format!("/state-versions?{org}&filter%5Bworkspace%5D%5Bname%5D={name}");
        refused(&world.alice.get(&query).await, 404);
    }
}

#[tokio::test]
async fn unknown_versions_are_not_found() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let real = world.alice.current(&id).await.id();
    let last = if real.ends_with('a') { "b" } else { "a" };
    let neighbour = format!("{}{last}", &real[..real.len() - 1]);
    let longer = format!("{real}a");
    for version in [&neighbour, &longer, "sv-", "x", "..%2f..%2fkeys", "%00", id.as_str()] {
        for tail in ["", "/download", "/outputs"] {
            let reply = world.alice.get(&format!("/state-versions/{version}{tail}")).await;
            assert_eq!(reply.status, 404, "{version}{tail}: {}", reply.text());
            refused(&reply, 404);
        }
    }
    let fresh = world.workspace("fresh").await;
    refused(&world.alice.current(&fresh).await, 404);
}

#[tokio::test]
async fn force_writes_over_another_history_and_keeps_the_old_versions() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let old = world.alice.current(&id).await.id();
    let replacing = other(2, "foreign");
    let mut attributes = inline(&replacing);
    attributes["force"] = true.into();
    world.propose(&id, attributes).await.expect(StatusCode::CREATED);
    assert_eq!(world.alice.download(&id).await.body, replacing);
    let kept = world.alice.get(&format!("/state-versions/{old}/download")).await.expect(StatusCode::OK);
    assert_eq!(kept.body, plain(5));
}
