//! Projects: groups of workspaces.

use actix_web::http::StatusCode;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use opentaco_domain::id::ProjectId;
use opentaco_domain::name::OrganizationName;
use opentaco_domain::project::{Project, ProjectName};
use opentaco_ports::driving::Failure;
use opentaco_ports::driving::projects::ProjectChange;
use serde_json::{Value, json};

use super::Answer;
use super::error::ApiError;
use super::jsonapi::{self, Attributes, Document, Resource, one};
use super::query::Query;
use super::workspace_document::time;
use crate::auth::{Addressed, Call};
use crate::task;

impl Addressed for ProjectId {
    fn read(request: &HttpRequest) -> Result<Self, Failure> {
        let text = request.match_info().get("project").unwrap_or_default();
        text.parse().map_err(|_| Failure::missing("project", text))
    }
}

/// A page of projects in order of their names; `filter[names]` are whole names, `q` is a part of a name.
pub(crate) async fn list(call: Call<OrganizationName>) -> Answer {
    let query = Query::of(&call.request);
    let (names, page) = (query.list("filter[names]"), query.page().unwrap_or_default());
    let page = call.doors.projects.list(&call.caller.actor, &call.at, &names, query.get("q"), page).await?;
    jsonapi::page(&page.map(|project| document(&project)))
}

/// Makes a project.
pub(crate) async fn create(call: Call<OrganizationName>, payload: Payload) -> Answer {
    let mut attributes = Document::read(&call.request, payload).await?.attributes()?;
    let name = jsonapi::required("name", name(&mut attributes)?)?;
    let description = attributes.text("description")?;
    let (projects, actor, organization) = (call.doors.projects.clone(), call.caller.actor, call.at);
    let made = task::run(async move { projects.create(&actor, &organization, &name, description).await });
    jsonapi::single(StatusCode::CREATED, &document(&made.await??))
}

/// One project.
pub(crate) async fn read(call: Call<ProjectId>) -> Answer {
    let project = call.doors.projects.read(&call.caller.actor, &call.at).await?;
    jsonapi::single(StatusCode::OK, &document(&project))
}

/// Changes name and description.
pub(crate) async fn update(call: Call<ProjectId>, payload: Payload) -> Answer {
    let mut attributes = Document::read(&call.request, payload).await?.attributes()?;
    let change = ProjectChange { name: name(&mut attributes)?, description: attributes.text("description")? };
    let (projects, actor, id) = (call.doors.projects.clone(), call.caller.actor, call.at);
    let changed = task::run(async move { projects.update(&actor, &id, &change).await });
    jsonapi::single(StatusCode::OK, &document(&changed.await??))
}

/// Deletes a project that has no workspaces.
pub(crate) async fn delete(call: Call<ProjectId>) -> Answer {
    let (projects, actor, id) = (call.doors.projects.clone(), call.caller.actor, call.at);
    task::run(async move { projects.delete(&actor, &id).await }).await??;
    Ok(HttpResponse::NoContent().finish())
}

fn name(attributes: &mut Attributes) -> Result<Option<ProjectName>, ApiError> {
    attributes.text("name")?.map(|text| text.parse().map_err(ApiError::invalid)).transpose()
}

/// A project as this API shows it.
pub(super) fn document(project: &Project) -> Resource<Value> {
    let attributes = json!({
        "name": project.name.as_str(),
        "description": project.description,
        "created-at": time(project.created_at),
        "is-unified": false,
        "permissions": {
            "can-read": true,
            "can-update": true,
            "can-destroy": !project.id.is_default(),
            "can-create-workspace": true,
            "can-move-workspace": true,
        },
    });
    let related = json!({"organization": one("organizations", project.id.organization())});
    Resource::new("projects", &project.id, attributes).related(related)
}
