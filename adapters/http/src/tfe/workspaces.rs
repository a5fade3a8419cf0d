//! Workspaces: create, find, list, change, delete.

use actix_web::http::StatusCode;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use opentaco_domain::id::{ProjectId, WorkspaceId};
use opentaco_domain::name::{MAX_WORKSPACE_NAME, NamePattern, OrganizationName, WorkspaceName};
use opentaco_domain::page::Page;
use opentaco_domain::settings::{KEPT, Kept, SettingsChange};
use opentaco_domain::tag::{MAX_TAGS, Tags};
use opentaco_domain::workspace::{Deletion, Update, Workspace};
use opentaco_ports::driving::Failure;
use opentaco_ports::driving::workspace_query::{NameSearch, WorkspaceQuery};
use opentaco_ports::driving::workspaces::NewWorkspace;
use serde_json::Value;

use super::error::ApiError;
use super::jsonapi::{self, Attributes, Document};
use super::query::Query;
use super::{Answer, include, tags, workspace_document};
use crate::auth::{Addressed, Call};
use crate::body;
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
            Which::Id(id) => workspaces.read(&self.caller.actor, *id).await,
            Which::Name(organization, name) => {
                workspaces.read_by_name(&self.caller.actor, organization, name).await
            }
        }
    }
}

/// A page of workspaces: `search[name]` is part of the name or, with `*`, a pattern of it, and so is
/// `search[wildcard-name]`; `search[tags]` are keys that all must be there, `search[exclude-tags]` keys of which none may,
/// and `filter[tagged]` keys with their values.
pub(crate) async fn list(call: Call<OrganizationName>) -> Answer {
    let query = query(call.at.clone(), &Query::of(&call.request))?;
    let page = call.doors.workspaces.list(&call.caller.actor, &query).await?;
    let document = |workspace| workspace_document::document(&call.caller.actor, workspace);
    let mut documents: Vec<_> = page.items.iter().map(document).collect();
    let included = include::with_workspaces(&call, &page.items, &mut documents).await?;
    jsonapi::page_with(&Page { items: documents, request: page.request, total: page.total }, &included)
}

fn query(organization: OrganizationName, asked: &Query) -> Result<WorkspaceQuery, ApiError> {
    for name in ["search[name]", "search[wildcard-name]"] {
        if asked.get(name).is_some_and(|text| text.len() > MAX_WORKSPACE_NAME) {
            return Err(ApiError::Invalid(format!("{name} has at most {MAX_WORKSPACE_NAME} characters")));
        }
    }
    for name in ["search[tags]", "search[exclude-tags]"] {
        if asked.list(name).len() > MAX_TAGS {
            return Err(ApiError::Invalid(format!("{name} has at most {MAX_TAGS} tags")));
        }
    }
    // Names are stored with `/` where this door writes `~`.
    let text = |name: &str| asked.get(name).map(|text| text.replace('~', "/"));
    let searches = [text("search[name]"), text("search[wildcard-name]")];
    let search = |text: String| {
        if text.contains('*') { NameSearch::Pattern(NamePattern::new(text)) } else { NameSearch::Part(text) }
    };
    let tagged = asked.tagged();
    if tagged.len() > MAX_TAGS {
        return Err(ApiError::Invalid(format!("filter[tagged] has at most {MAX_TAGS} tags")));
    }
    let (valued, keys): (Vec<_>, Vec<_>) = tagged.into_iter().partition(|(_, value)| value.is_some());
    let mut tags = asked.list("search[tags]");
    tags.extend(keys.into_iter().map(|(key, _)| key));
    let project = asked.get("filter[project][id]").map(|id| {
        id.parse().map_err(|error| ApiError::Invalid(format!("parameter filter[project][id]: {error}")))
    });
    Ok(WorkspaceQuery {
        names: searches.into_iter().flatten().map(search).collect(),
        tags,
        without_tags: asked.list("search[exclude-tags]"),
        tagged: valued.into_iter().filter_map(|(key, value)| Some((key, value?))).collect(),
        project: project.transpose()?,
        descending: descending(asked.get("sort"))?,
        page: asked.page().unwrap_or_default(),
        ..WorkspaceQuery::all(organization)
    })
}

/// There are no runs here, so their order is that of the names.
fn descending(sort: Option<&str>) -> Result<bool, ApiError> {
    match sort {
        None | Some("name" | "current-run.created-at" | "-current-run.created-at") => Ok(false),
        Some("-name") => Ok(true),
        Some(_) => Err(ApiError::invalid("parameter sort must be `name` or `-name`")),
    }
}

/// Makes a workspace.
pub(crate) async fn create(call: Call<OrganizationName>, payload: Payload) -> Answer {
    let mut document = Document::read(&call.request, payload).await?;
    let mut attributes = document.attributes()?;
    let name = jsonapi::required("name", attributes.text("name")?)?;
    let new = NewWorkspace {
        organization: call.at,
        name: WorkspaceName::from_cloud(&name).map_err(ApiError::invalid)?,
        settings: settings(&mut attributes, project(&document)?)?,
        tags: new_tags(&mut document)?,
    };
    let (workspaces, actor) = (call.doors.workspaces.clone(), call.caller.actor);
    let caller = actor.clone();
    let made = task::run(async move { workspaces.create(&caller, &new).await }).await??;
    workspace_document::answer(StatusCode::CREATED, &actor, &made)
}

