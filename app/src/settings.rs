//! What an operator can set, checked once at the start.
//!
//! Every setting is a row of [`TABLE`], which gives it a flag, an environment variable, a key in the TOML file and a
//! default; [`load`] merges the four and turns text into [`Settings`], whose values need no further check.

mod command;
mod error;
mod identity;
mod layers;
mod parse;
mod table;
#[cfg(test)]
mod tests;
mod trust;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use opentaco_domain::actor::Subject;
use opentaco_domain::principal::Principal;
use opentaco_domain::trust::TrustRule;
use opentaco_domain::user::Admission;

use self::command::Command;
pub use self::error::{Origin, SettingsError};
pub use self::identity::ProviderSettings;
use self::layers::{Asked, Found, Merged, merge};
pub use self::table::{Row, TABLE};

/// Checked settings of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the server listens.
    pub listen: Listen,
    /// Where state is kept.
    pub storage: Storage,
    /// Root of local storage, generated keys and the development certificate; as given, perhaps relative.
    pub data_dir: PathBuf,
    /// Which certificate the server shows; `auto` is already decided.
    pub tls: Tls,
    /// What clients see; its path is `/`.
    pub public_base_url: Option<url::Url>,
    /// Key that signs tokens; generated when unset.
    pub tokens_private_key_pem_path: Option<PathBuf>,
    /// Key id of that key; its thumbprint when unset.
    pub tokens_kid: Option<String>,
    /// Other keys whose signatures are accepted, each of another key id.
    pub tokens_verify_pem_paths: Vec<VerifyKeyPath>,
    /// Life of access tokens.
    pub tokens_access_ttl: Duration,
    /// Life of refresh tokens.
    pub tokens_refresh_ttl: Duration,
    /// Roots of every symmetric key, newest first; generated when empty.
    pub oauth_state_key: Vec<Secret>,
    /// Life of tokens that `terraform login` gets; `None` never ends.
    pub terraform_token_ttl: Option<Duration>,
    /// Whether login asks for a name and checks nothing.
    pub auth_dev_skip_verify: bool,
    /// The identity provider that people log in with.
    pub provider: Option<ProviderSettings>,
    /// Who of the provider's users may log in.
    pub allowed: Admission,
    /// Who is administrator; never anybody of the development login.
    pub admins: BTreeSet<Principal>,
    /// Whose forwarded addresses are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Which workloads of CI systems get tokens, each rule of another name.
    pub trust: Vec<TrustRule>,
    /// Largest accepted state, in bytes.
    pub max_state_bytes: u64,
    /// How long a stopping server lets requests finish.
    pub drain_timeout: Duration,
    /// A level or a filter `tracing-subscriber` understands.
    pub log_level: String,
    /// How log lines look.
    pub log_format: LogFormat,
}

/// A host and a port to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port; 0 lets the system choose.
    pub port: u16,
}

impl Listen {
    /// Whether only this machine can connect.
    pub fn is_loopback(&self) -> bool {
        parse::is_loopback(&self.host)
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

/// Where state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In this process, gone when it ends.
    Memory,
    /// In the data dir.
    Local,
    /// In a bucket of S3, or of a store that speaks like it.
    S3(S3Settings),
}

/// Where a bucket is, and what opens it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3Settings {
    /// The bucket's name.
    pub bucket: String,
    /// The path in it, without slashes at its ends.
    pub prefix: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// The `AWS_*` variables of the environment.
    pub variables: Vec<(String, Secret)>,
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Local => f.write_str("local"),
            Self::S3(s3) => {
                write!(f, "s3://{}", s3.bucket)?;
                s3.prefix.as_ref().map_or(Ok(()), |prefix| write!(f, "/{prefix}"))
            }
        }
    }
}

/// Which certificate the server shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// The development certificate, for the loopback names and the host of the public base URL.
    Development,
    /// None: http only.
    Off,
    /// One from files.
    Files {
        /// PEM, leaf first.
        certificate: PathBuf,
        /// PEM.
        key: PathBuf,
    },
}

