//! The form of an organization.

use object_store::path::Path;
use opentaco_domain::name::OrganizationName;
use opentaco_domain::organization::Organization;
use opentaco_domain::project::{Project, Projects};
use serde::{Deserialize, Serialize};

use super::{Form, Rest, field, moment, parse_moment};
use crate::layout;

#[derive(Serialize, Deserialize)]
pub(crate) struct Disk {
    name: String,
    email: Option<String>,
    created_at: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    projects: Vec<ProjectDisk>,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Serialize, Deserialize)]
struct ProjectDisk {
    id: String,
    name: String,
    description: Option<String>,
    created_at: String,
}

impl ProjectDisk {
    fn of(project: &Project) -> Self {
        Self {
            id: project.id.to_string(),
            name: project.name.to_string(),
            description: project.description.clone(),
            created_at: moment(project.created_at),
        }
    }

    fn read(self) -> Result<Project, String> {
        Ok(Project {
            id: field("project", &self.id)?,
            name: field("project name", &self.name)?,
            description: self.description,
            created_at: parse_moment(&self.created_at)?,
        })
    }
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
            projects: self.projects.made().map(ProjectDisk::of).collect(),
            rest,
        }
    }

    fn from_disk(disk: Disk) -> Result<(Self, Rest), String> {
        let projects: Vec<Project> =
            disk.projects.into_iter().map(ProjectDisk::read).collect::<Result<_, _>>()?;
        let organization = Self {
            name: field("name", &disk.name)?,
            email: disk.email,
            created_at: parse_moment(&disk.created_at)?,
            projects: Projects::new(projects).map_err(|_| "its projects are malformed".to_owned())?,
        };
        Ok((organization, disk.rest))
    }
}
