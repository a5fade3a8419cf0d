//! Units: what the Terraform Cloud API calls workspaces, under their own names.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::web::{Path, Payload, Query};
use opentaco_domain::name::{OrganizationName, WorkspaceName};
use opentaco_domain::page::{Page, PageRequest};
use opentaco_domain::settings::SettingsChange;
use opentaco_domain::tag::Tags;
use opentaco_domain::workspace::{Deletion, Update, Workspace};
use opentaco_ports::driving::Failure;
use opentaco_ports::driving::workspace_query::{NameSearch, WorkspaceQuery};
use opentaco_ports::driving::workspaces::NewWorkspace;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Problem;
use super::{Answer, created, json_answer, read_json, unit_document, versions};
use crate::auth::Signed;
use crate::{body, task};

/// What a path leaves open.
#[derive(Deserialize)]
pub(crate) struct Where {
    org: Option<String>,
}

/// Which units a list shows.
#[derive(Deserialize)]
pub(crate) struct Listing {
    org: Option<String>,
    prefix: Option<String>,
    page: Option<usize>,
    per_page: Option<usize>,
}

/// How a lock is freed.
#[derive(Deserialize)]
pub(crate) struct Unlocking {
    org: Option<String>,
    #[serde(default)]
    force: bool,
}

/// A unit to be made, or what is to become of one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnitDocument {
    name: Option<String>,
    description: Option<String>,
    terraform_version: Option<String>,
    tags: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockDocument {
    reason: Option<String>,
}

const SHAPE: &str = "JSON with name, description, terraform_version and tags, each of which may be left out";

impl UnitDocument {
    fn settings(&self) -> Result<SettingsChange, Problem> {
        let (version, description) = (self.terraform_version.clone(), self.description.clone());
        SettingsChange::new(version, description).map_err(Problem::invalid)
    }

    fn tags(&self) -> Result<Option<Tags>, Problem> {
        self.tags.clone().map(Tags::new).transpose().map_err(Problem::invalid)
    }

    fn name(&self) -> Result<Option<WorkspaceName>, Problem> {
        self.name.as_deref().map(str::parse).transpose().map_err(Problem::invalid)
    }
}

/// The organization that is named, or the one that always exists.
pub(super) fn organization(named: Option<&str>) -> Result<OrganizationName, Problem> {
    match named {
        Some(name) => name.parse().map_err(Problem::invalid),
        None => Ok(OrganizationName::default_organization()),
    }
}

/// The unit of that name, if the caller may see it.
pub(super) async fn find(call: &Signed, name: &str, org: Option<&str>) -> Result<Workspace, Problem> {
    let organization = organization(org)?;
    let missing = || Failure::missing("unit", name);
    let parsed: WorkspaceName = name.parse().map_err(|_| missing())?;
    let found = call.doors.workspaces.read_by_name(&call.caller.actor, &organization, &parsed).await;
    found.map_err(|failure| match failure {
        Failure::Missing { .. } => missing().into(),
        other => other.into(),
    })
}

/// A page of units in the order of their names.
pub(crate) async fn list(call: Signed, listing: Query<Listing>) -> Answer {
    let mut query = WorkspaceQuery::all(organization(listing.org.as_deref())?);
    query.page = PageRequest::new(listing.page, listing.per_page);
    query.names.extend(listing.prefix.clone().map(NameSearch::Start));
    let page = call.doors.workspaces.list(&call.caller.actor, &query).await?;
    let units: Vec<Value> = page.items.iter().map(unit_document::unit).collect();
    Ok(json_answer(&json!({"units": units, "page": paging(&page)})))
}

/// Where a page stands.
pub(super) fn paging<T>(page: &Page<T>) -> Value {
    json!({
        "number": page.request.number(), "size": page.request.size(), "total": page.total, "pages": page.pages(),
    })
}

