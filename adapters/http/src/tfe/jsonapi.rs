//! JSON:API: documents out strictly, documents in leniently.

use std::fmt::Display;

use actix_web::http::StatusCode;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use opentaco_domain::page::Page;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::Answer;
use super::error::ApiError;
use super::include::Included;
use crate::body::{self, SMALL};

/// The media type of this API.
pub(super) const MEDIA_TYPE: &str = "application/vnd.api+json";

/// One resource of an answer.
#[derive(Serialize)]
pub(super) struct Resource<A> {
    /// Its id.
    pub(super) id: String,
    /// Its type, which clients check.
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    /// Its attributes.
    pub(super) attributes: A,
    /// What it belongs to.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(super) relationships: Value,
    /// Where it lies.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(super) links: Value,
}

impl<A> Resource<A> {
    /// A resource without relationships.
    pub(super) fn new(kind: &'static str, id: impl Display, attributes: A) -> Self {
        Self { id: format!("{id}"), kind, attributes, relationships: Value::Null, links: Value::Null }
    }

    /// The resource with relationships.
    pub(super) fn related(self, relationships: Value) -> Self {
        Self { relationships, ..self }
    }
}

/// A relationship to one resource.
pub(super) fn one(kind: &str, id: impl Display) -> Value {
    json!({"data": {"type": kind, "id": format!("{id}")}})
}

/// What refers to a resource.
pub(super) fn one_of<A>(resource: &Resource<A>) -> Value {
    json!({"type": resource.kind, "id": resource.id})
}

/// An answer of one resource.
pub(super) fn single<A: Serialize>(status: StatusCode, resource: &Resource<A>) -> Answer {
    single_with(status, resource, &Included::default())
}

/// An answer of one resource and what it brings along.
pub(super) fn single_with<A: Serialize>(
    status: StatusCode,
    resource: &Resource<A>,
    included: &Included,
) -> Answer {
    #[derive(Serialize)]
    struct Document<'a, A> {
        data: &'a Resource<A>,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        included: &'a [Box<RawValue>],
    }
    answer(status, &Document { data: resource, included: included.resources() })
}

/// An answer of one page of resources.
pub(super) fn page<A: Serialize>(page: &Page<Resource<A>>) -> Answer {
    page_with(page, &Included::default())
}

/// An answer of one page of resources and what they bring along.
pub(super) fn page_with<A: Serialize>(page: &Page<Resource<A>>, included: &Included) -> Answer {
    let pagination = json!({
        "current-page": page.request.number(),
        "page-size": page.request.size(),
        "prev-page": page.previous(),
        "next-page": page.next(),
        "total-pages": page.pages(),
        "total-count": page.total,
    });
    list(&page.items, &pagination, included)
}

/// An answer of all resources, as one page.
pub(super) fn whole<A: Serialize>(items: &[Resource<A>]) -> Answer {
    let pagination = json!({
        "current-page": 1,
        "page-size": items.len(),
        "prev-page": null,
        "next-page": null,
        "total-pages": 1,
        "total-count": items.len(),
    });
    list(items, &pagination, &Included::default())
}

fn list<A: Serialize>(data: &[Resource<A>], pagination: &Value, included: &Included) -> Answer {
    #[derive(Serialize)]
    struct Document<'a, A> {
        data: &'a [Resource<A>],
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        included: &'a [Box<RawValue>],
        meta: Value,
    }
    let included = included.resources();
    answer(StatusCode::OK, &Document { data, included, meta: json!({"pagination": pagination}) })
}

fn answer(status: StatusCode, document: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(document)?;
    Ok(HttpResponse::build(status).insert_header(("content-type", MEDIA_TYPE)).body(body))
}

/// A document that a client sent. Its `type` is not looked at: Terraform leaves it empty here and there.
#[derive(Debug)]
pub(super) struct Document(Value);

impl Document {
    /// Reads a document of at most 1 MiB; an empty body is an empty document.
    pub(super) async fn read(request: &HttpRequest, payload: Payload) -> Result<Self, ApiError> {
        let (bytes, _) = body::read(request, payload, SMALL).await?.into_parts();
        Self::parse(&bytes)
    }

    /// Reads a document; an empty body is an empty document.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(Value::Null));
        }
        if parts(bytes) > MAX_PARTS {
            return Err(ApiError::Malformed(format!("the body has more than {MAX_PARTS} members and items")));
        }
        match serde_json::from_slice(bytes) {
            Ok(document @ Value::Object(_)) => Ok(Self(document)),
            Ok(_) => Err(ApiError::Malformed("the body must be a JSON object".to_owned())),
            // The error says where, not what: the body may hold secrets.
            Err(error) => Err(ApiError::Malformed(format!(
                "the body is not JSON: line {}, column {}",
                error.line(),
                error.column()
            ))),
        }
    }

    /// The attributes of the one resource.
    pub(super) fn attributes(&mut self) -> Result<Attributes, ApiError> {
        Attributes::of(self.0.get_mut("data").unwrap_or(&mut Value::Null))
    }

    /// The resources of a relationship to many; none when it is absent.
    pub(super) fn related(&mut self, name: &str) -> Result<Option<Vec<Value>>, ApiError> {
        let related = self.0.pointer_mut(&format!("/data/relationships/{name}/data")).map(Value::take);
        match related {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(Vec::new())),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(ApiError::Invalid(format!("data/relationships/{name}/data must be a list"))),
        }
    }

    /// The id of a relationship to one; none when it is absent or null.
    pub(super) fn related_id(&self, name: &str) -> Result<Option<String>, ApiError> {
        match self.0.pointer(&format!("/data/relationships/{name}/data")) {
            None | Some(Value::Null) => Ok(None),
            Some(related) => match related.get("id") {
                Some(Value::String(id)) => Ok(Some(id.clone())),
                _ => Err(ApiError::Invalid(format!("data/relationships/{name}/data/id must be a string"))),
            },
        }
    }

    /// The resources of a document that is a list.
    pub(super) fn items(&mut self) -> Result<Vec<Value>, ApiError> {
        match self.0.get_mut("data").map(Value::take) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(ApiError::invalid("data must be a list")),
        }
    }
}

