//! The token endpoint (RFC 6749 section 3.2): a code becomes an API token.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, PRAGMA, RETRY_AFTER};
use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use opentaco_domain::claims::RedeemError;
use opentaco_domain::oauth::{OauthError, single};
use opentaco_domain::secret::Secret;
use opentaco_domain::token::TokenRecord;
use opentaco_ports::driving::login::LoginError;
use serde_json::{Value, json};

use super::form;
use crate::{Doors, task};

/// Exchanges an authorization code. The exchange is finished even when the client hangs up.
pub(crate) async fn token(doors: web::Data<Doors>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let pairs = match form::read(&request, payload).await {
        Ok(pairs) => pairs,
        Err(reason) => return refused(StatusCode::BAD_REQUEST, "invalid_request", &reason),
    };
    match single(&pairs, "grant_type") {
        Ok("authorization_code") => {}
        Ok(_) => {
            return refused(
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "grant_type must be `authorization_code`",
            );
        }
        Err(error) => return failed(&error.into()),
    }
    let login = doors.login.clone();
    match task::run(async move { login.redeem(&pairs).await }).await {
        Ok(Ok((token, record))) => granted(&token, &record),
        Ok(Err(error)) => failed(&error),
        Err(crashed) => {
            tracing::error!(failure = %crashed, "a token request failed");
            refused(
                StatusCode::INTERNAL_SERVER_ERROR,
                "server_error",
                "the server failed; its log may say why",
            )
        }
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
    answer(StatusCode::OK, &body)
}

/// This endpoint's table from error to status and code.
fn failed(error: &LoginError) -> HttpResponse {
    use StatusCode as S;
    let (status, code) = match error {
        LoginError::Oauth(OauthError::UnknownClient) => (S::BAD_REQUEST, "invalid_client"),
        LoginError::Oauth(
            OauthError::InvalidRequest(_)
            | OauthError::BadRedirect
            | OauthError::ResponseType
            | OauthError::BadChallenge,
        )
        | LoginError::Session(_)
        | LoginError::Code(_)
        | LoginError::Name(_) => (S::BAD_REQUEST, "invalid_request"),
        LoginError::Redeem(RedeemError::InvalidGrant) => (S::BAD_REQUEST, "invalid_grant"),
        LoginError::Redeem(RedeemError::Denied) => (S::BAD_REQUEST, "access_denied"),
        LoginError::Store(_) => (S::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
    };
    if status.is_server_error() {
        tracing::error!(failure = %error, "a token request failed");
    }
    refused(status, code, &error.to_string())
}

fn refused(status: StatusCode, code: &str, description: &str) -> HttpResponse {
    answer(status, &json!({"error": code, "error_description": description}))
}

fn answer(status: StatusCode, body: &Value) -> HttpResponse {
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

#[cfg(test)]
mod tests {
    use actix_web::body::MessageBody as _;
    use opentaco_domain::actor::Subject;
    use opentaco_domain::id::TokenId;
    use opentaco_domain::time::Timestamp;
    use opentaco_ports::driven::StoreError;

    use super::*;

    fn body(answer: HttpResponse) -> Value {
        serde_json::from_slice(&answer.into_body().try_into_bytes().unwrap()).unwrap()
    }

    #[test]
    fn each_error_has_its_code() {
        for (error, status, code) in [
            (LoginError::Redeem(RedeemError::InvalidGrant), 400, "invalid_grant"),
            (LoginError::Redeem(RedeemError::Denied), 400, "access_denied"),
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
        let record = |expires_at| TokenRecord {
            id: TokenId::from_bytes([0; 10]),
            digest: [0; 32],
            owner: Subject::local_owner(),
            name: "terraform login".into(),
            created_at: Timestamp::from_millis(1000),
            expires_at,
            revoked_at: None,
        };
        let token = Secret::new("otc_tfe_x".to_owned());
        let forever = body(granted(&token, &record(None)));
        assert_eq!((&forever["access_token"], &forever["token"]), (&"otc_tfe_x".into(), &"otc_tfe_x".into()));
        assert_eq!(forever.get("expires_in"), None);
        let short = body(granted(&token, &record(Some(Timestamp::from_millis(61_000)))));
        assert_eq!(short["expires_in"], 60);
    }
}
