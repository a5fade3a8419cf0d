//! Actors, workspaces and measurements made from small numbers.

use opentaco_domain::actor::{Actor, Door, Subject};
use opentaco_domain::id::{TokenId, WorkspaceId};
use opentaco_domain::name::OrganizationName;
use opentaco_domain::rbac::{Grant, Permission, Rights};
use opentaco_domain::settings::SettingsChange;
use opentaco_domain::state::{Document, Lineage, Md5, Measured, Sha256};
use opentaco_domain::tag::Tags;
use opentaco_domain::time::Timestamp;
use opentaco_domain::workspace::Workspace;

/// Two people; the second has two tokens, and each token is a holder of its own.
pub(crate) const ACTORS: usize = 3;

pub(crate) fn actor(number: usize) -> Actor {
    let name = ["alice", "bob", "bob"][number];
    let subject = Subject::development(name).unwrap();
    let parent = TokenId::from_bytes([u8::try_from(number).unwrap(); 10]);
    Actor { subject, parent, door: Door::Cloud, rights: Rights::everything() }
}

pub(crate) fn grant<P: Permission>(number: usize, workspace: &Workspace) -> Grant<P> {
    actor(number).grant(workspace).unwrap()
}

pub(crate) fn workspace() -> Workspace {
    workspace_of([1; 10])
}

pub(crate) fn workspace_of(random: [u8; 10]) -> Workspace {
    Workspace::create(
        WorkspaceId::new(Timestamp::from_millis(1), random),
        OrganizationName::default_organization(),
        "web".parse().unwrap(),
        &SettingsChange::default(),
        Tags::default(),
        Timestamp::from_millis(1),
    )
}

/// Content `content` of a document: every digest follows from it.
pub(crate) fn measured(content: u8, serial: u64, lineage: Option<&str>, resources: u64) -> Measured {
    Measured {
        size: u64::from(content),
        md5: md5(content),
        sha256: Sha256([content; 32]),
        document: Document {
            serial: Some(serial),
            lineage: lineage.map(str::to_owned),
            resources: Some(resources),
            ..Document::default()
        },
    }
}

pub(crate) fn md5(content: u8) -> Md5 {
    Md5([content; 16])
}

pub(crate) fn lineage(letter: u8) -> Lineage {
    ["a", "b"][usize::from(letter)].parse().unwrap()
}

/// Numbers that differ at every step make ids that differ.
pub(crate) fn random(step: usize) -> [u8; 10] {
    let mut bytes = [0; 10];
    for (byte, bits) in bytes.iter_mut().zip(0..) {
        *byte = u8::try_from((step >> (5 * bits)) & 31).unwrap();
    }
    bytes
}
