//! Limits: a sentence that says which, nothing changed, and no memory for those who promise too much.

use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};

use futures_util::stream;
use opentaco_tests::client::state;
use opentaco_tests::server::Options;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{Body, Method, StatusCode};
use serde_json::json;

use crate::world::{World, announced, answer, inline, plain, refused, upload_url};

const MIB: usize = 1024 * 1024;

async fn one_mebibyte() -> World {
    World::of(Options::memory().env("OPENTACO_MAX_STATE_BYTES", "1MiB")).await
}

/// A state of exactly so many bytes.
fn sized(serial: u64, bytes: usize) -> Vec<u8> {
    let mut state = plain(serial);
    state.resize(bytes, b' ');
    state
}

#[tokio::test]
async fn a_state_over_the_limit_is_refused_with_the_setting_and_one_at_the_limit_is_not() {
    let world = one_mebibyte().await;
    let id = world.locked("web").await;
    let before = world.picture(&id).await;
    let big = sized(6, MIB + 1);
    let proposal = world.alice.propose(&id, &big).await.expect(StatusCode::CREATED);
    let detail = refused(&world.alice.upload(&proposal, &big).await, 413);
    assert!(detail.contains("OPENTACO_MAX_STATE_BYTES") && detail.contains("1048576"), "{detail}");
    // The same without an announced length.
    let chunks =
        big.chunks(64 * 1024).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect::<Vec<_>>();
    let body = Body::wrap_stream(stream::iter(chunks));
    let detail = refused(&answer(world.http.put(upload_url(&proposal)).body(body)).await, 413);
    assert!(detail.contains("OPENTACO_MAX_STATE_BYTES"), "{detail}");
    // And in the proposal itself.
    let detail = refused(&world.propose(&id, inline(&big)).await, 413);
    assert!(detail.contains("OPENTACO_MAX_STATE_BYTES"), "{detail}");
    assert_eq!(world.picture(&id).await, before);

    let fits = sized(6, MIB);
    let proposal = world.alice.propose(&id, &fits).await.expect(StatusCode::CREATED);
    world.alice.upload(&proposal, &fits).await.expect(StatusCode::OK);
    assert_eq!(world.alice.download(&id).await.body, fits);
}

#[tokio::test]
async fn the_json_rendering_has_a_limit_too() {
    let world = one_mebibyte().await;
    let id = world.locked("web").await;
    let proposal = world.alice.propose(&id, &plain(6)).await.expect(StatusCode::CREATED).json();
    let url = proposal["data"]["attributes"]["hosted-json-state-upload-url"].as_str().unwrap();
    refused(&answer(world.http.put(url).body(vec![b' '; MIB + 1])).await, 413);
}

#[tokio::test]
async fn an_inline_state_that_is_too_large_is_told_of_the_two_steps() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let before = world.picture(&id).await;
    // Announced only: the answer must come before the body, and without memory for it.
    let said = world.raw(&format!(
        "POST /api/v2/workspaces/{id}/state-versions HTTP/1.1\r\nHost: localhost:{}\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 70000000\r\nConnection: close\r\n\r\n{{",
        world.server.port(),
        world.token
    ));
    assert!(said.starts_with("HTTP/1.1 413"), "{said}");
    for part in ["hosted-state-upload-url", "application/vnd.api+json", "\"413\""] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert_eq!(world.picture(&id).await, before);
}

#[tokio::test]
async fn other_bodies_have_one_mebibyte() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let before = world.picture(&id).await;
    let big = json!({"data": {"attributes": {"name": "x", "description": "x".repeat(MIB)}}}).to_string();
    for (method, path) in [
        (Method::POST, "/organizations".to_owned()),
        (Method::POST, "/organizations/default/workspaces".to_owned()),
        (Method::PATCH, format!("/workspaces/{id}")),
        (Method::POST, format!("/workspaces/{id}/actions/lock")),
        (Method::PATCH, format!("/workspaces/{id}/tag-bindings")),
        (Method::DELETE, format!("/workspaces/{id}/relationships/tags")),
    ] {
        let detail = refused(&world.send(method, &path, big.clone()).await, 413);
        assert!(detail.contains("1048576"), "the limit is named: {detail}");
    }
    assert_eq!(world.picture(&id).await, before);
}

#[tokio::test]
async fn a_compressed_body_is_refused_rather_than_misread() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let before = world.picture(&id).await;
    let path = format!("/workspaces/{id}/state-versions");
    let body = json!({"data": {"attributes": announced(&plain(6))}}).to_string();
    let request = world.request(Method::POST, &path).header(CONTENT_ENCODING, "gzip").body(body);
    refused(&answer(request).await, 415);
    assert_eq!(world.picture(&id).await, before);
}

#[tokio::test]
async fn deep_nesting_is_refused_not_followed() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let before = world.picture(&id).await;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{{\"data\":{}1{}}}", open.repeat(100_000), close.repeat(100_000));
        for path in [format!("/workspaces/{id}/actions/lock"), format!("/workspaces/{id}/state-versions")] {
            refused(&world.send(Method::POST, &path, deep.clone()).await, 400);
        }
    }
    assert_eq!(world.picture(&id).await, before);
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_no_state() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let state = state(6, "kept", 3, &json!({}));
    let proposal = world.alice.propose(&id, &state).await.expect(StatusCode::CREATED);
    let before = world.picture(&id).await;
    let half = state[..state.len() / 2].to_vec();
    let chunks = vec![Ok(half), Err(std::io::Error::other("the cable was pulled"))];
    let request = world.http.put(upload_url(&proposal)).header(CONTENT_TYPE, "application/octet-stream");
    assert!(request.body(Body::wrap_stream(stream::iter(chunks))).send().await.is_err());
    assert_eq!(world.picture(&id).await, before);
    world.alice.upload(&proposal, &state).await.expect(StatusCode::OK);
    assert_eq!(world.alice.download(&id).await.body, state);
}

