//! Variables of a workspace: there are none, because runs happen on the client.

use opentaco_domain::id::WorkspaceId;
use serde_json::Value;

use super::{Answer, jsonapi};
use crate::auth::Call;

/// The empty list, for a workspace that the caller may see.
pub(crate) async fn list(call: Call<WorkspaceId>) -> Answer {
    call.doors.workspaces.read(&call.caller.actor, call.at).await?;
    jsonapi::whole::<Value>(&[])
}
