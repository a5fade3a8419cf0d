//! A state version as this API shows it.

use opentaco_domain::commit::{TICKET_LIFE, Ticket};
use opentaco_domain::id::{OutputId, StateVersionId};
use opentaco_domain::state::{Lineage, StateVersion};
use opentaco_domain::time::Timestamp;
use opentaco_ports::driven::versions::Pending;
use opentaco_ports::driving::state_versions::Shown;
use serde_json::{Value, json};

use super::BASE_PATH;
use super::jsonapi::{Resource, one};
use super::workspace_document::time;

/// Where the bytes of a proposal go; absolute, because Terraform does not complete them.
pub(super) struct UploadUrls {
    /// The state.
    pub(super) state: String,
    /// Its JSON rendering.
    pub(super) json_state: String,
}

/// A version that was just proposed, or proposed again.
pub(super) fn proposed(ticket: &Ticket, urls: &UploadUrls) -> Resource<Value> {
    let proposal = &ticket.proposal;
    let life = i64::try_from(TICKET_LIFE.as_millis()).unwrap_or(0);
    let proposed_at = Timestamp::from_millis(ticket.expires_at.as_millis().saturating_sub(life));
    let mut attributes = unfinished("pending", proposal.serial, proposed_at);
    attributes["md5"] = proposal.md5.to_string().into();
    attributes["lineage"] = proposal.lineage.as_ref().map(Lineage::as_str).into();
    attributes["hosted-state-upload-url"] = urls.state.as_str().into();
    attributes["hosted-json-state-upload-url"] = urls.json_state.as_str().into();
    resource(ticket.version, attributes, json!({}))
}

/// A version, finalized or not.
pub(super) fn shown(shown: &Shown, base: &str) -> Resource<Value> {
    let pending = |status, pending: &Pending| {
        let attributes = unfinished(status, pending.serial, pending.proposed_at);
        resource(pending.version, attributes, json!({}))
    };
    match shown {
        Shown::Finalized(version) => finalized(version, base),
        Shown::Pending(version) => pending("pending", version),
        Shown::Discarded(version) => pending("discarded", version),
    }
}

/// A finalized version.
pub(super) fn finalized(version: &StateVersion, base: &str) -> Resource<Value> {
    let attributes = json!({
        "serial": version.serial,
        "md5": version.md5.to_string(),
        "size": version.size,
        "lineage": version.lineage.as_ref().map(Lineage::as_str),
        "status": "finalized",
        "intermediate": false,
        "resources-processed": true,
        "resource-count": version.resources,
        "terraform-version": version.terraform_version,
        "encrypted-by-client": version.encrypted,
        "created-at": time(version.created_at),
        "hosted-state-download-url": format!("{base}{BASE_PATH}/state-versions/{}/download", version.id),
        "hosted-json-state-download-url":
            format!("{base}{BASE_PATH}/state-versions/{}/json-download", version.id),
        "hosted-state-upload-url": null,
        "hosted-json-state-upload-url": null,
    });
    let outputs = (0..usize::try_from(version.outputs).unwrap_or(0)).map(|index| {
        json!({"type": "state-version-outputs", "id": OutputId { version: version.id, index }.to_string()})
    });
    let mut related = json!({
        "created-by": one("users", version.created_by.user_id()),
        "outputs": {"data": outputs.collect::<Vec<_>>()},
    });
    if let Some(from) = version.rolled_back_from {
        related["rollback-state-version"] = one("state-versions", from);
    }
    resource(version.id, attributes, related)
}

/// The attributes of a version without bytes.
fn unfinished(status: &str, serial: u64, proposed_at: Timestamp) -> Value {
    json!({
        "serial": serial,
        "md5": null,
        "size": null,
        "lineage": null,
        "status": status,
        "intermediate": false,
        "resources-processed": false,
        "resource-count": null,
        "terraform-version": null,
        "created-at": time(proposed_at),
        "hosted-state-download-url": null,
        "hosted-json-state-download-url": null,
        "hosted-state-upload-url": null,
        "hosted-json-state-upload-url": null,
    })
}

fn resource(id: StateVersionId, attributes: Value, mut related: Value) -> Resource<Value> {
    related["workspace"] = one("workspaces", id.workspace.to_wire());
    Resource::new("state-versions", id, attributes).related(related)
}
