//! The real Terraform, in a home folder of its own.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::programs::{on_path, or_skipped};
use crate::running::{Ran, Running, Terminal};
use crate::server::{Server, repository};
use crate::wait::Transcript;

/// A Terraform binary.
#[derive(Clone, Debug)]
pub struct Terraform(PathBuf);

/// Which Terraform a test runs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// The one that people have: `OPENTACO_TEST_TERRAFORM`, else `terraform` on the path, else what `tests/run` has
    /// installed. It is 1.11.4 where the suite is developed.
    V1_11,
    /// The newest one: `OPENTACO_TEST_TERRAFORM_1_15`, else what `tests/run` has installed beside the other.
    V1_15,
}

impl Terraform {
    /// Finds a release.
    ///
    /// Without it: a failure in CI, and elsewhere a notice that the test was skipped.
    pub fn find(release: Release) -> Option<Self> {
        let (variable, may_be_on_path, installed) = match release {
            Release::V1_11 => ("OPENTACO_TEST_TERRAFORM", true, "terraform"),
            Release::V1_15 => ("OPENTACO_TEST_TERRAFORM_1_15", false, "terraform-1.15"),
        };
        let named = std::env::var_os(variable).map(PathBuf::from);
        let on_path = || on_path("terraform").filter(|_| may_be_on_path);
        let installed =
            || Some(repository().join(".clients/bin").join(installed)).filter(|file| file.is_file());
        let found = named.or_else(on_path).or_else(installed).map(Self);
        let notice = format!(
            "no terraform found for {release:?}: run tests/run once (it installs one into .clients/), or name it in \
             {variable}"
        );
        or_skipped(found, &notice)
    }
}

/// An apply that asks nothing.
pub const APPLY: [&str; 3] = ["apply", "-auto-approve", "-input=false"];

/// Over which scheme Terraform talks to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Discovery and all calls over https; the development CA comes by `SSL_CERT_FILE`.
    Https,
    /// All calls over http; `opentaco.tfrc` in `~/.terraform.d` says where.
    Http,
}

/// A configuration and a home folder, ready to run commands.
pub struct Workdir {
    terraform: Terraform,
    folder: TempDir,
    host: String,
    env: Vec<(OsString, OsString)>,
}

