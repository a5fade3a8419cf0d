//! A workspace as this API shows it.

use crate::rfc3339::Rfc3339;
use actix_web::http::StatusCode;
use opentaco_domain::actor::Actor;
use opentaco_domain::id::ProjectId;
use opentaco_domain::rbac::{Manage, Read, UseLock, Write};
use opentaco_domain::settings::{KEPT, Kept};
use opentaco_domain::time::Timestamp;
use opentaco_domain::workspace::Workspace;
use serde_json::{Value, json};

use super::jsonapi::{self, Resource, one};
use super::{Answer, BASE_PATH};

/// An answer of one workspace, to that caller.
pub(super) fn answer(status: StatusCode, actor: &Actor, workspace: &Workspace) -> Answer {
    jsonapi::single(status, &document(actor, workspace))
}

/// `organization/name`, as Terraform writes it: the lock id of `terraform force-unlock`.
pub(super) fn address(workspace: &Workspace) -> String {
    format!("{}/{}", workspace.organization, workspace.name.to_cloud())
}

/// A moment as this API writes it.
pub(super) fn time(at: Timestamp) -> String {
    Rfc3339(at).to_string()
}

/// The document. Terraform crashes without `permissions`, and runs remotely without `execution-mode` local.
pub(super) fn document(actor: &Actor, workspace: &Workspace) -> Resource<Value> {
    let name = workspace.name.to_cloud();
    let current = workspace.current.as_ref();
    let lock = workspace.lock.as_ref().map(
        |lock| json!({"who": lock.holder.subject.as_str(), "since": time(lock.at), "reason": lock.reason}),
    );
    let mut attributes = json!({
        "name": name,
        "description": workspace.settings.description,
        "terraform-version": workspace.settings.terraform_version.as_deref().unwrap_or("latest"),
        "execution-mode": "local",
        "operations": false,
        "environment": "default",
        "vcs-repo": null,
        "global-remote-state": workspace.settings.global_remote_state,
        "setting-overwrites": {"execution-mode": false, "agent-pool": false},
        "source": "tfe-api",
        "locked": workspace.lock.is_some(),
        "lock": lock,
        "tag-names": workspace.tags.iter().map(|(key, _)| key).collect::<Vec<_>>(),
        "resource-count": current.and_then(|version| version.resources).unwrap_or(0),
        "created-at": time(workspace.created_at),
        "updated-at": time(workspace.updated_at),
        "actions": {"is-destroyable": true},
        "permissions": permissions(actor, workspace),
    });
    for (name, default) in KEPT {
        attributes[name] = kept(workspace.settings.kept(name).unwrap_or(default));
    }
    let mut related = json!({
        "organization": one("organizations", &workspace.organization),
        "project": one("projects", project(workspace)),
    });
    if let Some(lock) = &workspace.lock {
        related["locked-by"] = one("users", lock.holder.subject.user_id());
    }
    if let Some(version) = current {
        related["current-state-version"] = one("state-versions", version.id);
    }
    let mut document = Resource::new("workspaces", workspace.id.to_wire(), attributes).related(related);
    document.links =
        json!({"self": format!("{BASE_PATH}/organizations/{}/workspaces/{name}", workspace.organization)});
    document
}

/// The project a workspace lies in.
pub(super) fn project(workspace: &Workspace) -> ProjectId {
    let default = || ProjectId::default_of(&workspace.organization);
    workspace.settings.project.clone().unwrap_or_else(default)
}

fn kept(kept: Kept) -> Value {
    match kept {
        Kept::Flag(flag) => flag.into(),
        Kept::Text(text) => text.into(),
        Kept::List(items) => items.into(),
    }
}

/// What the caller may do. `can-force-delete` makes Terraform delete safely; nothing is queued on the server.
fn permissions(actor: &Actor, workspace: &Workspace) -> Value {
    let reads = actor.grant::<Read>(workspace).is_ok();
    let locks = actor.grant::<UseLock>(workspace).is_ok();
    let writes = actor.grant::<Write>(workspace).is_ok();
    let manages = actor.grant::<Manage>(workspace).is_ok();
    json!({
        "can-update": manages,
        "can-destroy": manages,
        "can-force-delete": manages,
        "can-lock": locks,
        "can-unlock": locks,
        "can-force-unlock": manages,
        "can-read-settings": reads,
        "can-read-state-versions": reads,
        "can-create-state-versions": writes,
        "can-read-state-outputs": reads,
        "can-manage-tags": writes,
        "can-read-variable": reads,
        "can-update-variable": false,
        "can-queue-run": false,
        "can-queue-apply": false,
        "can-queue-destroy": false,
        "can-read-run": false,
    })
}
