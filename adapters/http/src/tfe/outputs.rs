//! Outputs of state versions. Their values and types are passed on as the text they are, so no number loses digits.

use std::collections::BTreeMap;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use opentaco_domain::id::{OutputId, StateVersionId, WorkspaceId};
use opentaco_domain::page::Page;
use opentaco_domain::state::Output;
use opentaco_ports::driving::Failure;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Answer;
use super::error::ApiError;
use super::jsonapi::{self, Resource};
use super::query::Query;
use crate::auth::{Addressed, Call};

impl Addressed for OutputId {
    fn read(request: &HttpRequest) -> Result<Self, Failure> {
        let text = request.match_info().get("output").unwrap_or_default();
        text.parse().map_err(|_| Failure::missing("state version output", text))
    }
}

#[derive(Serialize)]
struct Attributes<'a> {
    name: &'a str,
    sensitive: bool,
    #[serde(rename = "type")]
    kind: &'static str,
    value: Option<&'a RawValue>,
    #[serde(rename = "detailed-type")]
    detailed_type: Option<&'a RawValue>,
}

/// The outputs of the newest version; none when there is no version.
pub(crate) async fn current(call: Call<WorkspaceId>) -> Answer {
    let outputs = call.doors.state_versions.current_outputs(&call.caller.actor, call.at).await?;
    show(&outputs, &Query::of(&call.request))
}

/// The outputs of one version.
pub(crate) async fn of_version(call: Call<StateVersionId>) -> Answer {
    let outputs = call.doors.state_versions.outputs(&call.caller.actor, call.at).await?;
    show(&outputs, &Query::of(&call.request))
}

/// One output, its value shown even when it is sensitive.
pub(crate) async fn read(call: Call<OutputId>) -> Answer {
    let (id, output) = call.doors.state_versions.output(&call.caller.actor, call.at).await?;
    jsonapi::single(StatusCode::OK, &document(id, &output, Some(&output.value_json)))
}

/// An output as lists show it: without its value where it is sensitive.
pub(super) fn listed(id: OutputId, output: &Output) -> Resource<impl Serialize> {
    document(id, output, output.listed_value())
}

/// The most outputs that a client may tell of.
const MAX_ANNOUNCED: usize = 10_000;
/// The most bytes they have, the same as of outputs that are found in a state.
const MAX_ANNOUNCED_BYTES: usize = 16 * 1024 * 1024;

/// The outputs in a `json-state-outputs` attribute: an object of `{"value", "type", "sensitive"}` by name.
pub(super) fn announced(json: &[u8]) -> Result<Vec<Output>, ApiError> {
    #[derive(Deserialize)]
    struct Announced {
        value: Box<RawValue>,
        #[serde(rename = "type")]
        kind: Box<RawValue>,
        #[serde(default)]
        sensitive: bool,
    }
    let bad = || ApiError::invalid("attribute json-state-outputs must be an object of outputs in base64");
    if json.iter().all(u8::is_ascii_whitespace) {
        return Ok(Vec::new());
    }
    if json.len() > MAX_ANNOUNCED_BYTES {
        return Err(ApiError::TooLong(format!(
            "json-state-outputs is longer than {MAX_ANNOUNCED_BYTES} bytes"
        )));
    }
    let by_name: Option<BTreeMap<String, Announced>> = serde_json::from_slice(json).map_err(|_| bad())?;
    let by_name = by_name.unwrap_or_default();
    if by_name.len() > MAX_ANNOUNCED {
        return Err(ApiError::Invalid(format!("json-state-outputs has more than {MAX_ANNOUNCED} outputs")));
    }
    let output = |(name, announced): (String, Announced)| Output {
        name,
        sensitive: announced.sensitive,
        type_json: announced.kind.get().to_owned(),
        value_json: announced.value.get().to_owned(),
    };
    Ok(by_name.into_iter().map(output).collect())
}

/// All of them, unless a page is asked for.
fn show(outputs: &[(OutputId, Output)], query: &Query) -> Answer {
    let Some(request) = query.page() else {
        let all: Vec<_> = outputs.iter().map(|(id, output)| listed(*id, output)).collect();
        return jsonapi::whole(&all);
    };
    let on_page = outputs.iter().skip(request.skip()).take(request.size());
    let items = on_page.map(|(id, output)| listed(*id, output)).collect();
    jsonapi::page(&Page { items, request, total: outputs.len() })
}

fn document<'a>(id: OutputId, output: &'a Output, value: Option<&'a str>) -> Resource<Attributes<'a>> {
    let attributes = Attributes {
        name: &output.name,
        sensitive: output.sensitive,
        kind: kind(&output.type_json),
        value: value.and_then(raw),
        // Terraform decodes these values through 64-bit floats. Without a detailed type it reads the whole state instead,
        // where every digit arrives.
        detailed_type: if has_long_number(&output.value_json) { None } else { raw(&output.type_json) },
    };
    Resource::new("state-version-outputs", id, attributes)
}

fn raw(json: &str) -> Option<&RawValue> {
    serde_json::from_str(json).ok()
}

/// Whether a number outside strings has more digits than a 64-bit float keeps (15).
fn has_long_number(json: &str) -> bool {
    let (mut in_string, mut escaped, mut digits) = (false, false, 0);
    json.bytes().any(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'0'..=b'9' if !in_string => digits += usize::from(digits > 0 || byte != b'0'),
            b'.' => {}
            _ => digits = 0,
        }
        digits > 15
    })
}

/// The simple type: Terraform's own for primitives, else `array` or `object`.
fn kind(type_json: &str) -> &'static str {
    // The first word says it, and what follows may be long.
    let word =
        type_json.trim_start().trim_start_matches('[').trim_start().strip_prefix('"').unwrap_or_default();
    match word.split('"').next().unwrap_or_default() {
        "string" => "string",
        "number" => "number",
        "bool" => "boolean",
        "list" | "set" | "tuple" => "array",
        "map" | "object" => "object",
        _ => "dynamic",
    }
}

#[cfg(test)]
mod tests {
    use opentaco_domain::time::Timestamp;
    use serde_json::Value;

    use super::*;

    #[test]
    fn only_numbers_that_a_float_cannot_keep_are_long() {
        for short in [
            "1",
            "999999999999999",
            "-0.00000000000000000001",
            "\"12345678901234567890\"",
            "[123456789, 123456789]",
            r#""\"1234567890123456""#,
        ] {
            assert!(!has_long_number(short), "{short}");
        }
        for long in ["9007199254740993", "[1, 0.1234567890123456]", "{\"a\": -12345678901234567890}"] {
            assert!(has_long_number(long), "{long}");
        }
    }

    #[test]
    fn values_keep_every_digit() {
        let workspace = WorkspaceId::new(Timestamp::from_millis(0), [0; 10]);
        let id = OutputId { version: StateVersionId::new(workspace, 1, [0; 10]), index: 0 };
        let output = Output {
            name: "n".into(),
            sensitive: true,
            type_json: r#"["list","number"]"#.into(),
            value_json: "[12345678901234567890123, 1.10]".into(),
        };
        let shown = serde_json::to_string(&document(id, &output, Some(&output.value_json))).unwrap();
        assert!(shown.contains(r#""value":[12345678901234567890123, 1.10]"#), "{shown}");
        assert!(shown.contains(r#""detailed-type":null"#), "{shown}");
        let listed = serde_json::to_value(document(id, &output, output.listed_value())).unwrap();
        assert_eq!(
            (&listed["attributes"]["value"], &listed["attributes"]["type"]),
            (&Value::Null, &"array".into())
        );
    }
}
