//! The form of a name claim.

use object_store::path::Path;
use opentaco_domain::name::{OrganizationName, WorkspaceName};
use opentaco_domain::workspace::NameClaim;
use serde::{Deserialize, Serialize};

use super::{Form, Rest, field};
use crate::layout;

#[derive(Serialize, Deserialize)]
pub(crate) struct Disk {
    organization: String,
    name: String,
    workspace: Option<String>,
    #[serde(flatten)]
    rest: Rest,
}

impl Form for NameClaim {
    type Disk = Disk;

    fn stream(key: &(OrganizationName, WorkspaceName)) -> Path {
        layout::name(&key.0, &key.1)
    }

    fn to_disk(&self, rest: Rest) -> Disk {
        Disk {
            organization: self.organization.to_string(),
            name: self.name.to_string(),
            workspace: self.workspace.map(|id| id.to_string()),
            rest,
        }
    }

    fn from_disk(disk: Disk) -> Result<(Self, Rest), String> {
        let claim = Self {
            organization: field("organization", &disk.organization)?,
            name: field("name", &disk.name)?,
            workspace: disk.workspace.as_deref().map(|id| field("workspace", id)).transpose()?,
        };
        Ok((claim, disk.rest))
    }
}
