//! Tags of a workspace, in the two forms that clients know: names, and bindings of a key to a value.

use actix_web::HttpResponse;
use actix_web::web::Payload;
use opentaco_domain::id::WorkspaceId;
use opentaco_domain::tag::{BadTags, Tags};
use opentaco_domain::workspace::Workspace;
use opentaco_ports::driving::Failure;
use serde_json::{Value, json};

use super::Answer;
use super::error::ApiError;
use super::jsonapi::{self, Attributes, Document, Resource};
use crate::auth::Call;
use crate::task;

/// Bindings that a client sent: with values, and keys alone.
pub(super) struct Pairs {
    bound: Vec<(String, String)>,
    plain: Vec<String>,
}

impl Pairs {
    /// The tags that are these and no others.
    pub(super) fn replacing(&self) -> Result<Tags, ApiError> {
        Ok(self.over(&Tags::default()).map_err(Failure::from)?)
    }

    /// Old tags with these; a key that comes without a value keeps the one it has.
    fn over(&self, old: &Tags) -> Result<Tags, BadTags> {
        old.with(self.bound.iter().cloned())?.with_keys(self.plain.iter().cloned())
    }
}

/// Reads bindings.
pub(super) fn pairs(items: Vec<Value>) -> Result<Pairs, ApiError> {
    let mut pairs = Pairs { bound: Vec::new(), plain: Vec::new() };
    for mut item in items {
        let mut attributes = Attributes::of(&mut item)?;
        let key = jsonapi::required("key", attributes.text("key")?)?;
        match attributes.text("value")? {
            Some(value) => pairs.bound.push((key, value)),
            None => pairs.plain.push(key),
        }
    }
    Ok(pairs)
}

/// Reads names; a tag that is given by its id has its name as id.
pub(super) fn names(items: Vec<Value>) -> Result<Vec<String>, ApiError> {
    let name = |mut item: Value| {
        let id = item.get("id").and_then(Value::as_str).map(str::to_owned);
        let name = Attributes::of(&mut item)?.text("name")?;
        jsonapi::required("name", name.or(id))
    };
    items.into_iter().map(name).collect()
}

/// The bindings.
pub(crate) async fn bindings(call: Call<WorkspaceId>) -> Answer {
    show_bindings(&call.doors.workspaces.read(&call.caller.actor, call.at).await?)
}

/// The bindings that count for a workspace: its own, because projects have none here.
pub(crate) async fn effective_bindings(call: Call<WorkspaceId>) -> Answer {
    jsonapi::whole(&effective(&call.doors.workspaces.read(&call.caller.actor, call.at).await?))
}

/// The same as resources.
pub(super) fn effective(workspace: &Workspace) -> Vec<Resource<Value>> {
    let mut bindings = resources("effective-tag-bindings", workspace);
    for binding in &mut bindings {
        // Beside those of other workspaces the key alone would name several.
        binding.id = format!("{}-{}", workspace.id.to_wire(), binding.id);
    }
    bindings
}

/// Adds bindings, or replaces the values of those that are there.
pub(crate) async fn bind(call: Call<WorkspaceId>, payload: Payload) -> Answer {
    let pairs = pairs(Document::read(&call.request, payload).await?.items()?)?;
    show_bindings(&change(call, move |old| pairs.over(old)).await?)
}

/// Makes these the only bindings.
pub(crate) async fn rebind(call: Call<WorkspaceId>, payload: Payload) -> Answer {
    let pairs = pairs(Document::read(&call.request, payload).await?.items()?)?;
    show_bindings(&change(call, move |_| pairs.over(&Tags::default())).await?)
}

/// The names.
pub(crate) async fn list(call: Call<WorkspaceId>) -> Answer {
    let workspace = call.doors.workspaces.read(&call.caller.actor, call.at).await?;
    let tag = |(key, _)| Resource::new("tags", key, json!({"name": key}));
    jsonapi::whole(&workspace.tags.iter().map(tag).collect::<Vec<_>>())
}

/// Adds names.
pub(crate) async fn add(call: Call<WorkspaceId>, payload: Payload) -> Answer {
    let names = names(Document::read(&call.request, payload).await?.items()?)?;
    change(call, move |old| old.with_keys(names.iter().cloned())).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Removes names.
pub(crate) async fn remove(call: Call<WorkspaceId>, payload: Payload) -> Answer {
    let names = names(Document::read(&call.request, payload).await?.items()?)?;
    change(call, move |old| Ok(old.without(names.iter().map(String::as_str)))).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn change(
    call: Call<WorkspaceId>,
    tags: impl Fn(&Tags) -> Result<Tags, BadTags> + Send + Sync + 'static,
) -> Result<Workspace, ApiError> {
    let (workspaces, actor, id) = (call.doors.workspaces.clone(), call.caller.actor, call.at);
    Ok(task::run(async move { workspaces.change_tags(&actor, id, tags).await }).await??)
}

fn show_bindings(workspace: &Workspace) -> Answer {
    jsonapi::whole(&resources("tag-bindings", workspace))
}

fn resources(kind: &'static str, workspace: &Workspace) -> Vec<Resource<Value>> {
    let binding = |(key, value)| Resource::new(kind, key, json!({"key": key, "value": value}));
    workspace.tags.iter().map(binding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_without_a_value_keeps_the_value_that_is_there() {
        let old = Tags::new([("env".into(), "prod".into())]).unwrap();
        let sent = vec![
            json!({"attributes": {"key": "env"}}),
            json!({"attributes": {"key": "app", "value": "web"}}),
        ];
        let new = pairs(sent).unwrap().over(&old).unwrap();
        assert_eq!(new.iter().collect::<Vec<_>>(), [("app", "web"), ("env", "prod")]);
    }

    #[test]
    fn a_tag_has_a_name_or_an_id() {
        let sent = vec![
            json!({"type": "tags", "attributes": {"name": "app"}}),
            json!({"type": "tags", "id": "net"}),
        ];
        assert_eq!(names(sent).unwrap(), ["app", "net"]);
        assert!(names(vec![json!({"type": "tags"})]).is_err());
        assert!(names(vec![json!("app")]).is_err());
    }
}
