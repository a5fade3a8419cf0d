//! How the login is set up, for who may know: no secrets, but what an operator compares between servers.

use actix_web::{HttpRequest, HttpResponse, web};
use opentaco_domain::actor::Door;
use opentaco_domain::oauth::{Client, FIRST_PORT, LAST_PORT};
use opentaco_ports::driving::Failure;
use serde_json::json;

use super::CALLBACK;
use crate::auth::presented_or_logged;
use crate::management::error::Problem;
use crate::management::{config, json_answer};
use crate::{Doors, host, requests};

/// The setup, for administrators and under the development login.
pub(crate) async fn debug(doors: web::Data<Doors>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let caller = match presented_or_logged(&request)? {
        Some(token) => {
            let caller = doors.access.caller(&token, Door::Login).await;
            let caller = caller.inspect_err(requests::log_refused_token)?;
            requests::note_actor(&request, &caller.actor);
            Some(caller)
        }
        None => None,
    };
    match doors.login.may_debug(caller.as_ref().map(|caller| &caller.actor)) {
        Ok(()) => {}
        Err(Failure::Bearer(_)) => return Err(Problem::no_token()),
        Err(failure) => return Err(failure.into()),
    }
    let base = host::base(&doors, &request);
    let kids: Vec<String> = doors.signer.public_keys().into_iter().map(|key| key.kid).collect();
    let mut document = config::document(&doors, &base);
    document["issuer"] = json!(doors.issuer);
    document["redirect_uris"] =
        json!(format!("http://127.0.0.1, localhost or [::1], port {FIRST_PORT} to {LAST_PORT}, any path"));
    document["callback"] = json!(format!("{base}{CALLBACK}"));
    document["clients"] = json!([Client::TerraformCli.id(), Client::Taco.id()]);
    document["kids"] = json!(kids);
    Ok(json_answer(&document))
}
