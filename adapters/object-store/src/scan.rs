//! Reads what a state document says of itself while its bytes stream by, in bounded memory.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufReader, Read};
use std::rc::Rc;

use opentaco_domain::state::{Document, Output};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The most bytes that outputs and header fields may have together, since they are held in memory.
pub(crate) const MAX_KEPT: u64 = 16 * 1024 * 1024;
/// The most outputs: each is shown by its id wherever its version is.
const MAX_OUTPUTS: usize = 10_000;
/// The most bytes of a name that is looked at while resources stream by.
const MAX_NAME: u64 = 64 * 1024;

/// Why a document was not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ScanError {
    /// What is held in memory would be longer than [`MAX_KEPT`].
    TooMuchKept,
    /// It is no state; says where, never what stands there.
    NotAState(String),
}

/// How many more bytes may be read into memory; nothing is counted while values are skipped.
#[derive(Clone)]
struct Allowance(Rc<Cell<Option<u64>>>);

impl Allowance {
    fn keep(&self, bytes: u64) {
        self.0.set(Some(bytes));
    }

    fn skip(&self) {
        self.0.set(None);
    }

    fn is_spent(&self) -> bool {
        self.0.get() == Some(0)
    }
}

struct Counted<R> {
    inner: R,
    allowance: Allowance,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if let Some(left) = self.allowance.0.get() {
            let left = left.saturating_sub(read as u64);
            self.allowance.0.set(Some(left));
            if left == 0 {
                return Err(io::Error::other("more is kept in memory than is allowed"));
            }
        }
        Ok(read)
    }
}

/// Reads a whole document.
pub(crate) fn scan(body: impl Read) -> Result<Document, ScanError> {
    let allowance = Allowance(Rc::new(Cell::new(Some(MAX_KEPT))));
    let counted = Counted { inner: body, allowance: allowance.clone() };
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(counted));
    let read = DocumentSeed(allowance.clone()).deserialize(&mut json);
    let read = read.and_then(|document| {
        // Trailing white space may be long; it is not kept.
        allowance.skip();
        json.end().map(|()| document)
    });
    match read {
        Ok(Some(document)) if document.outputs.len() > MAX_OUTPUTS => Err(ScanError::TooMuchKept),
        Ok(document) => document.ok_or_else(|| {
            ScanError::NotAState("it has neither a `version` nor `encrypted_data`".to_owned())
        }),
        Err(_) if allowance.is_spent() => Err(ScanError::TooMuchKept),
        Err(error) => Err(ScanError::NotAState(crate::record::place(&error))),
    }
}

struct DocumentSeed(Allowance);

impl<'de> DeserializeSeed<'de> for DocumentSeed {
    type Value = Option<Document>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for DocumentSeed {
    type Value = Option<Document>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a state document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let allowance = self.0;
        let mut document = Document::default();
        let mut version = None;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "version" => version = map.next_value::<Option<u64>>()?,
                "serial" => document.serial = map.next_value()?,
                "lineage" => document.lineage = map.next_value()?,
                "terraform_version" => document.terraform_version = map.next_value()?,
                "outputs" => document.outputs = outputs(map.next_value()?),
                "resources" => document.resources = map.next_value_seed(Resources(allowance.clone()))?,
                other => {
                    document.encrypted |= other == "encrypted_data";
                    allowance.skip();
                    map.next_value::<IgnoredAny>()?;
                }
            }
            allowance.keep(MAX_KEPT);
        }
        Ok((version.is_some() || document.encrypted).then_some(document))
    }
}

#[derive(Deserialize)]
struct OutputForm {
    value: Box<RawValue>,
    #[serde(rename = "type")]
    kind: Option<Box<RawValue>>,
    #[serde(default)]
    sensitive: bool,
}

fn outputs(forms: Option<BTreeMap<String, OutputForm>>) -> Vec<Output> {
    let output = |(name, form): (String, OutputForm)| Output {
        name,
        sensitive: form.sensitive,
        type_json: form.kind.map_or_else(|| "null".to_owned(), |kind| kind.get().to_owned()),
        value_json: form.value.get().to_owned(),
    };
    forms.unwrap_or_default().into_iter().map(output).collect()
}

/// Counts the instances of managed resources.
struct Resources(Allowance);

