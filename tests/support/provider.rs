//! A real `OpenID` provider: the `oidc-provider` of npm, one process for each value.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::Url;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::port::Held;
use crate::programs::{on_path, or_skipped};
use crate::server::repository;
use crate::wait::until;

/// How long a start may take on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_mins(1);
/// The name of the one client.
pub const CLIENT_ID: &str = "opentaco";
/// The secret of the one client: full of what has to be escaped in a header and in a form, so that whoever forgets that is
/// refused.
pub const CLIENT_SECRET: &str = "quiet:please/100%+more&more=";

/// How the client proves itself at the token endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// In the `Authorization` header.
    #[default]
    Basic,
    /// In the form.
    Post,
}

/// Where e-mail and groups are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Claims {
    /// In the id token, as most providers have it, and at the userinfo endpoint.
    #[default]
    IdToken,
    /// At the userinfo endpoint alone.
    UserInfo,
}

/// The name of the loopback host in the issuer. Cookies go by it, and not by the port: two servers on `localhost` share
/// a jar, and `127.0.0.1` is another site to a browser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Host {
    /// `127.0.0.1`.
    #[default]
    Address,
    /// `localhost`.
    Name,
}

impl Host {
    fn name(self) -> &'static str {
        match self {
            Self::Address => "127.0.0.1",
            Self::Name => "localhost",
        }
    }
}

/// What a provider is started with.
#[derive(Clone, Debug, Default)]
pub struct ProviderOptions {
    /// Where it may send a browser back to; compared letter by letter.
    pub redirect_uris: Vec<String>,
    /// The port, if it was reserved; else any that is free.
    pub port: Option<u16>,
    /// The name in the issuer.
    pub host: Host,
    /// How the client proves itself; discovery offers nothing else.
    pub client_auth: ClientAuth,
    /// Where e-mail and groups are found.
    pub claims: Claims,
}

impl ProviderOptions {
    /// The usual provider, which sends browsers back to that address.
    pub fn to(redirect_uri: &str) -> Self {
        Self { redirect_uris: vec![redirect_uri.to_owned()], ..Self::default() }
    }
}

/// A port for a provider that starts later, so that a server can be told its issuer first. Keep it until then.
#[derive(Debug)]
pub struct Reserved {
    held: Held,
}

impl Reserved {
    /// The port.
    pub fn port(&self) -> u16 {
        self.held.port()
    }

    /// The issuer of a provider that will be started there under the usual name.
    pub fn issuer(&self) -> String {
        issuer(Host::default(), self.port())
    }
}

/// The library, where it was found.
#[derive(Clone, Debug)]
pub struct Installed {
    modules: PathBuf,
}

impl Installed {
    /// Starts a provider and waits until it answers.
    pub fn start(&self, options: &ProviderOptions) -> Provider {
        let held = options.port.map_or_else(Held::any, Held::this);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (modules, options) = (self.modules.clone(), options.clone());
        let mut provider = Provider { modules, options, held, folder, users: Map::new(), process: None };
        provider.write_users();
        provider.begin();
        provider
    }
}

/// A running provider on the loopback interface. Dropping it kills it; it ends, too, when we are killed.
///
/// Whoever types the login name `NAME`, with any password, has the claims `sub` and `name` = `NAME`, `email` =
/// `NAME@example.com` (`NAME` itself if there is an `@` in it), `email_verified` unless it begins with `unverified`, and
/// `groups` = `["dev"]`, with `"ops"` if it begins with `admin`. [`Provider::bend`] changes that.
#[derive(Debug)]
pub struct Provider {
    modules: PathBuf,
    options: ProviderOptions,
    /// Held while it is stopped, too: a restart finds the port free.
    held: Held,
    folder: TempDir,
    users: Map<String, Value>,
    process: Option<Child>,
}

impl Provider {
    /// Looks for the library and for the `node` that runs it.
    ///
    /// `OPENTACO_TEST_OIDC_PROVIDER` names a folder with `node_modules`, else it is what `tests/run` has installed.
    /// Without any: a failure in CI, and elsewhere a notice that the test was skipped.
    pub fn find() -> Option<Installed> {
        let named = std::env::var_os("OPENTACO_TEST_OIDC_PROVIDER").map(PathBuf::from);
        let modules = named.unwrap_or_else(|| repository().join(".clients/oidc-provider"));
        let is_there = modules.join("node_modules/oidc-provider").is_dir() && on_path("node").is_some();
        or_skipped(
            is_there.then_some(Installed { modules }),
            "no oidc-provider found: put node on the PATH and run tests/run once (it installs one into .clients/), or \
             name a folder that has it in node_modules in OPENTACO_TEST_OIDC_PROVIDER",
        )
    }

