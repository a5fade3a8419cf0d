//! The bare program, with any arguments and environment.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::Duration;

use opentaco_tests::server::{Options, Server};
use opentaco_tests::wait::{Transcript, until};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub const PATIENCE: Duration = Duration::from_secs(40);

/// A command to start the program with, in a folder of its own.
pub struct Program {
    pub folder: TempDir,
    args: Vec<String>,
    env: Vec<(String, String)>,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A process that goes on. Dropping it kills it.
pub struct Going {
    child: Child,
    pub stdout: Transcript,
    pub stderr: Transcript,
    readers: Vec<JoinHandle<()>>,
}

/// Whatever the kit tests, also where it has to be built first.
#[expect(clippy::disallowed_methods, reason = "the same variable as the kit's")]
fn binary() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("OPENTACO_TEST_SERVER") {
            return path.into();
        }
        drop(Server::start(Options::memory()));
        let test = std::env::current_exe().expect("the path of this test");
        test.ancestors().nth(2).expect("the folder of the profile").join("opentacosvc")
    })
}

impl Program {
    /// With these arguments and nothing else.
    pub fn new(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { folder, args: args.iter().map(|arg| (*arg).to_owned()).collect(), env: Vec::new() }
    }

    /// With an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// With a settings file.
    pub fn file(self, text: &str) -> Self {
        let path = self.folder.path().join("settings.toml");
        std::fs::write(&path, text).expect("a file written");
        self.env("OPENTACO_CONFIG", path.to_str().expect("text"))
    }

    /// Starts it.
    pub fn spawn(&self) -> Going {
        let mut command = Command::new(binary());
        command.env_clear().env("HOME", self.folder.path()).current_dir(self.folder.path());
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program to start");
        let (stdout, stderr) = (Transcript::default(), Transcript::default());
        let readers = vec![
            stdout.record(child.stdout.take().expect("a pipe")),
            stderr.record(child.stderr.take().expect("a pipe")),
        ];
        Going { child, stdout, stderr, readers }
    }

    /// Runs it to its end, which must come by itself.
    pub fn run(&self) -> Ended {
        self.spawn().end()
    }

    /// Demands a refusal of the settings: exit 2, one message that has all these words, and nothing left behind.
    #[track_caller]
    pub fn refused(&self, words: &[&str]) -> String {
        let ended = self.run();
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert_eq!(ended.stdout, "", "messages go to standard error");
        for word in words {
            assert!(ended.stderr.contains(word), "{word:?} is not in {}", ended.stderr);
        }
        assert_eq!(ended.stderr.trim_end().lines().count(), 1, "one message: {}", ended.stderr);
        assert!(!self.folder.path().join("opentaco-data").exists(), "nothing was made");
        ended.stderr
    }
}

impl Going {
    /// Waits until it serves on a port.
    pub fn ready(&mut self, port: u16) {
        until(PATIENCE, "the server to be ready", || {
            let ended = self.child.try_wait().expect("a process to look at");
            assert!(ended.is_none(), "it ended: {} {}", self.stdout.text(), self.stderr.text());
            get(port, "/readyz").starts_with("HTTP/1.1 200 ").then_some(())
        });
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a signal sent");
    }

    /// Waits for the end.
    pub fn end(mut self) -> Ended {
        let status =
            until(PATIENCE, "the program to end", || self.child.try_wait().expect("a process to wait for"));
        for reader in std::mem::take(&mut self.readers) {
            let _ = reader.join();
        }
        Ended { code: status.code(), stdout: self.stdout.text(), stderr: self.stderr.text() }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a path answers over http, headers included; empty when nobody does.
pub fn get(port: u16, path: &str) -> String {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().unwrap_or_default()
}