impl<'de> DeserializeSeed<'de> for Resources {
    type Value = Option<u64>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Resources {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of resources")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut total: u64 = 0;
        while let Some(instances) = list.next_element_seed(Resource(self.0.clone()))? {
            total = total.checked_add(instances).ok_or_else(|| A::Error::custom("too many"))?;
        }
        Ok(Some(total))
    }
}

struct Resource(Allowance);

impl<'de> DeserializeSeed<'de> for Resource {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<u64, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Resource {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a resource")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<u64, A::Error> {
        let (mut managed, mut instances) = (true, 0);
        self.0.keep(MAX_NAME);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "mode" => managed = map.next_value::<String>()? == "managed",
                "instances" => {
                    self.0.skip();
                    instances = map.next_value_seed(Count)?;
                }
                _ => {
                    self.0.skip();
                    map.next_value::<IgnoredAny>()?;
                }
            }
            self.0.keep(MAX_NAME);
        }
        Ok(if managed { instances } else { 0 })
    }
}

/// Counts the elements of a list without keeping any.
struct Count;

impl<'de> DeserializeSeed<'de> for Count {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<u64, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Count {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<u64, E> {
        Ok(0)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<u64, A::Error> {
        let mut count = 0;
        while list.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_says_what_it_is() {
        let state = br#"{"version":4,"terraform_version":"1.11.4","serial":7,"lineage":"l","outputs":{
            "b":{"value":[1,18446744073709551617],"type":["tuple",["number","number"]]},
            "a":{"value":"hunter2","type":"string","sensitive":true}},
            "resources":[{"mode":"managed","instances":[{},{"x":[1]}]},{"mode":"data","instances":[{}]}],"check_results":null} "#;
        let document = scan(&state[..]).unwrap();
        assert_eq!((document.serial, document.resources, document.encrypted), (Some(7), Some(2), false));
        let names: Vec<_> = document.outputs.iter().map(|o| (o.name.as_str(), o.sensitive)).collect();
        assert_eq!(names, [("a", true), ("b", false)]);
        assert_eq!(document.outputs[1].value_json, "[1,18446744073709551617]");
        assert_eq!(document.outputs[1].type_json, r#"["tuple",["number","number"]]"#);
    }

    #[test]
    fn an_encrypted_document_is_a_state() {
        let document = scan(&br#"{"meta":{},"encrypted_data":"xx","encryption_version":"v0"}"#[..]).unwrap();
        assert!(document.encrypted && document.serial.is_none() && document.resources.is_none());
    }

    #[test]
    fn what_is_no_state_is_refused_without_repeating_it() {
        for bad in [
            "",
            "hunter2",
            "[]",
            "{}",
            "{\"version\":\"hunter2\"}",
            "{\"version\":4} hunter2",
            "{\"version\":4,",
        ] {
            match scan(bad.as_bytes()) {
                Err(ScanError::NotAState(why)) => assert!(!why.contains("hunter2"), "{why}"),
                other => panic!("{bad}: {other:?}"),
            }
        }
    }

    /// Repeats one byte for as long as asked.
    fn long(head: &str, byte: u8, length: u64, tail: &str) -> impl Read {
        let (head, tail) = (io::Cursor::new(head.to_owned()), io::Cursor::new(tail.to_owned()));
        head.chain(io::repeat(byte).take(length)).chain(tail)
    }

    #[test]
    fn long_values_are_skipped_where_they_are_ignored_and_refused_where_they_are_kept() {
        let more = MAX_KEPT + 1024 * 1024;
        let skipped = long("{\"version\":4,\"x\":\"", b'a', more, "\",\"serial\":3}");
        assert_eq!(scan(skipped).unwrap().serial, Some(3));
        let resource = long("{\"version\":4,\"resources\":[{\"instances\":[{\"a\":\"", b'a', more, "\"}]}]}");
        assert_eq!(scan(resource).unwrap().resources, Some(1));
        for head in [
            "{\"version\":4,\"lineage\":\"",
            "{\"",
            "{\"outputs\":{\"a\":{\"value\":\"",
            "{\"resources\":[{\"mode\":\"",
            "{\"resources\":[{\"",
        ] {
            assert_eq!(scan(long(head, b'a', more, "\"}")), Err(ScanError::TooMuchKept), "{head}");
        }
    }
}
