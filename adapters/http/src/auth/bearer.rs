//! Tokens in `Authorization: Bearer`.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest, web};
use opentaco_domain::actor::Door;
use opentaco_ports::driving::Failure;
use opentaco_ports::driving::access::{AccessError, Caller};

use crate::tfe::error::ApiError;
use crate::{Doors, host, requests};

type Extracting<T> = Pin<Box<dyn Future<Output = Result<T, ApiError>>>>;

/// What a route's path names.
pub(crate) trait Addressed: Sized + 'static {
    /// Reads it from the matched segments; what cannot exist is [`Failure::Missing`].
    fn read(request: &HttpRequest) -> Result<Self, Failure>;
}

impl Addressed for () {
    fn read(_: &HttpRequest) -> Result<Self, Failure> {
        Ok(())
    }
}

/// A call by somebody known, on what the path names. The token is judged before the path.
pub(crate) struct Call<T: Addressed = ()> {
    /// What the doors lead to.
    pub(crate) doors: web::Data<Doors>,
    /// Who calls.
    pub(crate) caller: Caller,
    /// On what.
    pub(crate) at: T,
    /// The request itself.
    pub(crate) request: HttpRequest,
}

impl<T: Addressed> Call<T> {
    /// The base of absolute URLs in the answer.
    pub(crate) fn base(&self) -> String {
        host::base(&self.doors, &self.request)
    }
}

impl<T: Addressed> FromRequest for Call<T> {
    type Error = ApiError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let doors = doors(&request)?;
            let token = presented_or_logged(&request)?.ok_or(ApiError::NoToken)?;
            let caller = authenticate(&doors, &request, &token).await?;
            let at = T::read(&request)?;
            Ok(Self { doors, caller, at, request })
        })
    }
}

/// A caller without a token, or with a good one.
pub(crate) struct Ping;

impl FromRequest for Ping {
    type Error = ApiError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            if let Some(token) = presented_or_logged(&request)? {
                let doors = doors(&request)?;
                authenticate(&doors, &request, &token).await?;
            }
            Ok(Self)
        })
    }
}

async fn authenticate(doors: &Doors, request: &HttpRequest, token: &str) -> Result<Caller, AccessError> {
    let caller = doors.access.authenticate(token, Door::Cloud).await;
    let caller = caller.inspect_err(requests::log_refused_token)?;
    requests::note_caller(request, &caller);
    Ok(caller)
}

pub(super) fn doors(request: &HttpRequest) -> Result<web::Data<Doors>, ApiError> {
    request.app_data::<web::Data<Doors>>().cloned().ok_or(ApiError::Crashed)
}

/// An `Authorization` header of another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotBearer;

impl From<NotBearer> for ApiError {
    fn from(_: NotBearer) -> Self {
        Self::NoToken
    }
}

/// The same, with a line in the log when there is something that is no token.
pub(crate) fn presented_or_logged(request: &HttpRequest) -> Result<Option<String>, NotBearer> {
    presented(request).inspect_err(|_| requests::log_unreadable_token())
}

/// The token that the client presents; none when it presents nothing.
pub(crate) fn presented(request: &HttpRequest) -> Result<Option<String>, NotBearer> {
    let mut headers = request.headers().get_all(AUTHORIZATION);
    let (Some(header), more) = (headers.next(), headers.next()) else { return Ok(None) };
    let text = header.to_str().map_err(|_| NotBearer)?;
    match text.trim().split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && more.is_none() => {
            Ok(Some(token.trim().to_owned()))
        }
        _ => Err(NotBearer),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn of(header: &str) -> Result<Option<String>, NotBearer> {
        presented(&TestRequest::get().insert_header((AUTHORIZATION, header)).to_http_request())
    }

    #[test]
    fn only_bearer_tokens_are_presented() {
        assert_eq!(of("Bearer otc_x").unwrap().as_deref(), Some("otc_x"));
        assert_eq!(of("bearer  otc_x ").unwrap().as_deref(), Some("otc_x"));
        for bad in ["Basic dTpw", "Bearer", "otc_x", ""] {
            assert!(of(bad).is_err(), "{bad}");
        }
        assert_eq!(presented(&TestRequest::get().to_http_request()).unwrap(), None);
    }
}
