//! One log line per request: the route's template, never its path or query, which may hold a secret.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, web};
use opentaco_domain::actor::{Actor, Subject};
use opentaco_domain::token::TokenRecord;
use opentaco_ports::driving::access::{AccessError, Caller};

use crate::Doors;

/// Logs what was asked for, by whom, and how it ended.
pub(crate) async fn log(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let answer = next.call(request).await?;
    let asked = answer.request();
    let route = asked.match_pattern().unwrap_or_else(|| "unknown".to_owned());
    let extensions = asked.extensions();
    let actor = extensions.get::<Subject>().map_or("-", Subject::as_str);
    tracing::info!(method = %asked.method(), route, status = answer.status().as_u16(), actor, "request");
    drop(extensions);
    Ok(answer)
}

/// Says once why a token was refused. Clients are not told.
pub(crate) fn log_refused_token(error: &AccessError) {
    match error {
        AccessError::Jwt => {
            tracing::warn!(reason = "a JWT where API tokens are taken", "Token verification failed");
        }
        AccessError::Refused(why) => tracing::warn!(reason = %why, "Token verification failed"),
        // Logged where it happened.
        AccessError::Store(_) => {}
    }
}

/// Says once that an `Authorization` header holds no token that can be read.
pub(crate) fn log_unreadable_token() {
    tracing::warn!(reason = "not one bearer token", "Token verification failed");
}

/// Remembers who asked, for the log.
pub(crate) fn note_actor(request: &HttpRequest, actor: &Actor) {
    request.extensions_mut().insert(actor.subject.clone());
}

/// Remembers a caller, for the log and for the moment when the body is there.
pub(crate) fn note_caller(request: &HttpRequest, caller: &Caller) {
    note_actor(request, &caller.actor);
    request.extensions_mut().insert(caller.clone());
}

/// Whether the caller of a request, if it has one, still is who it was when the request began.
///
/// # Errors
/// [`AccessError`], as for a request that begins now.
pub(crate) async fn still_the_same_caller(request: &HttpRequest) -> Result<(), AccessError> {
    let caller = request.extensions().get::<Caller>().cloned();
    let doors = request.app_data::<web::Data<Doors>>();
    match (caller, doors) {
        (Some(caller), Some(doors)) => doors.access.still(&caller).await.inspect_err(log_refused_token),
        _ => Ok(()),
    }
}

/// Says once that a token was made, and whose it is.
pub(crate) fn log_made(record: &TokenRecord) {
    tracing::info!(token = %record.id, kind = record.kind.as_str(), owner = %record.owner, "made a token");
}
