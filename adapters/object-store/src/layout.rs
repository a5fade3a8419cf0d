//! Every key name in the bucket, and nothing else.

use data_encoding::BASE32_NOPAD;
use object_store::path::Path;
use opentaco_domain::actor::Subject;
use opentaco_domain::id::{AttemptId, StateVersionId, TokenId, WorkspaceId};
use opentaco_domain::name::{OrganizationName, WorkspaceName};
use opentaco_ports::driven::blobs::{BlobKey, BlobKind};
use sha2::Digest;

/// Entry `number` of a stream: sorts newest first, and a person can read it.
pub(crate) fn entry(stream: &Path, number: u64) -> Path {
    stream.clone().join(entry_file(number))
}

fn entry_file(number: u64) -> String {
    format!("{}-{number}.json", inverted(number))
}

/// The number in an entry's file name.
pub(crate) fn parse_entry(file: &str) -> Option<u64> {
    let (_, number) = file.strip_suffix(".json")?.split_once('-')?;
    let number = number.parse().ok()?;
    (file == entry_file(number)).then_some(number)
}

fn inverted(number: u64) -> String {
    format!("{:020}", u64::MAX - number)
}

/// The stream that says which layout the bucket has.
pub(crate) fn format() -> Path {
    Path::from("format")
}

/// The stream of an organization.
pub(crate) fn organization(name: &OrganizationName) -> Path {
    organizations().join(name.as_str())
}

/// Above all organizations.
pub(crate) fn organizations() -> Path {
    Path::from("orgs")
}

/// The stream that says which workspace has a name. The key holds the name's digest, because names have `/`.
pub(crate) fn name(organization: &OrganizationName, name: &WorkspaceName) -> Path {
    let digest = sha2::Sha256::digest(name.as_str().as_bytes());
    Path::from("names").join(organization.as_str()).join(BASE32_NOPAD.encode(&digest))
}

/// Above all hints of an organization.
pub(crate) fn catalog(organization: &OrganizationName) -> Path {
    Path::from("catalog").join(organization.as_str())
}

/// The hint of a workspace as of one entry of its record.
pub(crate) fn hint(organization: &OrganizationName, workspace: WorkspaceId, number: u64) -> Path {
    catalog(organization).join(format!("{workspace}-{number}.json"))
}

/// The workspace and the entry number in a hint's file name.
pub(crate) fn parse_hint(file: &str) -> Option<(WorkspaceId, u64)> {
    let (workspace, number) = file.strip_suffix(".json")?.split_once('-')?;
    Some((workspace.parse().ok()?, number.parse().ok()?))
}

fn workspace(id: WorkspaceId) -> Path {
    Path::from("workspaces").join(id.to_string())
}

/// The stream of a workspace.
pub(crate) fn workspace_record(id: WorkspaceId) -> Path {
    workspace(id).join("record")
}

/// A proposal that waits for its bytes.
pub(crate) fn pending(version: StateVersionId) -> Path {
    workspace(version.workspace).join("pending").join(format!("{version}.json"))
}

/// The description of a committed version, for history; sorts newest first.
pub(crate) fn version(id: WorkspaceId, ordinal: u32) -> Path {
    workspace(id).join("versions").join(format!("{}.json", inverted(u64::from(ordinal))))
}

/// A blob: it belongs to one attempt to upload one version.
pub(crate) fn blob(key: BlobKey) -> Path {
    let kind = blob_kind(key.kind);
    blobs(key.version.workspace).join(format!("{}-{}.{kind}", key.version, key.attempt))
}

fn blobs(id: WorkspaceId) -> Path {
    workspace(id).join("blobs")
}

fn blob_kind(kind: BlobKind) -> &'static str {
    match kind {
        BlobKind::State => "state",
        BlobKind::JsonState => "json",
        BlobKind::Outputs => "outputs",
    }
}

/// The folder of a version's blobs, and a key in it after which they come.
pub(crate) fn blobs_of(version: StateVersionId) -> (Path, Path) {
    let folder = blobs(version.workspace);
    (folder.clone(), folder.join(version.to_string()))
}

