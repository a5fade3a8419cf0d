//! Opaque API tokens in `Authorization: Bearer`.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest, web};
use opentaco_domain::actor::{Actor, Door};
use opentaco_ports::driving::Failure;

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
    pub(crate) actor: Actor,
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
            let token = presented(&request)?.ok_or(ApiError::NoToken)?;
            let actor = authenticate(&doors, &request, &token).await?;
            let at = T::read(&request)?;
            Ok(Self { doors, actor, at, request })
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
            if let Some(token) = presented(&request)? {
                let doors = doors(&request)?;
                authenticate(&doors, &request, &token).await?;
            }
            Ok(Self)
        })
    }
}

async fn authenticate(doors: &Doors, request: &HttpRequest, token: &str) -> Result<Actor, ApiError> {
    let actor = doors.access.authenticate(token, Door::Cloud).await?;
    requests::note_actor(request, &actor);
    Ok(actor)
}

pub(super) fn doors(request: &HttpRequest) -> Result<web::Data<Doors>, ApiError> {
    request.app_data::<web::Data<Doors>>().cloned().ok_or(ApiError::Crashed)
}

/// The token that the client presents; none when it presents nothing.
fn presented(request: &HttpRequest) -> Result<Option<String>, ApiError> {
    let Some(header) = request.headers().get(AUTHORIZATION) else { return Ok(None) };
    let text = header.to_str().map_err(|_| ApiError::NoToken)?;
    match text.trim().split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim().to_owned())),
        _ => Err(ApiError::NoToken),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn of(header: &str) -> Result<Option<String>, ApiError> {
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