/// One workspace.
pub(crate) async fn read(call: Call<Which>) -> Answer {
    let workspace = call.workspace().await?;
    let mut documents = [workspace_document::document(&call.caller.actor, &workspace)];
    let included = include::with_workspaces(&call, &[workspace], &mut documents).await?;
    jsonapi::single_with(StatusCode::OK, &documents[0], &included)
}

/// Changes settings and name, and replaces the tags when the document has bindings; all of it or nothing.
pub(crate) async fn update(call: Call<Which>, payload: Payload) -> Answer {
    let mut document = Document::read(&call.request, payload).await?;
    let mut attributes = document.attributes()?;
    let workspace = call.workspace().await?;
    let name = attributes.text("name")?;
    let bindings = document.related("tag-bindings")?;
    let update = Update {
        name: name.map(|name| WorkspaceName::from_cloud(&name).map_err(ApiError::invalid)).transpose()?,
        settings: settings(&mut attributes, project(&document)?)?,
        tags: bindings.map(|items| tags::pairs(items)?.replacing()).transpose()?,
    };
    let (workspaces, actor, id) = (call.doors.workspaces.clone(), call.caller.actor, workspace.id);
    let caller = actor.clone();
    let changed = task::run(async move { workspaces.update(&caller, id, &update).await });
    workspace_document::answer(StatusCode::OK, &actor, &changed.await??)
}

/// Deletes a workspace, whatever its state manages.
pub(crate) async fn delete(call: Call<Which>) -> Answer {
    remove(call, Deletion::Force).await
}

/// Deletes a workspace unless its state manages resources.
pub(crate) async fn safe_delete(call: Call<Which>, payload: Payload) -> Answer {
    body::ignore(&call.request, payload).await?;
    remove(call, Deletion::Safe).await
}

async fn remove(call: Call<Which>, how: Deletion) -> Answer {
    let workspace = call.workspace().await?;
    let (workspaces, actor, id) = (call.doors.workspaces.clone(), call.caller.actor, workspace.id);
    let removed = task::run(async move { workspaces.delete(&actor, id, how).await }).await?;
    removed.map_err(|failure| ApiError::On { failure, address: workspace_document::address(&workspace) })?;
    Ok(HttpResponse::NoContent().finish())
}

/// The settings among attributes. What would make Terraform run on the server is refused, not ignored.
fn settings(attributes: &mut Attributes, project: Option<ProjectId>) -> Result<SettingsChange, ApiError> {
    let mode = attributes.text("execution-mode")?;
    if mode.is_some_and(|mode| mode != "local") || attributes.flag("operations")? {
        return Err(ApiError::invalid(
            "execution-mode must be `local`: this server keeps state, it does not run Terraform",
        ));
    }
    if attributes.value("vcs-repo").is_some() {
        return Err(ApiError::invalid(
            "vcs-repo must be absent: this server keeps state, it does not run Terraform for a repository",
        ));
    }
    let mut settings =
        SettingsChange::new(attributes.text("terraform-version")?, attributes.text("description")?)
            .map_err(ApiError::invalid)?
            .with_project(project)
            .with_global_remote_state(attributes.optional_flag("global-remote-state")?);
    for (name, _) in KEPT {
        if let Some(value) = attributes.value(name) {
            settings = settings.with_kept(name, kept(name, value)?).map_err(ApiError::invalid)?;
        }
    }
    Ok(settings)
}

fn kept(name: &str, value: Value) -> Result<Kept, ApiError> {
    let bad =
        || ApiError::Invalid(format!("attribute {name} must be true, false, a text or a list of texts"));
    let text = |item| match item {
        Value::String(text) => Ok(text),
        _ => Err(bad()),
    };
    match value {
        Value::Bool(flag) => Ok(Kept::Flag(flag)),
        Value::String(text) => Ok(Kept::Text(text)),
        Value::Array(items) => Ok(Kept::List(items.into_iter().map(text).collect::<Result<_, _>>()?)),
        _ => Err(bad()),
    }
}

/// The project that a document names.
fn project(document: &Document) -> Result<Option<ProjectId>, ApiError> {
    let id = document.related_id("project")?;
    Ok(id.map(|id| id.parse().map_err(|_| Failure::missing("project", id))).transpose()?)
}

/// The tags of a new workspace: plain ones, and ones with values.
fn new_tags(document: &mut Document) -> Result<Tags, ApiError> {
    let plain = tags::names(document.related("tags")?.unwrap_or_default())?;
    let bound = tags::pairs(document.related("tag-bindings")?.unwrap_or_default())?;
    Ok(bound.replacing()?.with_keys(plain).map_err(Failure::from)?)
}
