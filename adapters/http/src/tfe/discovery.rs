//! What a client learns before it says who it is.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use opentaco_domain::oauth::{Client, FIRST_PORT, LAST_PORT};
use serde_json::json;

use super::BASE_PATH;
use crate::auth::Ping;

/// Where the services are, relative to this document. It never asks who is there: Terraform sends stored tokens here,
/// also those that have died.
pub(crate) async fn services() -> HttpResponse {
    let api = format!("{BASE_PATH}/");
    let document = json!({
        "tfe.v2": api,
        "tfe.v2.1": api,
        "tfe.v2.2": api,
        "state.v2": api,
        "login.v1": {
            "client": Client::TerraformCli.id(),
            "grant_types": ["authz_code"],
            "authz": "/oauth/authorization",
            "token": "/oauth/token",
            "ports": [FIRST_PORT, LAST_PORT],
        },
    });
    HttpResponse::Ok()
        .insert_header(("content-type", "application/json"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(document.to_string())
}

/// Says only that the API is there; its headers say which version.
pub(crate) async fn ping(_: Ping) -> HttpResponse {
    HttpResponse::NoContent().finish()
}
