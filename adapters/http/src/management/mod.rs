//! The management API `/v1`.

pub(crate) mod config;
pub(crate) mod error;
pub(crate) mod me;
pub(crate) mod rbac;
pub(crate) mod s3_credentials;
pub(crate) mod token;
pub(crate) mod tokens;
mod unit_document;
pub(crate) mod units;
pub(crate) mod users;
pub(crate) mod versions;

use actix_web::Error;
use actix_web::HttpResponse;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderValue;
use actix_web::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use actix_web::middleware::Next;
use actix_web::web::Payload;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::error::Problem;
use crate::auth::Signed;
use crate::body::{self, SMALL};

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

/// The JSON in a body, which is of that shape.
async fn read_json<T: DeserializeOwned>(call: &Signed, payload: Payload, shape: &str) -> Result<T, Problem> {
    read_json_up_to(SMALL, call, payload, shape).await
}

/// The same of a body of at most so many bytes.
async fn read_json_up_to<T: DeserializeOwned>(
    limit: usize,
    call: &Signed,
    payload: Payload,
    shape: &str,
) -> Result<T, Problem> {
    let (bytes, _) = body::read(&call.request, payload, limit).await?.into_parts();
    parse(&bytes, shape)
}

fn parse<T: DeserializeOwned>(bytes: &[u8], shape: &str) -> Result<T, Problem> {
    // What the parser says may quote the body.
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Problem::malformed(format!("the body must be {shape} (line {line}, column {column})"))
    })
}

/// The same for a body that may be empty.
async fn read_json_or_nothing<T: DeserializeOwned + Default>(
    call: &Signed,
    payload: Payload,
    shape: &str,
) -> Result<T, Problem> {
    let (bytes, _) = body::read(&call.request, payload, SMALL).await?.into_parts();
    if bytes.is_empty() { Ok(T::default()) } else { parse(&bytes, shape) }
}

/// An answer of something that was made.
fn created(document: &Value) -> HttpResponse {
    HttpResponse::Created().insert_header(("content-type", "application/json")).body(document.to_string())
}

/// An answer of one JSON document.
pub(crate) fn json_answer(document: &Value) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("content-type", "application/json"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(document.to_string())
}
