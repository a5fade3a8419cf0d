//! The form of a state version's description: in the workspace's record, and beside it for history.

use opentaco_domain::state::{Sha256, StateVersion};
use serde::{Deserialize, Serialize};

use super::{digest, field, moment, parse_moment};

#[derive(Serialize, Deserialize)]
pub(crate) struct Description {
    id: String,
    predecessor: Option<String>,
    serial: u64,
    lineage: Option<String>,
    md5: String,
    sha256: String,
    size: u64,
    attempt: String,
    outputs: u64,
    resources: Option<u64>,
    terraform_version: Option<String>,
    encrypted: bool,
    created_at: String,
    created_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rolled_back_from: Option<String>,
}

impl Description {
    pub(crate) fn of(version: &StateVersion) -> Self {
        Self {
            id: version.id.to_string(),
            predecessor: version.predecessor.map(|id| id.to_string()),
            serial: version.serial,
            lineage: version.lineage.as_ref().map(|lineage| lineage.as_str().to_owned()),
            md5: version.md5.to_string(),
            sha256: version.sha256.to_string(),
            size: version.size,
            attempt: version.attempt.to_string(),
            outputs: version.outputs,
            resources: version.resources,
            terraform_version: version.terraform_version.clone(),
            encrypted: version.encrypted,
            created_at: moment(version.created_at),
            created_by: version.created_by.to_string(),
            rolled_back_from: version.rolled_back_from.map(|id| id.to_string()),
        }
    }

    pub(crate) fn read(self) -> Result<StateVersion, String> {
        Ok(StateVersion {
            id: field("id", &self.id)?,
            predecessor: self.predecessor.as_deref().map(|id| field("predecessor", id)).transpose()?,
            serial: self.serial,
            lineage: self.lineage.as_deref().map(|lineage| field("lineage", lineage)).transpose()?,
            md5: field("md5", &self.md5)?,
            sha256: Sha256(digest(&self.sha256)?),
            size: self.size,
            attempt: field("attempt", &self.attempt)?,
            outputs: self.outputs,
            resources: self.resources,
            terraform_version: self.terraform_version,
            encrypted: self.encrypted,
            created_at: parse_moment(&self.created_at)?,
            created_by: field("author", &self.created_by)?,
            rolled_back_from: self
                .rolled_back_from
                .as_deref()
                .map(|id| field("rolled_back_from", id))
                .transpose()?,
        })
    }
}
