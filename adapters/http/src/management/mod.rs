//! The management API `/v1`, as far as tokens go.

pub(crate) mod config;
pub(crate) mod error;
pub(crate) mod me;
pub(crate) mod rbac;
pub(crate) mod s3_credentials;
pub(crate) mod token;
pub(crate) mod tokens;
pub(crate) mod users;

use actix_web::Error;
use actix_web::HttpResponse;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderValue;
use actix_web::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use actix_web::middleware::Next;
use serde_json::Value;

use self::error::Problem;

/// What every handler of this door gives.
type Answer = Result<HttpResponse, Problem>;

/// Adds what every answer of this API carries.
pub(crate) async fn headers(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    let mut answer = next.call(request).await?.map_into_boxed_body();
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(answer)
}

/// An answer of one JSON document.
pub(crate) fn json_answer(document: &Value) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("content-type", "application/json"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(document.to_string())
}
