//! From a proposal to a committed version.

use std::future::ready;

use bytes::Bytes;
use futures_util::stream;
use md5::Digest;
use opentaco_domain::commit::Proposal;
use opentaco_domain::state::Md5;
use opentaco_tests::client::state;
use opentaco_tests::seaweed::Seaweed;
use serde_json::json;

use crate::installation::{Asked, Server, actor};

#[tokio::test(flavor = "multi_thread")]
async fn locking_costs_one_request_and_writing_a_version_five() {
    let Some(bucket) = Seaweed::find().map(Seaweed::bucket) else { return };
    let server = Server::on(&bucket).unwrap();
    let id = server.make("app/prod", "app").await.id;
    let one_write = Asked { lists: 0, reads: 0, writes: 1 };
    for serial in 1..=3 {
        server.asked();
        server.workspaces.lock(&actor(), id, "apply").await.unwrap();
        assert_eq!(server.asked(), one_write, "lock");

        let outputs = json!({"x": {"value": serial, "type": "number"}});
        let bytes = Bytes::from(state(serial, "lineage", 2, &outputs));
        let md5 = Md5(md5::Md5::digest(&bytes).into());
        let proposal = Proposal { serial, lineage: Some("lineage".parse().unwrap()), md5 };
        let ticket = server.state_versions.propose(&actor(), id, &proposal, false, &[]).await.unwrap();
        let body = Box::pin(stream::iter([Ok(bytes)]));
        server.state_versions.upload(&actor(), &ticket, body, ready(Ok(actor()))).await.unwrap();
        // Pending, bytes, outputs, record, description.
        assert_eq!(server.asked(), Asked { lists: 0, reads: 0, writes: 5 }, "version {serial}");

        server.workspaces.unlock(&actor(), id).await.unwrap();
        assert_eq!(server.asked(), one_write, "unlock");
        server.state_versions.current(&actor(), id).await.unwrap();
        assert_eq!(server.asked(), Asked { lists: 0, reads: 1, writes: 0 }, "read");
    }
}
