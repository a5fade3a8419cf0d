//! Snapshots during an apply: Terraform takes them only while every answer of an upload says so.

use opentaco_tests::client::Reply;
use reqwest::StatusCode;

use crate::world::{World, plain, text};

#[track_caller]
fn says_so(reply: &Reply) {
    let seconds = reply.headers["x-terraform-snapshot-interval"].to_str().unwrap();
    let seconds: u64 = seconds.parse().expect("a whole number of seconds");
    assert!((1..=3600).contains(&seconds), "Terraform takes 1 to 3600, not {seconds}");
}

#[tokio::test]
async fn every_answer_of_an_upload_allows_snapshots() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    says_so(&world.alice.lock(&id).await.expect(StatusCode::OK));
    says_so(&world.alice.current(&id).await.expect(StatusCode::NOT_FOUND));
    // Two in a row, as during an apply: the second one is the one that an omission would switch off.
    for serial in [1, 2] {
        let proposal = world.alice.propose(&id, &plain(serial)).await.expect(StatusCode::CREATED);
        says_so(&proposal);
        says_so(&world.alice.get(&format!("/state-versions/{}", proposal.id())).await.expect(StatusCode::OK));
        let url = text(&proposal.json()["data"]["attributes"]["hosted-json-state-upload-url"]);
        says_so(&world.put(&url, "{}").await.expect(StatusCode::OK));
        says_so(&world.alice.upload(&proposal, &plain(serial)).await.expect(StatusCode::OK));
        says_so(&world.alice.get(&format!("/state-versions/{}", proposal.id())).await.expect(StatusCode::OK));
        says_so(&world.alice.current(&id).await.expect(StatusCode::OK));
        says_so(&world.alice.upload(&proposal, b"{}").await.expect(StatusCode::UNPROCESSABLE_ENTITY));
    }
    says_so(&world.alice.propose(&id, &plain(1)).await.expect(StatusCode::CONFLICT));
    says_so(&world.alice.get("/nothing").await.expect(StatusCode::NOT_FOUND));
    says_so(&world.alice.unlock(&id).await.expect(StatusCode::OK));
}

#[tokio::test]
async fn each_snapshot_is_a_version_of_its_own_and_the_newest_is_current() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    world.alice.lock(&id).await.expect(StatusCode::OK);
    for serial in 1..=5 {
        let proposal = world.alice.propose(&id, &plain(serial)).await.expect(StatusCode::CREATED);
        world.alice.upload(&proposal, &plain(serial)).await.expect(StatusCode::OK);
        // The apply may be killed after any of them.
        assert_eq!(world.alice.download(&id).await.body, plain(serial));
    }
    world.alice.force_unlock(&id).await.expect(StatusCode::OK);
    assert_eq!(world.alice.download(&id).await.body, plain(5));
}

#[tokio::test]
async fn a_pending_upload_does_not_keep_the_lock() {
    let world = World::new().await;
    let id = world.locked("web").await;
    world.alice.propose(&id, &plain(6)).await.expect(StatusCode::CREATED);
    world.alice.unlock(&id).await.expect(StatusCode::OK);
    world.alice.write(&id, &plain(6)).await;
    assert_eq!(world.alice.download(&id).await.body, plain(6));
}