/// The attempt that wrote a blob, if it is one of that version and kind.
pub(crate) fn parse_blob(key: &Path, version: StateVersionId, kind: BlobKind) -> Option<AttemptId> {
    let attempt = key.filename()?.strip_prefix(version.to_string().as_str())?.strip_prefix('-')?;
    attempt.strip_suffix(blob_kind(kind))?.strip_suffix('.')?.parse().ok()
}

/// An API token: what was made.
pub(crate) fn token_created(id: &TokenId) -> Path {
    token(id).join("created.json")
}

/// An API token: that it was revoked.
pub(crate) fn token_revoked(id: &TokenId) -> Path {
    token(id).join("revoked.json")
}

fn token(id: &TokenId) -> Path {
    tokens().join(id.as_str())
}

/// The hour in which a token was used last. It has a folder of its own: it is the only thing that is overwritten, and a disk
/// that fails under it must not eat the one error that would stop a revocation from being believed.
pub(crate) fn token_last_used(id: &TokenId) -> Path {
    Path::from("_last_used").join(format!("{id}.json"))
}

/// Above all tokens.
pub(crate) fn tokens() -> Path {
    Path::from("_tfe_tokens")
}

/// The token in the name of its folder.
pub(crate) fn parse_token(folder: &Path) -> Option<TokenId> {
    folder.filename()?.parse().ok()
}

/// Above the ids of all tokens of an owner. The key holds the owner's digest, because subjects have any characters.
pub(crate) fn tokens_of(owner: &Subject) -> Path {
    Path::from("_tokens_by_owner").join(subject_digest(owner))
}

/// That an owner has, or was about to get, a token of that id.
pub(crate) fn token_of(owner: &Subject, id: &TokenId) -> Path {
    tokens_of(owner).join(id.as_str())
}

/// Above all used refresh tokens of a family.
pub(crate) fn used_refreshes(family: &TokenId) -> Path {
    Path::from("_refresh").join(family.as_str())
}

/// What followed a used refresh token.
pub(crate) fn used_refresh(family: &TokenId, jti: [u8; 16]) -> Path {
    used_refreshes(family).join(format!("{}.json", data_encoding::HEXLOWER.encode(&jti)))
}

/// The stream of a user.
pub(crate) fn user(subject: &Subject) -> Path {
    users().join(subject_digest(subject))
}

/// Above the streams of all users.
pub(crate) fn users() -> Path {
    Path::from("users")
}

/// The stream of the policy.
pub(crate) fn policy() -> Path {
    Path::from("policy")
}

fn subject_digest(subject: &Subject) -> String {
    BASE32_NOPAD.encode(&sha2::Sha256::digest(subject.as_str().as_bytes()))
}

/// Above all keys of probes.
pub(crate) fn probes() -> Path {
    Path::from("_probe")
}

/// A key that a probe makes and removes.
pub(crate) fn probe(name: &str) -> Path {
    probes().join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_entries_sort_first_and_read_by_eye() {
        let stream = Path::from("orgs/default");
        let keys: Vec<String> = [1, 2, 10, 100].map(|n| entry(&stream, n).to_string()).to_vec();
        assert_eq!(keys[0], "orgs/default/18446744073709551614-1.json");
        assert!(keys.is_sorted_by(|a, b| a > b));
    }

    #[test]
    fn only_an_entry_gives_its_number() {
        let file = |number| entry(&Path::from("orgs/a"), number).filename().unwrap().to_owned();
        for number in [1, 2, 300, u64::MAX] {
            assert_eq!(parse_entry(&file(number)), Some(number));
        }
        let foreign = ["", ".json", "-1.json", "00000000000000000000-1.json", "18446744073709551614-+1.json"];
        for other in
            foreign.map(str::to_owned).into_iter().chain([file(1).replace(".json", ""), "0".repeat(99)])
        {
            assert_eq!(parse_entry(&other), None, "{other}");
        }
    }

    #[test]
    fn no_name_reaches_outside_its_place() {
        let org: OrganizationName = "default".parse().unwrap();
        for text in ["a/b", "...", "a:b", "x.y/z"] {
            let key = name(&org, &text.parse().unwrap()).to_string();
            assert!(key.starts_with("names/default/") && key.len() == 14 + 52, "{key}");
        }
    }
}