/// The most members and items of a document: each costs many times its text in memory.
const MAX_PARTS: usize = 50_000;

/// How many members and items a JSON text has at most: commas and brackets outside strings.
fn parts(json: &[u8]) -> usize {
    let (mut in_string, mut escaped) = (false, false);
    let part = |byte: &&u8| {
        match **byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' => return !in_string,
            _ => {}
        }
        false
    };
    json.iter().filter(part).count()
}

/// The attributes of a resource that a client sent; null counts as absent, what is unknown is ignored.
#[derive(Debug)]
pub(super) struct Attributes(Map<String, Value>);

impl Attributes {
    /// Takes the attributes out of a resource.
    pub(super) fn of(resource: &mut Value) -> Result<Self, ApiError> {
        let attributes = match resource {
            Value::Null => None,
            Value::Object(resource) => resource.remove("attributes"),
            _ => return Err(ApiError::invalid("a resource in data must be an object")),
        };
        match attributes {
            None | Some(Value::Null) => Ok(Self(Map::new())),
            Some(Value::Object(attributes)) => Ok(Self(attributes)),
            Some(_) => Err(ApiError::invalid("attributes must be an object")),
        }
    }

    /// Takes a string.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ApiError::Invalid(format!("attribute {name} must be a string"))),
        }
    }

    /// Takes a whole number that is not negative.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<u64>, ApiError> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or_else(|| {
                ApiError::Invalid(format!("attribute {name} must be a whole number that is not negative"))
            }),
        }
    }

    /// Takes a truth value; absent is false.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, ApiError> {
        Ok(self.optional_flag(name)?.unwrap_or(false))
    }

    /// Takes a truth value.
    pub(super) fn optional_flag(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(ApiError::Invalid(format!("attribute {name} must be true or false"))),
        }
    }

    /// Takes a value as it is.
    pub(super) fn value(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }
}

/// The value of an attribute that must be there.
pub(super) fn required<T>(name: &str, value: Option<T>) -> Result<T, ApiError> {
    value.ok_or_else(|| ApiError::Invalid(format!("attribute {name} is missing")))
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError as _;

    use super::*;

    fn attributes(text: &str) -> Result<Attributes, ApiError> {
        Document::parse(text.as_bytes())?.attributes()
    }

    #[test]
    fn what_terraform_leaves_out_is_not_missed() {
        for body in ["", " \n", "{}", r#"{"data":null}"#, r#"{"reason":"x"}"#, r#"{"data":{"type":""}}"#] {
            assert_eq!(attributes(body).unwrap().text("reason").unwrap(), None, "{body}");
        }
        let mut sent = attributes(r#"{"data":{"type":"","attributes":{"reason":"r","new":[1]}}}"#).unwrap();
        assert_eq!(sent.text("reason").unwrap().as_deref(), Some("r"));
    }

    #[test]
    fn malformed_json_is_400_and_wrong_types_name_the_field() {
        for body in ["{", "[]", "\"x\"", "\u{0}", &"[".repeat(100_000)] {
            assert_eq!(attributes(body).unwrap_err().status_code().as_u16(), 400);
        }
        let mut sent = attributes(r#"{"data":{"attributes":{"name":1,"serial":-1,"force":"no"}}}"#).unwrap();
        for (error, name) in [
            (sent.text("name").unwrap_err(), "name"),
            (sent.number("serial").unwrap_err(), "serial"),
            (sent.flag("force").unwrap_err(), "force"),
        ] {
            assert_eq!(error.status_code().as_u16(), 422);
            assert!(error.to_string().contains(name));
        }
        for body in [r#"{"data":[]}"#, r#"{"data":{"attributes":[]}}"#] {
            assert_eq!(attributes(body).unwrap_err().status_code().as_u16(), 422, "{body}");
        }
    }

    #[test]
    fn a_relationship_may_be_absent_empty_or_a_list() {
        let related = |text: &str| Document::parse(text.as_bytes()).unwrap().related("tags");
        assert_eq!(related("").unwrap(), None);
        assert_eq!(related(r#"{"data":{"relationships":{"tags":{"data":[]}}}}"#).unwrap(), Some(vec![]));
        assert!(related(r#"{"data":{"relationships":{"tags":{"data":3}}}}"#).is_err());
        assert_eq!(related(r#"{"data":{"relationships":[]}}"#).unwrap(), None);
    }
}
