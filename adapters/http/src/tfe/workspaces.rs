//! Workspaces: create, find, list, change, delete.

use actix_web::http::StatusCode;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use opentaco_domain::id::WorkspaceId;
use opentaco_domain::name::{OrganizationName, WorkspaceName};
use opentaco_domain::tag::Tags;
use opentaco_domain::workspace::{Deletion, SettingsChange, Workspace};
use opentaco_ports::driving::Failure;
use opentaco_ports::driving::workspaces::{NewWorkspace, WorkspaceQuery};

use super::error::ApiError;
use super::jsonapi::{self, Attributes, Document};
use super::query::Query;
use super::{Answer, tags, workspace_document};
use crate::auth::{Addressed, Call};
use crate::task;

impl Addressed for WorkspaceId {
    fn read(request: &HttpRequest) -> Result<Self, Failure> {
        let text = request.match_info().get("workspace").unwrap_or_default();
        Self::from_wire(text).map_err(|_| Failure::missing("workspace", text))
    }
}

/// A workspace by id or by name.
pub(crate) enum Which {
    /// By id.
    Id(WorkspaceId),
    /// By name.
    Name(OrganizationName, WorkspaceName),
}

impl Addressed for Which {
    fn read(request: &HttpRequest) -> Result<Self, Failure> {
        match request.match_info().get("name") {
            None => WorkspaceId::read(request).map(Self::Id),
            Some(text) => {
                let name =
                    WorkspaceName::from_cloud(text).map_err(|_| Failure::missing("workspace", text))?;
                Ok(Self::Name(OrganizationName::read(request)?, name))
            }
        }
    }
}

impl Call<Which> {
    async fn workspace(&self) -> Result<Workspace, Failure> {
        let workspaces = &self.doors.workspaces;
        match &self.at {
            Which::Id(id) => workspaces.read(&self.actor, *id).await,
            Which::Name(organization, name) => workspaces.read_by_name(&self.actor, organization, name).await,
        }
    }
}

/// A page of workspaces: `search[name]` is part of the name, `search[tags]` are keys that all must be there, and
/// `filter[tagged]` are keys with their values.
pub(crate) async fn list(call: Call<OrganizationName>) -> Answer {
    let asked = Query::of(&call.request);
    let query = WorkspaceQuery {
        organization: call.at,
        // Names are stored with `/` where this door writes `~`.
        name: asked.get("search[name]").map(|part| part.replace('~', "/")),
        tags: asked.list("search[tags]"),
        tagged: asked.tagged(),
        page: asked.page().unwrap_or_default(),
    };
    let page = call.doors.workspaces.list(&call.actor, &query).await?;
    jsonapi::page(&page.map(|workspace| workspace_document::document(&workspace)))
}

/// Makes a workspace.
pub(crate) async fn create(call: Call<OrganizationName>, payload: Payload) -> Answer {
    let mut document = Document::read(&call.request, payload).await?;
    let mut attributes = document.attributes()?;
    let name = jsonapi::required("name", attributes.text("name")?)?;
    let new = NewWorkspace {
        organization: call.at,
        name: WorkspaceName::from_cloud(&name).map_err(ApiError::invalid)?,
        settings: settings(&mut attributes)?,
        tags: new_tags(&mut document)?,
    };
    let (workspaces, actor) = (call.doors.workspaces.clone(), call.actor);
    let made = task::run(async move { workspaces.create(&actor, &new).await }).await??;
    workspace_document::answer(StatusCode::CREATED, &made)
}

/// One workspace.
pub(crate) async fn read(call: Call<Which>) -> Answer {
    workspace_document::answer(StatusCode::OK, &call.workspace().await?)
}

/// Changes settings, and replaces the tags when the document has bindings.
pub(crate) async fn update(call: Call<Which>, payload: Payload) -> Answer {
    let mut document = Document::read(&call.request, payload).await?;
    let mut attributes = document.attributes()?;
    let workspace = call.workspace().await?;
    keeps_name(&workspace, &mut attributes)?;
    let change = settings(&mut attributes)?;
    let bindings = document.related("tag-bindings")?;
    let tags = bindings.map(|items| tags::pairs(items)?.replacing()).transpose()?;
    let (workspaces, actor, id) = (call.doors.workspaces.clone(), call.actor, workspace.id);
    let changed = task::run(async move {
        let changed = workspaces.change_settings(&actor, id, &change).await?;
        match tags {
            Some(tags) => workspaces.change_tags(&actor, id, move |_| Ok(tags.clone())).await,
            None => Ok(changed),
        }
    });
    workspace_document::answer(StatusCode::OK, &changed.await??)
}

/// Deletes a workspace, whatever its state manages.
pub(crate) async fn delete(call: Call<Which>) -> Answer {
    remove(call, Deletion::Force).await
}

/// Deletes a workspace unless its state manages resources.
pub(crate) async fn safe_delete(call: Call<Which>) -> Answer {
    remove(call, Deletion::Safe).await
}

async fn remove(call: Call<Which>, how: Deletion) -> Answer {
    let workspace = call.workspace().await?;
    let (workspaces, actor, id) = (call.doors.workspaces.clone(), call.actor, workspace.id);
    let removed = task::run(async move { workspaces.delete(&actor, id, how).await }).await?;
    removed.map_err(|failure| ApiError::On { failure, address: workspace_document::address(&workspace) })?;
    Ok(HttpResponse::NoContent().finish())
}

/// The settings among attributes. What would make Terraform run on the server is refused, not ignored.
fn settings(attributes: &mut Attributes) -> Result<SettingsChange, ApiError> {
    let mode = attributes.text("execution-mode")?;
    if mode.is_some_and(|mode| mode != "local") || attributes.flag("operations")? {
        return Err(ApiError::invalid(
            "execution-mode must be `local`: this server keeps state, it does not run Terraform",
        ));
    }
    SettingsChange::new(attributes.text("terraform-version")?, attributes.text("description")?)
        .map_err(ApiError::invalid)
}

fn keeps_name(workspace: &Workspace, attributes: &mut Attributes) -> Result<(), ApiError> {
    match attributes.text("name")? {
        Some(name) if name != workspace.name.to_cloud() => Err(ApiError::invalid(
            "attribute name cannot be changed: this server does not rename workspaces yet",
        )),
        _ => Ok(()),
    }
}

/// The tags of a new workspace: plain ones, and ones with values.
fn new_tags(document: &mut Document) -> Result<Tags, ApiError> {
    let plain = tags::names(document.related("tags")?.unwrap_or_default())?;
    let bound = tags::pairs(document.related("tag-bindings")?.unwrap_or_default())?;
    Ok(bound.replacing()?.with_keys(plain).map_err(Failure::from)?)
}
