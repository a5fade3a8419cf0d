//! What can be wrong with settings; every message is one line that says what to do.

use std::fmt;
use std::path::PathBuf;

use super::table::Row;

/// Where a value came from; later ones beat earlier ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The table of settings.
    Default,
    /// A key in this file.
    File(PathBuf),
    /// An environment variable.
    Environment,
    /// A flag.
    Flag,
}

impl Origin {
    /// Higher beats lower.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File(_) => 1,
            Self::Environment => 2,
            Self::Flag => 3,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("by default"),
            Self::File(path) => write!(formatter, "from {}", path.display()),
            Self::Environment => formatter.write_str("from the environment"),
            Self::Flag => formatter.write_str("from the command line"),
        }
    }
}

/// Why the settings are refused.
#[derive(Debug, PartialEq, Eq)]
pub enum SettingsError {
    /// A value is not accepted.
    Invalid {
        /// The setting.
        setting: &'static str,
        /// Its environment variable or flag, as the user knows it.
        name: String,
        /// Where the value came from.
        origin: Origin,
        /// The value; `None` for a secret.
        value: Option<String>,
        /// What is accepted.
        accepted: &'static str,
    },
    /// One of several values of a setting is not accepted. No secret is shown like this.
    Entry {
        /// The setting, as the user knows it.
        name: String,
        /// Where the values came from.
        origin: Origin,
        /// The one that is not accepted.
        entry: String,
        /// What is accepted.
        accepted: &'static str,
    },
    /// Settings do not go together, one is missing, or a value cannot stand in this one for a reason of its own.
    Conflict {
        /// What is set.
        name: String,
        /// Why it cannot be, and what to do.
        reason: String,
    },
    /// A name that means nothing here.
    Unknown {
        /// `flag`, `environment variable`, or `key` and its file.
        kind: String,
        /// The name as given.
        name: String,
        /// The known name most like it.
        nearest: Option<String>,
    },
    /// The settings file cannot be read.
    File {
        /// Its path.
        path: PathBuf,
        /// Why; never a line of the file, which may hold a secret.
        reason: String,
    },
    /// A `[[trust]]` table of the settings file is not accepted.
    Rule {
        /// Its name in quotation marks, or its number.
        rule: String,
        /// The file.
        path: PathBuf,
        /// The key, why, and what is accepted.
        reason: String,
    },
    /// The command line cannot be understood.
    Usage(String),
}

impl SettingsError {
    pub(super) fn invalid(row: &'static Row, origin: Origin, value: &str) -> Self {
        Self::Invalid {
            setting: row.key,
            name: shown(row, &origin),
            origin,
            value: (!row.secret).then(|| without_password(value)),
            accepted: row.accepted,
        }
    }
}

/// A value as it may be shown: a URL's password is a secret, too, wherever somebody put it.
pub(super) fn without_password(value: &str) -> String {
    let hidden = || {
        let (scheme, rest) = value.split_once("://")?;
        let (user_info, host) = rest.rsplit_once('@')?;
        let (user, _) = user_info.split_once(':')?;
        Some(format!("{scheme}://{user}:[hidden]@{host}"))
    };
    hidden().unwrap_or_else(|| value.to_owned())
}

/// The name under which the user set it.
pub(super) fn shown(row: &Row, origin: &Origin) -> String {
    match origin {
        Origin::Default | Origin::Environment => row.env.to_owned(),
        Origin::File(_) => row.key.to_owned(),
        Origin::Flag => format!("-{}", row.flag),
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { name, origin, value: Some(value), accepted, .. } => {
                write!(formatter, "{name} ({origin}) is {value:?}; accepted: {accepted}")
            }
            Self::Invalid { name, origin, value: None, accepted, .. } => {
                write!(
                    formatter,
                    "{name} ({origin}) has a value that is not accepted (not shown, it is a secret); accepted: {accepted}"
                )
            }
            Self::Entry { name, origin, entry, accepted } => {
                write!(formatter, "{name} ({origin}) lists {entry:?}; accepted: {accepted}")
            }
            Self::Rule { rule, path, reason } => {
                write!(formatter, "[[trust]] rule {rule} in {}: {reason}", path.display())
            }
            Self::Conflict { name, reason } => write!(formatter, "{name}: {reason}"),
            Self::Unknown { kind, name, nearest } => {
                write!(formatter, "unknown {kind} {name}")?;
                match nearest {
                    Some(nearest) => write!(formatter, "; did you mean {nearest}?"),
                    None => formatter.write_str("; opentacosvc -help lists every setting"),
                }
            }
            Self::File { path, reason } => {
                write!(formatter, "the settings file {}: {reason}", path.display())
            }
            Self::Usage(message) => write!(formatter, "{message}; opentacosvc -help lists every setting"),
        }
    }
}

impl std::error::Error for SettingsError {}
