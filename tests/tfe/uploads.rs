//! Upload addresses: good for one version, one lock, one life, and nothing else.

use opentaco_tests::client::{md5_hex, state};
use opentaco_tests::server::Options;
use reqwest::header::AUTHORIZATION;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::{World, announced, answer, plain, refused, text, upload_url};

#[tokio::test]
async fn a_repeated_upload_is_a_success_and_other_bytes_are_refused() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let proposal = world.alice.propose(&id, &plain(6)).await.expect(StatusCode::CREATED);
    world.alice.upload(&proposal, &plain(6)).await.expect(StatusCode::OK);
    let before = world.picture(&id).await;
    world.alice.upload(&proposal, &plain(6)).await.expect(StatusCode::OK);
    for other in [state(6, "kept", 1, &json!({})), plain(7), b"{}".to_vec(), Vec::new()] {
        let reply = world.alice.upload(&proposal, &other).await;
        assert!(matches!(reply.status.as_u16(), 409 | 422), "{}", reply.text());
        refused(&reply, reply.status.as_u16());
    }
    assert_eq!(world.picture(&id).await, before);
    world.alice.unlock(&id).await.expect(StatusCode::OK);
    // The answer was lost and the lock is gone: the bytes are there all the same.
    world.alice.upload(&proposal, &plain(6)).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn bytes_that_do_not_match_are_refused_and_the_right_ones_still_come_through() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let proposal = world.alice.propose(&id, &plain(6)).await.expect(StatusCode::CREATED);
    let before = world.picture(&id).await;
    let mut cut = plain(6);
    cut.pop();
    for wrong in [cut, plain(7), Vec::new(), b"hello".to_vec(), vec![0; 1000]] {
        let detail = refused(&world.alice.upload(&proposal, &wrong).await, 422);
        assert!(!detail.contains("hello"), "no content in an answer: {detail}");
    }
    assert_eq!(world.picture(&id).await, before);
    world.alice.upload(&proposal, &plain(6)).await.expect(StatusCode::OK);
    assert_eq!(world.alice.download(&id).await.body, plain(6));
}

#[tokio::test]
async fn what_is_no_state_is_refused_although_its_digest_matches() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let before = world.picture(&id).await;
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    for junk in ["", "hello", "[]", "{}", "7", "{\"serial\":6", "\u{feff}{}", deep.as_str()] {
        let attributes = json!({"serial": 6, "md5": md5_hex(junk.as_bytes())});
        let proposal = world.propose(&id, attributes).await.expect(StatusCode::CREATED);
        let reply = world.alice.upload(&proposal, junk.as_bytes()).await;
        assert_eq!(reply.status, 422, "{:.20}: {}", junk, reply.text());
        refused(&reply, 422);
    }
    assert_eq!(world.picture(&id).await, before);
}

#[tokio::test]
async fn an_upload_without_the_lock_or_under_somebody_elses_writes_nothing() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let bob = world.person("bob").await;
    let proposal = world.alice.propose(&id, &plain(6)).await.expect(StatusCode::CREATED);
    bob.force_unlock(&id).await.expect(StatusCode::OK);
    let before = world.picture(&id).await;
    refused(&world.alice.upload(&proposal, &plain(6)).await, 409);
    assert_eq!(world.picture(&id).await, before);
    bob.lock(&id).await.expect(StatusCode::OK);
    let before = world.picture(&id).await;
    let detail = refused(&world.alice.upload(&proposal, &plain(6)).await, 409);
    assert!(detail.contains("bob"), "the holder is named: {detail}");
    assert_eq!(world.picture(&id).await, before);
}

#[tokio::test]
async fn the_holder_named_to_a_late_upload_comes_with_its_workspace() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let bob = world.person("bob").await;
    let proposal = world.alice.propose(&id, &plain(6)).await.expect(StatusCode::CREATED);
    bob.force_unlock(&id).await.expect(StatusCode::OK);
    bob.lock(&id).await.expect(StatusCode::OK);
    let detail = refused(&world.alice.upload(&proposal, &plain(6)).await, 409);
    assert!(detail.contains("default/web"), "{detail}");
}

