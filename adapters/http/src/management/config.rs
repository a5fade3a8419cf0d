//! How to log in here, for anybody who asks.

use actix_web::{HttpRequest, HttpResponse, web};
use opentaco_domain::oauth::{Client, FIRST_PORT, LAST_PORT};
use opentaco_ports::driving::login::Method;
use serde_json::{Value, json};

use super::json_answer;
use crate::{Doors, host};

/// What a client needs to begin a login, and what an operator looks at first when it fails.
pub(crate) async fn read(doors: web::Data<Doors>, request: HttpRequest) -> HttpResponse {
    json_answer(&document(&doors, &host::base(&doors, &request)))
}

/// The document; nothing in it is secret.
pub(crate) fn document(doors: &Doors, base: &str) -> Value {
    let provider = doors.login.provider();
    json!({
        "login": match doors.login.method() {
            Method::TerminalCode => "code",
            Method::AnyName => "development",
            Method::Provider => "oidc",
        },
        "client_id": Client::Taco.id(),
        "authorization_endpoint": format!("{base}/oauth/authorization"),
        "token_endpoint": format!("{base}/oauth/token"),
        "jwks_uri": format!("{base}/oidc/jwks.json"),
        "ports": [FIRST_PORT, LAST_PORT],
        "code_challenge_method": "S256",
        "provider": provider.map(|provider| json!({
            "issuer": provider.issuer,
            "client_id": provider.client_id,
            "scopes": provider.scopes,
            "ready": provider.authorization_endpoint.is_some() && provider.token_endpoint.is_some(),
            "authorization_endpoint": provider.authorization_endpoint,
            "token_endpoint": provider.token_endpoint,
        })),
    })
}
