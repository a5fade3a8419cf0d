//! Values for tests: small, valid, told apart by a number.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use opentaco_domain::actor::{Door, Subject};
use opentaco_domain::claims::Successor;
use opentaco_domain::id::{AttemptId, LockId, OperationId, StateVersionId, TokenId, WorkspaceId};
use opentaco_domain::lock::{Holder, Lock};
use opentaco_domain::rbac::Scope;
use opentaco_domain::settings::Settings;
use opentaco_domain::state::{Md5, Sha256, StateVersion};
use opentaco_domain::tag::Tags;
use opentaco_domain::time::Timestamp;
use opentaco_domain::token::{TokenKind, TokenRecord};
use opentaco_domain::workspace::{Life, Workspace};
use opentaco_ports::driven::blobs::{BlobKey, BlobKind};
use opentaco_ports::driven::records::{Appended, Change, ChangeKind, Record, Versioned};
use opentaco_ports::driven::{BodyError, ByteStream};

pub const AT: Timestamp = Timestamp::from_millis(1_764_072_000_000);

/// Ten bytes that stand for a number.
pub fn ten(n: usize) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&(n as u64).to_be_bytes());
    bytes
}

pub fn workspace_id(n: usize) -> WorkspaceId {
    WorkspaceId::new(AT, ten(n))
}

pub fn workspace(n: usize) -> Workspace {
    Workspace {
        id: workspace_id(n),
        organization: "default".parse().unwrap(),
        name: format!("app/{n}").parse().unwrap(),
        renaming_to: None,
        settings: Settings::default(),
        tags: Tags::new([("env".to_owned(), "prod".to_owned()), ("net".to_owned(), String::new())]).unwrap(),
        created_at: AT,
        updated_at: AT,
        lock: None,
        current: None,
        sweep_floor: 0,
        life: Life::Live,
    }
}

/// A workspace in which everything that may be absent is there.
pub fn full_workspace(n: usize) -> Workspace {
    let holder =
        Holder { subject: Subject::local_owner(), parent: TokenId::from_bytes(ten(n)), door: Door::Cloud };
    Workspace {
        settings: Settings {
            terraform_version: Some("1.11.4".to_owned()),
            description: Some("näme \"quoted\"\n\u{1F32E}".to_owned()),
            ..Settings::default()
        },
        lock: Some(Lock { id: LockId::new(AT, ten(7)), holder, reason: "apply".to_owned(), at: AT }),
        current: Some(version(n, 2)),
        sweep_floor: 5,
        ..workspace(n)
    }
}

pub fn version_id(workspace: usize, ordinal: u32) -> StateVersionId {
    StateVersionId::new(workspace_id(workspace), ordinal, ten(ordinal as usize))
}

pub fn version(workspace: usize, ordinal: u32) -> StateVersion {
    StateVersion {
        id: version_id(workspace, ordinal),
        predecessor: (ordinal > 1).then(|| version_id(workspace, ordinal - 1)),
        serial: u64::MAX - 100 + u64::from(ordinal),
        lineage: Some("6f1ed002-ab5f-9042-e91f-94c26f2bbfb2".parse().unwrap()),
        md5: Md5([7; 16]),
        sha256: Sha256([9; 32]),
        size: 1 << 40,
        attempt: AttemptId::new(AT, ten(3)),
        outputs: 2,
        resources: Some(4),
        terraform_version: Some("1.11.4".to_owned()),
        encrypted: false,
        created_at: AT,
        created_by: Subject::development("alice@example.org").unwrap(),
        rolled_back_from: None,
    }
}

/// A change of its own: no two numbers share an operation.
pub fn change<T: Record>(n: usize, kind: ChangeKind, value: T) -> Change<T> {
    Change {
        operation: OperationId::new(AT, ten(n)),
        subject: Subject::local_owner(),
        door: Door::Cloud,
        at: AT,
        kind,
        value,
    }
}

/// The entry of an append that must have landed.
pub fn landed<T: Record>(appended: Appended<T>) -> Versioned<T> {
    match appended {
        Appended::Landed(entry) => entry,
        other => panic!("not landed: {other:?}"),
    }
}

pub fn token(n: usize, secret: u8) -> TokenRecord {
    TokenRecord {
        id: TokenId::from_bytes(ten(n)),
        kind: TokenKind::Api { digest: [secret; 32] },
        owner: Subject::development("alice").unwrap(),
        name: "terraform \"login\"".parse().unwrap(),
        scope: Scope::full(),
        created_at: AT,
        expires_at: Some(AT.plus(Duration::from_hours(1))),
        revoked_at: None,
    }
}

/// A family of refresh tokens, which has no secret and no end of its own.
pub fn family(n: usize) -> TokenRecord {
    let name = "taco login".parse().unwrap();
    TokenRecord { kind: TokenKind::Family, name, expires_at: None, ..token(n, 0) }
}

/// A refresh token that was made so long after [`AT`], and lives for 30 days.
pub fn successor(n: u8, after: Duration) -> Successor {
    let issued_at = AT.plus(after);
    Successor { jti: [n; 16], issued_at, expires_at: issued_at.plus(Duration::from_hours(720)) }
}

pub fn blob_key(n: usize, kind: BlobKind) -> BlobKey {
    BlobKey { version: version_id(n, 1), attempt: AttemptId::new(AT, ten(n)), kind }
}

/// A body in chunks of that length.
pub fn body(bytes: impl Into<Bytes>, chunk: usize) -> ByteStream {
    let mut bytes = bytes.into();
    let mut chunks = Vec::new();
    while !bytes.is_empty() {
        chunks.push(Ok(bytes.split_to(chunk.min(bytes.len()))));
    }
    Box::pin(stream::iter(chunks))
}

/// All bytes of a body.
pub async fn whole(body: ByteStream) -> Result<Vec<u8>, BodyError> {
    body.try_fold(Vec::new(), |mut all, chunk| async move {
        all.extend_from_slice(&chunk);
        Ok(all)
    })
    .await
}

/// A state document of exactly that length, with bytes that do not compress to nothing.
pub fn state(length: usize, seed: u64) -> Vec<u8> {
    let head = format!("{{\"version\":4,\"serial\":{seed},\"lineage\":\"l\",\"resources\":[],\"x\":\"");
    let mut bytes = head.into_bytes();
    assert!(length >= bytes.len() + 2, "a state is longer than {length} bytes");
    let mut x = seed.wrapping_mul(2) + 1;
    while bytes.len() < length - 2 {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        bytes.push(
            b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-"[(x >> 40) as usize % 64],
        );
    }
    bytes.extend_from_slice(b"\"}");
    bytes
}
