//! What a provider says of somebody, as JSON.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::BASE64URL_NOPAD;
use opentaco_domain::user::Email;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The members of a token's payload or of a userinfo answer. Nothing here judges whether they may be believed.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Claims(Map<String, Value>);

impl Claims {
    /// The payload of a signed token, its signature unseen.
    pub(crate) fn unverified(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let (_, payload) = (parts.next()?, parts.next()?);
        serde_json::from_slice(&BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?).ok()
    }

    /// A claim that is a text and not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Whether there is an e-mail address, good or bad.
    pub(crate) fn has_email(&self) -> bool {
        self.text("email").is_some()
    }

    /// The e-mail address; what is none does not count.
    pub(crate) fn email(&self) -> Option<Email> {
        self.text("email")?.parse().ok()
    }

    /// Whether the provider vouches for the address. Some write truths as texts.
    pub(crate) fn email_verified(&self) -> bool {
        match self.0.get("email_verified") {
            Some(Value::Bool(verified)) => *verified,
            Some(Value::String(verified)) => verified == "true",
            _ => false,
        }
    }

    /// The groups in the claim of that name: a list of texts, or one text.
    pub(crate) fn groups(&self, claim: &str) -> Option<BTreeSet<String>> {
        match self.0.get(claim)? {
            Value::String(group) => Some(BTreeSet::from([group.clone()])),
            Value::Array(groups) => {
                Some(groups.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            }
            _ => None,
        }
    }

    /// The audiences, one or several.
    pub(crate) fn audiences(&self) -> Vec<String> {
        match self.0.get("aud") {
            Some(Value::String(audience)) => vec![audience.clone()],
            Some(Value::Array(several)) => {
                several.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Every claim that is a text, a whole number or a truth, as text.
    pub(crate) fn scalars(&self) -> BTreeMap<String, String> {
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Bool(truth) => Some(truth.to_string()),
            Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
            _ => None,
        };
        self.0.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
    }

    /// From when on a token counts, in seconds; `None` when it does not say, `Err` when that is no number.
    pub(crate) fn not_before(&self) -> Result<Option<f64>, ()> {
        match self.0.get("nbf") {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or(()),
        }
    }
}
