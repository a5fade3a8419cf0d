//! The form of an organization.

use object_store::path::Path;
use opentaco_domain::name::OrganizationName;
use opentaco_domain::organization::Organization;
use serde::{Deserialize, Serialize};

use super::{Form, Rest, field, moment, parse_moment};
use crate::layout;

#[derive(Serialize, Deserialize)]
pub(crate) struct Disk {
    name: String,
    email: Option<String>,
    created_at: String,
    #[serde(flatten)]
    rest: Rest,
}

impl Form for Organization {
    type Disk = Disk;

    fn stream(key: &OrganizationName) -> Path {
        layout::organization(key)
    }

    fn to_disk(&self, rest: Rest) -> Disk {
        Disk {
            name: self.name.to_string(),
            email: self.email.clone(),
            created_at: moment(self.created_at),
            rest,
        }
    }

    fn from_disk(disk: Disk) -> Result<(Self, Rest), String> {
        let organization = Self {
            name: field("name", &disk.name)?,
            email: disk.email,
            created_at: parse_moment(&disk.created_at)?,
        };
        Ok((organization, disk.rest))
    }
}
