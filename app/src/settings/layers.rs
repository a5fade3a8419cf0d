//! Default, file, environment and flags, merged into one value per setting that knows where it came from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};
use config::{Config, File, FileFormat, Source as _};

use super::command;
use super::error::{Origin, SettingsError, shown, without_password};
use super::table::{Row, TABLE, by_key, heading, nearest};
use super::trust::{self, TrustTables};

const PREFIX: &str = "OPENTACO_";
/// The words that are no flags.
const WORDS: &str = "words";

type Values = BTreeMap<&'static str, String>;

/// What the command line asks for.
pub(super) enum Asked {
    Help(String),
    Version,
    /// Settings, and the words of the command line that are no flags.
    Settings(Merged, Vec<String>),
}

/// One value per setting.
pub(super) struct Merged {
    values: BTreeMap<String, config::Value>,
    origins: BTreeMap<&'static str, Origin>,
    pub(super) trust: Option<TrustTables>,
}

/// A value, its row and its origin.
pub(super) struct Found {
    pub(super) row: &'static Row,
    pub(super) origin: Origin,
    pub(super) value: String,
}

impl Found {
    /// The values of a setting that is a list with commas.
    pub(super) fn entries(&self) -> impl Iterator<Item = &str> {
        self.value.split(',').map(str::trim)
    }

    pub(super) fn refused_entry(&self, entry: &str) -> SettingsError {
        SettingsError::Entry {
            name: shown(self.row, &self.origin),
            origin: self.origin.clone(),
            entry: without_password(entry),
            accepted: self.row.accepted,
        }
    }

    pub(super) fn refused(&self) -> SettingsError {
        SettingsError::invalid(self.row, self.origin.clone(), &self.value)
    }

    pub(super) fn conflict(&self, reason: impl Into<String>) -> SettingsError {
        SettingsError::Conflict {
            name: format!("{} ({})", shown(self.row, &self.origin), self.origin),
            reason: reason.into(),
        }
    }
}

impl Merged {
    /// What somebody has set, and no default.
    pub(super) fn given(&self, key: &str) -> Result<Option<Found>, SettingsError> {
        Ok(self.found(key)?.filter(|found| found.origin != Origin::Default))
    }

    pub(super) fn found(&self, key: &str) -> Result<Option<Found>, SettingsError> {
        let (Some(row), Some(value)) = (by_key(key), self.values.get(key)) else { return Ok(None) };
        let origin = self.origins.get(key).cloned().unwrap_or(Origin::Default);
        match value.clone().into_string() {
            Ok(value) if !value.trim().is_empty() => {
                Ok(Some(Found { row, origin, value: value.trim().to_owned() }))
            }
            // Lists and tables have no text.
            other => Err(SettingsError::invalid(
                row,
                origin,
                &other.unwrap_or_else(|_| "not a single value".to_owned()),
            )),
        }
    }
}

/// Merges the layers; the file is read through `read` so that this module touches no disk.
pub(super) fn merge(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    read: impl Fn(&Path) -> std::io::Result<String>,
) -> Result<Asked, SettingsError> {
    let (flags, words) = match flags(arguments)? {
        Ok(given) => given,
        Err(asked) => return Ok(asked),
    };
    let environment = variables(environment)?;
    let mut origins = BTreeMap::new();
    let mut trust = None;
    let mut builder = Config::builder();
    let failed = |error: config::ConfigError| SettingsError::Usage(error.to_string());

    for row in TABLE {
        if let Some(default) = row.default {
            builder = builder.set_default(row.key, default).map_err(failed)?;
        }
    }
    if let Some(path) = flags.get("config").or_else(|| environment.get("config")).map(PathBuf::from) {
        let text = read(&path)
            .map_err(|error| SettingsError::File { path: path.clone(), reason: error.to_string() })?;
        let file = File::from_str(&text, FileFormat::Toml);
        let (keys, tables) = keys(&file, &path)?;
        origins.extend(keys.into_iter().map(|key| (key, Origin::File(path.clone()))));
        trust = tables.map(|value| TrustTables { path, value });
        builder = builder.add_source(file);
    }
    for (origin, layer) in [(Origin::Environment, environment), (Origin::Flag, flags)] {
        for (key, value) in layer {
            // An override beats every source; the flags come second and so beat the environment.
            builder = builder.set_override(key, value).map_err(failed)?;
            origins.insert(key, origin.clone());
        }
    }
    let values = builder.build().and_then(|config| config.collect()).map_err(failed)?;
    Ok(Asked::Settings(Merged { values: values.into_iter().collect(), origins, trust }, words))
}

/// The keys of a file, all of them known, and the one thing in it that is no single value.
fn keys(
    file: &impl config::Source,
    path: &Path,
) -> Result<(Vec<&'static str>, Option<config::Value>), SettingsError> {
    let mut values = file.collect().map_err(|error| SettingsError::File {
        path: path.to_owned(),
        // Only the first line: the others quote the file.
        reason: error.to_string().lines().next().unwrap_or("cannot be parsed").to_owned(),
    })?;
    let tables = values.remove(trust::KEY);
    let mut known = Vec::new();
    for name in values.keys() {
        // A file that names another file would make the order of layers a riddle.
        match by_key(name).filter(|row| row.key != "config") {
            Some(row) => known.push(row.key),
            None => {
                return Err(SettingsError::Unknown {
                    kind: format!("key in {}:", path.display()),
                    name: name.clone(),
                    nearest: nearest(name, TABLE.iter().map(|row| row.key).chain([trust::KEY]))
                        .map(str::to_owned),
                });
            }
        }
    }
    Ok((known, tables))
}

