//! The `[[trust]]` tables of the settings file: which workloads of CI systems get a token.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config::{Map, Value};
use opentaco_domain::name::NamePattern;
use opentaco_domain::trust::{BadTrustRule, TrustRule};

use super::error::{SettingsError, without_password};
use super::table::{by_key, nearest};
use super::{identity, parse};

/// The key of the tables.
pub(super) const KEY: &str = "trust";
/// Where the tables stand, for those who look for a flag or a variable.
pub(super) const PLACE: &str = "[[trust]] in the settings file";
/// The tables, as `-help` explains them.
pub(super) const HELP: &str = "\
In the settings file only, any number of times: a rule that lets workloads of a CI system exchange their own tokens for
tokens of this server.
  [[trust]]
  name     = \"github\"                                        # becomes part of the subject: ci:github:SUB
  issuer   = \"https://token.actions.githubusercontent.com\"   # exactly as the tokens have it
  audience = \"opentaco\"                                      # what the workload asks for as audience
  claims   = { repository_id = \"1296269\", ref = \"refs/heads/*\" }
  role     = \"writer\"                                        # reader, planner, writer, operator or admin
  unit     = \"app/*\"                                         # [default: *]
  ttl      = \"1h\"                                            # [default: 1h], at most 24h";

/// A key of a rule.
struct Key {
    name: &'static str,
    default: Option<&'static str>,
    accepted: &'static str,
}

const fn key(name: &'static str, default: Option<&'static str>, accepted: &'static str) -> Key {
    Key { name, default, accepted }
}

const NAME: Key = key("name", None, "1 to 64 lower-case letters, digits or -");
const ISSUER: Key =
    key("issuer", None, "an https URL without user, query and fragment (http only on loopback)");
const AUDIENCE: Key =
    key("audience", None, "what the CI system puts into the aud of its tokens for this server");
const CLAIMS: Key = key(
    "claims",
    None,
    "a table of claims and patterns, such as { repository_id = \"1296269\", ref = \"refs/heads/*\" }",
);
const ROLE: Key = key("role", None, "reader, planner, writer, operator or admin");
const UNIT: Key = key("unit", Some("*"), "a pattern of unit names, such as app/*");
const TTL: Key = key("ttl", Some("1h"), "a duration above 0 and at most 24h, such as 15m or 1h");
const KEYS: [Key; 7] = [NAME, ISSUER, AUDIENCE, CLAIMS, ROLE, UNIT, TTL];

/// The tables as the file has them.
pub(super) struct TrustTables {
    pub(super) path: PathBuf,
    pub(super) value: Value,
}

/// One of them.
struct Table<'a> {
    path: &'a Path,
    /// Which one it is, for messages.
    rule: String,
    values: Map<String, Value>,
}

/// The rules, each of another name.
pub(super) fn rules(tables: Option<&TrustTables>) -> Result<Vec<TrustRule>, SettingsError> {
    let Some(tables) = tables else { return Ok(Vec::new()) };
    let no_tables = || SettingsError::File {
        path: tables.path.clone(),
        reason: "trust must be a list of tables; begin each rule with a line [[trust]]".to_owned(),
    };
    let mut rules: Vec<TrustRule> = Vec::new();
    for (at, value) in tables.value.clone().into_array().map_err(|_| no_tables())?.into_iter().enumerate() {
        let values = value.into_table().map_err(|_| no_tables())?;
        let table = Table::new(&tables.path, at + 1, values);
        let rule = table.rule()?;
        if rules.iter().any(|other| other.name() == rule.name()) {
            return Err(table.refused("another rule has that name; each one needs a name of its own"));
        }
        rules.push(rule);
    }
    Ok(rules)
}

impl<'a> Table<'a> {
    fn new(path: &'a Path, number: usize, values: Map<String, Value>) -> Self {
        let name = values.get(NAME.name).and_then(|name| name.clone().into_string().ok());
        let rule = match name.filter(|name| !name.trim().is_empty()) {
            Some(name) => format!("{:?}", name.trim()),
            None => format!("number {number}"),
        };
        Self { path, rule, values }
    }

