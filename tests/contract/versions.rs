//! Descriptions of state versions: proposals, and the history.

use opentaco_domain::id::AttemptId;
use opentaco_domain::state::{Md5, StateVersion};
use opentaco_ports::driven::versions::Pending;

use crate::backend::Backend;
use crate::values::{AT, ten, version, version_id, workspace_id};

pub async fn a_proposal_reads_back_until_its_bytes_come(backend: &Backend) {
    let (here, there) = (backend.open().versions, backend.open().versions);
    let pending =
        Pending { version: version_id(1, 3), serial: u64::MAX, proposed_at: AT, entry: 12, outputs: None };
    assert_eq!(here.pending(pending.version).await, Ok(None));
    for versions in [&here, &here, &there] {
        versions.propose(&pending).await.unwrap();
        assert_eq!(there.pending(pending.version).await, Ok(Some(pending.clone())));
    }
    assert_eq!(there.at(workspace_id(1), 3).await, Ok(None), "a proposal is no version");
}

pub async fn remembering_a_version_twice_is_fine(backend: &Backend) {
    let (here, there) = (backend.open().versions, backend.open().versions);
    for versions in [&here, &here, &there, &there] {
        versions.remember(&version(1, 2)).await.unwrap();
        assert_eq!(versions.at(workspace_id(1), 2).await, Ok(Some(version(1, 2))));
    }
}

pub async fn two_servers_share_one_history(backend: &Backend) {
    let servers = [backend.open().versions, backend.open().versions];
    for ordinal in 1..=12 {
        servers[ordinal as usize % 2].remember(&version(1, ordinal)).await.unwrap();
    }
    // Whatever may be absent is absent here.
    let bare = StateVersion {
        lineage: None,
        resources: None,
        terraform_version: None,
        encrypted: true,
        attempt: AttemptId::new(AT, ten(4)),
        md5: Md5([0xff; 16]),
        ..version(1, 13)
    };
    servers[0].remember(&bare).await.unwrap();
    for versions in &servers {
        for ordinal in 1..=12 {
            assert_eq!(versions.at(workspace_id(1), ordinal).await, Ok(Some(version(1, ordinal))));
        }
        assert_eq!(versions.at(workspace_id(1), 13).await, Ok(Some(bare.clone())));
    }
}

pub async fn an_absent_version_is_none(backend: &Backend) {
    let versions = backend.open().versions;
    versions.remember(&version(1, 1)).await.unwrap();
    assert_eq!(versions.at(workspace_id(1), 2).await, Ok(None));
    assert_eq!(versions.at(workspace_id(2), 1).await, Ok(None));
}
