//! Workspaces that may read another one's state when not all of the organization may.

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use actix_web::web::Payload;
use opentaco_domain::id::WorkspaceId;

use super::error::ApiError;
use super::jsonapi::{self, Document};
use super::query::Query;
use super::{Answer, workspace_document};
use crate::auth::Call;
use crate::task;

/// A page of them.
pub(crate) async fn list(call: Call<WorkspaceId>) -> Answer {
    let page = Query::of(&call.request).page().unwrap_or_default();
    let page = call.doors.workspaces.consumers(&call.caller.actor, call.at, page).await?;
    jsonapi::page(&page.map(|workspace| workspace_document::document(&call.caller.actor, &workspace)))
}

/// Adds some.
pub(crate) async fn add(call: Call<WorkspaceId>, payload: Payload) -> Answer {
    change(call, payload, |old, given| old | given).await
}

/// Makes these the only ones.
pub(crate) async fn replace(call: Call<WorkspaceId>, payload: Payload) -> Answer {
    change(call, payload, |_, given| given.clone()).await
}

/// Removes some.
pub(crate) async fn remove(call: Call<WorkspaceId>, payload: Payload) -> Answer {
    change(call, payload, |old, given| old - given).await
}

type Ids = BTreeSet<WorkspaceId>;

async fn change(
    call: Call<WorkspaceId>,
    payload: Payload,
    change: impl Fn(&Ids, &Ids) -> Ids + Send + Sync + 'static,
) -> Answer {
    let mut document = Document::read(&call.request, payload).await?;
    let given = document.items()?.iter().map(id).collect::<Result<Ids, _>>()?;
    let (workspaces, actor, id) = (call.doors.workspaces.clone(), call.caller.actor, call.at);
    let changed = task::run(async move {
        workspaces.change_consumers(&actor, id, |old| change(old, &given)).await.map(drop)
    });
    changed.await??;
    Ok(HttpResponse::NoContent().finish())
}

fn id(item: &serde_json::Value) -> Result<WorkspaceId, ApiError> {
    let text = item.get("id").and_then(serde_json::Value::as_str);
    WorkspaceId::from_wire(jsonapi::required("id", text)?).map_err(ApiError::invalid)
}
