//! The server as its users have it: a process with settings, output, and a folder.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::seaweed::{Identity, Seaweed};
use crate::wait::{Transcript, until};

/// How long a start, a stop or a line of output may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(40);

/// Keys that servers on one bucket share: they must accept each other's codes and tickets.
const SIGNING_KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
                           MC4CAQAwBQYDK2VwBCIEIIdYrIQh/J0U/R04t4ziqDsYVEX4NS07TyXw8fVV9+Mv\n\
                           -----END PRIVATE KEY-----\n";
const STATE_KEY: &str = "a key that only the servers of these tests have";

/// Which storage the server is started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// `-storage local`, in a fresh folder.
    Local,
    /// `-storage memory`.
    Memory,
    /// `-storage s3`, under a fresh prefix of one bucket.
    S3,
}

impl Storage {
    /// Whether it can be had on this machine. If not, that is a failure in CI, and elsewhere a notice that the test was
    /// skipped.
    pub fn is_there(self) -> bool {
        self != Self::S3 || Seaweed::find().is_some()
    }
}

/// What differs from the settings of the first minute.
#[derive(Clone, Debug)]
pub struct Options {
    storage: Storage,
    env: Vec<(String, String)>,
    args: Vec<String>,
}

impl Options {
    /// Local storage, login by one-time code.
    pub fn local() -> Self {
        Self { storage: Storage::Local, env: Vec::new(), args: Vec::new() }
    }

    /// Storage that forgets, login by one-time code.
    pub fn memory() -> Self {
        Self { storage: Storage::Memory, ..Self::local() }
    }

    /// Storage in a bucket, login by one-time code. Ask [`Storage::is_there`] first.
    pub fn s3() -> Self {
        Self { storage: Storage::S3, ..Self::local() }
    }

    /// That storage, login by one-time code.
    pub fn on(storage: Storage) -> Self {
        Self { storage, ..Self::local() }
    }

    /// The development login: a name, and nothing is checked.
    #[must_use]
    pub fn dev_login(self) -> Self {
        self.env("OPENTACO_AUTH_DEV_SKIP_VERIFY", "true")
    }

    /// One more setting.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.into());
        self
    }
}

/// A running server on a free loopback port with a folder of its own. Dropping it kills it.
pub struct Server {
    options: Options,
    folder: Arc<TempDir>,
    /// Where it keeps things on S3.
    bucket: Option<Place>,
    port: u16,
    process: Option<Process>,
    codes_given: Mutex<usize>,
}

/// A prefix of its own in the bucket of this process.
#[derive(Clone, Debug)]
struct Place {
    bucket: &'static str,
    prefix: String,
}

impl Place {
    fn fresh() -> Self {
        // One bucket for all: each takes room on the disk before its first object.
        static BUCKET: OnceLock<String> = OnceLock::new();
        static PLACES: AtomicU32 = AtomicU32::new(0);
        let bucket = BUCKET
            .get_or_init(|| Seaweed::find().expect("a test on S3 asks first whether it is there").bucket());
        Self { bucket, prefix: format!("place/{}", PLACES.fetch_add(1, Ordering::Relaxed)) }
    }
}

struct Process {
    child: Child,
    output: Transcript,
    readers: [JoinHandle<()>; 2],
}

impl Server {
    /// Starts a server and waits until it is ready.
    pub fn start(options: Options) -> Self {
        let bucket = (options.storage == Storage::S3).then(Place::fresh);
        Self::start_in(options, new_folder(), bucket)
    }

    /// Starts a second server on the same data, with the same settings and keys and a port of its own.
    pub fn second(&self) -> Self {
        self.second_with(|same| same)
    }

    /// Starts a second server on the same data, whose settings differ.
    pub fn second_with(&self, change: impl FnOnce(Options) -> Options) -> Self {
        let folder = match self.options.storage {
            Storage::Local => self.folder.clone(),
            Storage::S3 => new_folder(),
            Storage::Memory => panic!("nobody shares another process's memory"),
        };
        Self::start_in(change(self.options.clone()), folder, self.bucket.clone())
    }

    fn start_in(options: Options, folder: Arc<TempDir>, bucket: Option<Place>) -> Self {
        let codes_given = Mutex::new(0);
        let mut server = Self { options, folder, bucket, port: 0, process: None, codes_given };
        // Another process may take the free port between our look and the server's bind.
        for _ in 0..4 {
            server.port = free_port();
            match server.try_start() {
                Ok(()) => return server,
                Err(output) if output.to_lowercase().contains("in use") => {}
                Err(output) => panic!("the server did not start:\n{output}"),
            }
        }
        panic!("no port was free four times in a row");
    }

