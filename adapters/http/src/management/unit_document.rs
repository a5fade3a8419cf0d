//! Units and their versions as this API shows them.

use opentaco_domain::id::ProjectId;
use opentaco_domain::state::{Lineage, StateVersion};
use opentaco_domain::workspace::Workspace;
use serde_json::{Map, Value, json};

use crate::rfc3339::Rfc3339;

/// A unit.
pub(super) fn unit(unit: &Workspace) -> Value {
    let lock = unit.lock.as_ref().map(|lock| {
        json!({
            "id": lock.id.to_string(),
            "who": lock.holder.subject.as_str(),
            "door": lock.holder.door.as_str(),
            "at": Rfc3339(lock.at).to_string(),
            "reason": lock.reason,
        })
    });
    let tags: Map<String, Value> =
        unit.tags.iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    let default = || ProjectId::default_of(&unit.organization);
    json!({
        "id": unit.id.to_wire(),
        "name": unit.name.as_str(),
        "org": unit.organization.as_str(),
        "project": unit.settings.project.clone().unwrap_or_else(default).to_string(),
        "description": unit.settings.description,
        "terraform_version": unit.settings.terraform_version,
        "tags": tags,
        "lock": lock,
        "current": unit.current.as_ref().map(|current| version(unit, current)),
        "created_at": Rfc3339(unit.created_at).to_string(),
        "updated_at": Rfc3339(unit.updated_at).to_string(),
    })
}

/// A state version of a unit.
pub(super) fn version(unit: &Workspace, version: &StateVersion) -> Value {
    json!({
        "number": version.id.ordinal,
        "id": version.id.to_string(),
        "serial": version.serial,
        "lineage": version.lineage.as_ref().map(Lineage::as_str),
        "created_at": Rfc3339(version.created_at).to_string(),
        "created_by": version.created_by.as_str(),
        "size": version.size,
        "md5": version.md5.to_string(),
        "resources": version.resources,
        "terraform_version": version.terraform_version,
        "restored_from": version.rolled_back_from.map(|from| from.ordinal),
        "current": unit.current.as_ref().is_some_and(|current| current.id == version.id),
    })
}
