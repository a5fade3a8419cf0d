//! Upload tickets in the path: Terraform sends no token to an upload URL.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use opentaco_domain::actor::{Actor, Door};
use opentaco_domain::commit::Ticket;
use opentaco_ports::driving::Failure;

use super::bearer::doors;
use crate::tfe::error::ApiError;
use crate::{Doors, requests};

/// An upload by who proposed it. The ticket's age and kind are the use case's to judge.
pub(crate) struct Upload {
    /// What the doors lead to.
    pub(crate) doors: web::Data<Doors>,
    /// Who proposed it, if their token still lives.
    pub(crate) actor: Actor,
    /// What may be uploaded.
    pub(crate) ticket: Ticket,
}

impl FromRequest for Upload {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let doors = doors(&request)?;
            let sealed = request.match_info().get("ticket").unwrap_or_default();
            let ticket = doors.sealer.open_ticket(sealed);
            let ticket = ticket.ok_or_else(|| Failure::missing("upload", "of this URL"))?;
            let actor = doors.access.bearer_of(&ticket, Door::Cloud).await;
            let actor = actor.inspect_err(requests::log_refused_token).map_err(ApiError::Ticket)?;
            requests::note_actor(&request, &actor);
            Ok(Self { doors, actor, ticket })
        })
    }
}
