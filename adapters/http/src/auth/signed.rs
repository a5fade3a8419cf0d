//! Access tokens and API tokens, for the management API.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use opentaco_domain::actor::Door;
use opentaco_ports::driving::access::Caller;

use super::bearer::presented_or_logged;
use crate::management::error::Problem;
use crate::task::Crashed;
use crate::{Doors, requests};

/// A call of the management API by somebody known.
pub(crate) struct Signed {
    /// What the doors lead to.
    pub(crate) doors: web::Data<Doors>,
    /// Who calls.
    pub(crate) caller: Caller,
    /// The request itself.
    pub(crate) request: HttpRequest,
}

impl FromRequest for Signed {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let doors = request.app_data::<web::Data<Doors>>().cloned().ok_or(Crashed)?;
            let token = presented_or_logged(&request)?.ok_or_else(Problem::no_token)?;
            let caller = doors.access.caller(&token, Door::Management).await;
            let caller = caller.inspect_err(requests::log_refused_token)?;
            requests::note_caller(&request, &caller);
            Ok(Self { doors, caller, request })
        })
    }
}
