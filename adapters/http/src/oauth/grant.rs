//! Grants as OAuth answers them (RFC 6749 section 5), at `/oauth/token` and at `/v1/auth/token`.

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, PRAGMA, RETRY_AFTER};
use opentaco_domain::oauth::{Client, OauthError, single};
use opentaco_domain::time::Timestamp;
use opentaco_ports::driven::StoreError;
use opentaco_ports::driven::idp::IdpError;
use opentaco_ports::driving::access::AccessError;
use opentaco_ports::driving::sessions::GrantError;
use serde_json::{Value, json};

use super::form::Pairs;
use super::token::session_body;
use crate::task::Crashed;
use crate::{Doors, requests, task};

/// The name of a token exchange (RFC 8693).
pub(crate) const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// What a token exchange gives (RFC 8693 section 3).
pub(crate) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// What it takes.
pub(crate) const SUBJECT_TYPES: [&str; 2] =
    ["urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"];

/// Why nothing is granted, as a client is told.
pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    text: Cow<'static, str>,
    /// What only the log says.
    reason: Option<String>,
}

impl Refusal {
    /// The client did wrong.
    pub(crate) fn bad(code: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, text: text.into(), reason: None }
    }

    /// The request is malformed.
    pub(crate) fn request(text: impl Into<Cow<'static, str>>) -> Self {
        Self::bad("invalid_request", text)
    }

    /// Trying again may help.
    pub(crate) fn later(text: impl Into<Cow<'static, str>>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self { status, ..Self::bad("temporarily_unavailable", text) }
    }

    fn because(self, reason: &impl ToString) -> Self {
        Self { reason: Some(reason.to_string()), ..self }
    }
}

impl From<OauthError> for Refusal {
    fn from(error: OauthError) -> Self {
        let text = error.to_string();
        match error {
            OauthError::UnknownClient => Self::bad("invalid_client", text),
            OauthError::InvalidRequest(_)
            | OauthError::BadRedirect
            | OauthError::ResponseType
            | OauthError::BadChallenge => Self::request(text),
        }
    }
}

impl From<Crashed> for Refusal {
    fn from(_: Crashed) -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self { status, ..Self::bad("server_error", "the server failed; its log may say why") }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        if error.may_pass() {
            return Self::later(error.told());
        }
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self { status, ..Self::bad("server_error", error.told()) }
    }
}

impl From<GrantError> for Refusal {
    fn from(error: GrantError) -> Self {
        let text = error.to_string();
        match error {
            GrantError::Invalid(why) => Self::bad("invalid_grant", text).because(&why),
            GrantError::Reused | GrantError::Untrusted => Self::bad("invalid_grant", text),
            GrantError::Provider(IdpError::Refused(why)) => {
                Self::bad("invalid_grant", "the token was refused; this server's log says why").because(&why)
            }
            GrantError::Provider(IdpError::Unavailable(_)) => Self::later(text),
            GrantError::Store(error) => error.into(),
        }
    }
}

impl From<AccessError> for Refusal {
    fn from(error: AccessError) -> Self {
        GrantError::from(error).into()
    }
}

/// The refresh token in a form. Public clients need not name themselves, but must not name another.
pub(crate) fn refresh_token(pairs: &Pairs) -> Result<&str, OauthError> {
    let is_named = pairs.iter().any(|(name, _)| name == "client_id");
    let is_taco = single(pairs, "client_id").is_ok_and(|id| Client::from_id(id) == Ok(Client::Taco));
    if is_named && !is_taco {
        return Err(OauthError::UnknownClient);
    }
    single(pairs, "refresh_token")
}

/// Gives the next session for a refresh token.
pub(crate) async fn refresh(doors: &Doors, token: String) -> HttpResponse {
    let sessions = doors.sessions.clone();
    match task::run(async move { sessions.refresh(&token).await }).await {
        Ok(Ok(session)) => answer(StatusCode::OK, &session_body(&session)),
        Ok(Err(error)) => refuse(&error.into()),
        Err(crashed) => refuse(&crashed.into()),
    }
}

/// Makes a short API token for a workload.
pub(crate) async fn exchange(doors: &Doors, token: String) -> HttpResponse {
    let sessions = doors.sessions.clone();
    match task::run(async move { sessions.exchange(&token).await }).await {
        Ok(Ok((token, record))) => {
            requests::log_made(&record);
            let life = |end: Timestamp| end.since(record.created_at).as_secs();
            let body = json!({
                "access_token": token.expose(),
                "issued_token_type": ACCESS_TOKEN,
                "token_type": "Bearer",
                "expires_in": record.expires_at.map(life),
            });
            answer(StatusCode::OK, &body)
        }
        Ok(Err(error)) => refuse(&error.into()),
        Err(crashed) => refuse(&crashed.into()),
    }
}

/// Refuses, and says so once in the log.
pub(crate) fn refuse(refusal: &Refusal) -> HttpResponse {
    let Refusal { status, code, text, reason } = refusal;
    let reason = reason.as_deref().unwrap_or(text);
    if status.is_server_error() {
        tracing::error!(error = code, reason, "Token request failed");
    } else {
        tracing::warn!(error = code, reason, "Token request refused");
    }
    answer(*status, &json!({"error": code, "error_description": text}))
}

/// An answer that nobody keeps.
pub(crate) fn answer(status: StatusCode, body: &Value) -> HttpResponse {
    let mut answer = HttpResponse::build(status);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.insert_header((RETRY_AFTER, "1"));
    }
    answer
        .insert_header(("content-type", "application/json"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((PRAGMA, "no-cache"))
        .body(body.to_string())
}
