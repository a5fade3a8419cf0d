//! The lock: one holder, named to everybody else, and freed by nobody by mistake.

use opentaco_tests::client::Api;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::{World, plain, refused};

async fn is_locked(api: &Api, workspace: &str) -> bool {
    let shown = api.get(&format!("/workspaces/{workspace}")).await.expect(StatusCode::OK).json();
    shown["data"]["attributes"]["locked"].as_bool().expect("a truth value")
}

#[tokio::test]
async fn a_held_lock_is_refused_to_everybody_and_its_holder_is_named() {
    let world = World::new().await;
    let id = world.workspace("app~prod").await;
    let bob = world.person("bob").await;
    let locked = world.alice.lock(&id).await.expect(StatusCode::OK).json();
    assert_eq!(locked["data"]["attributes"]["locked"], true);
    let before = world.picture(&id).await;
    for api in [&bob, &world.alice] {
        let detail = refused(&api.lock(&id).await, 409);
        for part in
            ["is locked by User", "alice", "default/app~prod", "terraform force-unlock", "Locked by a test"]
        {
            assert!(detail.contains(part), "{part:?} is not in {detail}");
        }
    }
    assert_eq!(world.picture(&id).await, before);
}

#[tokio::test]
async fn only_the_holding_token_unlocks() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let bob = world.person("bob").await;
    let second_token_of_alice = world.person("alice").await;
    let before = world.picture(&id).await;
    for api in [&bob, &second_token_of_alice] {
        let detail = refused(&api.unlock(&id).await, 409);
        assert!(detail.contains("is locked by User"), "Terraform looks for it: {detail}");
        assert!(detail.contains("default/web"), "{detail}");
    }
    assert_eq!(world.picture(&id).await, before);
    world.alice.unlock(&id).await.expect(StatusCode::OK);
    assert!(!is_locked(&world.alice, &id).await);
}

#[tokio::test]
async fn what_is_not_locked_cannot_be_unlocked() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    let before = world.picture(&id).await;
    refused(&world.alice.unlock(&id).await, 409);
    refused(&world.alice.force_unlock(&id).await, 409);
    assert_eq!(world.picture(&id).await, before);
    world.alice.lock(&id).await.expect(StatusCode::OK);
    world.alice.unlock(&id).await.expect(StatusCode::OK);
    refused(&world.alice.unlock(&id).await, 409);
}

#[tokio::test]
async fn force_unlock_frees_anybodys_lock_once() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let bob = world.person("bob").await;
    let freed = bob.force_unlock(&id).await.expect(StatusCode::OK).json();
    assert_eq!(freed["data"]["attributes"]["locked"], false);
    let detail = refused(&bob.force_unlock(&id).await, 409);
    assert!(detail.contains("not locked"), "{detail}");
    bob.lock(&id).await.expect(StatusCode::OK);
    refused(&world.alice.unlock(&id).await, 409);
}

#[tokio::test]
async fn a_lock_needs_no_body_and_refuses_a_wrong_one() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    let lock = format!("/workspaces/{id}/actions/lock");
    let before = world.picture(&id).await;
    for body in ["{", "[]", "7", "\u{0}\u{1}"] {
        refused(&world.send(Method::POST, &lock, body).await, 400);
    }
    for body in
        [r#"{"data":7}"#, r#"{"data":{"attributes":"x"}}"#, r#"{"data":{"attributes":{"reason":[1]}}}"#]
    {
        refused(&world.send(Method::POST, &lock, body).await, 422);
    }
    assert_eq!(world.picture(&id).await, before);
    for body in ["", "{}", r#"{"reason":"x"}"#, r#"{"data":{"type":""}}"#] {
        world.send(Method::POST, &lock, body).await.expect(StatusCode::OK);
        // Whatever comes with an unlock: Terraform sends nothing that counts.
        let unlock = format!("/workspaces/{id}/actions/unlock");
        world.send(Method::POST, &unlock, "{]").await.expect(StatusCode::OK);
    }
}

