//! The Terraform Cloud API, as far as state needs it.

pub(crate) mod account;
pub(crate) mod consumers;
pub(crate) mod discovery;
pub(crate) mod error;
mod include;
mod jsonapi;
pub(crate) mod locks;
pub(crate) mod organizations;
pub(crate) mod outputs;
pub(crate) mod projects;
mod query;
mod state_version_document;
pub(crate) mod state_versions;
pub(crate) mod tags;
pub(crate) mod tokens;
pub(crate) mod uploads;
pub(crate) mod variables;
mod workspace_document;
pub(crate) mod workspaces;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse};

use self::error::ApiError;

/// What every handler of this door gives.
type Answer = Result<HttpResponse, ApiError>;

/// The tree that absolute URLs name, whichever of the two a client used.
const BASE_PATH: &str = "/tfe/api/v2";

/// Adds what every answer of this API carries; Terraform refuses a server that does not tell its API version.
pub(crate) async fn headers(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    let mut answer = match next.call(request).await {
        Ok(answer) => answer.map_into_boxed_body(),
        Err(error) => return Err(error),
    };
    let headers = answer.headers_mut();
    headers.insert(HeaderName::from_static("tfp-api-version"), HeaderValue::from_static("2.6"));
    // Seconds. Terraform takes snapshots during an apply only while each answer of an upload says so.
    headers.insert(HeaderName::from_static("x-terraform-snapshot-interval"), HeaderValue::from_static("20"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(answer)
}
