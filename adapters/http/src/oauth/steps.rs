//! The pages of the login, in their order: who are you, may it, and back to the command line.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, HeaderValue, LOCATION, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE,
};
use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use opentaco_domain::claims::{Denial, Stage, Verdict};
use opentaco_domain::login_code::LoginCodeError;
use opentaco_domain::oauth::single;
use opentaco_ports::driving::login::{LoginError, Next, Step};

use super::pages::{self, Page};
use super::{cookie, form};
use crate::{Doors, host, task};

/// Where the identity provider sends the browser back to, after the base URL.
pub(crate) const CALLBACK: &str = "/oauth/oidc-callback";

/// The page that asks who the person is, or the way to the identity provider. A malformed request gets a page, never a
/// redirect.
pub(crate) async fn begin(doors: web::Data<Doors>, request: HttpRequest) -> HttpResponse {
    let secure = cookie::is_secure(&doors, &request);
    let cookie = cookie::of(&request, secure).unwrap_or_else(|| doors.login.fresh_cookie());
    let callback = format!("{}{CALLBACK}", host::base(&doors, &request));
    match doors.login.begin(&form::query(&request), &cookie, &callback).await {
        Ok(next) => {
            let mut answer = go_on(&doors, next);
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
    match doors.login.identify(sealed, cookie.as_deref(), proof).await {
        Ok(next) => go_on(&doors, next),
        Err(error @ (LoginError::Code(_) | LoginError::Name(_))) => {
            match doors.login.again(sealed, cookie.as_deref()) {
                Ok(step) => {
                    log_refusal(&error.to_string());
                    show(&doors, status(&error), &step, Some(&error))
                }
                Err(error) => failed(&doors, &error),
            }
        }
        Err(error) => failed(&doors, &error),
    }
}

/// Takes the browser back from the identity provider: the consent page, or to the command line with a denial.
pub(crate) async fn callback(doors: web::Data<Doors>, request: HttpRequest) -> HttpResponse {
    let cookie = cookie::of(&request, cookie::is_secure(&doors, &request));
    let (login, query) = (doors.login.clone(), form::query(&request));
    // Finished even when the browser goes away: the provider's code is used up.
    match task::run(async move { login.returned(&query, cookie.as_deref()).await }).await {
        Ok(Ok(next)) => go_on(&doors, next),
        Ok(Err(error)) => failed(&doors, &error),
        Err(crashed) => {
            Page::failed(&crashed.to_string()).answer(StatusCode::INTERNAL_SERVER_ERROR, &*doors.entropy)
        }
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
        Ok(pages::DENY) => Verdict::Denied(Denial::Here),
        _ => return refused(&doors, "press Allow or Deny"),
    };
    let sealed = single(&pairs, pages::SESSION).map_err(LoginError::from);
    match sealed.and_then(|sealed| doors.login.decide(sealed, cookie.as_deref(), verdict)) {
        Ok(address) => redirect(&address),
        Err(error) => failed(&doors, &error),
    }
}

fn go_on(doors: &Doors, next: Next) -> HttpResponse {
    match next {
        Next::Page(step) => show(doors, StatusCode::OK, &step, None),
        Next::Provider(address) => redirect(&address),
        Next::Denied(address, why) => {
            log_refusal(&why.to_string());
            redirect(&address)
        }
    }
}

fn redirect(address: &str) -> HttpResponse {
    HttpResponse::Found()
        .insert_header((LOCATION, address))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .finish()
}

/// The page of a step.
fn show(doors: &Doors, status: StatusCode, step: &Step, error: Option<&LoginError>) -> HttpResponse {
    let request = &step.session.request;
    let page = match &step.session.stage {
        Stage::Identify => {
            let wrong = error.map(ToString::to_string);
            Page::identify(doors.login.method(), &request.redirect, &step.sealed, wrong)
        }
        Stage::Consent(person) => {
            Page::consent(request.client, &person.shown, &request.redirect, &step.sealed)
        }
        // Nobody is shown this: the browser is at the provider.
        Stage::Away(_) => Page::failed("go back to the identity provider's page"),
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
    } else {
        log_refusal(&error.to_string());
    }
    let said = match error {
        LoginError::Store(error) => error.told(),
        other => other.to_string(),
    };
    let mut answer = Page::failed(&said).answer(status, &*doors.entropy);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    answer
}

fn refused(doors: &Doors, reason: &str) -> HttpResponse {
    log_refusal(reason);
    Page::failed(reason).answer(StatusCode::BAD_REQUEST, &*doors.entropy)
}

fn log_refusal(reason: &str) {
    tracing::warn!(reason, "Login refused");
}

/// The pages' table from error to status.
fn status(error: &LoginError) -> StatusCode {
    match error {
        LoginError::Oauth(_) | LoginError::Session(_) | LoginError::Redeem(_) => StatusCode::BAD_REQUEST,
        LoginError::Code(LoginCodeError::Wrong) | LoginError::Name(_) => StatusCode::UNPROCESSABLE_ENTITY,
        LoginError::Code(LoginCodeError::TooMany(_)) => StatusCode::TOO_MANY_REQUESTS,
        LoginError::Store(error) if !error.may_pass() => StatusCode::INTERNAL_SERVER_ERROR,
        LoginError::Provider(_) | LoginError::Store(_) | LoginError::Unwritten => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}
