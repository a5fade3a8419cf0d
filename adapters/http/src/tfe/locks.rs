//! The lock of a workspace. Its holder is the token: Terraform sends no lock id here.

use std::future::Future;

use actix_web::http::StatusCode;
use actix_web::web::Payload;
use opentaco_domain::actor::Actor;
use opentaco_domain::commit::CommitError;
use opentaco_domain::id::WorkspaceId;
use opentaco_domain::lock::LockError;
use opentaco_domain::workspace::Workspace;
use opentaco_ports::driving::Failure;
use opentaco_ports::driving::workspaces::Workspaces;

use super::error::ApiError;
use super::jsonapi::Document;
use super::{Answer, workspace_document};
use crate::auth::Call;
use crate::body;
use crate::task;

/// Takes the lock.
pub(crate) async fn lock(call: Call<WorkspaceId>, payload: Payload) -> Answer {
    let mut attributes = Document::read(&call.request, payload).await?.attributes()?;
    let reason = attributes.text("reason")?.unwrap_or_default();
    change(call, |workspaces, actor, id| async move { workspaces.lock(&actor, id, &reason).await }).await
}

/// Frees the caller's own lock.
pub(crate) async fn unlock(call: Call<WorkspaceId>, payload: Payload) -> Answer {
    body::ignore(&call.request, payload).await?;
    change(call, |workspaces, actor, id| async move { workspaces.unlock(&actor, id).await }).await
}

/// Frees anybody's lock.
pub(crate) async fn force_unlock(call: Call<WorkspaceId>, payload: Payload) -> Answer {
    body::ignore(&call.request, payload).await?;
    change(call, |workspaces, actor, id| async move { workspaces.force_unlock(&actor, id).await }).await
}

async fn change<F>(call: Call<WorkspaceId>, work: impl FnOnce(Workspaces, Actor, WorkspaceId) -> F) -> Answer
where
    F: Future<Output = Result<Workspace, Failure>> + Send + 'static,
{
    let changed = task::run(work(call.doors.workspaces.clone(), call.caller.actor.clone(), call.at)).await?;
    match changed {
        Ok(workspace) => workspace_document::answer(StatusCode::OK, &call.caller.actor, &workspace),
        Err(failure) => Err(located(&call.doors.workspaces, &call.caller.actor, call.at, failure).await),
    }
}

/// A refusal because of a lock, with the address that `terraform force-unlock` takes.
pub(super) async fn located(
    workspaces: &Workspaces,
    actor: &Actor,
    id: WorkspaceId,
    failure: Failure,
) -> ApiError {
    let held =
        matches!(failure, Failure::Lock(LockError::Held(_)) | Failure::Commit(CommitError::HeldByAnother(_)));
    if !held {
        return failure.into();
    }
    match workspaces.read(actor, id).await {
        Ok(workspace) => ApiError::On { failure, address: workspace_document::address(&workspace) },
        Err(_) => failure.into(),
    }
}