    fn refused(&self, reason: impl Into<String>) -> SettingsError {
        SettingsError::Rule { rule: self.rule.clone(), path: self.path.to_owned(), reason: reason.into() }
    }

    fn rule(&self) -> Result<TrustRule, SettingsError> {
        self.check_keys()?;
        let (name, issuer, audience) = (self.text(&NAME)?, self.text(&ISSUER)?, self.text(&AUDIENCE)?);
        let claims = self.claims()?;
        let role = self.text(&ROLE)?.parse().map_err(|_| self.bad(&ROLE))?;
        let unit = NamePattern::new(self.text(&UNIT)?);
        let life = parse::duration(&self.text(&TTL)?).ok_or_else(|| self.bad(&TTL))?;
        if identity::issuer(&issuer).is_none() {
            return Err(self.bad(&ISSUER));
        }
        TrustRule::new(&name, &issuer, &audience, claims, (role, unit), life).map_err(|bad| match bad {
            BadTrustRule::Name => self.bad(&NAME),
            BadTrustRule::Issuer => self.bad(&ISSUER),
            BadTrustRule::Audience => self.bad(&AUDIENCE),
            // No one value is wrong: one is missing.
            BadTrustRule::Claims => self.refused(bad.to_string()),
            BadTrustRule::Life => self.bad(&TTL),
        })
    }

    /// Every key is known, and every one that must be there is.
    fn check_keys(&self) -> Result<(), SettingsError> {
        let is_known = |name: &&String| KEYS.iter().any(|key| key.name == name.as_str());
        // The smallest, because the order of the map is a new one each time.
        if let Some(unknown) = self.values.keys().filter(|name| !is_known(name)).min() {
            return Err(self.refused(match nearest(unknown, KEYS.iter().map(|key| key.name)) {
                // In TOML, everything below a table's header belongs to the table.
                _ if by_key(unknown).is_some() => {
                    format!("{unknown} is a setting of the server; write it above the first [[trust]]")
                }
                Some(nearest) => format!("unknown key {unknown}; did you mean {nearest}?"),
                None => format!("unknown key {unknown}; the keys are {}", names(&KEYS.each_ref())),
            }));
        }
        let is_missing = |key: &&Key| key.default.is_none() && !self.values.contains_key(key.name);
        let missing: Vec<&Key> = KEYS.iter().filter(is_missing).collect();
        match missing[..] {
            [] => Ok(()),
            [key] => Err(self.refused(format!("{} is missing; accepted: {}", key.name, key.accepted))),
            _ => Err(self.refused(format!("{} are missing", names(&missing)))),
        }
    }

    fn text(&self, key: &Key) -> Result<String, SettingsError> {
        let Some(value) = self.values.get(key.name) else {
            return Ok(key.default.unwrap_or_default().to_owned());
        };
        match value.clone().into_string() {
            Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
            _ => Err(self.bad(key)),
        }
    }

    fn claims(&self) -> Result<BTreeMap<String, NamePattern>, SettingsError> {
        let table = self.values.get(CLAIMS.name).and_then(|claims| claims.clone().into_table().ok());
        let pattern = |(claim, value): (String, Value)| match value.into_string() {
            Ok(pattern) => Ok((claim, NamePattern::new(pattern))),
            Err(_) => Err(self.refused(format!(
                "claims.{claim} is not a single value; accepted: a pattern, in which * stands for any text"
            ))),
        };
        table.ok_or_else(|| self.bad(&CLAIMS))?.into_iter().map(pattern).collect()
    }

    /// What is there is not accepted.
    fn bad(&self, key: &Key) -> SettingsError {
        let value = self.values.get(key.name).map(|value| value.clone().into_string());
        let shown = match value {
            Some(Ok(text)) => format!("{:?}", without_password(text.trim())),
            _ if key.name == CLAIMS.name => "not a table".to_owned(),
            _ => "not a single value".to_owned(),
        };
        self.refused(format!("{} is {shown}; accepted: {}", key.name, key.accepted))
    }
}

/// `a, b and c`.
fn names(keys: &[&Key]) -> String {
    let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
    match names[..] {
        [ref first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => names.concat(),
    }
}
