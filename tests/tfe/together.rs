//! Many at once: each gets an answer that is true afterwards.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use opentaco_tests::client::state;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::{World, plain, refused, text};

const ALL: &str = "/organizations/default/workspaces";

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_make_one_name_one_does() {
    let world = World::new().await;
    let body = json!({"data": {"type": "workspaces", "attributes": {"name": "web"}}});
    let replies = join_all((0..10).map(|_| world.alice.post(ALL, body.clone()))).await;
    let (made, late): (Vec<_>, Vec<_>) =
        replies.iter().partition(|reply| reply.status == StatusCode::CREATED);
    assert_eq!(made.len(), 1);
    for reply in late {
        refused(reply, 422);
    }
    assert_eq!(world.alice.get(&format!("{ALL}/web")).await.id(), made[0].id());
    assert_eq!(world.alice.get(ALL).await.json()["meta"]["pagination"]["total-count"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_added_by_many_are_all_there() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    let path = format!("/workspaces/{id}/relationships/tags");
    let add = |n: usize| {
        let body = json!({"data": [{"type": "tags", "attributes": {"name": format!("t{n}")}}]});
        world.alice.call(Method::POST, &path, Some(body))
    };
    for reply in join_all((0..10).map(add)).await {
        reply.expect(StatusCode::NO_CONTENT);
    }
    let list = world.alice.get(&path).await.json();
    let names: BTreeSet<String> =
        list["data"].as_array().unwrap().iter().map(|item| text(&item["id"])).collect();
    assert_eq!(names, (0..10).map(|n| format!("t{n}")).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_uploads_for_one_place_one_wins_and_the_other_is_told() {
    let world = World::new().await;
    let id = world.locked("web").await;
    for serial in 6..16 {
        let states = [plain(serial), state(serial, "kept", 1, &json!({}))];
        let mut proposals = Vec::new();
        for state in &states {
            proposals.push(world.alice.propose(&id, state).await.expect(StatusCode::CREATED));
        }
        let uploads =
            proposals.iter().zip(&states).map(|(proposal, state)| world.alice.upload(proposal, state));
        let replies = join_all(uploads).await;
        let winner = replies.iter().position(|reply| reply.status == StatusCode::OK).expect("a winner");
        refused(&replies[1 - winner], 409);
        assert_eq!(world.alice.download(&id).await.body, states[winner]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_upload_many_times_is_one_version() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let proposal = world.alice.propose(&id, &plain(6)).await.expect(StatusCode::CREATED);
    let bytes = plain(6);
    for reply in join_all((0..8).map(|_| world.alice.upload(&proposal, &bytes))).await {
        reply.expect(StatusCode::OK);
    }
    let list = world.alice.get(&format!("/workspaces/{id}/state-versions")).await.json();
    assert_eq!(list["meta"]["pagination"]["total-count"], 2);
}
