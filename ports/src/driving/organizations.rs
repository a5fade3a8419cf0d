//! Organizations: read, list, and come into being on first use.

use std::sync::Arc;

use opentaco_domain::actor::Actor;
use opentaco_domain::name::OrganizationName;
use opentaco_domain::organization::Organization;
use opentaco_domain::project::Projects;
use opentaco_domain::role::Right;

use super::{Driven, Failure};
use crate::change::{Decision, change};
use crate::driven::records::ChangeKind;

/// Use cases of organizations.
#[derive(Clone)]
pub struct Organizations {
    driven: Arc<Driven>,
}

impl Organizations {
    /// Use cases over these ports.
    pub fn new(driven: Arc<Driven>) -> Self {
        Self { driven }
    }

    /// The names of all organizations that the caller may see, in order.
    ///
    /// # Errors
    /// [`Failure::Store`].
    pub async fn list(&self, actor: &Actor) -> Result<Vec<OrganizationName>, Failure> {
        let mut names = self.driven.catalog.organizations().await?;
        names.retain(|name| actor.may_see_organization(name));
        Ok(names)
    }

    /// One organization.
    ///
    /// # Errors
    /// [`Failure::Missing`]; [`Failure::Store`].
    pub async fn read(&self, actor: &Actor, name: &OrganizationName) -> Result<Organization, Failure> {
        if !actor.may_see_organization(name) {
            return Err(Failure::missing("organization", name));
        }
        let entry = self.driven.organizations.newest(name).await?;
        entry.map(|entry| entry.value).ok_or_else(|| Failure::missing("organization", name))
    }

    /// Whether the caller may use the organization: it exists, or would come into being on first use.
    ///
    /// Terraform asks for an organization's entitlements before it creates the first workspace there.
    ///
    /// # Errors
    /// [`Failure::Missing`]; [`Failure::Store`].
    pub async fn usable(&self, actor: &Actor, name: &OrganizationName) -> Result<(), Failure> {
        if actor.may(Right::OrgCreate, Some(name)).is_ok() {
            return Ok(());
        }
        self.read(actor, name).await.map(drop)
    }

    /// Makes a new organization.
    ///
    /// # Errors
    /// [`Failure::OrganizationTaken`]; [`Failure::Denied`]; a failing store.
    pub async fn create(
        &self,
        actor: &Actor,
        name: &OrganizationName,
        email: Option<String>,
    ) -> Result<Organization, Failure> {
        let (organization, created) = self.make(actor, name, email).await?;
        if created { Ok(organization) } else { Err(Failure::OrganizationTaken(name.clone())) }
    }

    /// Makes sure that an organization exists.
    ///
    /// # Errors
    /// [`Failure::Denied`] when it does not and the caller may not create it; a failing store.
    pub async fn ensure(&self, actor: &Actor, name: &OrganizationName) -> Result<(), Failure> {
        if self.driven.organizations.remembered(name).is_some() {
            return Ok(());
        }
        self.make(actor, name, None).await.map(drop)
    }

    async fn make(
        &self,
        actor: &Actor,
        name: &OrganizationName,
        email: Option<String>,
    ) -> Result<(Organization, bool), Failure> {
        let records = &*self.driven.organizations;
        let author = (&actor.subject, actor.door);
        let changed =
            change(self.driven.around(), records, name, author, ChangeKind::Created, |entry, now| {
                if let Some(entry) = entry {
                    return Ok(Decision::Keep(entry.value.clone()));
                }
                actor.may(Right::OrgCreate, Some(name))?;
                let new = Organization {
                    name: name.clone(),
                    email: email.clone(),
                    created_at: now,
                    projects: Projects::default(),
                };
                Ok::<_, Failure>(Decision::Append(new.clone(), new))
            });
        let changed = changed.await?;
        Ok((changed.answer, changed.appended))
    }
}
