//! The catalog: what lists are made from.

use async_trait::async_trait;
use opentaco_domain::id::{ProjectId, WorkspaceId};
use opentaco_domain::name::{OrganizationName, WorkspaceName};
use opentaco_domain::tag::Tags;
use opentaco_domain::user::User;
use opentaco_domain::workspace::Workspace;

use super::StoreError;

/// What a list needs to know of a workspace, as of one entry of its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Its name then.
    pub name: WorkspaceName,
    /// Its tags then.
    pub tags: Tags,
    /// Its project then; none is the organization's default project.
    pub project: Option<ProjectId>,
    /// Whether it was in use then.
    pub live: bool,
}

impl Hint {
    /// The hint for a workspace.
    pub fn of(workspace: &Workspace) -> Self {
        Self {
            workspace: workspace.id,
            name: workspace.name.clone(),
            tags: workspace.tags.clone(),
            project: workspace.settings.project.clone(),
            live: workspace.is_live(),
        }
    }
}

/// Hints of all workspaces of an organization.
///
/// A hint may be older than its workspace, never newer than its newest change; what is shown is read live.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// Keeps the hint as of entry `number`; one of a lower number counts no more. Repeating it changes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn note(&self, organization: &OrganizationName, number: u64, hint: &Hint)
    -> Result<(), StoreError>;

    /// The newest hint of every workspace that was in use, in no order.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn hints(&self, organization: &OrganizationName) -> Result<Vec<Hint>, StoreError>;

    /// The names of all organizations that exist, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn organizations(&self) -> Result<Vec<OrganizationName>, StoreError>;

    /// Everybody who has ever logged in, as of their newest entry, in the order of their subjects. Unreadable ones are left
    /// out.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn users(&self) -> Result<Vec<User>, StoreError>;
}
