//! The form of the policy.

use std::collections::BTreeMap;

use object_store::path::Path;
use opentaco_domain::name::NamePattern;
use opentaco_domain::policy::{Assignment, Place, Policy};
use opentaco_domain::principal::Grantee;
use opentaco_domain::role::{CustomRole, RightSet, RoleName};
use serde::{Deserialize, Serialize};

use super::{Form, Rest, field};
use crate::layout;

#[derive(Serialize, Deserialize)]
pub(crate) struct Disk {
    on: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    roles: Vec<RoleDisk>,
    assignments: Vec<AssignmentDisk>,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Serialize, Deserialize)]
struct RoleDisk {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    allow: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    deny: Vec<String>,
}

/// It names a user or a group.
#[derive(Serialize, Deserialize)]
struct AssignmentDisk {
    /// A subject or an e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    role: String,
    /// An organization, or `*` for all.
    org: String,
    /// A pattern of unit names.
    unit: String,
}

impl RoleDisk {
    fn of((name, role): (&RoleName, &CustomRole)) -> Self {
        let names = |rights: RightSet| rights.iter().map(|right| right.to_string()).collect();
        Self {
            name: name.to_string(),
            description: role.description.clone(),
            allow: names(role.allow),
            deny: names(role.deny),
        }
    }

    fn read(self) -> Result<(RoleName, CustomRole), String> {
        let rights = |names: &[String]| names.iter().map(|name| field("permission", name)).collect();
        let (allow, deny): (Result<RightSet, String>, Result<RightSet, String>) =
            (rights(&self.allow), rights(&self.deny));
        let role = CustomRole { description: self.description, allow: allow?, deny: deny? };
        Ok((field("role", &self.name)?, role))
    }
}

impl AssignmentDisk {
    fn of((grantee, assignment): (&Grantee, &Assignment)) -> Self {
        let (user, group) = match grantee {
            Grantee::User(principal) => (Some(principal.to_string()), None),
            Grantee::Group(group) => (None, Some(group.as_str().to_owned())),
        };
        Self {
            user,
            group,
            role: assignment.role.to_string(),
            org: assignment.place.organizations.to_string(),
            unit: assignment.place.units.as_str().to_owned(),
        }
    }

    fn read(self) -> Result<(Grantee, Assignment), String> {
        let grantee = match (&self.user, &self.group) {
            (Some(user), None) => Grantee::User(field("user", user)?),
            (None, Some(group)) => Grantee::Group(field("group", group)?),
            _ => return Err("an assignment names not just a user or a group".to_owned()),
        };
        let place =
            Place { organizations: field("organization", &self.org)?, units: NamePattern::new(self.unit) };
        Ok((grantee, Assignment { role: field("role", &self.role)?, place }))
    }
}

impl Form for Policy {
    type Disk = Disk;

    // Ten thousand assignments and a thousand roles, all of them as long as they can be; compressed it is a small part.
    const LONGEST: usize = 8 * 1024 * 1024;

    fn stream((): &()) -> Path {
        layout::policy()
    }

    fn to_disk(&self, rest: Rest) -> Disk {
        Disk {
            on: self.on,
            roles: self.roles().map(RoleDisk::of).collect(),
            assignments: self.assignments().map(AssignmentDisk::of).collect(),
            rest,
        }
    }

    fn from_disk(disk: Disk) -> Result<(Self, Rest), String> {
        let roles: BTreeMap<RoleName, CustomRole> =
            disk.roles.into_iter().map(RoleDisk::read).collect::<Result<_, _>>()?;
        let assignments: Vec<(Grantee, Assignment)> =
            disk.assignments.into_iter().map(AssignmentDisk::read).collect::<Result<_, _>>()?;
        Ok((Self::of(disk.on, roles, assignments), disk.rest))
    }
}
