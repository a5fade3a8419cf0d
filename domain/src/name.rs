//! Names that people choose: organizations and workspaces.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The most characters a workspace name has.
pub const MAX_WORKSPACE_NAME: usize = 200;

/// A workspace name outside the rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "workspace name {given:?} is not valid: use 1 to 200 letters, digits, `-`, `_`, `.` or `:`, with `/` between \
     segments; no segment may be empty, `.` or `..`"
)]
pub struct BadWorkspaceName {
    given: String,
}

/// A workspace's name: letters, digits, `-`, `_`, `.`, `:`, and `/` between segments; case matters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkspaceName(String);

impl WorkspaceName {
    /// The name as people write it, with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as the Terraform Cloud door writes it: Terraform refuses `/` in names, so `~` stands for it.
    pub fn to_cloud(&self) -> String {
        self.0.replace('/', "~")
    }

    /// Reads a name as the Terraform Cloud door writes it.
    ///
    /// # Errors
    /// [`BadWorkspaceName`] when the rule is broken.
    pub fn from_cloud(text: &str) -> Result<Self, BadWorkspaceName> {
        text.replace('~', "/").parse()
    }
}

impl FromStr for WorkspaceName {
    type Err = BadWorkspaceName;

    fn from_str(text: &str) -> Result<Self, BadWorkspaceName> {
        let character = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        let segment = |s: &str| !s.is_empty() && s != "." && s != ".." && s.chars().all(character);
        if text.len() <= MAX_WORKSPACE_NAME && text.split('/').all(segment) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadWorkspaceName { given: text.chars().take(MAX_WORKSPACE_NAME).collect() })
        }
    }
}

/// A pattern of names in which only `*` is special: it stands for any text, also for none, and crosses `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamePattern(String);

/// A text that is no pattern of unit names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a pattern of units has 1 to 200 characters, none of them a control character; `*` stands for anything"
)]
pub struct BadPattern;

impl NamePattern {
    /// A pattern of unit names.
    ///
    /// # Errors
    /// [`BadPattern`] unless it has 1 to 200 bytes and no control character.
    pub fn of_units(text: &str) -> Result<Self, BadPattern> {
        let fits = (1..=200).contains(&text.len()) && !text.chars().any(char::is_control);
        if fits { Ok(Self::new(text)) } else { Err(BadPattern) }
    }

    /// The pattern that is written like this.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The pattern as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether every text is of the pattern.
    pub fn is_everything(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|b| b == b'*')
    }

    /// Whether something stands in it besides `*`.
    pub fn is_specific(&self) -> bool {
        self.0.bytes().any(|b| b != b'*')
    }

    /// Whether every text of another pattern is of this one.
    pub fn contains(&self, other: &Self) -> bool {
        // A `*` of the other is met by no literal character of ours, only by a `*`, which takes whatever it stands for.
        self.matches(&other.0)
    }

    /// Whether some text is of both patterns.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (own, theirs): (Vec<char>, Vec<char>) = (self.0.chars().collect(), other.0.chars().collect());
        // `reach[j]`: whether what is left of ours and theirs from `j` on can be the same text.
        let mut reach = vec![false; theirs.len() + 1];
        for i in (0..=own.len()).rev() {
            let before = reach.clone();
            for j in (0..=theirs.len()).rev() {
                reach[j] = match (own.get(i), theirs.get(j)) {
                    (None, None) => true,
                    (Some('*'), _) if before[j] => true,
                    (_, Some('*')) if reach[j + 1] => true,
                    (Some('*'), Some(_)) => reach[j + 1],
                    (Some(_), Some('*')) => before[j],
                    (Some(a), Some(b)) => a == b && before[j + 1],
                    (Some(_), None) | (None, Some(_)) => false,
                };
            }
        }
        reach[0]
    }

    /// Whether a whole text is of the pattern.
    pub fn matches(&self, text: &str) -> bool {
        let Some((start, rest)) = self.0.split_once('*') else { return self.0 == text };
        let Some(mut left) = text.strip_prefix(start) else { return false };
        let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
        for part in middle.split('*') {
            match left.find(part) {
                Some(at) => left = &left[at + part.len()..],
                None => return false,
            }
        }
        left.ends_with(end)
    }
}

/// An organization name outside the rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "organization name {given:?} is not valid: use 3 to 63 lower-case letters, digits and `-`, with a letter or \
     digit at both ends"
)]
pub struct BadOrganizationName {
    given: String,
}

