//! What a client writes, and how the history is held against what clients were told.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use opentaco_tests::caller::{Caller, Listed};
use opentaco_tests::client::{md5_hex, state};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// How many downloads run side by side.
const SIDE_BY_SIDE: usize = 8;

/// A version whose upload was acknowledged.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    pub id: String,
    pub bytes: Vec<u8>,
}

/// What became of one try to write a version.
#[derive(Clone, Debug)]
pub enum Told {
    /// It is kept.
    Done(Acknowledged),
    /// It is not kept.
    Refused,
    /// The server is gone.
    Nothing,
}

/// A workspace that storms write to.
#[derive(Clone, Debug)]
pub struct Target {
    pub id: String,
    pub name: String,
}

/// The id and serial of the current version.
async fn current(caller: &Caller, target: &Target) -> Option<Option<(String, u64)>> {
    let reply = caller.get(&format!("/workspaces/{}/current-state-version", target.id)).await?;
    if reply.status == StatusCode::NOT_FOUND {
        return Some(None);
    }
    let document = reply.expect(StatusCode::OK).json();
    let listed = Listed::read(&document["data"]);
    Some(Some((listed.id, listed.serial)))
}

/// Reads the current version and writes the next one, which says what it was made from.
pub async fn write(caller: &Caller, target: &Target, by: &str) -> Told {
    try_write(caller, target, by).await.unwrap_or(Told::Nothing)
}

async fn try_write(caller: &Caller, target: &Target, by: &str) -> Option<Told> {
    let before = current(caller, target).await?;
    let serial = before.as_ref().map_or(0, |(_, serial)| *serial) + 1;
    let text = |value: Value| json!({"value": value, "type": "string"});
    let outputs = json!({"predecessor": text(json!(before.map(|(id, _)| id))), "by": text(json!(by))});
    // Now and then one that is too long to be handled at once.
    let resources = if serial % 17 == 0 { 400 } else { 2 };
    let bytes = state(serial, &target.name, resources, &outputs);
    let proposal = caller.propose(&target.id, &bytes).await?;
    if proposal.status == StatusCode::CONFLICT {
        return Some(Told::Refused);
    }
    let proposal = proposal.expect(StatusCode::CREATED);
    let uploaded = caller.upload(&proposal, &bytes).await?;
    if uploaded.status == StatusCode::CONFLICT {
        return Some(Told::Refused);
    }
    assert!(uploaded.status.is_success(), "{} {}", uploaded.status, uploaded.text());
    Some(Told::Done(Acknowledged { id: proposal.id(), bytes }))
}

/// Holds the whole history of a workspace against what was acknowledged. Gives its length.
pub async fn audit(caller: &Caller, target: &Target, acknowledged: &[Acknowledged]) -> usize {
    let what = &target.name;
    let history = caller.history("default", &target.name).await.expect("an answer");
    let downloads = history.clone().into_iter().map(|version| {
        let caller = caller.clone();
        async move { caller.download(&version.download).await.expect("an answer").expect(StatusCode::OK).body }
    });
    let bodies: Vec<Vec<u8>> = stream::iter(downloads).buffered(SIDE_BY_SIDE).collect().await;
    let mut before: Option<&Listed> = None;
    for (place, (version, body)) in history.iter().zip(&bodies).enumerate() {
        assert_eq!(version.ordinal, place as u64 + 1, "{what}: the history has no gap and no fork");
        assert!(
            before.is_none_or(|before| before.serial < version.serial),
            "{what}: {version:?}: serials rise"
        );
        let document: Value = serde_json::from_slice(body).expect("a state");
        assert_eq!(document["serial"], version.serial, "{what}: {version:?}: its own bytes");
        let predecessor = document["outputs"]["predecessor"]["value"].as_str();
        assert_eq!(
            predecessor,
            before.map(|before| before.id.as_str()),
            "{what}: {version:?}: its predecessor"
        );
        before = Some(version);
    }
    let kept: BTreeMap<&str, String> =
        history.iter().zip(&bodies).map(|(version, body)| (version.id.as_str(), md5_hex(body))).collect();
    for version in acknowledged {
        let found = kept.get(version.id.as_str());
        assert_eq!(found, Some(&md5_hex(&version.bytes)), "{what}: {} was acknowledged", version.id);
    }
    history.len()
}