#[tokio::test]
async fn a_tampered_upload_address_leads_nowhere() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let proposal = world.alice.propose(&id, &plain(6)).await.expect(StatusCode::CREATED);
    let before = world.picture(&id).await;
    let url = upload_url(&proposal);
    let (base, ticket) = url.rsplit_once('/').unwrap();
    let mut bad = vec!["x".to_owned(), "%00".to_owned(), "..%2f..%2fkeys".to_owned(), "a".repeat(5000)];
    bad.extend([&ticket[1..], &ticket[..ticket.len() - 1], &ticket[..ticket.len() / 2]].map(str::to_owned));
    bad.extend([format!("{ticket}A"), format!("{ticket}="), format!("{ticket}%20"), ticket.to_uppercase()]);
    for place in (0..ticket.len()).step_by(ticket.len() / 24) {
        let mut bytes = ticket.as_bytes().to_vec();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        bad.push(String::from_utf8(bytes).unwrap());
    }
    let (all_but_one, last) = ticket.split_at(ticket.len() - 1);
    let ends = ('a'..='z').chain('A'..='Z').chain('0'..='9').chain(['-', '_', '=']);
    bad.extend(ends.filter(|end| !last.starts_with(*end)).map(|end| format!("{all_but_one}{end}")));
    for ticket in bad {
        let reply = answer(world.http.put(format!("{base}/{ticket}")).body(plain(6))).await;
        assert!(matches!(reply.status.as_u16(), 403 | 404), "{ticket:.40}: {}", reply.text());
        refused(&reply, reply.status.as_u16());
    }
    assert_eq!(world.picture(&id).await, before);
    world.alice.upload(&proposal, &plain(6)).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn an_upload_address_of_another_server_leads_nowhere() {
    let (here, there) = (World::new().await, World::new().await);
    let (id, foreign) = (here.locked("web").await, there.locked("web").await);
    let before = here.picture(&id).await;
    let proposal = there.alice.propose(&foreign, &plain(6)).await.expect(StatusCode::CREATED);
    let ticket = upload_url(&proposal).rsplit_once('/').unwrap().1.to_owned();
    let url = format!("{}/tfe/api/v2/uploads/{ticket}", here.server.base_http());
    refused(&answer(here.http.put(url).body(plain(6))).await, 404);
    assert_eq!(here.picture(&id).await, before);
}

#[tokio::test]
async fn an_upload_address_takes_bytes_and_gives_none() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let proposal = world.alice.propose(&id, &plain(6)).await.expect(StatusCode::CREATED);
    let before = world.picture(&id).await;
    for method in [Method::GET, Method::POST, Method::PATCH, Method::DELETE, Method::OPTIONS] {
        let reply = answer(world.http.request(method, upload_url(&proposal)).body(plain(6))).await;
        refused(&reply, 405);
    }
    assert_eq!(world.picture(&id).await, before);
}

#[tokio::test]
async fn the_address_for_the_json_rendering_never_changes_the_state() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let proposal = world.alice.propose(&id, &plain(6)).await.expect(StatusCode::CREATED);
    let before = world.picture(&id).await;
    let url = text(&proposal.json()["data"]["attributes"]["hosted-json-state-upload-url"]);
    assert!(url.starts_with("https://"), "absolute, as the call was: {url}");
    for body in [plain(6), br#"{"format_version":"1.0"}"#.to_vec()] {
        answer(world.http.put(&url).body(body)).await.expect(StatusCode::OK);
    }
    assert_eq!(world.picture(&id).await, before);
    // The two come in any order.
    world.alice.upload(&proposal, &plain(6)).await.expect(StatusCode::OK);
    answer(world.http.put(&url).body("{}")).await.expect(StatusCode::OK);
    assert_eq!(world.alice.download(&id).await.body, plain(6));
}

#[tokio::test]
async fn upload_addresses_have_the_scheme_of_the_call_and_need_no_token() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let body = json!({"data": {"attributes": announced(&plain(6))}}).to_string();
    let path = format!("/workspaces/{id}/state-versions");
    let proposal = world.send(Method::POST, &path, body).await.expect(StatusCode::CREATED);
    let url = upload_url(&proposal);
    assert!(url.starts_with(&world.server.base_http()), "{url}");
    let bare = world.http.put(url).body(plain(6)).header(AUTHORIZATION, "Bearer garbage");
    answer(bare).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn an_upload_dies_with_the_token_that_proposed_it() {
    let world = World::of(Options::memory().env("OPENTACO_TERRAFORM_TOKEN_TTL", "8s")).await;
    let id = world.locked("web").await;
    let proposal = world.alice.propose(&id, &plain(6)).await.expect(StatusCode::CREATED);
    refused(&world.until_expired().await, 401);
    refused(&world.alice.upload(&proposal, &plain(6)).await, 403);
    let bob = world.person("bob").await;
    assert_eq!(bob.download(&id).await.expect(StatusCode::OK).body, plain(5));
}
