//! State versions of a unit, counted from 1, the oldest.

use actix_web::HttpResponse;
use actix_web::web::{Path, Payload, Query};
use opentaco_domain::page::PageRequest;
use opentaco_domain::state::{Output, StateVersion};
use opentaco_domain::workspace::Workspace;
use opentaco_ports::driving::Failure;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::error::Problem;
use super::units::paging;
use super::{Answer, json_answer, read_json, unit_document, units};
use crate::auth::Signed;
use crate::task::{self, Crashed};

/// Which version, and of which organization.
#[derive(Deserialize)]
pub(crate) struct Which {
    org: Option<String>,
    version: Option<u32>,
}

/// Which versions a list shows.
#[derive(Deserialize)]
pub(crate) struct Listing {
    org: Option<String>,
    page: Option<usize>,
    per_page: Option<usize>,
}

/// Which outputs are shown, and how.
#[derive(Deserialize)]
pub(crate) struct Outputs {
    org: Option<String>,
    version: Option<u32>,
    #[serde(default)]
    reveal: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Restoring {
    number: u32,
}

impl Which {
    /// The organization, if one is named.
    pub(super) fn org(&self) -> Option<&str> {
        self.org.as_deref()
    }

    /// The number, if one is named.
    pub(super) fn number(&self) -> Option<u32> {
        self.version
    }
}

/// The version of that number, or the newest one.
pub(super) async fn find(
    call: &Signed,
    unit: &Workspace,
    number: Option<u32>,
) -> Result<StateVersion, Problem> {
    let versions = &call.doors.state_versions;
    let found = match number {
        Some(number) => versions.by_number(&call.caller.actor, unit.id, number).await,
        None => versions.current(&call.caller.actor, unit.id).await,
    };
    found.map_err(|failure| match failure {
        Failure::Missing { .. } => {
            let which = number.map_or_else(|| "any".to_owned(), |number| number.to_string());
            Failure::missing("state version", format!("{which} of unit {}", unit.name)).into()
        }
        other => other.into(),
    })
}

/// A page of versions, the newest first.
pub(crate) async fn list(call: Signed, name: Path<String>, listing: Query<Listing>) -> Answer {
    let unit = units::find(&call, &name, listing.org.as_deref()).await?;
    let page = PageRequest::new(listing.page, listing.per_page);
    let page = call.doors.state_versions.list(&call.caller.actor, unit.id, page).await?;
    let versions: Vec<Value> =
        page.items.iter().map(|version| unit_document::version(&unit, version)).collect();
    Ok(json_answer(&json!({"versions": versions, "page": paging(&page)})))
}

/// Makes the content of an old version the newest one; the caller must hold the lock.
pub(crate) async fn restore(
    call: Signed,
    name: Path<String>,
    which: Query<Which>,
    payload: Payload,
) -> Answer {
    let wanted: Restoring = read_json(&call, payload, "JSON with number").await?;
    let unit = units::find(&call, &name, which.org()).await?;
    let old = find(&call, &unit, Some(wanted.number)).await?;
    let (versions, actor, id) = (call.doors.state_versions.clone(), call.caller.actor.clone(), unit.id);
    let made = task::run(async move { versions.roll_back(&actor, id, old.id).await }).await??;
    let unit = call.doors.workspaces.read(&call.caller.actor, id).await?;
    Ok(json_answer(&unit_document::version(&unit, &made)))
}

/// The outputs of a version; values that are sensitive are shown only on demand.
pub(crate) async fn outputs(call: Signed, name: Path<String>, which: Query<Outputs>) -> Answer {
    let unit = units::find(&call, &name, which.org.as_deref()).await?;
    let version = find(&call, &unit, which.version).await?;
    let outputs = call.doors.state_versions.outputs(&call.caller.actor, version.id).await?;
    let shown = outputs.iter().map(|(_, output)| OutputDocument::of(output, which.reveal));
    let outputs = shown.collect::<Result<_, _>>()?;
    let document = serde_json::to_string(&OutputsDocument { version: version.id.ordinal, outputs });
    Ok(HttpResponse::Ok()
        .insert_header(("content-type", "application/json"))
        .body(document.map_err(|_| Crashed)?))
}

#[derive(Serialize)]
struct OutputsDocument<'a> {
    version: u32,
    outputs: Vec<OutputDocument<'a>>,
}

/// Types and values are passed on as the text they are, so that no number loses digits.
#[derive(Serialize)]
struct OutputDocument<'a> {
    name: &'a str,
    sensitive: bool,
    #[serde(rename = "type")]
    kind: &'a RawValue,
    value: Option<&'a RawValue>,
}

impl<'a> OutputDocument<'a> {
    fn of(output: &'a Output, reveal: bool) -> Result<Self, Crashed> {
        let raw = |text: &'a str| serde_json::from_str(text).map_err(|_| Crashed);
        let shown = if reveal { Some(output.value_json.as_str()) } else { output.listed_value() };
        Ok(Self {
            name: &output.name,
            sensitive: output.sensitive,
            kind: raw(&output.type_json)?,
            value: shown.map(raw).transpose()?,
        })
    }
}
