//! What must not be found afterwards: tokens, signed addresses, and content of states, in output and files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use opentaco_tests::client::{Api, md5_hex, state};
use opentaco_tests::server::Options;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::{World, answer, inline, refused, text, upload_url};

const SECRET: &str = "hunter2";

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

fn contains(bytes: &[u8], needle: &str) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[tokio::test]
async fn after_a_whole_walk_no_secret_lies_in_the_log_or_beside_the_blobs() {
    let options = Options::local().env("OPENTACO_LOG_LEVEL", "trace");
    let world = World::of(options).await;
    let id = world.workspace("web").await;
    let secret = json!({"s": {"value": SECRET, "type": "string", "sensitive": true}});
    let states = [1, 2, 3].map(|serial| state(serial, "kept", 1, &secret));
    world.alice.write(&id, &states[0]).await;
    world.alice.lock(&id).await.expect(StatusCode::OK);
    world.propose(&id, inline(&states[1])).await.expect(StatusCode::CREATED);
    let proposal = world.alice.propose(&id, &states[2]).await.expect(StatusCode::CREATED);
    let json_url = text(&proposal.json()["data"]["attributes"]["hosted-json-state-upload-url"]);
    answer(world.http.put(&json_url).body(states[2].clone())).await.expect(StatusCode::OK);
    refused(&world.alice.upload(&proposal, SECRET.as_bytes()).await, 422);
    world.alice.upload(&proposal, &states[2]).await.expect(StatusCode::OK);
    let outputs = world.alice.get(&format!("/workspaces/{id}/current-state-version-outputs")).await.json();
    world.alice.get(&format!("/state-version-outputs/{}", text(&outputs["data"][0]["id"]))).await;
    world.alice.download(&id).await.expect(StatusCode::OK);
    let version = world.alice.current(&id).await.id();
    world.roll_back(&id, &version).await.expect(StatusCode::OK);
    let included =
        world.ask(&format!("/state-versions/{version}"), &[("include", "outputs,created_by")]).await;
    assert!(!included.text().contains(SECRET), "a list of outputs shows a secret");
    world.alice.get(&format!("/state-versions/{version}/json-download")).await.expect(StatusCode::OK);
    // A client that encrypts tells its outputs in clear.
    let encrypted = br#"{"encrypted_data":"AAAA"}"#;
    let mut sent = json!({"serial": 5, "md5": md5_hex(encrypted), "state": BASE64.encode(encrypted)});
    sent["json-state-outputs"] = BASE64.encode(secret.to_string().as_bytes()).into();
    world.propose(&id, sent).await.expect(StatusCode::CREATED);
    world.propose(&id, json!({"serial": 6, "md5": "x", "json-state-outputs": SECRET})).await;
    // Refusals have words of their own, and must not have anybody else's.
    world.send(Method::POST, &format!("/workspaces/{id}/state-versions"), format!("{{\"{SECRET}\"")).await;
    world.propose(&id, json!({"serial": SECRET, "md5": SECRET, "state": SECRET})).await;
    world.alice.get(&format!("/organizations/default/workspaces?search%5Btags%5D={SECRET}")).await;
    Api::new(&world.server, &format!("{}x", world.token)).get("/account/details").await;
    Api::new(&world.server, SECRET).get("/account/details").await;

    let ticket = upload_url(&proposal).rsplit_once('/').unwrap().1.to_owned();
    let json_ticket = json_url.rsplit_once('/').unwrap().1.to_owned();
    let token_secret = world.token.rsplit_once('_').unwrap().1.to_owned();
    let output = world.server.output();
    assert!(output.contains("/workspaces/{workspace}"), "requests are logged by their route:\n{output}");
    for needle in [SECRET, &token_secret, &ticket, &json_ticket] {
        assert!(!output.contains(needle), "{needle} was printed");
    }
    for file in files(&world.server.data_dir()) {
        let bytes = fs::read(&file).unwrap();
        let is_blob = file.components().any(|part| part.as_os_str() == "blobs");
        for needle in [&token_secret, &ticket, &json_ticket] {
            assert!(!contains(&bytes, needle), "{needle} lies in {}", file.display());
        }
        assert!(is_blob || !contains(&bytes, SECRET), "{SECRET} lies in {}", file.display());
        let is_named =
            file.to_string_lossy().contains(SECRET) || file.to_string_lossy().contains(&token_secret);
        assert!(!is_named, "{}", file.display());
    }
}

#[tokio::test]
async fn only_its_owner_enters_the_data_dir_and_reads_the_keys() {
    let world = World::of(Options::local()).await;
    let id = world.workspace("web").await;
    world.alice.write(&id, &state(1, "kept", 0, &json!({}))).await;
    let data = world.server.data_dir();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    assert_eq!(fs::read_to_string(data.join(".gitignore")).unwrap().trim(), "*");
    let keys = files(&data.join("keys"));
    assert!(!keys.is_empty(), "keys are kept");
    for key in keys {
        assert_eq!(mode(&key), 0o600, "{}", key.display());
    }
    for file in files(&data.join("tls")) {
        if contains(&fs::read(&file).unwrap(), "PRIVATE KEY") {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }
    for file in files(&data) {
        let mode = mode(&file);
        assert_eq!(mode & 0o022, 0, "{} is {mode:o}: others may write it", file.display());
    }
}