fn variables(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Values, SettingsError> {
    let mut values = Values::new();
    for (name, value) in environment {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        if is_somebody_elses(name, &value.to_string_lossy()) {
            continue;
        }
        let Some(row) = TABLE.iter().find(|row| row.env == name) else {
            return Err(SettingsError::Unknown {
                kind: "environment variable".to_owned(),
                name: name.to_owned(),
                nearest: match name.strip_prefix(PREFIX) {
                    Some("TRUST") => Some(trust::PLACE),
                    _ => nearest(name, TABLE.iter().map(|row| row.env)),
                }
                .map(str::to_owned),
            });
        };
        let value = value
            .into_string()
            .map_err(|value| SettingsError::invalid(row, Origin::Environment, &value.to_string_lossy()))?;
        values.insert(row.key, value);
    }
    Ok(values)
}

/// Variables of the taco command line, and those Kubernetes sets for a Service named `opentaco`.
fn is_somebody_elses(name: &str, value: &str) -> bool {
    let is_link = name.strip_prefix("OPENTACO_PORT_").is_some_and(|rest| rest.contains("_TCP"));
    matches!(name, "OPENTACO_SERVER" | "OPENTACO_TOKEN" | "OPENTACO_SERVICE_HOST")
        || name.starts_with("OPENTACO_SERVICE_PORT")
        || (name == "OPENTACO_PORT" && value.starts_with("tcp://"))
        || is_link
}

/// The flags, and the words between them.
type Given = (Values, Vec<String>);

fn flags(arguments: impl IntoIterator<Item = OsString>) -> Result<Result<Given, Asked>, SettingsError> {
    let mut normal = Vec::new();
    for argument in arguments {
        let argument = argument.into_string().map_err(|argument| {
            SettingsError::Usage(format!("the argument {:?} is not UTF-8", argument.to_string_lossy()))
        })?;
        normal.push(two_dashes(argument)?);
    }
    let mut command = command();
    let matches = match command.try_get_matches_from_mut(normal) {
        Ok(matches) => matches,
        Err(error) => return Err(usage(&error)),
    };
    if matches.get_flag("help") {
        return Ok(Err(Asked::Help(command.render_help().to_string())));
    }
    if matches.get_flag("version") {
        return Ok(Err(Asked::Version));
    }
    let value = |row: &Row| matches.get_one::<String>(row.key).map(|value| (row.key, value.clone()));
    let words = matches.get_many::<String>(WORDS).into_iter().flatten().cloned().collect();
    Ok(Ok((TABLE.iter().filter_map(value).collect(), words)))
}

fn command() -> Command {
    let value = |row: &'static Row| {
        let default = row.default.map(|default| format!(" [default: {default}]")).unwrap_or_default();
        let help = format!("{}{default} [env: {}]", row.help, row.env);
        let arg = Arg::new(row.key).long(row.flag).value_name("VALUE").action(ArgAction::Set);
        arg.help(help).help_heading(heading(row))
    };
    let switch = |name: &'static str, short, help: &'static str| {
        Arg::new(name).long(name).short(short).action(ArgAction::SetTrue).help(help)
    };
    Command::new("opentacosvc")
        .about("State for Terraform and OpenTofu teams. Flags work with one dash or two.")
        .no_binary_name(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(TABLE.iter().map(value))
        .arg(Arg::new(WORDS).value_name("COMMAND").num_args(0..).help(command::HELP))
        .arg(switch("help", 'h', "print this help"))
        .arg(switch("version", 'V', "print the version"))
        .after_help(trust::HELP)
}

/// `-storage` becomes `--storage`; a flag nobody knows is refused here, with the nearest one.
fn two_dashes(argument: String) -> Result<String, SettingsError> {
    let Some(bare) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else {
        return Ok(argument);
    };
    if bare.is_empty()
        || matches!(argument.as_str(), "-h" | "-V")
        || !bare.starts_with(|c: char| c.is_alphabetic())
    {
        return Ok(argument);
    }
    let name = bare.split('=').next().unwrap_or(bare);
    let mut known = TABLE.iter().map(|row| row.flag).chain(["help", "version"]);
    if known.any(|flag| flag == name) {
        return Ok(format!("--{bare}"));
    }
    let known = TABLE.iter().map(|row| row.flag).chain(["help", "version"]);
    Err(SettingsError::Unknown {
        kind: "flag".to_owned(),
        name: format!("-{name}"),
        nearest: match name {
            trust::KEY => Some(trust::PLACE.to_owned()),
            _ => nearest(name, known).map(|flag| format!("-{flag}")),
        },
    })
}

/// What clap found, in one line and without any value.
fn usage(error: &clap::Error) -> SettingsError {
    let about = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(about)) => {
            about.split(' ').next().unwrap_or_default().replacen("--", "-", 1)
        }
        _ => String::new(),
    };
    SettingsError::Usage(match error.kind() {
        ErrorKind::UnknownArgument => format!("there is no command or argument {about:?}"),
        ErrorKind::ArgumentConflict => format!("{about} is given more than once"),
        ErrorKind::InvalidValue | ErrorKind::TooFewValues | ErrorKind::NoEquals => {
            format!("{about} needs a value")
        }
        _ => format!("{about} cannot be understood"),
    })
}
