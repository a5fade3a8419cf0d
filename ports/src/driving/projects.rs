//! Projects: groups of workspaces, kept in their organization's record.

use std::sync::Arc;

use futures_util::future::try_join_all;
use opentaco_domain::actor::Actor;
use opentaco_domain::id::ProjectId;
use opentaco_domain::name::OrganizationName;
use opentaco_domain::organization::Organization;
use opentaco_domain::page::{Page, PageRequest};
use opentaco_domain::project::{Project, ProjectName, Projects as Kept};
use opentaco_domain::role::Right;

use super::organizations::Organizations;
use super::{Driven, Failure};
use crate::change::{Decision, change};
use crate::driven::random;
use crate::driven::records::ChangeKind;

/// How many records are read side by side.
const SIDE_BY_SIDE: usize = 32;

/// What is to become of a project; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct ProjectChange {
    /// Its name.
    pub name: Option<ProjectName>,
    /// Its description.
    pub description: Option<String>,
}

/// Use cases of projects.
#[derive(Clone)]
pub struct Projects {
    driven: Arc<Driven>,
    organizations: Organizations,
}

impl Projects {
    /// Use cases over these ports.
    pub fn new(driven: Arc<Driven>) -> Self {
        Self { organizations: Organizations::new(driven.clone()), driven }
    }

    /// A page of projects in order of their names; with `names`, only those that are called like one of them; with
    /// `part`, only those that have it in their name, in whatever case.
    ///
    /// An organization that would come into being on first use has its default project already: Terraform makes a project
    /// that it does not find, and could not make that one.
    ///
    /// # Errors
    /// [`Failure::Missing`]; [`Failure::Store`].
    pub async fn list(
        &self,
        actor: &Actor,
        organization: &OrganizationName,
        names: &[String],
        part: Option<&str>,
        page: PageRequest,
    ) -> Result<Page<Project>, Failure> {
        self.organizations.usable(actor, organization).await?;
        let mut all = match self.organizations.read(actor, organization).await {
            Ok(organization) => organization.all_projects(),
            Err(Failure::Missing { .. }) => Kept::default().all(organization, self.driven.clock.now()),
            Err(failure) => return Err(failure),
        };
        let part = part.map(str::to_ascii_lowercase);
        all.retain(|project| {
            let name = project.name.as_str();
            (names.is_empty() || names.iter().any(|whole| whole == name))
                && part.as_ref().is_none_or(|part| name.to_ascii_lowercase().contains(part))
        });
        let total = all.len();
        let items = all.into_iter().skip(page.skip()).take(page.size()).collect();
        Ok(Page { items, request: page, total })
    }

    /// One project.
    ///
    /// # Errors
    /// [`Failure::Missing`]; [`Failure::Store`].
    pub async fn read(&self, actor: &Actor, id: &ProjectId) -> Result<Project, Failure> {
        let missing = || Failure::missing("project", id);
        match self.organizations.read(actor, id.organization()).await {
            Ok(organization) => organization.project(id).ok_or_else(missing),
            Err(Failure::Missing { .. }) => Err(missing()),
            Err(failure) => Err(failure),
        }
    }

    /// Makes a project, and its organization on first use.
    ///
    /// # Errors
    /// [`Failure::Project`]; [`Failure::Denied`]; a failing store.
    pub async fn create(
        &self,
        actor: &Actor,
        organization: &OrganizationName,
        name: &ProjectName,
        description: Option<String>,
    ) -> Result<Project, Failure> {
        actor.may(Right::UnitManage, Some(organization))?;
        self.organizations.ensure(actor, organization).await?;
        let now = self.driven.clock.now();
        let id = ProjectId::new(organization.clone(), now, random(&*self.driven.entropy));
        let project = Project { id: id.clone(), name: name.clone(), description, created_at: now };
        self.change(actor, &id, |kept| Ok((kept.projects.with(project.clone())?, project.clone()))).await
    }

    /// Changes name and description.
    ///
    /// # Errors
    /// As [`Projects::create`], and [`Failure::Missing`].
    pub async fn update(
        &self,
        actor: &Actor,
        id: &ProjectId,
        new: &ProjectChange,
    ) -> Result<Project, Failure> {
        self.change(actor, id, |kept| {
            let old = kept.project(id).ok_or_else(|| Failure::missing("project", id))?;
            let project = Project {
                name: new.name.clone().unwrap_or(old.name),
                description: new.description.clone().or(old.description),
                ..old
            };
            Ok((kept.projects.with(project.clone())?, project))
        })
        .await
    }

    /// Deletes a project that has no workspaces.
    ///
    /// # Errors
    /// [`Failure::Project`]; [`Failure::Missing`]; [`Failure::Denied`]; a failing store.
    pub async fn delete(&self, actor: &Actor, id: &ProjectId) -> Result<(), Failure> {
        actor.may(Right::UnitManage, Some(id.organization()))?;
        self.read(actor, id).await?;
        let workspaces = self.count_workspaces(id).await?;
        self.change(actor, id, |kept| {
            kept.project(id).ok_or_else(|| Failure::missing("project", id))?;
            Ok((kept.projects.without(id, workspaces)?, ()))
        })
        .await
    }

    /// How many live workspaces lie in a project, whether or not the caller may see them.
    async fn count_workspaces(&self, id: &ProjectId) -> Result<usize, Failure> {
        let hints = self.driven.catalog.hints(id.organization()).await?;
        let named: Vec<_> = hints
            .into_iter()
            .filter(|hint| hint.project.as_ref() == Some(id))
            .map(|hint| hint.workspace)
            .collect();
        let mut count = 0;
        for some in named.chunks(SIDE_BY_SIDE) {
            let entries = try_join_all(some.iter().map(|id| self.driven.workspaces.newest(id))).await?;
            let inside = entries.into_iter().flatten().filter(|entry| entry.value.is_live());
            count += inside.filter(|entry| entry.value.settings.project.as_ref() == Some(id)).count();
        }
        Ok(count)
    }

    async fn change<O: Clone>(
        &self,
        actor: &Actor,
        id: &ProjectId,
        rule: impl Fn(&Organization) -> Result<(Kept, O), Failure>,
    ) -> Result<O, Failure> {
        let records = &*self.driven.organizations;
        let author = (&actor.subject, actor.door);
        let key = id.organization();
        let changed = change(self.driven.around(), records, key, author, ChangeKind::Changed, |entry, _| {
            let entry = entry.ok_or_else(|| Failure::missing("project", id))?;
            actor.may(Right::UnitManage, Some(id.organization()))?;
            let (projects, answer) = rule(&entry.value)?;
            if projects == entry.value.projects {
                return Ok::<_, Failure>(Decision::Keep(answer));
            }
            Ok(Decision::Append(Organization { projects, ..entry.value.clone() }, answer))
        });
        Ok(changed.await?.answer)
    }
}
