//! The caller's own tokens.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{Path, Payload};
use opentaco_domain::name::NamePattern;
use opentaco_domain::rbac::Scope;
use opentaco_domain::role::Role;
use opentaco_domain::time::Timestamp;
use opentaco_domain::token::{End, TokenRecord};
use opentaco_ports::driving::api_tokens::NewToken;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Problem;
use super::{Answer, created, json_answer, read_json};
use crate::auth::Signed;
use crate::rfc3339::Rfc3339;
use crate::{requests, task};

/// What a client asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: String,
    role: Option<String>,
    unit: Option<String>,
    ttl: Option<String>,
}

impl Wanted {
    fn parse(self) -> Result<NewToken, Problem> {
        Ok(NewToken {
            name: self.name.parse().map_err(Problem::invalid)?,
            scope: Scope {
                role: self.role.map(|role| role.parse()).transpose().map_err(Problem::invalid)?,
                unit: self
                    .unit
                    .map(|unit| NamePattern::of_units(&unit))
                    .transpose()
                    .map_err(Problem::invalid)?,
            },
            end: self.ttl.map(|ttl| life(&ttl)).transpose()?.map(End::After),
        })
    }
}

fn life(text: &str) -> Result<Duration, Problem> {
    let life = humantime::parse_duration(text).ok().filter(|life| !life.is_zero());
    life.ok_or_else(|| Problem::invalid("ttl must be a duration above 0, such as 15m, 12h or 90d"))
}

/// Makes a token; its secret is in this answer and nowhere else.
pub(crate) async fn create(call: Signed, payload: Payload) -> Answer {
    let shape = "JSON with name and perhaps role, unit and ttl, all texts";
    let wanted: Wanted = read_json(&call, payload, shape).await?;
    let new = wanted.parse()?;
    let (tokens, caller) = (call.doors.api_tokens.clone(), call.caller);
    let (token, record) = task::run(async move { tokens.create(&caller, new).await }).await??;
    requests::log_made(&record);
    let mut document = document(&record, None);
    document["token"] = json!(token.expose());
    Ok(created(&document))
}

/// The caller's tokens and sessions.
pub(crate) async fn list(call: Signed) -> Answer {
    let listed = call.doors.api_tokens.list(&call.caller).await?;
    let tokens: Vec<Value> =
        listed.iter().map(|listed| document(&listed.record, listed.last_used_at)).collect();
    Ok(json_answer(&json!({"tokens": tokens})))
}

/// Ends a token, named by its id or by itself.
pub(crate) async fn delete(call: Signed, named: Path<String>) -> Answer {
    let (tokens, caller) = (call.doors.api_tokens.clone(), call.caller);
    task::run(async move { tokens.revoke(&caller, &named).await }).await??;
    Ok(HttpResponse::NoContent().finish())
}

/// A token as this API shows one.
pub(super) fn document(record: &TokenRecord, last_used_at: Option<Timestamp>) -> Value {
    let moment = |at: Option<Timestamp>| at.map(|at| Rfc3339(at).to_string());
    json!({
        "id": record.id.as_str(),
        "kind": record.kind.as_str(),
        "name": record.name.as_str(),
        "role": record.scope.role.map(Role::as_str),
        "unit": record.scope.unit.as_ref().map(NamePattern::as_str),
        "created_at": moment(Some(record.created_at)),
        "last_used_at": moment(last_used_at),
        "expires_at": moment(record.expires_at),
    })
}