    /// Stops a server that runs, and starts it again on the same port and folder.
    pub fn restart(&mut self) {
        if self.process.is_some() {
            self.stop();
        }
        until(PATIENCE, "the port to be free again", || TcpListener::bind(self.loopback()).ok().map(drop));
        if let Err(output) = self.try_start() {
            panic!("the server did not start again:\n{output}");
        }
    }

    /// Restarts with one setting changed.
    pub fn restart_with(&mut self, name: &str, value: &str) {
        self.set(name, value);
        self.restart();
    }

    /// Changes a setting from the next start on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.options.env.retain(|(known, _)| known != name);
        self.options.env.push((name.into(), value.into()));
    }

    /// What a server says that must not start.
    pub fn does_not_start(options: Options) -> String {
        let bucket = (options.storage == Storage::S3).then(Place::fresh);
        let (port, codes_given) = (free_port(), Mutex::new(0));
        let mut server = Self { options, folder: new_folder(), bucket, port, process: None, codes_given };
        server.try_start().expect_err("an end before it is ready")
    }

    /// Asks the server to stop (SIGTERM); it must drain and leave with 0.
    pub fn stop(&mut self) {
        let mut process = self.process.take().expect("a running server");
        kill_process(Pid::from_child(&process.child), Signal::TERM).expect("a signal sent");
        let status = process.wait();
        let output = process.finish();
        assert_eq!(status.code(), Some(0), "a stopped server exits with 0; it said:\n{output}");
    }

    /// Ends the server without a word (SIGKILL), as a power cut would.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("a running server");
        process.child.kill().expect("a signal sent");
        process.wait();
        process.finish();
    }

    /// The newest one-time login code that this function has not given yet.
    ///
    /// The server prints the next code only after one was used, so asking again waits for it.
    pub fn login_code(&self) -> String {
        let mut given = self.codes_given.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, code) = self.transcript().wait_for(PATIENCE, "a new login code", |text| {
            let codes: Vec<&str> = login_codes(text).collect();
            (codes.len() > *given).then(|| (codes.len(), codes[codes.len() - 1].to_owned()))
        });
        *given = count;
        code
    }

    /// Whether its storage is a bucket.
    pub fn is_on_a_bucket(&self) -> bool {
        self.bucket.is_some()
    }

    /// A token for somebody, made beside the server by who holds its storage.
    pub fn admin_token(&self, subject: &str) -> String {
        self.admin(&["token", subject])
    }

    /// Runs an `admin` command beside the server, as who holds its storage, and gives what it printed.
    pub fn admin(&self, args: &[&str]) -> String {
        let ran = self.command().arg("admin").args(args).output().expect("the program to run");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).trim().to_owned()
    }

    /// Everything the running process has printed, standard error included.
    pub fn output(&self) -> String {
        self.transcript().text()
    }

    /// Waits until it has printed a text: what it logs comes a moment after what it does.
    pub fn wait_for(&self, text: &str) {
        self.transcript().wait_for(PATIENCE, text, |said| said.contains(text).then_some(()));
    }

    /// The port, the same for both schemes.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What Terraform calls the host: `localhost:PORT`.
    pub fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// `http://localhost:PORT`.
    pub fn base_http(&self) -> String {
        format!("http://{}", self.host())
    }

    /// `https://localhost:PORT`.
    pub fn base_https(&self) -> String {
        format!("https://{}", self.host())
    }

    /// The folder with storage, keys and certificates.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The system's roots plus the development CA: what `SSL_CERT_FILE` is set to.
    pub fn ca_bundle(&self) -> PathBuf {
        self.data_dir().join("tls").join("ca-bundle.pem")
    }

    /// The development CA alone.
    pub fn ca(&self) -> PathBuf {
        self.data_dir().join("tls").join("ca.pem")
    }

    /// The CLI configuration that lets Terraform use plain http.
    pub fn tfrc(&self) -> PathBuf {
        self.data_dir().join("opentaco.tfrc")
    }

    fn transcript(&self) -> &Transcript {
        &self.process.as_ref().expect("a running server").output
    }

    fn loopback(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Starts the process; an exit before it is ready gives what it printed.
    fn try_start(&mut self) -> Result<(), String> {
        *self.codes_given.get_mut().unwrap_or_else(PoisonError::into_inner) = 0;
        let mut process = Process::spawn(&mut self.command());
        let address = self.loopback();
        let ready = until(PATIENCE, "the server to be ready", || {
            if process.child.try_wait().expect("a process to look at").is_some() {
                return Some(false);
            }
            is_ready(address).then_some(true)
        });
        if !ready {
            return Err(process.finish());
        }
        self.process = Some(process);
        Ok(())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command.env_clear().env("HOME", self.folder.path()).current_dir(self.folder.path());
        if let Some(bucket) = &self.bucket {
            let key = self.folder.path().join("signing.pem");
            fs::write(&key, SIGNING_KEY).expect("a file written");
            command
                .env("OPENTACO_TOKENS_PRIVATE_KEY_PEM_PATH", key)
                .env("OPENTACO_OAUTH_STATE_KEY", STATE_KEY);
            command.envs(Seaweed::find().expect("it made the bucket").variables(Identity::Admin));
            command.arg("-s3-bucket").arg(bucket.bucket).arg("-s3-prefix").arg(&bucket.prefix);
        }
        command.envs(self.options.env.iter().map(|(name, value)| (name, value)));
        command.arg("-port").arg(self.port.to_string());
        command.arg("-storage").arg(match self.options.storage {
            Storage::Local => "local",
            Storage::Memory => "memory",
            Storage::S3 => "s3",
        });
        command.arg("-data-dir").arg(self.data_dir()).args(&self.options.args);
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Best effort: a test that is failing already must not be hidden by a panic here.
            let _ = process.child.kill();
            let _ = process.child.wait();
            if std::thread::panicking() {
                eprintln!("--- the server said:\n{}---", process.finish());
            }
        }
    }
}

