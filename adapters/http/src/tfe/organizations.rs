//! Organizations.

use crate::rfc3339::Rfc3339;
use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::Payload;
use futures_util::future::join_all;
use opentaco_domain::id::ProjectId;
use opentaco_domain::name::OrganizationName;
use opentaco_domain::organization::{Organization, email};
use opentaco_domain::page::Page;
use opentaco_ports::driving::Failure;
use serde_json::{Value, json};

use super::Answer;
use super::error::ApiError;
use super::jsonapi::{self, Document, Resource, one};
use super::query::Query;
use crate::auth::{Addressed, Call};
use crate::task;

impl Addressed for OrganizationName {
    fn read(request: &HttpRequest) -> Result<Self, Failure> {
        let text = request.match_info().get("organization").unwrap_or_default();
        text.parse().map_err(|_| Failure::missing("organization", text))
    }
}

/// A page of organizations in order of their names.
pub(crate) async fn list(call: Call) -> Answer {
    let names = call.doors.organizations.list(&call.caller.actor).await?;
    let request = Query::of(&call.request).page().unwrap_or_default();
    let on_page = names.iter().skip(request.skip()).take(request.size());
    let found = join_all(on_page.map(|name| call.doors.organizations.read(&call.caller.actor, name))).await;
    // One that is just being made, or was never finished, is not there yet.
    let there = found.into_iter().filter(|found| !matches!(found, Err(Failure::Missing { .. })));
    let items = there.collect::<Result<Vec<_>, _>>()?.iter().map(document).collect();
    jsonapi::page(&Page { items, request, total: names.len() })
}

/// Makes an organization.
pub(crate) async fn create(call: Call, payload: Payload) -> Answer {
    let mut attributes = Document::read(&call.request, payload).await?.attributes()?;
    let name = jsonapi::required("name", attributes.text("name")?)?;
    let name: OrganizationName = name.parse().map_err(ApiError::invalid)?;
    let email = attributes.text("email")?.map(email).transpose().map_err(ApiError::invalid)?;
    let (organizations, actor) = (call.doors.organizations.clone(), call.caller.actor);
    let made = task::run(async move { organizations.create(&actor, &name, email).await }).await??;
    jsonapi::single(StatusCode::CREATED, &document(&made))
}

/// One organization.
pub(crate) async fn read(call: Call<OrganizationName>) -> Answer {
    let organization = call.doors.organizations.read(&call.caller.actor, &call.at).await?;
    jsonapi::single(StatusCode::OK, &document(&organization))
}

/// What an organization may use: state, and nothing that runs on the server.
pub(crate) async fn entitlements(call: Call<OrganizationName>) -> Answer {
    call.doors.organizations.usable(&call.caller.actor, &call.at).await?;
    let attributes = json!({
        "state-storage": true,
        "operations": false,
        "agents": false,
        "cost-estimation": false,
        "policy-enforcement": false,
        "private-module-registry": false,
        "run-tasks": false,
        "sentinel": false,
        "sso": false,
        "teams": false,
        "vcs-integrations": false,
    });
    jsonapi::single(StatusCode::OK, &Resource::new("entitlement-sets", &call.at, attributes))
}

/// An organization as this API shows it.
pub(super) fn document(organization: &Organization) -> Resource<Value> {
    let attributes = json!({
        "name": organization.name.as_str(),
        "external-id": organization.name.as_str(),
        "email": organization.email,
        "created-at": Rfc3339(organization.created_at).to_string(),
        "permissions": {
            "can-create-workspace": true,
            "can-update": false,
            "can-destroy": false,
            "can-access-via-teams": false,
            "can-manage-users": false,
        },
    });
    let default = ProjectId::default_of(&organization.name);
    let related = json!({"default-project": one("projects", default)});
    Resource::new("organizations", &organization.name, attributes).related(related)
}
