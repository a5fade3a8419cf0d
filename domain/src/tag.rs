//! Tags: keys with or without a value, as Terraform's `tags` list and map make them.

use std::collections::BTreeMap;

use thiserror::Error;

/// The most tags a workspace has.
pub const MAX_TAGS: usize = 100;
const MAX_KEY: usize = 128;
const MAX_VALUE: usize = 256;

/// Tags outside the rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadTags {
    /// A key is empty, too long or has a character that no tag has.
    #[error(
        "tag {0:?} is not valid: use 1 to 128 letters, digits, spaces or any of `_ - : . / @ + =`, no space at an end"
    )]
    Key(String),
    /// A value is too long or has a character that no tag has.
    #[error(
        "the value of tag {0:?} is not valid: use at most 256 letters, digits, spaces or any of `_ - : . / @ + =`"
    )]
    Value(String),
    /// There would be more than [`MAX_TAGS`].
    #[error("a workspace has at most 100 tags")]
    TooMany,
}

/// A workspace's tags: each key once, with an empty value where it is a plain tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(BTreeMap<String, String>);

impl Tags {
    /// Builds tags from pairs; a later pair replaces an earlier one of the same key.
    ///
    /// # Errors
    /// [`BadTags`] when a pair is outside the rule or there are too many.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, BadTags> {
        Self::default().with(pairs)
    }

    /// These tags with those added or replaced.
    ///
    /// # Errors
    /// [`BadTags`] when a pair is outside the rule or there would be too many.
    pub fn with(&self, pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, BadTags> {
        let mut all = self.0.clone();
        for (key, value) in pairs {
            check(&key, &value)?;
            all.insert(key, value);
            if all.len() > MAX_TAGS {
                return Err(BadTags::TooMany);
            }
        }
        Ok(Self(all))
    }

    /// These tags with plain keys added; a key that is there keeps its value.
    ///
    /// # Errors
    /// [`BadTags`] when a key is outside the rule or there would be too many.
    pub fn with_keys(&self, keys: impl IntoIterator<Item = String>) -> Result<Self, BadTags> {
        let missing = keys.into_iter().filter(|key| !self.0.contains_key(key));
        self.with(missing.map(|key| (key, String::new())))
    }

    /// These tags without those keys.
    #[must_use]
    pub fn without<'a>(&self, keys: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all = self.0.clone();
        for key in keys {
            all.remove(key);
        }
        Self(all)
    }

    /// Whether a key is there, with any value or none.
    pub fn has_key(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Whether exactly this pair is there.
    pub fn has(&self, key: &str, value: &str) -> bool {
        self.0.get(key).is_some_and(|v| v == value)
    }

    /// Every pair in order of its key; the value is empty for a plain tag.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

fn check(key: &str, value: &str) -> Result<(), BadTags> {
    let character = |c: char| c.is_ascii_alphanumeric() || "_-:./@+= ".contains(c);
    if key.is_empty() || key.len() > MAX_KEY || !key.chars().all(character) || key.trim() != key {
        return Err(BadTags::Key(key.chars().take(MAX_KEY).collect()));
    }
    if value.len() > MAX_VALUE || !value.chars().all(character) {
        return Err(BadTags::Value(key.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_tag_added_again_keeps_the_value_it_has() {
        let tags = Tags::new([("env".into(), "prod".into())]).unwrap();
        let tags = tags.with_keys(["env".into(), "app".into()]).unwrap();
        assert_eq!(tags.iter().collect::<Vec<_>>(), [("app", ""), ("env", "prod")]);
        assert!(tags.has_key("env") && tags.has("env", "prod") && !tags.has("env", ""));
    }

    #[test]
    fn tags_outside_the_rule_are_refused() {
        for bad in ["", " a", "a,b", "a\n", "ä"] {
            assert!(Tags::new([(bad.to_owned(), String::new())]).is_err(), "{bad:?}");
        }
        let many = (0..101).map(|i| (format!("t{i}"), String::new()));
        assert_eq!(Tags::new(many), Err(BadTags::TooMany));
    }
}
