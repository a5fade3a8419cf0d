//! One credential for another: a refresh token for a session, an API token for an access token, and a CI system's token for
//! a short API token (RFC 8693).

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use opentaco_domain::actor::Door;
use opentaco_domain::oauth::single;
use serde_json::{Map, Value, json};

use crate::auth::presented;
use crate::body::{self, SMALL};
use crate::oauth::form::{self, Pairs};
use crate::oauth::grant::{self, ACCESS_TOKEN, EXCHANGE, Refusal, SUBJECT_TYPES, refuse};
use crate::{Doors, requests};

/// Exchanges what is presented. The exchange is finished even when the client hangs up.
pub(crate) async fn exchange(
    doors: web::Data<Doors>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let granted = if is_form(&request) {
        from_form(&doors, &request, payload).await
    } else {
        from_json(&doors, &request, payload).await
    };
    granted.unwrap_or_else(|refusal| refuse(&refusal))
}

fn is_form(request: &HttpRequest) -> bool {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded")
}

async fn from_form(doors: &Doors, request: &HttpRequest, payload: Payload) -> Result<HttpResponse, Refusal> {
    let pairs = form::read(request, payload).await.map_err(Refusal::request)?;
    let field = |name: &str| single(&pairs, name).map_err(|error| Refusal::request(error.to_string()));
    match field("grant_type")? {
        EXCHANGE => {
            if !SUBJECT_TYPES.contains(&field("subject_token_type")?) {
                return Err(Refusal::request(format!(
                    "subject_token_type must be {} or {}",
                    SUBJECT_TYPES[0], SUBJECT_TYPES[1]
                )));
            }
            check_wanted(&pairs)?;
            Ok(grant::exchange(doors, field("subject_token")?.to_owned()).await)
        }
        "refresh_token" => {
            let token = grant::refresh_token(&pairs)?.to_owned();
            Ok(grant::refresh(doors, token).await)
        }
        _ => Err(Refusal::bad(
            "unsupported_grant_type",
            "grant_type must be a token exchange or refresh_token",
        )),
    }
}

/// There is one kind of token to be had, and nobody to act for.
fn check_wanted(pairs: &Pairs) -> Result<(), Refusal> {
    let values = |name| pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str());
    let wanted = "requested_token_type";
    if values(wanted).count() > 1 {
        return Err(Refusal::request(format!("{wanted} is there more than once")));
    }
    if values(wanted).any(|wanted| wanted != ACCESS_TOKEN) {
        return Err(Refusal::request(format!("{wanted} must be {ACCESS_TOKEN}")));
    }
    if values("actor_token").next().is_some() {
        return Err(Refusal::request("actor_token is not supported"));
    }
    Ok(())
}

async fn from_json(doors: &Doors, request: &HttpRequest, payload: Payload) -> Result<HttpResponse, Refusal> {
    let body =
        body::read(request, payload, SMALL).await.map_err(|refused| Refusal::request(refused.to_string()))?;
    let (bytes, _) = body.into_parts();
    let document: Map<String, Value> = if bytes.is_empty() {
        Map::new()
    } else {
        serde_json::from_slice(&bytes).map_err(|_| Refusal::request("the body must be a JSON object"))?
    };
    let bearer =
        presented(request).map_err(|_| Refusal::request("the Authorization header must be `Bearer …`"))?;
    match (document.get("refresh_token"), bearer) {
        (Some(Value::String(token)), None) => Ok(grant::refresh(doors, token.clone()).await),
        (Some(Value::String(_)), Some(_)) => {
            Err(Refusal::request("send a refresh_token or an API token, not both"))
        }
        (Some(_), _) => Err(Refusal::bad("invalid_grant", "refresh_token must be a text")),
        (None, Some(token)) => access(doors, request, &token).await,
        (None, None) => Err(Refusal::bad(
            "invalid_grant",
            "send {\"refresh_token\": …}, or an API token as `Authorization: Bearer otc_tfe_…`",
        )),
    }
}

/// An access token for an API token.
async fn access(doors: &Doors, request: &HttpRequest, token: &str) -> Result<HttpResponse, Refusal> {
    let caller = doors.access.caller(token, Door::Management).await?;
    requests::note_actor(request, &caller.actor);
    let signed = doors.sessions.access(&caller)?;
    let body = json!({
        "access_token": signed.token.expose(),
        "token_type": "Bearer",
        "expires_in": signed.life.as_secs(),
    });
    Ok(grant::answer(StatusCode::OK, &body))
}
