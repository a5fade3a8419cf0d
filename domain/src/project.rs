//! Projects: groups of workspaces in an organization, kept in the organization's own record.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::id::ProjectId;
use crate::name::OrganizationName;
use crate::settings::is_for_people;
use crate::time::Timestamp;

/// The most projects an organization has: all of them are in one record.
pub const MAX_PROJECTS: usize = 1000;
const MAX_DESCRIPTION: usize = 256;
/// The name of the project that every organization has, as Terraform Cloud calls it.
const DEFAULT_NAME: &str = "Default Project";

/// A project name outside the rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "project name {given:?} is not valid: use 3 to 40 letters, digits, spaces, `-` or `_`, no space at an end"
)]
pub struct BadProjectName {
    given: String,
}

/// A project's name: 3 to 40 letters, digits, spaces, `-` or `_`; case matters. Source: Terraform Cloud's rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProjectName(String);

impl ProjectName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ProjectName {
    type Err = BadProjectName;

    fn from_str(text: &str) -> Result<Self, BadProjectName> {
        let character = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'-' | b'_');
        if (3..=40).contains(&text.len()) && text.bytes().all(character) && text.trim() == text {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadProjectName { given: text.chars().take(80).collect() })
        }
    }
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its identity, which outlives a rename.
    pub id: ProjectId,
    /// Its name, once in its organization.
    pub name: ProjectName,
    /// A sentence for people; at most 256 bytes.
    pub description: Option<String>,
    /// When it came into being.
    pub created_at: Timestamp,
}

/// Why projects stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProjectError {
    /// Another project has the name.
    #[error("project {0} already exists in this organization")]
    NameTaken(ProjectName),
    /// The description is longer than 256 bytes or has control characters.
    #[error("description must have at most {MAX_DESCRIPTION} bytes and no control characters")]
    Description,
    /// There would be more than [`MAX_PROJECTS`].
    #[error("an organization has at most {MAX_PROJECTS} projects")]
    TooMany,
    /// It still has workspaces.
    #[error("the project still has {0} workspaces; move or delete them first")]
    NotEmpty(usize),
    /// It is the project that every organization has.
    #[error("the default project cannot be deleted")]
    Default,
}

/// All projects of an organization. The default project is always among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Projects(BTreeMap<ProjectId, Project>);

impl Projects {
    /// The projects that were written down.
    ///
    /// # Errors
    /// [`ProjectError::NameTaken`] when two have one name.
    pub fn new(projects: impl IntoIterator<Item = Project>) -> Result<Self, ProjectError> {
        let (mut all, mut names) = (BTreeMap::new(), BTreeSet::new());
        for project in projects {
            if !names.insert(project.name.clone()) {
                return Err(ProjectError::NameTaken(project.name));
            }
            all.insert(project.id.clone(), project);
        }
        Ok(Self(all))
    }

    /// The projects that somebody made or changed, in order of their ids; what a record holds.
    pub fn made(&self) -> impl Iterator<Item = &Project> {
        self.0.values()
    }

    /// Every project of that organization, in order of the names.
    pub fn all(&self, organization: &OrganizationName, since: Timestamp) -> Vec<Project> {
        let default = ProjectId::default_of(organization);
        let mut all: Vec<Project> = self.0.values().cloned().collect();
        if !self.0.contains_key(&default) {
            let name = ProjectName(DEFAULT_NAME.to_owned());
            all.push(Project { id: default, name, description: None, created_at: since });
        }
        all.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
        all
    }

    /// These projects with that one added or replaced.
    ///
    /// # Errors
    /// [`ProjectError::NameTaken`]; [`ProjectError::Description`]; [`ProjectError::TooMany`].
    pub fn with(&self, project: Project) -> Result<Self, ProjectError> {
        let default_renamed = self.0.keys().any(ProjectId::is_default) || project.id.is_default();
        let taken = self.0.values().any(|other| other.name == project.name && other.id != project.id)
            || (project.name.as_str() == DEFAULT_NAME && !default_renamed);
        if taken {
            return Err(ProjectError::NameTaken(project.name));
        }
        if project.description.as_ref().is_some_and(|text| !is_for_people(text, MAX_DESCRIPTION)) {
            return Err(ProjectError::Description);
        }
        let mut all = self.0.clone();
        all.insert(project.id.clone(), project);
        if all.len() > MAX_PROJECTS {
            return Err(ProjectError::TooMany);
        }
        Ok(Self(all))
    }

    /// These projects without that one, which has so many workspaces.
    ///
    /// # Errors
    /// [`ProjectError::NotEmpty`]; [`ProjectError::Default`].
    pub fn without(&self, id: &ProjectId, workspaces: usize) -> Result<Self, ProjectError> {
        if id.is_default() {
            return Err(ProjectError::Default);
        }
        if workspaces > 0 {
            return Err(ProjectError::NotEmpty(workspaces));
        }
        let mut all = self.0.clone();
        all.remove(id);
        Ok(Self(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_millis(0);

    fn organization() -> OrganizationName {
        OrganizationName::default_organization()
    }

    fn project(n: u8, name: &str) -> Project {
        let id = ProjectId::new(organization(), AT, [n; 10]);
        Project { id, name: name.parse().unwrap(), description: None, created_at: AT }
    }

    #[test]
    fn the_default_project_is_always_there() {
        let names = |projects: &Projects| -> Vec<String> {
            projects.all(&organization(), AT).iter().map(|project| project.name.to_string()).collect()
        };
        let projects = Projects::new([project(1, "Team A")]).unwrap();
        assert_eq!(names(&projects), ["Default Project", "Team A"]);
        let default = ProjectId::default_of(&organization());
        let renamed = Project { id: default.clone(), ..project(2, "Everything") };
        let projects = projects.with(renamed).unwrap();
        assert_eq!(names(&projects), ["Everything", "Team A"]);
        assert_eq!(projects.without(&default, 0), Err(ProjectError::Default));
    }

    #[test]
    fn a_name_is_taken_once() {
        let projects = Projects::new([project(1, "Team A")]).unwrap();
        for name in ["Team A", "Default Project"] {
            let refused = projects.with(project(2, name));
            assert_eq!(refused, Err(ProjectError::NameTaken(name.parse().unwrap())));
        }
        assert!(projects.with(project(1, "Team A")).is_ok(), "one's own name");
    }

    #[test]
    fn a_project_with_workspaces_stays() {
        let (one, id) = (project(1, "Team A"), project(1, "Team A").id);
        let projects = Projects::new([one]).unwrap();
        assert_eq!(projects.without(&id, 2), Err(ProjectError::NotEmpty(2)));
        assert_eq!(projects.without(&id, 0).unwrap(), Projects::default());
    }

    #[test]
    fn names_follow_the_rule() {
        for good in ["abc", "Team A", "a-b_c 9", &"a".repeat(40)] {
            assert!(good.parse::<ProjectName>().is_ok(), "{good}");
        }
        for bad in ["", "ab", " abc", "abc ", "a/b/c", "a.b.c", "äbc", "a\nb", &"a".repeat(41)] {
            assert!(bad.parse::<ProjectName>().is_err(), "{bad}");
        }
    }
}
