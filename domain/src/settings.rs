//! Settings of a workspace: what the server obeys, and what it only keeps for its clients.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::id::{ProjectId, WorkspaceId};

/// The most workspaces that a workspace names as consumers of its state.
pub const MAX_CONSUMERS: usize = 1000;
const MAX_DESCRIPTION: usize = 4096;
const MAX_TEXT: usize = 1024;
const MAX_ITEMS: usize = 100;
/// What all kept settings of a workspace have together, in bytes: every entry of its record repeats them.
const MAX_KEPT: usize = 16 * 1024;

/// What people set on a workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The Terraform version the client asked to remember, exactly as it came.
    pub terraform_version: Option<String>,
    /// A sentence for people.
    pub description: Option<String>,
    /// The project it lies in; none is the organization's default project.
    pub project: Option<ProjectId>,
    /// Whether every workspace of the organization may read its state.
    pub global_remote_state: bool,
    /// The workspaces that may read its state when not all may.
    pub consumers: BTreeSet<WorkspaceId>,
    /// Settings of [`KEPT`] that differ from their default, by name.
    pub kept: BTreeMap<String, Kept>,
}

/// The value of a setting that is only kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// A truth value.
    Flag(bool),
    /// A text of at most 1,024 bytes.
    Text(String),
    /// At most 100 texts of at most 1,024 bytes.
    List(Vec<String>),
}

/// Settings of the Terraform Cloud API that steer runs on its server, with their defaults there.
///
/// Nothing runs here, so they are stored and read back, and that is all: a client that manages them sees no difference
/// it did not make. Source: the workspace attributes of the Terraform Cloud API.
pub const KEPT: [(&str, Kept); 14] = [
    ("allow-destroy-plan", Kept::Flag(true)),
    ("assessments-enabled", Kept::Flag(false)),
    ("auto-apply", Kept::Flag(false)),
    ("auto-apply-run-trigger", Kept::Flag(false)),
    ("file-triggers-enabled", Kept::Flag(true)),
    ("inherits-project-auto-destroy", Kept::Flag(true)),
    ("queue-all-runs", Kept::Flag(false)),
    ("speculative-enabled", Kept::Flag(true)),
    ("structured-run-output-enabled", Kept::Flag(false)),
    ("source-name", Kept::Text(String::new())),
    ("source-url", Kept::Text(String::new())),
    ("working-directory", Kept::Text(String::new())),
    ("trigger-patterns", Kept::List(Vec::new())),
    ("trigger-prefixes", Kept::List(Vec::new())),
];

/// A setting outside the rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadSettings {
    /// The Terraform version is empty or longer than 100 characters.
    #[error("terraform-version must have 1 to 100 printable ASCII characters")]
    TerraformVersion,
    /// The description is longer than 4,096 bytes or has control characters other than line breaks and tabs.
    #[error("description must have at most {MAX_DESCRIPTION} bytes and no control characters")]
    Description,
    /// The kept settings are too long together.
    #[error("the settings that are only kept have more than {MAX_KEPT} bytes together")]
    TooMuchKept,
    /// A kept setting is too long, of another type, or none of [`KEPT`].
    #[error("{0} must be {1}")]
    Kept(String, &'static str),
    /// There would be more than [`MAX_CONSUMERS`].
    #[error("a workspace has at most {MAX_CONSUMERS} remote state consumers")]
    Consumers,
}

/// Whether a text may be kept as a Terraform version: 1 to 100 printable ASCII characters.
pub(crate) fn is_terraform_version(text: &str) -> bool {
    (1..=100).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b))
}

/// Whether a text is for people: at most so many bytes, no control characters but line breaks and tabs. Others take six
/// bytes each where the text is kept.
pub(crate) fn is_for_people(text: &str, most: usize) -> bool {
    text.len() <= most && !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}

impl Settings {
    /// The kept settings together must fit into every entry of the record.
    pub(crate) fn check_size(&self) -> Result<(), BadSettings> {
        let length = |kept: &Kept| match kept {
            Kept::Flag(_) => 1,
            Kept::Text(text) => text.len(),
            Kept::List(items) => items.iter().map(|item| item.len() + 3).sum(),
        };
        let all: usize = self.kept.values().map(length).sum();
        if all > MAX_KEPT { Err(BadSettings::TooMuchKept) } else { Ok(()) }
    }

    /// The value of a setting of [`KEPT`], its default unless another was set; none for other names.
    pub fn kept(&self, name: &str) -> Option<Kept> {
        let default = || KEPT.into_iter().find(|(known, _)| *known == name).map(|(_, default)| default);
        self.kept.get(name).cloned().or_else(default)
    }
}

/// A change of settings: what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsChange {
    terraform_version: Option<String>,
    description: Option<String>,
    project: Option<ProjectId>,
    global_remote_state: Option<bool>,
    kept: BTreeMap<String, Kept>,
}

