//! What else an answer brings along: the `include` parameter. What is unknown, or does not exist here, is left out.

use std::collections::HashSet;

use opentaco_domain::state::StateVersion;
use opentaco_domain::workspace::Workspace;
use opentaco_ports::driving::Failure;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::error::ApiError;
use super::jsonapi::{Resource, one_of};
use super::query::Query;
use super::{account, organizations, outputs, projects, tags, workspace_document};
use crate::auth::{Addressed, Call};

/// More things than this cannot be asked for.
const MOST: usize = 20;

/// Resources that stand beside those that were asked for, each once; as text, so that no number loses digits.
#[derive(Default)]
pub(super) struct Included {
    resources: Vec<Box<RawValue>>,
    seen: HashSet<(&'static str, String)>,
}

impl Included {
    fn add<A: Serialize>(&mut self, resource: &Resource<A>) -> Result<(), ApiError> {
        if self.seen.insert((resource.kind, resource.id.clone())) {
            self.resources.push(to_raw_value(resource)?);
        }
        Ok(())
    }

    /// The resources.
    pub(super) fn resources(&self) -> &[Box<RawValue>] {
        &self.resources
    }
}

/// What is asked for; both spellings are in use.
fn asked<T: Addressed>(call: &Call<T>) -> HashSet<String> {
    let names = Query::of(&call.request).list("include");
    names.into_iter().take(MOST).map(|name| name.replace('-', "_")).collect()
}

/// What workspaces bring along; their documents get the relationships that go with it.
pub(super) async fn with_workspaces<T: Addressed>(
    call: &Call<T>,
    workspaces: &[Workspace],
    documents: &mut [Resource<Value>],
) -> Result<Included, ApiError> {
    let (asked, mut included) = (asked(call), Included::default());
    let (mut organizations_seen, mut projects_seen) = (HashSet::new(), HashSet::new());
    for (workspace, document) in workspaces.iter().zip(documents) {
        if asked.contains("effective_tag_bindings") {
            let bindings = tags::effective(workspace);
            document.relationships["effective-tag-bindings"] =
                json!({"data": bindings.iter().map(one_of).collect::<Vec<_>>()});
            bindings.iter().try_for_each(|binding| included.add(binding))?;
        }
        if let Some(lock) = workspace.lock.as_ref().filter(|_| asked.contains("locked_by")) {
            included.add(&account::user(&lock.holder.subject))?;
        }
        if asked.contains("organization") && organizations_seen.insert(&workspace.organization) {
            let organization =
                call.doors.organizations.read(&call.caller.actor, &workspace.organization).await?;
            included.add(&organizations::document(&organization))?;
        }
        let id = workspace_document::project(workspace);
        if asked.contains("project") && projects_seen.insert(id.clone()) {
            match call.doors.projects.read(&call.caller.actor, &id).await {
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
    let (asked, mut included) = (asked(call), Included::default());
    if asked.contains("created_by") {
        included.add(&account::user(&version.created_by))?;
    }
    if asked.contains("outputs") {
        let found = call.doors.state_versions.outputs(&call.caller.actor, version.id).await?;
        found.iter().try_for_each(|(id, output)| included.add(&outputs::listed(*id, output)))?;
    }
    Ok(included)
}
