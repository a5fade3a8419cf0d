//! Credentials of the S3 door, as an AWS `credential_process` prints them.

use actix_web::web::Payload;
use serde_json::json;

use super::{Answer, json_answer};
use crate::auth::Signed;
use crate::body;
use crate::rfc3339::Rfc3339;

/// Derives credentials for the caller; nothing is kept of them, and they end with the caller's token.
pub(crate) async fn issue(call: Signed, payload: Payload) -> Answer {
    body::ignore(&call.request, payload).await?;
    let credentials = call.doors.sessions.s3_credentials(&call.caller);
    Ok(json_answer(&json!({
        "Version": 1,
        "AccessKeyId": credentials.access_key_id,
        "SecretAccessKey": credentials.secret_access_key.expose(),
        "SessionToken": credentials.session_token.expose(),
        "Expiration": Rfc3339(credentials.expiration).to_string(),
    })))
}
