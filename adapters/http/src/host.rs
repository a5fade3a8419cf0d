//! Which host a request is for. `X-Forwarded-*` is never believed.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HOST;
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, ResponseError as _, web};

use crate::tfe::error::ApiError;
use crate::{Doors, serve};

/// Turns away requests whose Host is not this server's; health checks come by address and are spared.
pub(crate) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    let spared = matches!(request.path(), "/healthz" | "/readyz");
    let admitted = spared || {
        let doors = request.app_data::<web::Data<Doors>>();
        let (scheme, authority) = (serve::scheme(request.request()), authority(request.request()));
        doors.is_some_and(|doors| doors.addresses.admits(scheme, authority))
    };
    if admitted {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let answer = ApiError::Misdirected.error_response();
    Ok(request.into_response(answer))
}

/// The base of absolute URLs in the answer to this request.
pub(crate) fn base(doors: &Doors, request: &HttpRequest) -> String {
    doors.addresses.base(serve::scheme(request), authority(request))
}

/// The authority the request names: in its target, else in its one Host header.
fn authority(request: &HttpRequest) -> Option<&str> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.as_str());
    }
    let mut hosts = request.headers().get_all(HOST);
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        _ => None,
    }
}
