//! The token endpoint (RFC 6749 section 3.2): a code becomes an API token or a session, a refresh token the next session.

use actix_web::http::StatusCode;
use actix_web::http::header::USER_AGENT;
use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use opentaco_domain::claims::RedeemError;
use opentaco_domain::oauth::single;
use opentaco_domain::secret::Secret;
use opentaco_domain::token::TokenRecord;
use opentaco_ports::driving::login::{LoginError, Presenter, Redeemed};
use opentaco_ports::driving::sessions::Session;
use serde_json::{Value, json};

use super::form::{self, Pairs};
use super::grant::{self, Refusal, refuse};
use crate::{Doors, host, requests, task};

/// Exchanges what the grant type names. The exchange is finished even when the client hangs up.
pub(crate) async fn token(doors: web::Data<Doors>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let pairs = match form::read(&request, payload).await {
        Ok(pairs) => pairs,
        Err(reason) => return refuse(&Refusal::request(reason)),
    };
    match single(&pairs, "grant_type") {
        Ok("authorization_code") => redeem(&doors, &request, pairs).await,
        Ok("refresh_token") => refresh(&doors, &pairs).await,
        Ok(_) => refuse(&Refusal::bad(
            "unsupported_grant_type",
            "grant_type must be `authorization_code` or `refresh_token`",
        )),
        Err(error) => failed(&error.into()),
    }
}

async fn redeem(doors: &Doors, request: &HttpRequest, pairs: Pairs) -> HttpResponse {
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    let presenter = Presenter {
        address: host::client(doors, request).map(|address| address.to_string()),
        agent: agent.map(str::to_owned),
    };
    let login = doors.login.clone();
    match task::run(async move { login.redeem(&pairs, &presenter).await }).await {
        Ok(Ok(Redeemed::Token(token, record))) => {
            requests::log_made(&record);
            granted(&token, &record)
        }
        Ok(Ok(Redeemed::Session(session))) => grant::answer(StatusCode::OK, &session_body(&session)),
        Ok(Err(error)) => failed(&error),
        Err(crashed) => refuse(&crashed.into()),
    }
}

async fn refresh(doors: &Doors, pairs: &Pairs) -> HttpResponse {
    match grant::refresh_token(pairs) {
        Ok(token) => grant::refresh(doors, token.to_owned()).await,
        Err(error) => failed(&error.into()),
    }
}

/// Terraform reads `access_token` and nothing else.
fn granted(token: &Secret<String>, record: &TokenRecord) -> HttpResponse {
    let mut body = json!({
        "access_token": token.expose(),
        "token": token.expose(),
        "token_type": "Bearer",
        "scope": "api s3",
    });
    if let Some(end) = record.expires_at {
        body["expires_in"] = end.since(record.created_at).as_secs().into();
    }
    grant::answer(StatusCode::OK, &body)
}

/// A session as OAuth shows one.
pub(super) fn session_body(session: &Session) -> Value {
    json!({
        "access_token": session.access.token.expose(),
        "token_type": "Bearer",
        "expires_in": session.access.life.as_secs(),
        "refresh_token": session.refresh.expose(),
        "scope": "api s3",
    })
}

/// This endpoint's table from error to status and code.
fn failed(error: &LoginError) -> HttpResponse {
    let text = error.to_string();
    refuse(&match error {
        LoginError::Oauth(error) => error.clone().into(),
        LoginError::Session(_) | LoginError::Code(_) | LoginError::Name(_) => Refusal::request(text),
        LoginError::Redeem(RedeemError::InvalidGrant) => Refusal::bad("invalid_grant", text),
        LoginError::Redeem(RedeemError::Denied(_)) => Refusal::bad("access_denied", text),
        LoginError::Store(error) => error.clone().into(),
        LoginError::Provider(_) | LoginError::Unwritten => Refusal::later(text),
    })
}

#[cfg(test)]
mod tests {
    use actix_web::body::MessageBody as _;
    use actix_web::http::header::CACHE_CONTROL;
    use opentaco_domain::actor::Subject;
    use opentaco_domain::claims::Denial;
    use opentaco_domain::id::TokenId;
    use opentaco_domain::oauth::OauthError;
    use opentaco_domain::rbac::Scope;
    use opentaco_domain::time::Timestamp;
    use opentaco_domain::token::{ApiToken, Terms};
    use opentaco_ports::driven::StoreError;

    use super::*;

    fn body(answer: HttpResponse) -> Value {
        serde_json::from_slice(&answer.into_body().try_into_bytes().unwrap()).unwrap()
    }

    #[test]
    fn each_error_has_its_code() {
        for (error, status, code) in [
            (LoginError::Redeem(RedeemError::InvalidGrant), 400, "invalid_grant"),
            (LoginError::Redeem(RedeemError::Denied(Denial::Here)), 400, "access_denied"),
            (OauthError::UnknownClient.into(), 400, "invalid_client"),
            (OauthError::InvalidRequest("x".into()).into(), 400, "invalid_request"),
            (StoreError::Unavailable.into(), 503, "temporarily_unavailable"),
        ] {
            let answer = failed(&error);
            assert_eq!(answer.status().as_u16(), status);
            assert_eq!(answer.headers().get(CACHE_CONTROL).unwrap(), "no-store");
            assert_eq!(body(answer)["error"], code);
        }
    }

    #[test]
    fn a_token_says_when_it_expires_only_if_it_does() {
        let record = |expires_at| {
            let token = ApiToken::new(TokenId::from_bytes([0; 10]), [0; 32]);
            let name = "terraform login".parse().unwrap();
            let terms = Terms { owner: Subject::local_owner(), name, scope: Scope::full(), expires_at };
            TokenRecord::api(&token, terms, Timestamp::from_millis(1000))
        };
        let token = Secret::new("otc_tfe_x".to_owned());
        let forever = body(granted(&token, &record(None)));
        assert_eq!((&forever["access_token"], &forever["token"]), (&"otc_tfe_x".into(), &"otc_tfe_x".into()));
        assert_eq!(forever.get("expires_in"), None);
        let short = body(granted(&token, &record(Some(Timestamp::from_millis(61_000)))));
        assert_eq!(short["expires_in"], 60);
    }
}