/// An organization's name: `[a-z0-9][a-z0-9-]{1,61}[a-z0-9]`, folded to lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrganizationName(String);

impl OrganizationName {
    /// The organization that always exists.
    pub fn default_organization() -> Self {
        Self("default".to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OrganizationName {
    type Err = BadOrganizationName;

    fn from_str(text: &str) -> Result<Self, BadOrganizationName> {
        let folded = text.to_ascii_lowercase();
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let edge = |b: Option<&u8>| b.is_some_and(|&b| b != b'-');
        let bytes = folded.as_bytes();
        if (3..=63).contains(&bytes.len())
            && bytes.iter().all(|&b| inner(b))
            && edge(bytes.first())
            && edge(bytes.last())
        {
            Ok(Self(folded))
        } else {
            Err(BadOrganizationName { given: text.chars().take(80).collect() })
        }
    }
}

macro_rules! text_of {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    )*};
}
text_of!(WorkspaceName, OrganizationName);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn workspace_names_follow_the_rule() {
        let long = "a".repeat(200);
        for good in ["web", "my-app-production", "app/prod", "a.b:c_d-9", "default", "...", long.as_str()] {
            assert!(good.parse::<WorkspaceName>().is_ok(), "{good}");
        }
        let longer = "a".repeat(201);
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            ".",
            "..",
            "../x",
            "a/../b",
            "a b",
            "ä",
            "a~b",
            "a\0b",
            "a%2fb",
            longer.as_str(),
        ] {
            assert!(bad.parse::<WorkspaceName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn organization_names_fold_case_and_follow_the_rule() {
        assert_eq!("Acme-1".parse::<OrganizationName>().unwrap().as_str(), "acme-1");
        for bad in ["", "ab", "-abc", "abc-", "a_b", "a.b", "..", "ä-b-c", &"a".repeat(64)] {
            assert!(bad.parse::<OrganizationName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, matches) in [
            ("web", "web", true),
            ("web", "web2", false),
            ("*", "", true),
            ("app-*", "app-prod", true),
            ("app-*", "my-app-prod", false),
            ("*-prod", "app-prod", true),
            ("*-prod", "app-prod-2", false),
            ("a*b*c", "a/b/b/c", true),
            ("a*b*c", "acb", false),
            ("*a*", "b", false),
            ("a*a", "a", false),
            ("app.*", "appX", false),
        ] {
            assert_eq!(NamePattern::new(pattern).matches(text), matches, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn patterns_that_overlap_have_a_text_in_common_and_contained_ones_no_other(
            a in "[ab*]{0,5}", b in "[ab*]{0,5}",
        ) {
            let (a, b) = (NamePattern::new(a), NamePattern::new(b));
            // Longer texts are of both only if shorter ones are: each star can stand for as little as the other needs.
            let texts = (0..=8).flat_map(|length| (0..1u32 << length).map(move |bits| {
                (0..length).map(|at| if bits >> at & 1 == 1 { 'a' } else { 'b' }).collect::<String>()
            }));
            let (mut shared, mut only_b) = (false, false);
            for text in texts {
                shared |= a.matches(&text) && b.matches(&text);
                only_b |= !a.matches(&text) && b.matches(&text);
            }
            prop_assert_eq!(a.overlaps(&b), shared);
            prop_assert_eq!(b.overlaps(&a), shared);
            prop_assert!(!(a.contains(&b) && only_b));
        }

        #[test]
        fn a_pattern_of_parts_of_a_text_matches_it(parts in prop::collection::vec("[ab/]{0,3}", 1..5)) {
            prop_assert!(NamePattern::new(parts.join("*")).matches(&parts.concat()));
        }

        #[test]
        fn the_cloud_spelling_reads_back(text in "[a-zA-Z0-9._:/-]{1,60}") {
            if let Ok(name) = text.parse::<WorkspaceName>() {
                prop_assert!(!name.to_cloud().contains('/'));
                prop_assert_eq!(WorkspaceName::from_cloud(&name.to_cloud()).unwrap(), name);
            }
        }

        #[test]
        fn a_name_never_climbs_out(text: String) {
            if let Ok(name) = text.parse::<WorkspaceName>() {
                prop_assert!(name.as_str().split('/').all(|s| !s.is_empty() && s != "." && s != ".."));
            }
        }
    }
}
