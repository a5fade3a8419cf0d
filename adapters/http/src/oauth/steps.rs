//! The pages of the login, in their order: who are you, may it, and back to the command line.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE};
use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use opentaco_domain::claims::{Stage, Verdict};
use opentaco_domain::login_code::LoginCodeError;
use opentaco_domain::oauth::single;
use opentaco_ports::driving::login::{LoginError, Step};

use super::pages::{self, Page};
use super::{cookie, form};
use crate::Doors;

/// The page that asks who the person is. A malformed request gets a page, never a redirect.
pub(crate) async fn begin(doors: web::Data<Doors>, request: HttpRequest) -> HttpResponse {
    let secure = cookie::is_secure(&doors, &request);
    let cookie = cookie::of(&request, secure).unwrap_or_else(|| doors.login.fresh_cookie());
    match doors.login.begin(&form::query(&request), &cookie) {
        Ok(step) => {
            let mut answer = show(&doors, StatusCode::OK, &step, None);
            if let Ok(set) = cookie::set(&cookie, secure).parse() {
                answer.headers_mut().insert(SET_COOKIE, set);
            }
            answer
        }
        Err(error) => failed(&doors, &error),
    }
}

/// Takes the login code or name: the consent page, or the same page again with what was wrong.
pub(crate) async fn identify(
    doors: web::Data<Doors>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let cookie = cookie::of(&request, cookie::is_secure(&doors, &request));
    let pairs = match form::read(&request, payload).await {
        Ok(pairs) => pairs,
        Err(reason) => return refused(&doors, &reason),
    };
    let sealed = match single(&pairs, pages::SESSION) {
        Ok(sealed) => sealed,
        Err(error) => return refused(&doors, &error.to_string()),
    };
    // An empty proof is a wrong one.
    let proof = single(&pairs, pages::PROOF).unwrap_or_default();
    match doors.login.identify(sealed, cookie.as_deref(), proof) {
        Ok(step) => show(&doors, StatusCode::OK, &step, None),
        Err(error @ (LoginError::Code(_) | LoginError::Name(_))) => {
            match doors.login.again(sealed, cookie.as_deref()) {
                Ok(step) => show(&doors, status(&error), &step, Some(&error)),
                Err(error) => failed(&doors, &error),
            }
        }
        Err(error) => failed(&doors, &error),
    }
}

/// Takes the decision and sends the browser to the command line with it.
pub(crate) async fn consent(doors: web::Data<Doors>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let cookie = cookie::of(&request, cookie::is_secure(&doors, &request));
    let pairs = match form::read(&request, payload).await {
        Ok(pairs) => pairs,
        Err(reason) => return refused(&doors, &reason),
    };
    let verdict = match single(&pairs, pages::VERDICT) {
        Ok(pages::ALLOW) => Verdict::Allowed,
        Ok(pages::DENY) => Verdict::Denied,
        _ => return refused(&doors, "press Allow or Deny"),
    };
    let sealed = single(&pairs, pages::SESSION).map_err(LoginError::from);
    match sealed.and_then(|sealed| doors.login.decide(sealed, cookie.as_deref(), verdict)) {
        Ok(address) => HttpResponse::Found()
            .insert_header((LOCATION, address))
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header((REFERRER_POLICY, "no-referrer"))
            .finish(),
        Err(error) => failed(&doors, &error),
    }
}

/// The page of a step.
fn show(doors: &Doors, status: StatusCode, step: &Step, error: Option<&LoginError>) -> HttpResponse {
    let page = match &step.session.stage {
        Stage::Identify => Page::identify(doors.login.method(), &step.sealed, error.map(ToString::to_string)),
        Stage::Consent(subject) => Page::consent(subject, &step.session.request.redirect, &step.sealed),
    };
    let mut answer = page.answer(status, &*doors.entropy);
    if let Some(LoginError::Code(LoginCodeError::TooMany(wait))) = error {
        answer.headers_mut().insert(RETRY_AFTER, wait.as_secs().max(1).into());
    }
    answer
}

/// The page of a login that cannot go on.
fn failed(doors: &Doors, error: &LoginError) -> HttpResponse {
    let status = status(error);
    if status.is_server_error() {
        tracing::error!(failure = %error, "a login failed");
    }
    Page::failed(&error.to_string()).answer(status, &*doors.entropy)
}

fn refused(doors: &Doors, reason: &str) -> HttpResponse {
    Page::failed(reason).answer(StatusCode::BAD_REQUEST, &*doors.entropy)
}

/// The pages' table from error to status.
fn status(error: &LoginError) -> StatusCode {
    match error {
        LoginError::Oauth(_) | LoginError::Session(_) | LoginError::Redeem(_) => StatusCode::BAD_REQUEST,
        LoginError::Code(LoginCodeError::Wrong) | LoginError::Name(_) => StatusCode::UNPROCESSABLE_ENTITY,
        LoginError::Code(LoginCodeError::TooMany(_)) => StatusCode::TOO_MANY_REQUESTS,
        LoginError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