impl SettingsChange {
    /// Checks the new values.
    ///
    /// # Errors
    /// [`BadSettings`] for the first value outside the rule.
    pub fn new(terraform_version: Option<String>, description: Option<String>) -> Result<Self, BadSettings> {
        if terraform_version.as_ref().is_some_and(|version| !is_terraform_version(version)) {
            return Err(BadSettings::TerraformVersion);
        }
        if description.as_ref().is_some_and(|text| !is_for_people(text, MAX_DESCRIPTION)) {
            return Err(BadSettings::Description);
        }
        Ok(Self { terraform_version, description, ..Self::default() })
    }

    /// The change that also moves the workspace to a project.
    #[must_use]
    pub fn with_project(self, project: Option<ProjectId>) -> Self {
        Self { project, ..self }
    }

    /// The change that also says whether every workspace of the organization may read the state.
    #[must_use]
    pub fn with_global_remote_state(self, global_remote_state: Option<bool>) -> Self {
        Self { global_remote_state, ..self }
    }

    /// The change that also sets a setting of [`KEPT`].
    ///
    /// # Errors
    /// [`BadSettings::Kept`].
    pub fn with_kept(mut self, name: &str, value: Kept) -> Result<Self, BadSettings> {
        let bad = |rule| BadSettings::Kept(name.chars().take(100).collect(), rule);
        let short = |text: &String| is_for_people(text, MAX_TEXT);
        let default = KEPT.into_iter().find(|(known, _)| *known == name).map(|(_, default)| default);
        match (default.ok_or_else(|| bad("a known setting"))?, &value) {
            (Kept::Flag(_), Kept::Flag(_)) => {}
            (Kept::Text(_), Kept::Text(text)) if short(text) => {}
            (Kept::List(_), Kept::List(items)) if items.len() <= MAX_ITEMS && items.iter().all(short) => {}
            (Kept::Flag(_), _) => return Err(bad("true or false")),
            (Kept::Text(_), _) => return Err(bad("a text of at most 1024 bytes without control characters")),
            (Kept::List(_), _) => return Err(bad("a list of at most 100 texts of at most 1024 bytes each")),
        }
        self.kept.insert(name.to_owned(), value);
        Ok(self)
    }

    /// The project that the workspace is to lie in, if that is to change.
    pub fn project(&self) -> Option<&ProjectId> {
        self.project.as_ref()
    }

    /// Whether more than the Terraform version would change.
    pub(crate) fn needs_manage(&self) -> bool {
        *self != Self { terraform_version: self.terraform_version.clone(), ..Self::default() }
    }

    pub(crate) fn over(&self, old: &Settings) -> Settings {
        let mut kept = old.kept.clone();
        kept.extend(self.kept.clone());
        // What equals its default is not written down, so that records stay small.
        kept.retain(|name, value| !KEPT.iter().any(|(known, default)| known == name && default == value));
        let project = match &self.project {
            Some(project) if project.is_default() => None,
            Some(project) => Some(project.clone()),
            None => old.project.clone(),
        };
        Settings {
            terraform_version: self.terraform_version.clone().or_else(|| old.terraform_version.clone()),
            description: self.description.clone().or_else(|| old.description.clone()),
            project,
            global_remote_state: self.global_remote_state.unwrap_or(old.global_remote_state),
            consumers: old.consumers.clone(),
            kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_setting_reads_back_and_its_default_takes_no_room() {
        let set = |value| SettingsChange::default().with_kept("auto-apply", value).unwrap();
        let settings = set(Kept::Flag(true)).over(&Settings::default());
        assert_eq!(settings.kept("auto-apply"), Some(Kept::Flag(true)));
        let settings = set(Kept::Flag(false)).over(&settings);
        assert_eq!((settings.kept("auto-apply"), settings.kept.len()), (Some(Kept::Flag(false)), 0));
        assert_eq!(settings.kept("no-such-setting"), None);
    }

    #[test]
    fn a_kept_setting_outside_the_rule_is_refused_by_name() {
        for (name, value) in [
            ("auto-apply", Kept::Text("yes".into())),
            ("working-directory", Kept::Flag(true)),
            ("working-directory", Kept::Text("x".repeat(1025))),
            ("working-directory", Kept::Text("a\u{1}b".into())),
            ("trigger-prefixes", Kept::List(vec![String::new(); 101])),
            ("no-such-setting", Kept::Flag(true)),
        ] {
            let refused = SettingsChange::default().with_kept(name, value).unwrap_err();
            assert!(refused.to_string().contains(name), "{refused}");
        }
    }

    #[test]
    fn only_the_terraform_version_may_change_without_the_right_to_manage() {
        assert!(!SettingsChange::default().needs_manage());
        assert!(!SettingsChange::new(Some("1.11.4".into()), None).unwrap().needs_manage());
        assert!(SettingsChange::new(None, Some("ours".into())).unwrap().needs_manage());
        assert!(SettingsChange::default().with_global_remote_state(Some(false)).needs_manage());
    }
}
