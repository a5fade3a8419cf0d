//! What else an answer brings along: the `include` parameter. What is unknown, or does not exist here, is left out.

use opentaco_domain::state::StateVersion;
use opentaco_domain::workspace::Workspace;
use opentaco_ports::driving::Failure;
use serde_json::{Value, json};

use super::error::ApiError;
use super::jsonapi::{Resource, one_of};
use super::query::Query;
use super::{account, organizations, outputs, projects, tags};
use crate::auth::{Addressed, Call};

/// Resources that stand beside those that were asked for, each once.
#[derive(Default)]
pub(super) struct Included(Vec<Value>);

impl Included {
    fn add<A: serde::Serialize>(&mut self, resource: &Resource<A>) -> Result<(), ApiError> {
        let value = serde_json::to_value(resource)?;
        let same = |other: &&Value| other["id"] == value["id"] && other["type"] == value["type"];
        if self.0.iter().find(same).is_none() {
            self.0.push(value);
        }
        Ok(())
    }

    /// The resources.
    pub(super) fn resources(&self) -> &[Value] {
        &self.0
    }
}

/// Whether a thing is asked for; both spellings are in use.
fn wants(query: &Query, name: &str) -> bool {
    query.list("include").iter().any(|asked| asked.replace('-', "_") == name)
}

/// What workspaces bring along; their documents get the relationships that go with it.
pub(super) async fn with_workspaces<T: Addressed>(
    call: &Call<T>,
    workspaces: &[Workspace],
    documents: &mut [Resource<Value>],
) -> Result<Included, ApiError> {
    let (query, mut included) = (Query::of(&call.request), Included::default());
    for (workspace, document) in workspaces.iter().zip(documents) {
        if wants(&query, "effective_tag_bindings") {
            let bindings = tags::effective(workspace);
            document.relationships["effective-tag-bindings"] =
                json!({"data": bindings.iter().map(one_of).collect::<Vec<_>>()});
            bindings.iter().try_for_each(|binding| included.add(binding))?;
        }
        if let Some(lock) = workspace.lock.as_ref().filter(|_| wants(&query, "locked_by")) {
            included.add(&account::user(&lock.holder.subject))?;
        }
        if wants(&query, "organization") {
            let organization = call.doors.organizations.read(&call.actor, &workspace.organization).await?;
            included.add(&organizations::document(&organization))?;
        }
        if wants(&query, "project") {
            let id = super::workspace_document::project(workspace);
            match call.doors.projects.read(&call.actor, &id).await {
                Ok(project) => included.add(&projects::document(&project))?,
                // Deleted while the workspace was being moved to it.
                Err(Failure::Missing { .. }) => {}
                Err(failure) => return Err(failure.into()),
            }
        }
    }
    Ok(included)
}

/// What a state version brings along.
pub(super) async fn with_version<T: Addressed>(
    call: &Call<T>,
    version: &StateVersion,
) -> Result<Included, ApiError> {
    let (query, mut included) = (Query::of(&call.request), Included::default());
    if wants(&query, "created_by") {
        included.add(&account::user(&version.created_by))?;
    }
    if wants(&query, "outputs") {
        let found = call.doors.state_versions.outputs(&call.actor, version.id).await?;
        found.iter().try_for_each(|(id, output)| included.add(&outputs::listed(*id, output)))?;
    }
    Ok(included)
}