impl Process {
    fn spawn(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the server's binary to start");
        let output = Transcript::default();
        let stdout = output.record(child.stdout.take().expect("a pipe"));
        let stderr = output.record(child.stderr.take().expect("a pipe"));
        Self { child, output, readers: [stdout, stderr] }
    }

    fn wait(&mut self) -> ExitStatus {
        until(PATIENCE, "the server to exit", || self.child.try_wait().expect("a process to wait for"))
    }

    /// All it ever said; call it after the exit.
    fn finish(self) -> String {
        for reader in self.readers {
            let _ = reader.join();
        }
        self.output.text()
    }
}

fn new_folder() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().expect("a temporary folder"))
}

/// A port of the loopback interface that nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback interface");
    listener.local_addr().expect("an address").port()
}

/// Whether `/readyz` answers 200. Spoken by hand, so that no runtime is needed to start a server.
fn is_ready(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(
            stream,
            "GET /readyz HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n\r\n",
            address.port()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
}

/// The one-time codes in what the server printed, oldest first: each begins a line. A refusal in the log quotes the form.
fn login_codes(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let code = line.trim_start().strip_prefix("login code: ")?.get(..9)?;
        let of_a_code = |(i, c): (usize, char)| if i == 4 { c == '-' } else { c.is_ascii_alphanumeric() };
        code.chars().enumerate().all(of_a_code).then_some(code)
    })
}

/// The server's binary, built once per test process.
///
/// `OPENTACO_TEST_SERVER` names another one, for instance from a release.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("OPENTACO_TEST_SERVER") {
        Some(path) => path.into(),
        None => build(),
    })
}

fn build() -> PathBuf {
    // …/TARGET/PROFILE/deps/NAME-HASH: the same folder and profile, or everything is built twice.
    let test = std::env::current_exe().expect("the path of this test");
    let folder = test.ancestors().nth(2).expect("the folder of the profile").to_path_buf();
    let target = folder.parent().expect("the target folder");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // `--package`, because features must be those of the shipped binary: the workspace as a whole also
    // switches on what only tests need.
    let built = Command::new(cargo)
        .current_dir(repository())
        // Cargo tells this process about itself; a build that hears of it would begin anew.
        .env_remove("CARGO_MANIFEST_DIR")
        .args(["build", "--quiet", "--package", "opentaco", "--bin", "opentacosvc", "--profile", profile])
        .arg("--target-dir")
        .arg(target)
        .status()
        .expect("cargo to run");
    assert!(built.success(), "opentacosvc does not build");
    let binary = folder.join("opentacosvc");
    assert!(fs::exists(&binary).unwrap_or(false), "no binary at {}", binary.display());
    binary
}

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the repository")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_code_is_the_last_whole_line() {
        let said = "x\n login code: AAAA-1111\nnoise\nlogin code: BBBB-2222\nWARN \"the line `login code: XXXX-XXXX`\"\n\
                    login code: CC";
        assert_eq!(login_codes(said).collect::<Vec<_>>(), ["AAAA-1111", "BBBB-2222"]);
    }
}
