//! Who a token belongs to.

use actix_web::http::StatusCode;
use opentaco_domain::actor::Subject;
use serde_json::{Value, json};

use super::Answer;
use super::jsonapi::{self, Resource};
use crate::auth::Call;

/// The caller.
pub(crate) async fn details(call: Call) -> Answer {
    jsonapi::single(StatusCode::OK, &user(&call.actor.subject))
}

/// A user as this API shows one.
pub(super) fn user(subject: &Subject) -> Resource<Value> {
    let attributes = json!({
        "username": subject.display_name(),
        "email": null,
        "is-service-account": false,
        "permissions": {"can-create-organizations": true, "can-change-email": false, "can-change-username": false},
    });
    Resource::new("users", subject, attributes)
}
