//! A user's own API tokens.

use actix_web::http::StatusCode;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use opentaco_domain::id::TokenId;
use opentaco_domain::rbac::Scope;
use opentaco_domain::secret::Secret;
use opentaco_domain::time::Timestamp;
use opentaco_domain::token::{End, TokenRecord};
use opentaco_ports::driven::tokens::Listed;
use opentaco_ports::driving::Failure;
use opentaco_ports::driving::api_tokens::NewToken;
use serde_json::{Value, json};

use super::Answer;
use super::error::ApiError;
use super::jsonapi::{self, Document, Resource, one};
use crate::auth::{Addressed, Call};
use crate::rfc3339::Rfc3339;
use crate::{requests, task};

/// A user in the path: only the caller is one that can be seen.
pub(crate) struct UserId(String);

impl Addressed for UserId {
    fn read(request: &HttpRequest) -> Result<Self, Failure> {
        Ok(Self(request.match_info().get("user").unwrap_or_default().to_owned()))
    }
}

impl UserId {
    fn is_caller(call: &Call<Self>) -> Result<(), Failure> {
        let own = call.caller.actor.subject.user_id();
        if call.at.0 == own { Ok(()) } else { Err(Failure::missing("user", &call.at.0)) }
    }
}

impl Addressed for TokenId {
    fn read(request: &HttpRequest) -> Result<Self, Failure> {
        // What is no id may be a secret, so it is not repeated.
        let text = request.match_info().get("token").unwrap_or_default();
        text.parse().map_err(|_| Failure::missing("authentication token", "of this id"))
    }
}

/// The caller's tokens.
pub(crate) async fn list(call: Call<UserId>) -> Answer {
    UserId::is_caller(&call)?;
    let listed = call.doors.api_tokens.list(&call.caller).await?;
    jsonapi::whole(&listed.iter().map(document).collect::<Vec<_>>())
}

/// Makes a token; its secret is in this answer and nowhere else.
pub(crate) async fn create(call: Call<UserId>, payload: Payload) -> Answer {
    UserId::is_caller(&call)?;
    let mut attributes = Document::read(&call.request, payload).await?.attributes()?;
    let name = attributes.text("description")?.unwrap_or_else(|| "API token".to_owned());
    let end = attributes.text("expired-at")?.map(|end| moment(&end)).transpose()?;
    let new = NewToken { name: name.parse().map_err(ApiError::invalid)?, scope: Scope::full(), end };
    let (tokens, caller) = (call.doors.api_tokens.clone(), call.caller);
    let made = task::run(async move { tokens.create(&caller, new).await }).await??;
    let (token, record) = made;
    requests::log_made(&record);
    jsonapi::single(StatusCode::CREATED, &resource(&record, None, Some(&token)))
}

/// One of the caller's tokens.
pub(crate) async fn read(call: Call<TokenId>) -> Answer {
    let listed = call.doors.api_tokens.read(&call.caller, &call.at).await?;
    jsonapi::single(StatusCode::OK, &document(&listed))
}

/// Ends a token.
pub(crate) async fn delete(call: Call<TokenId>) -> Answer {
    let (tokens, caller, id) = (call.doors.api_tokens.clone(), call.caller, call.at);
    task::run(async move { tokens.revoke(&caller, id.as_str()).await }).await??;
    Ok(HttpResponse::NoContent().finish())
}

fn moment(text: &str) -> Result<End, ApiError> {
    let end: Result<jiff::Timestamp, _> = text.parse();
    let end =
        end.map_err(|_| ApiError::invalid("expired-at must be a moment such as 2030-01-31T12:00:00Z"))?;
    Ok(End::At(Timestamp::from_millis(end.as_millisecond())))
}

fn document(listed: &Listed) -> Resource<Value> {
    resource(&listed.record, listed.last_used_at, None)
}

fn resource(
    record: &TokenRecord,
    last_used_at: Option<Timestamp>,
    token: Option<&Secret<String>>,
) -> Resource<Value> {
    let moment = |at: Option<Timestamp>| at.map(|at| Rfc3339(at).to_string());
    let attributes = json!({
        "created-at": moment(Some(record.created_at)),
        "description": record.name.as_str(),
        "expired-at": moment(record.expires_at),
        "last-used-at": moment(last_used_at),
        "token": token.map(Secret::expose),
    });
    let by = one("users", record.owner.user_id());
    Resource::new("authentication-tokens", &record.id, attributes).related(json!({"created-by": by}))
}
