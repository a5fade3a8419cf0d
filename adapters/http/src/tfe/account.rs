//! Who a token belongs to.

use actix_web::http::StatusCode;
use opentaco_domain::actor::Subject;
use opentaco_domain::user::Email;
use serde_json::{Value, json};

use super::Answer;
use super::jsonapi::{self, Resource};
use crate::auth::Call;

/// The caller.
pub(crate) async fn details(call: Call) -> Answer {
    let mut user = user(&call.caller.actor.subject);
    let email = call.caller.user.as_deref().and_then(|user| user.email.as_ref());
    user.attributes["email"] = json!(email.map(Email::as_str));
    jsonapi::single(StatusCode::OK, &user)
}

/// A user as this API shows one to others.
pub(super) fn user(subject: &Subject) -> Resource<Value> {
    let attributes = json!({
        "username": subject.display_name(),
        "email": null,
        "is-service-account": subject.is_workload(),
        "permissions": {"can-create-organizations": true, "can-change-email": false, "can-change-username": false},
    });
    Resource::new("users", subject.user_id(), attributes)
}
