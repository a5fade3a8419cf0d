//! Everybody who has logged in.

use actix_web::web::{Path, Payload};
use opentaco_domain::actor::Subject;
use opentaco_domain::principal::Principal;
use opentaco_domain::user::{Email, User};
use serde_json::{Value, json};

use super::error::Problem;
use super::{Answer, json_answer};
use crate::auth::Signed;
use crate::body;
use crate::rfc3339::Rfc3339;
use crate::task;

/// All of them, in the order of their subjects.
pub(crate) async fn list(call: Signed) -> Answer {
    let users = call.doors.users.list(&call.caller.actor).await?;
    Ok(json_answer(&json!({"users": users.iter().map(document).collect::<Vec<_>>()})))
}

/// Makes everything that somebody holds count no more.
pub(crate) async fn disable(call: Signed, who: Path<String>, payload: Payload) -> Answer {
    set(call, &who, payload, true).await
}

/// Makes it count again.
pub(crate) async fn enable(call: Signed, who: Path<String>, payload: Payload) -> Answer {
    set(call, &who, payload, false).await
}

async fn set(call: Signed, who: &str, payload: Payload, disabled: bool) -> Answer {
    body::ignore(&call.request, payload).await?;
    let who: Principal = who.parse().map_err(Problem::invalid)?;
    let (users, actor) = (call.doors.users.clone(), call.caller.actor);
    let set = task::run(async move { users.set_disabled(&actor, &who, disabled).await }).await??;
    let subjects: Vec<&str> = set.iter().map(Subject::as_str).collect();
    Ok(json_answer(&json!({"subjects": subjects, "disabled": disabled})))
}

fn document(user: &User) -> Value {
    json!({
        "subject": user.subject.as_str(),
        "name": user.subject.display_name(),
        "email": user.email.as_ref().map(Email::as_str),
        "email_verified": user.email_verified,
        "groups": user.groups,
        "last_login": Rfc3339(user.last_login).to_string(),
        "disabled": user.disabled,
    })
}
