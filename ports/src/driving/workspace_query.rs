//! Which workspaces a list shows, and in which order.

use opentaco_domain::id::ProjectId;
use opentaco_domain::name::{NamePattern, OrganizationName};
use opentaco_domain::page::PageRequest;

use crate::driven::catalog::Hint;

/// Which names a list shows.
#[derive(Clone, Debug)]
pub enum NameSearch {
    /// Those that contain this.
    Part(String),
    /// Those that begin with this.
    Start(String),
    /// Those that are of this pattern.
    Pattern(NamePattern),
}

impl NameSearch {
    fn finds(&self, name: &str) -> bool {
        match self {
            Self::Part(part) => name.contains(part.as_str()),
            Self::Start(start) => name.starts_with(start.as_str()),
            Self::Pattern(pattern) => pattern.matches(name),
        }
    }
}

/// Which workspaces a list shows: those that pass every condition.
#[derive(Clone, Debug)]
pub struct WorkspaceQuery {
    /// Those of this organization.
    pub organization: OrganizationName,
    /// Those whose name is found by every search.
    pub names: Vec<NameSearch>,
    /// Those that have every one of these tag keys.
    pub tags: Vec<String>,
    /// Those that have none of these tag keys.
    pub without_tags: Vec<String>,
    /// Those that have every one of these tags with just this value.
    pub tagged: Vec<(String, String)>,
    /// Those of this project.
    pub project: Option<ProjectId>,
    /// From the last name to the first.
    pub descending: bool,
    /// Which page.
    pub page: PageRequest,
}

impl WorkspaceQuery {
    /// Everything in that organization, 20 a page.
    pub fn all(organization: OrganizationName) -> Self {
        Self {
            organization,
            names: Vec::new(),
            tags: Vec::new(),
            without_tags: Vec::new(),
            tagged: Vec::new(),
            project: None,
            descending: false,
            page: PageRequest::default(),
        }
    }

    /// Keeps what the list shows, in its order.
    pub(super) fn select(&self, hints: &mut Vec<Hint>) {
        hints.retain(|hint| self.wants(hint));
        hints.sort_by(|a, b| a.name.cmp(&b.name).then(a.workspace.cmp(&b.workspace)));
        if self.descending {
            hints.reverse();
        }
    }

    fn wants(&self, hint: &Hint) -> bool {
        let in_project = |project: &ProjectId| match &hint.project {
            Some(own) => own == project,
            None => *project == ProjectId::default_of(&self.organization),
        };
        self.names.iter().all(|search| search.finds(hint.name.as_str()))
            && self.tags.iter().all(|tag| hint.tags.has_key(tag))
            && !self.without_tags.iter().any(|tag| hint.tags.has_key(tag))
            && self.tagged.iter().all(|(key, value)| hint.tags.has(key, value))
            && self.project.as_ref().is_none_or(in_project)
    }
}
