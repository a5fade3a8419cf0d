//! Bytes that come to the signed address of a proposal.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use opentaco_domain::actor::Door;
use opentaco_domain::commit::TicketKind;
use opentaco_ports::driving::Failure;

use super::error::{ApiError, state_too_large};
use super::{Answer, locks};
use crate::auth::Upload;
use crate::body;

/// Takes a state, or its JSON rendering, as the ticket says.
pub(crate) async fn put(upload: Upload, request: HttpRequest, payload: Payload) -> Answer {
    let Upload { doors, actor, ticket } = upload;
    if body::announced_length(&request).is_some_and(|length| length > doors.max_state_bytes) {
        return Err(ApiError::TooLong(state_too_large(doors.max_state_bytes)));
    }
    let (versions, by, workspace) = (doors.state_versions.clone(), actor.clone(), ticket.workspace());
    let access = doors.access.clone();
    let taken: Result<(), Failure> = body::stream_into(payload, |bytes| async move {
        match ticket.kind {
            TicketKind::State => {
                let still = access.bearer_of(&ticket, Door::Cloud);
                versions.upload(&by, &ticket, bytes, still).await.map(drop)
            }
            TicketKind::JsonState => versions.upload_json(&by, &ticket, bytes).await,
        }
    })
    .await?;
    match taken {
        Ok(()) => Ok(HttpResponse::Ok().finish()),
        Err(failure) => Err(locks::located(&doors.workspaces, &actor, workspace, failure).await),
    }
}