    /// Keeps a port for a provider that starts later.
    pub fn reserve() -> Reserved {
        Reserved { held: Held::any() }
    }

    /// Its issuer: `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn issuer(&self) -> String {
        issuer(self.options.host, self.port())
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.held.port()
    }

    /// The address of one of its endpoints, for those who do not ask discovery: `auth`, `token`, `jwks`, `me`.
    pub fn endpoint(&self, name: &str) -> String {
        format!("{}/{name}", self.issuer())
    }

    /// The variables that lead a server to it.
    pub fn variables(&self) -> [(&'static str, String); 3] {
        variables(&self.issuer())
    }

    /// Changes claims of a user from the next login on; a claim that is set to null is left out.
    pub fn bend(&mut self, login: &str, claims: Value) {
        self.users.insert(login.to_owned(), claims);
        self.write_users();
    }

    /// Ends it. Its port refuses connections, and nobody else gets it.
    pub fn stop(&mut self) {
        let mut process = self.process.take().expect("a running provider");
        process.kill().expect("a signal sent");
        process.wait().expect("a process to wait for");
    }

    /// Starts it again, stopped or not, on the same port and with the same keys. Its sessions and codes are gone.
    pub fn restart(&mut self) {
        if self.process.is_some() {
            self.stop();
        }
        self.begin();
    }

    /// Starts it again with another key and another key id; what it has signed before verifies no longer.
    pub fn restart_with_another_key(&mut self) {
        fs::remove_file(self.folder.path().join("jwks.json")).expect("the keys of the first start");
        self.restart();
    }

    /// What it has logged since the first start: requests without their queries, and its errors.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("a log")
    }

    fn write_users(&self) {
        let (new, users) = (self.folder.path().join("users.new"), self.folder.path().join("users.json"));
        fs::write(&new, Value::Object(self.users.clone()).to_string()).expect("a file written");
        fs::rename(new, users).expect("a file renamed");
    }

    fn begin(&mut self) {
        let settings = json!({
            "modules": self.modules,
            "folder": self.folder.path(),
            "issuer": self.issuer(),
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "client_auth": match self.options.client_auth {
                ClientAuth::Basic => "client_secret_basic",
                ClientAuth::Post => "client_secret_post",
            },
            "redirect_uris": self.options.redirect_uris,
            "userinfo_only": self.options.claims == Claims::UserInfo,
        });
        let log = File::options().create(true).append(true).open(self.folder.path().join("log"));
        let log = log.expect("a log");
        let before = self.log().len();
        let mut command = Command::new("node");
        command.arg(repository().join("tests/support/provider.mjs")).arg(settings.to_string());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        // Its input is how it hears that we are gone, and `sh` is not needed for that as it is with other servers. No
        // signal to our group may reach it before, since it has a folder to remove.
        command.stdin(Stdio::piped()).stdout(log.try_clone().expect("a log")).stderr(log);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let process = self.process.insert(command.spawn().expect("node to start"));
        let path = self.folder.path().join("log");
        until(PATIENCE, "the provider to listen", || {
            let log = fs::read_to_string(&path).expect("a log");
            let ended = process.try_wait().expect("a process to look at");
            assert!(ended.is_none(), "the provider ended:\n{log}");
            log[before..].contains("listening as ").then_some(())
        });
    }

    /// `HOST:PORT`, as a browser compares it.
    pub(crate) fn authority(&self) -> String {
        let url = Url::parse(&self.issuer()).expect("an address");
        format!("{}:{}", url.host_str().expect("a host"), self.port())
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Best effort: a test that is failing already must not be hidden by a panic here.
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            eprintln!("--- the provider said:\n{log}---");
        }
    }
}

/// The variables that lead a server to a provider with that issuer.
pub fn variables(issuer: &str) -> [(&'static str, String); 3] {
    [
        ("OPENTACO_AUTH_ISSUER", issuer.to_owned()),
        ("OPENTACO_AUTH_CLIENT_ID", CLIENT_ID.to_owned()),
        ("OPENTACO_AUTH_CLIENT_SECRET", CLIENT_SECRET.to_owned()),
    ]
}

fn issuer(host: Host, port: u16) -> String {
    format!("http://{}:{port}", host.name())
}

#[cfg(test)]
#[path = "provider_tests.rs"]
mod tests;