#[tokio::test]
async fn heads_that_are_too_long_or_no_http_are_turned_away() {
    let world = World::new().await;
    let port = world.server.port();
    let long = "x".repeat(400_000);
    for request in [
        format!("GET /api/v2/ping?{long} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"),
        format!("GET /api/v2/ping HTTP/1.1\r\nHost: localhost:{port}\r\nX: {long}\r\n\r\n"),
        format!("GET /api/v2/ping HTTP/1.1\r\nHost: localhost:{port}\r\n{}\r\n", "A: b\r\n".repeat(2000)),
        format!("POST /api/v2/ping HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: -1\r\n\r\n"),
        format!(
            "POST /api/v2/ping HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde"
        ),
        format!(
            "POST /api/v2/organizations HTTP/1.1\r\nHost: localhost:{port}\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"
        ),
        "nonsense\r\n\r\n".to_owned(),
        "\u{0}\u{1}\u{2}\r\n\r\n".to_owned(),
    ] {
        let said = world.raw(&request);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{request:.60}: {said}");
        answer(world.http.get(format!("{}/healthz", world.server.base_http()))).await.expect(StatusCode::OK);
    }
}

#[tokio::test]
async fn who_never_finishes_a_head_is_let_go() {
    let world = World::new().await;
    for start in ["", "G", "GET /api/v2/ping HTTP/1.1\r\nHost: localh"] {
        let said = world.raw(start);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");
    }
}

#[tokio::test]
async fn outputs_without_end_are_refused_and_change_nothing() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let before = world.picture(&id).await;
    let many: serde_json::Map<String, serde_json::Value> = (0..20_000)
        .map(|n| (format!("o{n}"), json!({"value": "x".repeat(1000), "type": "string"})))
        .collect();
    let state = state(6, "kept", 0, &many.into());
    let proposal = world.alice.propose(&id, &state).await.expect(StatusCode::CREATED);
    let reply = world.alice.upload(&proposal, &state).await;
    if reply.status == StatusCode::OK {
        // Taken whole is as good: nothing is lost.
        assert_eq!(world.alice.download(&id).await.body, state);
    } else {
        refused(&reply, 413);
        assert_eq!(world.picture(&id).await, before);
    }
}

#[cfg(target_os = "linux")]
/// The most memory that the server ever had, in bytes.
fn peak(world: &World) -> u64 {
    let port = format!("\0-port\0{}\0", world.server.port());
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok).map(|entry| entry.path());
    let is_ours = |path: &std::path::PathBuf| {
        std::fs::read(path.join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(&port))
    };
    let status =
        std::fs::read_to_string(processes.into_iter().find(is_ours).unwrap().join("status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn large_states_pass_through_and_do_not_stay_in_memory() {
    let world = World::of(Options::local()).await;
    let before = peak(&world);
    let mut ids = Vec::new();
    let resources = |n: usize| -> Vec<serde_json::Value> {
        (0..n)
            .map(|i| json!({"mode": "managed", "type": "t", "name": format!("{i}"), "instances": []}))
            .collect()
    };
    let mut big: serde_json::Value = serde_json::from_slice(&plain(1)).unwrap();
    big["resources"] = resources(1000).into();
    big["resources"][0]["instances"] = json!([{"attributes": {"pad": "x".repeat(32 * MIB)}}]);
    let big = big.to_string().into_bytes();
    for n in 0..4 {
        let id = world.workspace(&format!("w{n}")).await;
        world.alice.lock(&id).await.expect(StatusCode::OK);
        ids.push((world.alice.propose(&id, &big).await.expect(StatusCode::CREATED), id));
    }
    let uploads = ids.iter().map(|(proposal, _)| world.alice.upload(proposal, &big));
    for reply in futures_util::future::join_all(uploads).await {
        reply.expect(StatusCode::OK);
    }
    assert!(world.alice.download(&ids[0].1).await.body == big, "it comes back whole");
    let grown = peak(&world) - before;
    // Four times 32 MiB went through.
    assert!(grown < 96 * MIB as u64, "grew by {} MiB", grown / MIB as u64);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn promises_of_large_bodies_cost_no_memory() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let before = peak(&world);
    let head = format!(
        "POST /api/v2/workspaces/{id}/state-versions HTTP/1.1\r\nHost: localhost:{}\r\n\
         Authorization: Bearer {}\r\nContent-Length: 60000000\r\n\r\n{{",
        world.server.port(),
        world.token
    );
    let promises: Vec<_> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, world.server.port())).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    // Others are served meanwhile.
    world.alice.unlock(&id).await.expect(StatusCode::OK);
    world.alice.write(&id, &plain(6)).await;
    let grown = peak(&world) - before;
    assert!(grown < 64 * MIB as u64, "grew by {} MiB", grown / MIB as u64);
    drop(promises);
}
