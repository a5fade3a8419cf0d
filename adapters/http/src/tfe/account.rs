//! Who a token belongs to.

use actix_web::http::StatusCode;
use serde_json::json;

use super::{Answer, jsonapi};
use crate::auth::Call;

/// The caller.
pub(crate) async fn details(call: Call) -> Answer {
    let subject = &call.actor.subject;
    let attributes = json!({
        "username": subject.display_name(),
        "email": null,
        "is-service-account": false,
        "permissions": {"can-create-organizations": true, "can-change-email": false, "can-change-username": false},
    });
    jsonapi::single(StatusCode::OK, &jsonapi::Resource::new("users", subject, attributes))
}
