//! Access control: roles, assignments, and what a decision would be.

use actix_web::HttpResponse;
use actix_web::web::{Path, Payload, Query};
use opentaco_domain::name::{NamePattern, OrganizationName, WorkspaceName};
use opentaco_domain::policy::{Assignment, Organizations, Place, Policy, PolicyChange};
use opentaco_domain::principal::{Grantee, Principal};
use opentaco_domain::role::{Right, RightSet, Role, RoleChange, RoleName};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Problem;
use super::{Answer, created, json_answer, read_json, read_json_up_to};
use crate::auth::Signed;
use crate::body::{self, SMALL};
use crate::task;

/// The longest list of changes, in bytes.
const LARGEST_BATCH: usize = 4 * SMALL;

/// One assignment as this API writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AssignmentDocument {
    user: Option<String>,
    group: Option<String>,
    role: String,
    org: Option<String>,
    unit: Option<String>,
}

/// One change as this API writes it.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum ChangeDocument {
    Assign(AssignmentDocument),
    Revoke(AssignmentDocument),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRole {
    name: String,
    description: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleChangeDocument {
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    deny: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
}

/// What a decision is asked about.
#[derive(Deserialize)]
pub(crate) struct Question {
    user: Option<String>,
    permission: String,
    unit: String,
    org: Option<String>,
}

impl AssignmentDocument {
    fn parse(&self) -> Result<(Grantee, Assignment), Problem> {
        let grantee = match (&self.user, &self.group) {
            (Some(user), None) => Grantee::User(user.parse().map_err(Problem::invalid)?),
            (None, Some(group)) => Grantee::Group(group.parse().map_err(Problem::invalid)?),
            _ => return Err(Problem::invalid("name either a user or a group")),
        };
        let organizations = match &self.org {
            Some(org) => org.parse().map_err(Problem::invalid)?,
            None => Organizations::One(OrganizationName::default_organization()),
        };
        let units = self.unit.as_deref().unwrap_or("*");
        let units = NamePattern::of_units(units).map_err(Problem::invalid)?;
        let role: RoleName = self.role.parse().map_err(Problem::invalid)?;
        Ok((grantee, Assignment { role, place: Place { organizations, units } }))
    }
}

impl ChangeDocument {
    fn parse(&self) -> Result<PolicyChange, Problem> {
        Ok(match self {
            Self::Assign(document) => {
                let (grantee, assignment) = document.parse()?;
                PolicyChange::Assign(grantee, assignment)
            }
            Self::Revoke(document) => {
                let (grantee, assignment) = document.parse()?;
                PolicyChange::Revoke(grantee, assignment)
            }
        })
    }
}

async fn apply(call: Signed, changes: Vec<PolicyChange>) -> Result<Policy, Problem> {
    let (policies, actor) = (call.doors.policies.clone(), call.caller.actor);
    Ok(task::run(async move { policies.apply(&actor, &changes).await }).await??)
}

/// Switches access control on, with the caller as administrator.
pub(crate) async fn init(call: Signed, payload: Payload) -> Answer {
    body::ignore(&call.request, payload).await?;
    let (policies, caller) = (call.doors.policies.clone(), call.caller);
    let policy = task::run(async move { policies.init(&caller).await }).await??;
    Ok(json_answer(&summary(&policy)))
}

/// Whether access control is on, and what the caller has.
pub(crate) async fn me(call: Signed) -> Answer {
    let policy = call.doors.access.policy().await?;
    let (actor, user) = (&call.caller.actor, call.caller.user.as_deref());
    let mine = policy.assignments_of(&actor.subject, user);
    Ok(json_answer(&json!({
        "subject": actor.subject.as_str(),
        "access_control": policy.on,
        "administrator": actor.may(Right::RbacManage, None).is_ok(),
        "assignments": mine.iter().map(|(grantee, one)| assignment(grantee, one)).collect::<Vec<_>>(),
    })))
}

/// What a decision would be, and why.
pub(crate) async fn test(call: Signed, question: Query<Question>) -> Answer {
    let who: Principal = match &question.user {
        Some(user) => user.parse().map_err(Problem::invalid)?,
        None => Principal::Subject(call.caller.actor.subject.clone()),
    };
    let right: Right = question.permission.parse().map_err(Problem::invalid)?;
    let unit: WorkspaceName = question.unit.parse().map_err(Problem::invalid)?;
    let org =
        question.org.as_deref().map_or_else(|| Ok(OrganizationName::default_organization()), str::parse);
    let org: OrganizationName = org.map_err(Problem::invalid)?;
    let decided = call.doors.policies.test(&call.caller, &who, right, &org, &unit).await?;
    let (allowed, because) = match decided {
        Ok(because) => (true, because.to_string()),
        Err(denied) => (false, denied.because.to_string()),
    };
    Ok(json_answer(&json!({
        "user": who.to_string(), "permission": right.as_str(), "unit": unit.as_str(), "org": org.as_str(),
        "allowed": allowed, "because": because,
    })))
}

/// Every assignment.
pub(crate) async fn assignments(call: Signed) -> Answer {
    let policy = call.doors.policies.read(&call.caller.actor).await?;
    let all: Vec<Value> = policy.assignments().map(|(grantee, one)| assignment(grantee, one)).collect();
    Ok(json_answer(&json!({"access_control": policy.on, "assignments": all})))
}

/// Gives and takes roles: all of the changes, or none.
pub(crate) async fn change_assignments(call: Signed, payload: Payload) -> Answer {
    let shape = "a list of {\"assign\": …} and {\"revoke\": …}";
    let documents: Vec<ChangeDocument> = read_json_up_to(LARGEST_BATCH, &call, payload, shape).await?;
    let changes = documents.iter().map(ChangeDocument::parse).collect::<Result<_, _>>()?;
    let policy = apply(call, changes).await?;
    Ok(json_answer(&summary(&policy)))
}

/// The built-in roles and those that somebody made.
pub(crate) async fn roles(call: Signed) -> Answer {
    let policy = call.doors.access.policy().await?;
    let built_in = Role::ALL.map(|role| {
        let name = RoleName::from(role);
        document(&name, Some(role.description()), role.rights(), RightSet::none(), true)
    });
    let made = policy
        .roles()
        .map(|(name, role)| document(name, role.description.as_deref(), role.allow, role.deny, false));
    Ok(json_answer(&json!({"roles": built_in.into_iter().chain(made).collect::<Vec<Value>>()})))
}

/// Makes a role that allows nothing yet.
pub(crate) async fn create_role(call: Signed, payload: Payload) -> Answer {
    let new: NewRole = read_json(&call, payload, "{\"name\": …, \"description\": …}").await?;
    let name: RoleName = new.name.parse().map_err(Problem::invalid)?;
    let policy = apply(call, vec![PolicyChange::CreateRole(name.clone(), new.description)]).await?;
    Ok(created(&one_role(&policy, &name)?))
}

/// Changes what a role allows and denies.
pub(crate) async fn change_role(call: Signed, name: Path<String>, payload: Payload) -> Answer {
    let shape = "{\"add\": […], \"deny\": […], \"remove\": […]}";
    let change: RoleChangeDocument = read_json(&call, payload, shape).await?;
    let rights = |names: &[String]| -> Result<RightSet, Problem> {
        names.iter().map(|name| name.parse::<Right>().map_err(Problem::invalid)).collect()
    };
    let change = RoleChange {
        add: rights(&change.add)?,
        deny: rights(&change.deny)?,
        remove: rights(&change.remove)?,
    };
    let name: RoleName = name.parse().map_err(Problem::invalid)?;
    let policy = apply(call, vec![PolicyChange::ChangeRole(name.clone(), change)]).await?;
    Ok(json_answer(&one_role(&policy, &name)?))
}

/// Deletes a role that nobody has.
pub(crate) async fn delete_role(call: Signed, name: Path<String>) -> Answer {
    let name: RoleName = name.parse().map_err(Problem::invalid)?;
    apply(call, vec![PolicyChange::DeleteRole(name)]).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn summary(policy: &Policy) -> Value {
    json!({"access_control": policy.on, "assignments": policy.assignments().count()})
}

fn one_role(policy: &Policy, name: &RoleName) -> Result<Value, Problem> {
    let (_, role) = policy.roles().find(|(known, _)| *known == name).ok_or(crate::task::Crashed)?;
    Ok(document(name, role.description.as_deref(), role.allow, role.deny, false))
}

fn document(
    name: &RoleName,
    description: Option<&str>,
    allow: RightSet,
    deny: RightSet,
    built_in: bool,
) -> Value {
    let names = |rights: RightSet| rights.iter().map(Right::as_str).collect::<Vec<_>>();
    json!({
        "name": name.as_str(), "description": description, "allow": names(allow), "deny": names(deny),
        "built_in": built_in,
    })
}

fn assignment(grantee: &Grantee, one: &Assignment) -> Value {
    let (user, group) = match grantee {
        Grantee::User(principal) => (Some(principal.to_string()), None),
        Grantee::Group(group) => (None, Some(group.as_str())),
    };
    json!({
        "user": user, "group": group, "role": one.role.as_str(), "org": one.place.organizations.to_string(),
        "unit": one.place.units.as_str(),
    })
}
