//! Who the caller is.

use opentaco_domain::role::Right;
use opentaco_domain::user::Email;
use serde_json::json;

use super::{Answer, json_answer, tokens};
use crate::auth::Signed;

/// The caller, and the token it came with or whose signed token it presents.
pub(crate) async fn read(call: Signed) -> Answer {
    let caller = &call.caller;
    let user = caller.user.as_deref();
    let policy = call.doors.access.policy().await?;
    Ok(json_answer(&json!({
        "subject": caller.actor.subject.as_str(),
        "name": caller.actor.subject.display_name(),
        "email": user.and_then(|user| user.email.as_ref()).map(Email::as_str),
        "email_verified": user.is_some_and(|user| user.email_verified),
        "groups": user.map(|user| &user.groups).cloned().unwrap_or_default(),
        "access_control": policy.on,
        "administrator": caller.actor.may(Right::RbacManage, None).is_ok(),
        "token": tokens::document(&caller.token, None),
    })))
}