/// A key that verifies tokens and signs none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyKeyPath {
    /// Its key id; its thumbprint when unset.
    pub kid: Option<String>,
    /// A PEM file, of the private key or the public one.
    pub path: PathBuf,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A secret: it has no `Display`, and its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[hidden]")
    }
}

/// What the program is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Serve with these settings.
    Serve(Box<Settings>),
    /// Make an API token for somebody and print it.
    Token(Box<Settings>, Subject),
    /// Switch access control on, and make somebody administrator.
    Grant(Box<Settings>, Principal),
    /// Switch access control off.
    Open(Box<Settings>),
    /// Print this help and exit.
    Help(String),
    /// Print the version and exit.
    Version,
}

/// Reads settings from arguments (without the program's name), environment and the file they name.
///
/// # Errors
/// [`SettingsError`] for the first thing that is wrong; its text is one message for the operator.
pub fn load(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Wanted, SettingsError> {
    let environment: Vec<(OsString, OsString)> = environment.into_iter().collect();
    let variables = aws_variables(&environment);
    wanted(merge(arguments, environment, |path: &Path| std::fs::read_to_string(path))?, variables)
}

fn wanted(asked: Asked, variables: Vec<(String, Secret)>) -> Result<Wanted, SettingsError> {
    let (merged, words) = match asked {
        Asked::Help(help) => return Ok(Wanted::Help(help)),
        Asked::Version => return Ok(Wanted::Version),
        Asked::Settings(merged, words) => (merged, words),
    };
    let command = Command::read(&words)?;
    let settings = Settings::check(&merged, variables)?;
    match command {
        Command::Serve => settings.check_keys().map(|()| Wanted::Serve(Box::new(settings))),
        Command::Token(subject) => {
            settings.check_lasting("the token").map(|()| Wanted::Token(Box::new(settings), subject))
        }
        Command::Grant(principal) => {
            settings.check_lasting("the grant").map(|()| Wanted::Grant(Box::new(settings), principal))
        }
        Command::Open => settings.check_lasting("the change").map(|()| Wanted::Open(Box::new(settings))),
    }
}

/// What opens a bucket. A variable that is no text is no credential either.
fn aws_variables(environment: &[(OsString, OsString)]) -> Vec<(String, Secret)> {
    let aws = environment.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
    aws.filter(|(name, _)| name.starts_with("AWS_"))
        .map(|(name, value)| (name.to_owned(), Secret(value.to_owned())))
        .collect()
}

impl Settings {
    fn check(merged: &Merged, variables: Vec<(String, Secret)>) -> Result<Self, SettingsError> {
        let public_base_url = merged.optional("public_base_url", parse::base_url)?;
        let listen = listen(merged)?;
        let settings = Self {
            tls: tls(merged, listen.is_loopback() && public_base_url.is_none())?,
            listen,
            storage: storage(merged, variables)?,
            data_dir: merged.required("data_dir", parse::path)?,
            public_base_url,
            tokens_private_key_pem_path: merged.optional("tokens_private_key_pem_path", parse::path)?,
            tokens_kid: merged.optional("tokens_kid", parse::kid)?,
            tokens_verify_pem_paths: verify_keys(merged)?,
            tokens_access_ttl: merged.required("tokens_access_ttl", parse::ttl)?,
            tokens_refresh_ttl: merged.required("tokens_refresh_ttl", parse::ttl)?,
            oauth_state_key: merged.optional("oauth_state_key", parse::state_keys)?.unwrap_or_default(),
            terraform_token_ttl: merged.required("terraform_token_ttl", parse::life)?,
            auth_dev_skip_verify: merged.required("auth_dev_skip_verify", parse::truth)?,
            provider: identity::provider(merged)?,
            allowed: identity::allowed(merged)?,
            admins: identity::admins(merged)?,
            trusted_proxies: merged.listed("trusted_proxies", identity::network)?,
            trust: trust::rules(merged.trust.as_ref())?,
            max_state_bytes: merged.required("max_state_bytes", parse::size)?,
            drain_timeout: merged.required("drain_timeout", parse::duration)?,
            log_level: merged.required("log_level", parse::level)?,
            log_format: merged.required("log_format", parse::log_format)?,
        };
        settings.check_reach(merged)?;
        settings.check_login(merged)?;
        Ok(settings)
    }

    /// Whether only this machine can reach the server, as far as the settings say.
    pub fn is_loopback(&self) -> bool {
        self.listen.is_loopback() && self.public_base_url.as_ref().is_none_or(parse::is_loopback_url)
    }

    /// Whether several servers may share the storage.
    fn is_shared(&self) -> bool {
        matches!(self.storage, Storage::S3(_))
    }

    /// Servers that share a bucket must share their keys, so none of them may make its own.
    fn check_keys(&self) -> Result<(), SettingsError> {
        let missing = [
            (
                self.tokens_private_key_pem_path.is_none(),
                "OPENTACO_TOKENS_PRIVATE_KEY_PEM_PATH",
                "openssl genpkey -algorithm ed25519 -out token-signing.pem",
            ),
            (self.oauth_state_key.is_empty(), "OPENTACO_OAUTH_STATE_KEY", "openssl rand -base64 32"),
        ];
        let missing: Vec<_> =
            missing.iter().filter(|(is_missing, ..)| self.is_shared() && *is_missing).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let list = |part: &dyn Fn(&(bool, &str, &str)) -> String| {
            missing.iter().map(|missing| part(missing)).collect::<Vec<_>>()
        };
        Err(SettingsError::Conflict {
            name: list(&|(_, name, _)| (*name).to_owned()).join(" and "),
            reason: format!(
                "must be set with storage {}, because all servers on a bucket share their keys; make one with: {}",
                self.storage,
                list(&|(_, name, command)| format!("{command} (for {name})")).join("; ")
            ),
        })
    }

    /// What is made for later must outlive this process.
    fn check_lasting(&self, what: &str) -> Result<(), SettingsError> {
        if self.storage == Storage::Memory {
            return Err(SettingsError::Usage(format!(
                "with -storage memory {what} would be gone at once; name the storage that the server uses"
            )));
        }
        Ok(())
    }

    /// What is fit for development only stays on this machine.
    fn check_reach(&self, merged: &Merged) -> Result<(), SettingsError> {
        if let (true, true, Some(skip)) =
            (self.is_shared(), self.auth_dev_skip_verify, merged.found("auth_dev_skip_verify")?)
        {
            return Err(skip.conflict("true is for development: it is not accepted with storage s3"));
        }
        let skips = merged.found("auth_dev_skip_verify")?.filter(|_| self.auth_dev_skip_verify);
        if let (false, Some(skip)) = (self.is_loopback(), skips) {
            return Err(skip.conflict(
                "true is for development: it is accepted only when OPENTACO_LISTEN and OPENTACO_PUBLIC_BASE_URL are loopback",
            ));
        }
        let is_reached = !self.is_loopback() || !self.trusted_proxies.is_empty() || self.is_shared();
        let sampled =
            merged.found("oauth_state_key")?.filter(|_| self.oauth_state_key.iter().any(parse::is_sample));
        if let (true, Some(keys)) = (is_reached, sampled) {
            return Err(keys.conflict(
                "one of the keys is printed in documentation, so it is no secret; make your own with: openssl rand -base64 32",
            ));
        }
        if self.tokens_access_ttl > self.tokens_refresh_ttl {
            return Err(SettingsError::Conflict {
                name: "OPENTACO_TOKENS_ACCESS_TTL".to_owned(),
                reason: "must not be longer than OPENTACO_TOKENS_REFRESH_TTL: an access token would outlive the session it belongs to"
                    .to_owned(),
            });
        }
        Ok(())
    }
}

impl Merged {
    fn optional<T>(&self, key: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, SettingsError> {
        let Some(found) = self.found(key)? else { return Ok(None) };
        parse(&found.value).map(Some).ok_or_else(|| found.refused())
    }

    fn required<T>(&self, key: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, SettingsError> {
        self.optional(key, parse)?.ok_or_else(|| SettingsError::Usage(format!("{key} is not set")))
    }

    /// A list with commas, each entry of which is accepted.
    fn listed<T>(&self, key: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, SettingsError> {
        let Some(found) = self.found(key)? else { return Ok(Vec::new()) };
        found.entries().map(|entry| parse(entry).ok_or_else(|| found.refused_entry(entry))).collect()
    }
}

/// Keys that only verify. Of two with the same id, one would be looked for in vain.
fn verify_keys(merged: &Merged) -> Result<Vec<VerifyKeyPath>, SettingsError> {
    let keys = merged.listed("tokens_verify_pem_paths", parse::verify_key)?;
    let mut seen = BTreeSet::new();
    let doubled = keys.iter().filter_map(|key| key.kid.as_deref()).find(|kid| !seen.insert(*kid));
    match (doubled, merged.found("tokens_verify_pem_paths")?) {
        (Some(kid), Some(found)) => {
            Err(found.conflict(format!("{kid:?} names two keys; each one needs an id of its own")))
        }
        _ => Ok(keys),
    }
}

/// The storage, and for a bucket where it is. Nothing is ever replaced by something else.
fn storage(merged: &Merged, variables: Vec<(String, Secret)>) -> Result<Storage, SettingsError> {
    let storage = merged.required("storage", parse::storage)?;
    if !matches!(storage, Storage::S3(_)) {
        for key in ["s3_bucket", "s3_prefix", "s3_region"] {
            if let Some(found) = merged.found(key)? {
                return Err(found.conflict("is only used with OPENTACO_STORAGE=s3; set that, or unset this"));
            }
        }
        return Ok(storage);
    }
    let Some(bucket) = merged.optional("s3_bucket", parse::word)? else {
        return Err(SettingsError::Conflict {
            name: "OPENTACO_S3_BUCKET".to_owned(),
            reason: "must be set with storage s3: the name of the bucket".to_owned(),
        });
    };
    let (prefix, region) =
        (merged.optional("s3_prefix", parse::prefix)?, merged.optional("s3_region", parse::word)?);
    Ok(Storage::S3(S3Settings { bucket, prefix, region, variables }))
}

/// A port beats the port of a listen address that is set in the same place or a weaker one.
fn listen(merged: &Merged) -> Result<Listen, SettingsError> {
    let mut listen = merged.required("listen", parse::listen)?;
    let port = merged.optional("port", |port| port.parse::<u16>().ok())?;
    let rank = |key| merged.found(key).map(|found| found.map_or(0, |found| found.origin.rank()));
    if let Some(port) = port
        && rank("port")? >= rank("listen")?
    {
        listen.port = port;
    }
    Ok(listen)
}

fn tls(merged: &Merged, is_local: bool) -> Result<Tls, SettingsError> {
    let certificate = merged.optional("tls_cert_path", parse::path)?;
    let key = merged.optional("tls_key_path", parse::path)?;
    let Some(found) = merged.found("tls")? else { return Ok(Tls::Off) };
    let unused = |key: &str| -> Result<(), SettingsError> {
        match merged.found(key)? {
            Some(path) => Err(path.conflict("is only used with OPENTACO_TLS=files; set that, or unset this")),
            None => Ok(()),
        }
    };
    if found.value != "files" {
        unused("tls_cert_path")?;
        unused("tls_key_path")?;
    }
    match (found.value.as_str(), certificate, key) {
        ("auto", ..) => Ok(if is_local { Tls::Development } else { Tls::Off }),
        ("dev", ..) => Ok(Tls::Development),
        ("off", ..) => Ok(Tls::Off),
        ("files", Some(certificate), Some(key)) => Ok(Tls::Files { certificate, key }),
        ("files", ..) => Err(needs_both(&found)),
        _ => Err(found.refused()),
    }
}

fn needs_both(found: &Found) -> SettingsError {
    found.conflict("files needs OPENTACO_TLS_CERT_PATH and OPENTACO_TLS_KEY_PATH")
}