#[tokio::test]
async fn a_reason_of_any_length_leaves_the_workspace_readable() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    let body = json!({"data": {"attributes": {"reason": "ä\u{0}\"<".repeat(50_000)}}});
    let reply = world.alice.post(&format!("/workspaces/{id}/actions/lock"), body).await;
    assert!(matches!(reply.status.as_u16(), 200 | 422), "{}", reply.status);
    let shown = world.alice.get(&format!("/workspaces/{id}")).await.expect(StatusCode::OK);
    assert!(shown.body.len() < 64 * 1024, "{} bytes for one workspace", shown.body.len());
}

#[tokio::test]
async fn a_reason_puts_no_control_characters_on_other_peoples_terminals() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    let bob = world.person("bob").await;
    let body =
        json!({"data": {"attributes": {"reason": "\u{1b}[2J\u{1b}[1;1Hall is well\u{0}\r\n\u{202e}"}}});
    let reply = world.alice.post(&format!("/workspaces/{id}/actions/lock"), body).await;
    if reply.status != StatusCode::OK {
        refused(&reply, 422);
        return;
    }
    // Terraform prints the detail as it comes.
    let detail = refused(&bob.unlock(&id).await, 409);
    assert!(!detail.contains(char::is_control), "{detail:?}");
}

#[tokio::test]
async fn a_lock_taken_again_fences_what_was_proposed_under_the_old_one() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let old = world.alice.propose(&id, &plain(6)).await.expect(StatusCode::CREATED);
    world.alice.unlock(&id).await.expect(StatusCode::OK);
    world.alice.lock(&id).await.expect(StatusCode::OK);
    let before = world.picture(&id).await;
    let detail = refused(&world.alice.upload(&old, &plain(6)).await, 409);
    assert!(detail.contains("lock"), "{detail}");
    assert_eq!(world.picture(&id).await, before);
    let new = world.alice.propose(&id, &plain(6)).await.expect(StatusCode::CREATED);
    world.alice.upload(&new, &plain(6)).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn other_workspaces_are_not_blocked_by_a_lock() {
    let world = World::new().await;
    world.locked("web").await;
    let other = world.workspace("other").await;
    world.alice.write(&other, &plain(1)).await;
    refused(&world.alice.unlock(&other).await, 409);
}

#[tokio::test]
async fn a_lock_outlives_a_restart() {
    let mut world = World::of(opentaco_tests::server::Options::local()).await;
    let id = world.locked("web").await;
    let before = world.picture(&id).await;
    world.server.restart();
    // Its old connections ended with the old process.
    world.alice = Api::new(&world.server, &world.token);
    assert_eq!(world.picture(&id).await, before);
    refused(&world.alice.lock(&id).await, 409);
    world.alice.unlock(&id).await.expect(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_workspaces_are_locked_at_once_and_none_blocks_another() {
    let world = World::new().await;
    let names: Vec<String> = (0..100).map(|n| format!("w{n:02}")).collect();
    let locked = names.iter().map(|name| {
        let world = &world;
        async move {
            let id = world.workspace(name).await;
            world.alice.lock(&id).await.expect(StatusCode::OK);
            id
        }
    });
    let ids = futures_util::future::join_all(locked).await;
    let bob = world.person("bob").await;
    for id in ids.iter().step_by(10) {
        refused(&bob.lock(id).await, 409);
    }
    let unlocked = ids.iter().map(|id| world.alice.unlock(id));
    for reply in futures_util::future::join_all(unlocked).await {
        reply.expect(StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_who_lock_at_once_one_does() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    for _ in 0..3 {
        let replies = futures_util::future::join_all((0..50).map(|_| world.alice.lock(&id))).await;
        assert_eq!(replies.iter().filter(|reply| reply.status == StatusCode::OK).count(), 1);
        replies
            .iter()
            .filter(|reply| reply.status != StatusCode::OK)
            .for_each(|reply| drop(refused(reply, 409)));
        world.alice.unlock(&id).await.expect(StatusCode::OK);
    }
}
