//! Which host a request is for, and how the client sees this server. `X-Forwarded-*` is believed of trusted proxies alone.

use std::net::IpAddr;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HOST;
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, ResponseError as _, web};

use crate::tfe::error::ApiError;
use crate::{Doors, serve};

/// Turns away requests whose Host is not this server's; health checks come by address and are spared.
///
/// It is the connection's own Host that counts, whatever a proxy forwards: a page in a browser on this machine can write
/// any header, but not that one.
pub(crate) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    let spared = matches!(request.path(), "/healthz" | "/readyz" | "/metrics");
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

/// The base of absolute URLs in the answer to this request, as the client reaches this server.
pub(crate) fn base(doors: &Doors, request: &HttpRequest) -> String {
    let believed = is_from_proxy(doors, request);
    let scheme = forwarded(request, "x-forwarded-proto").filter(|scheme| matches!(*scheme, "http" | "https"));
    let host = forwarded(request, "x-forwarded-host");
    doors.addresses.base(
        scheme.filter(|_| believed).unwrap_or_else(|| serve::scheme(request)),
        host.filter(|_| believed).or_else(|| authority(request)),
    )
}

/// The address the client calls from: the right-most one that is no trusted proxy's.
pub(crate) fn client(doors: &Doors, request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    if !doors.addresses.trusts(peer) {
        return Some(peer);
    }
    let headers = request.headers().get_all("x-forwarded-for").filter_map(|header| header.to_str().ok());
    let hops: Vec<&str> = headers.flat_map(|header| header.split(',')).map(str::trim).collect();
    let mut client = peer;
    for hop in hops.into_iter().rev() {
        // What cannot be read was written by somebody else than our proxies.
        let Ok(hop) = hop.parse::<IpAddr>() else { break };
        client = hop.to_canonical();
        if !doors.addresses.trusts(client) {
            break;
        }
    }
    Some(client)
}

fn is_from_proxy(doors: &Doors, request: &HttpRequest) -> bool {
    request.peer_addr().is_some_and(|peer| doors.addresses.trusts(peer.ip()))
}

/// The value of the nearest proxy: the last one.
fn forwarded<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    let header = request.headers().get_all(name).last()?.to_str().ok()?;
    header.rsplit(',').next().map(str::trim).filter(|value| !value.is_empty())
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