/// Makes a unit, and its organization on first use.
pub(crate) async fn create(call: Signed, at: Query<Where>, payload: Payload) -> Answer {
    let document: UnitDocument = read_json(&call, payload, SHAPE).await?;
    let name = document.name()?.ok_or_else(|| Problem::invalid("name is missing"))?;
    let new = NewWorkspace {
        organization: organization(at.org.as_deref())?,
        name,
        settings: document.settings()?,
        tags: document.tags()?.unwrap_or_default(),
    };
    let (workspaces, actor) = (call.doors.workspaces.clone(), call.caller.actor);
    let made = task::run(async move { workspaces.create(&actor, &new).await }).await??;
    Ok(created(&unit_document::unit(&made)))
}

/// One unit.
pub(crate) async fn read(call: Signed, name: Path<String>, at: Query<Where>) -> Answer {
    let unit = find(&call, &name, at.org.as_deref()).await?;
    Ok(json_answer(&unit_document::unit(&unit)))
}

/// Changes name, settings and tags at once.
pub(crate) async fn update(call: Signed, name: Path<String>, at: Query<Where>, payload: Payload) -> Answer {
    let document: UnitDocument = read_json(&call, payload, SHAPE).await?;
    let unit = find(&call, &name, at.org.as_deref()).await?;
    let update = Update { settings: document.settings()?, tags: document.tags()?, name: document.name()? };
    let (workspaces, actor) = (call.doors.workspaces.clone(), call.caller.actor);
    let changed = task::run(async move { workspaces.update(&actor, unit.id, &update).await }).await??;
    Ok(json_answer(&unit_document::unit(&changed)))
}

/// Deletes a unit that nobody has locked.
pub(crate) async fn delete(call: Signed, name: Path<String>, at: Query<Where>) -> Answer {
    let unit = find(&call, &name, at.org.as_deref()).await?;
    let (workspaces, actor) = (call.doors.workspaces.clone(), call.caller.actor);
    task::run(async move { workspaces.delete(&actor, unit.id, Deletion::Force).await }).await??;
    Ok(HttpResponse::NoContent().finish())
}

/// Takes the lock.
pub(crate) async fn lock(call: Signed, name: Path<String>, at: Query<Where>, payload: Payload) -> Answer {
    let wanted: LockDocument = super::read_json_or_nothing(&call, payload, "JSON with reason").await?;
    let unit = find(&call, &name, at.org.as_deref()).await?;
    let reason = wanted.reason.unwrap_or_default();
    let (workspaces, actor) = (call.doors.workspaces.clone(), call.caller.actor);
    let locked = task::run(async move { workspaces.lock(&actor, unit.id, &reason).await }).await??;
    Ok(json_answer(&unit_document::unit(&locked)))
}

/// Frees the caller's own lock, or anybody's by force.
pub(crate) async fn unlock(
    call: Signed,
    name: Path<String>,
    how: Query<Unlocking>,
    payload: Payload,
) -> Answer {
    body::ignore(&call.request, payload).await?;
    let unit = find(&call, &name, how.org.as_deref()).await?;
    let (workspaces, actor, force) = (call.doors.workspaces.clone(), call.caller.actor, how.force);
    let freed = task::run(async move {
        if force {
            workspaces.force_unlock(&actor, unit.id).await
        } else {
            workspaces.unlock(&actor, unit.id).await
        }
    });
    Ok(json_answer(&unit_document::unit(&freed.await??)))
}

/// The bytes of a version as they came: of the newest one, unless one is named by its number.
pub(crate) async fn download(call: Signed, name: Path<String>, which: Query<versions::Which>) -> Answer {
    let unit = find(&call, &name, which.org()).await?;
    let version = versions::find(&call, &unit, which.number()).await?;
    let (version, bytes) = call.doors.state_versions.download(&call.caller.actor, version.id).await?;
    Ok(HttpResponse::build(StatusCode::OK)
        .insert_header(("content-type", "application/json"))
        .body(SizedStream::new(version.size, bytes)))
}