impl Workdir {
    /// An empty configuration whose Terraform can reach the server.
    pub fn new(terraform: &Terraform, server: &Server, scheme: Scheme) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut workdir = Self { terraform: terraform.clone(), folder, host: server.host(), env: Vec::new() };
        fs::create_dir_all(workdir.cli_folder()).expect("a folder");
        fs::create_dir(workdir.path()).expect("a folder");
        workdir.hide_browsers();
        match scheme {
            Scheme::Https => workdir.set_env("SSL_CERT_FILE", server.ca_bundle()),
            Scheme::Http => {
                let to = workdir.cli_folder().join("opentaco.tfrc");
                fs::copy(server.tfrc(), to).expect("opentaco.tfrc in the data dir");
            }
        }
        workdir
    }

    /// The folder of the configuration.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("module")
    }

    /// Adds a variable to the environment of every command.
    pub fn set_env(&mut self, name: &str, value: impl Into<OsString>) {
        self.env.push((name.into(), value.into()));
    }

    /// Writes a file of the configuration.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).expect("a file written");
    }

    /// Stores a token as `terraform login` does.
    pub fn store_token(&self, token: &str) {
        let credentials = json!({"credentials": {&self.host: {"token": token}}});
        fs::write(self.credentials_file(), credentials.to_string()).expect("a file written");
    }

    /// The token that `terraform login` has stored for the server, if any.
    pub fn stored_token(&self) -> Option<String> {
        let file = fs::read(self.credentials_file()).ok()?;
        let file: Value = serde_json::from_slice(&file).expect("JSON");
        file["credentials"][&self.host]["token"].as_str().map(str::to_owned)
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.spawn(args).finish()
    }

    /// `terraform init`, asking nothing.
    pub fn init(&self) -> Ran {
        self.run(&["init", "-input=false"]).ok()
    }

    /// `terraform apply`, asking nothing.
    pub fn apply(&self) -> Ran {
        self.run(&APPLY).ok()
    }

    /// The state as `terraform state pull` gives it.
    pub fn pull(&self) -> Value {
        self.run(&["state", "pull"]).ok().json()
    }

    /// The addresses that `terraform state list` gives.
    pub fn resources(&self) -> Vec<String> {
        self.run(&["state", "list"]).ok().lines().into_iter().map(str::to_owned).collect()
    }

    /// One output, as it is.
    pub fn output(&self, name: &str) -> String {
        self.run(&["output", "-raw", name]).ok().stdout
    }

    /// The names that `terraform workspace list` gives.
    pub fn workspaces(&self) -> Vec<String> {
        let list = self.run(&["workspace", "list"]).ok();
        // After an empty line it may say where the choice comes from.
        let names = list.stdout.split("\n\n").next().unwrap_or_default().lines();
        names.map(|line| line.trim_start_matches('*').trim().to_owned()).collect()
    }

    /// Demands a plan with or without something to do.
    pub fn expect_plan(&self, has_changes: bool) -> Ran {
        let plan = self.run(&["plan", "-detailed-exitcode", "-input=false"]);
        // 2 is Terraform's word for "there is something to do".
        assert_eq!(plan.status.code(), Some(if has_changes { 2 } else { 0 }), "{plan:?}");
        plan
    }

    /// Runs a command with something typed on its standard input.
    pub fn run_with_input(&self, args: &[&str], input: &str) -> Ran {
        let mut running = self.start(args, Stdio::piped());
        let mut stdin = running.child.stdin.take().expect("a pipe");
        // A command that asks nothing closes the pipe, which is no failure.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        running.finish()
    }

    /// Starts a command.
    pub fn spawn(&self, args: &[&str]) -> Running {
        self.start(args, Stdio::null())
    }

    /// Starts a command on a terminal, where it may ask questions.
    pub fn spawn_on_terminal(&self, args: &[&str]) -> Terminal {
        let (pty, pts) = pty_process::blocking::open().expect("a pseudo-terminal");
        // Wide enough that the address of the login stays on one line.
        pty.resize(pty_process::Size::new(50, 1000)).expect("a size");
        let mut command = pty_process::blocking::Command::new(&self.terraform.0)
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("TERM", "dumb");
        for (name, value) in self.environment() {
            command = command.env(name, value);
        }
        let child = command.spawn(pts).expect("terraform to start");
        let output = Transcript::default();
        let pty = OwnedFd::from(pty);
        let keyboard = fs::File::from(pty.try_clone().expect("a descriptor"));
        let readers = vec![output.record(fs::File::from(pty))];
        Terminal {
            keyboard,
            running: Running { child, stdout: output, stderr: Transcript::default(), readers },
        }
    }

    fn start(&self, args: &[&str], stdin: Stdio) -> Running {
        let mut command = Command::new(&self.terraform.0);
        command.args(args).current_dir(self.path()).env_clear().envs(self.environment());
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("terraform to start");
        let (stdout, stderr) = (Transcript::default(), Transcript::default());
        let readers = vec![
            stdout.record(child.stdout.take().expect("a pipe")),
            stderr.record(child.stderr.take().expect("a pipe")),
        ];
        Running { child, stdout, stderr, readers }
    }

    /// Nothing of the caller's environment but the path: no configuration, no tokens, no automation.
    fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut path = self.blind_folder().into_os_string();
        if let Some(rest) = std::env::var_os("PATH") {
            path.push(":");
            path.push(rest);
        }
        let mut environment: Vec<(OsString, OsString)> = vec![
            ("PATH".into(), path),
            ("HOME".into(), self.folder.path().join("home").into()),
            ("TF_CLI_ARGS".into(), "-no-color".into()),
            ("CHECKPOINT_DISABLE".into(), "1".into()),
            ("BROWSER".into(), "false".into()),
        ];
        environment.extend(self.env.iter().cloned());
        environment
    }

    /// Programs that a desktop opens addresses with, made harmless: the test is the browser.
    fn hide_browsers(&self) {
        let script = self.blind_folder().join("xdg-open");
        fs::create_dir(self.blind_folder()).expect("a folder");
        fs::write(&script, "#!/bin/sh\nexit 1\n").expect("a file written");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("an executable");
        for name in ["x-www-browser", "www-browser", "wslview", "open"] {
            symlink(&script, self.blind_folder().join(name)).expect("a link");
        }
    }

    fn blind_folder(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    fn cli_folder(&self) -> PathBuf {
        self.folder.path().join("home/.terraform.d")
    }

    /// Where Terraform keeps tokens.
    pub fn credentials_file(&self) -> PathBuf {
        self.cli_folder().join("credentials.tfrc.json")
    }
}
