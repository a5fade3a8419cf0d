//! A disk that gives back other bytes than it was given.

use std::fs;
use std::path::PathBuf;

use opentaco_tests::caller::{Caller, Listed};
use opentaco_tests::client::state;
use opentaco_tests::server::{Options, Server};
use reqwest::StatusCode;
use serde_json::json;

use crate::history::{Acknowledged, Target};
use crate::{start, token, workspace};

/// Where the bytes of a version lie.
pub(crate) fn blob(server: &Server, target: &Target, version: &str) -> PathBuf {
    let folder = server.data_dir().join("workspaces").join(&target.id[3..]).join("blobs");
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with(version) && name.ends_with(".state")
    };
    let mut files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.find(is_it).unwrap_or_else(|| panic!("no bytes of {version}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_bytes_never_arrive_as_a_whole_state() {
    let server = start(Options::local());
    let token = token(&server, "alice").await;
    let caller = Caller::new(&server, &token);
    let target = Target { id: workspace(&server, &token, "damaged").await, name: "damaged".to_owned() };
    assert_eq!(caller.act(&target.id, "lock").await, Some(StatusCode::OK));
    // One that is handled at once, one of several chunks, one of many.
    for (serial, resources) in [(1, 2), (2, 400), (3, 8000)] {
        let bytes = state(serial, "damaged", resources, &json!({}));
        let proposal = caller.propose(&target.id, &bytes).await.unwrap().expect(StatusCode::CREATED);
        assert!(caller.upload(&proposal, &bytes).await.unwrap().status.is_success());
        let version = Acknowledged { id: proposal.id(), bytes };
        let path = blob(&server, &target, &version.id);
        let good = fs::read(&path).unwrap();
        let reply = caller.get(&format!("/state-versions/{}", version.id)).await.unwrap();
        let address = Listed::read(&reply.json()["data"]).download;
        for place in (0..good.len()).step_by(good.len() / 200 + 1) {
            let mut damaged = good.clone();
            damaged[place] ^= 1 << (place % 8);
            fs::write(&path, damaged).unwrap();
            if let Some(reply) = caller.download(&address).await
                && reply.status == StatusCode::OK
            {
                assert!(
                    reply.body == version.bytes,
                    "a flipped bit in byte {place} arrived as a whole state"
                );
            }
        }
        fs::write(&path, &good).unwrap();
        assert_eq!(caller.download(&address).await.unwrap().body, version.bytes, "mended, it is there again");
    }
}
