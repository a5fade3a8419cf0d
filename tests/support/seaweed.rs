//! `SeaweedFS`: a real S3 server, one for each test process.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::signer::Signer;
use rustix::process::getpid;

use crate::programs::{on_path, or_skipped};
use crate::server::repository;
use crate::wait::until;

/// How long it may take until it takes a bucket; a first start needs some four seconds.
const PATIENCE: Duration = Duration::from_mins(1);
const SECRET: &str = "secretsecret";
/// The server, and whoever ends it when the pipe from us breaks: we may be killed at any moment.
const KEEPER: &str = r#"folder=$1; shift
"$@" >"$folder/log" 2>&1 &
server=$!
read -r _
kill -9 "$server"
wait "$server" 2>/dev/null
rm -rf "$folder""#;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// May do everything.
    Admin,
    /// May read and write, but not list.
    Listless,
    /// May read and list, but not write.
    Reader,
}

impl Identity {
    fn key(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Listless => "listless",
            Self::Reader => "reader",
        }
    }
}

/// A running server.
#[derive(Debug)]
pub struct Seaweed {
    port: u16,
    buckets: AtomicU32,
    keeper: Child,
}

impl Seaweed {
    /// The server of this process, started when it is first asked for.
    ///
    /// `OPENTACO_TEST_WEED`, else `weed` on the path, else what `tests/run` has installed. Without any: a failure in CI,
    /// and elsewhere a notice that the test was skipped.
    pub fn find() -> Option<&'static Self> {
        static SERVER: OnceLock<Option<Seaweed>> = OnceLock::new();
        let found = SERVER.get_or_init(|| binary().map(|binary| Self::start(&binary)));
        or_skipped(
            found.as_ref(),
            "no SeaweedFS found: run tests/run once (it installs one into .clients/), put weed on the PATH, or name it \
             in OPENTACO_TEST_WEED",
        )
    }

    fn start(binary: &Path) -> Self {
        // The signer is made of a client that would speak TLS. That a provider is there already is what we want.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Another process may take a port between our look and the server's bind.
        for _ in 0..4 {
            if let Some(server) = Self::try_start(binary) {
                return server;
            }
        }
        panic!("SeaweedFS found no free ports four times in a row");
    }

    fn try_start(binary: &Path) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder").keep();
        let identities = [
            (Identity::Admin, r#""Admin","Read","Write","List","Tagging""#),
            (Identity::Listless, r#""Read","Write""#),
            (Identity::Reader, r#""Read","List""#),
        ];
        let identities = identities.map(|(identity, actions)| {
            let key = identity.key();
            format!(
                r#"{{"name":"{key}","credentials":[{{"accessKey":"{key}","secretKey":"{SECRET}"}}],"actions":[{actions}]}}"#
            )
        });
        let config = folder.join("identities.json");
        fs::write(&config, format!(r#"{{"identities":[{}]}}"#, identities.join(",")))
            .expect("a file written");
        fs::create_dir(folder.join("data")).expect("a folder");

        let ports = free_ports();
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "sh"]).arg(&folder).arg(binary);
        command.args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"]);
        command.args(["-volume.max=50", "-master.volumeSizeLimitMB=64", "-volume.fileSizeLimitMB=64"]);
        command.args(["-s3", "-s3.autoCreateBucket=false", "-s3.iam=false"]);
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0"]);
        command.arg(format!("-dir={}", folder.join("data").display()));
        command.arg(format!("-s3.config={}", config.display()));
        for (name, port) in ["s3", "master", "volume", "filer"].iter().zip(ports.chunks(2)) {
            command.arg(format!("-{name}.port={}", port[0]));
            command.arg(format!("-{name}.port.grpc={}", port[1]));
        }
        // The keeper outlives us by a moment: no signal to our group may reach it, and it must not hold what a caller of
        // the tests reads to its end.
        command.process_group(0);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).current_dir(&folder);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let keeper = command.spawn().expect("sh to start");
        let server = Self { port: ports[0], buckets: AtomicU32::new(0), keeper };
        let log = folder.join("log");
        let ready = until(PATIENCE, "SeaweedFS to make a bucket", || {
            let taken = fs::read_to_string(&log).is_ok_and(|log| log.contains("address already in use"));
            if taken { Some(false) } else { server.ask(&reqwest::Method::PUT, "first", "").then_some(true) }
        });
        ready.then_some(server)
    }

    /// A new bucket; gives its name.
    pub fn bucket(&self) -> String {
        let number = self.buckets.fetch_add(1, Ordering::Relaxed);
        let name = format!("bucket-{}-{number}", getpid().as_raw_nonzero());
        assert!(self.ask(&reqwest::Method::PUT, &name, ""), "no bucket {name}");
        // The first write to a bucket makes room on the disk, which may take longer than a client waits.
        until(PATIENCE, "SeaweedFS to take an object", || {
            self.ask(&reqwest::Method::PUT, &name, "first").then_some(())
        });
        assert!(self.ask(&reqwest::Method::DELETE, &name, "first"), "no object is removed");
        name
    }

    /// The port of the S3 server on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The variables that lead a client to this server.
    pub fn variables(&self, identity: Identity) -> Vec<(String, String)> {
        variables(self.port, identity)
    }

    /// A plain client of a bucket, without OpenTaco.
    pub fn client(&self, bucket: &str) -> AmazonS3 {
        AmazonS3Builder::new()
            .with_endpoint(format!("http://127.0.0.1:{}", self.port))
            .with_allow_http(true)
            .with_bucket_name(bucket)
            .with_access_key_id(Identity::Admin.key())
            .with_secret_access_key(SECRET)
            .build()
            .expect("a client")
    }

    /// Asks by a signed address, since a client of objects makes no bucket; without a key of the bucket itself. Says
    /// whether it was done.
    fn ask(&self, method: &reqwest::Method, bucket: &str, key: &str) -> bool {
        let client = self.client(bucket);
        let key = object_store::path::Path::from(key);
        let signed = client.signed_url(method.clone(), &key, Duration::from_mins(1)).now_or_never();
        let signed = signed.expect("fixed credentials need no waiting").expect("an address");
        let path = format!("{}?{}", signed.path(), signed.query().expect("a signature"));
        let address: SocketAddr = (Ipv4Addr::LOCALHOST, self.port).into();
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            let host = format!("127.0.0.1:{}", self.port);
            write!(
                stream,
                "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 20"))
    }
}

impl Drop for Seaweed {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // Best effort: it ends by itself, too.
        let _ = self.keeper.wait();
    }
}

/// The variables that lead a client to a server on that port.
pub fn variables(port: u16, identity: Identity) -> Vec<(String, String)> {
    let pairs = [
        ("AWS_ACCESS_KEY_ID", identity.key().to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
        ("AWS_ENDPOINT_URL_S3", format!("http://127.0.0.1:{port}")),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

fn binary() -> Option<PathBuf> {
    let named = std::env::var_os("OPENTACO_TEST_WEED").map(PathBuf::from);
    let installed = || Some(repository().join(".clients/bin/weed")).filter(|file| file.is_file());
    named.or_else(|| on_path("weed")).or_else(installed)
}

/// Eight ports that nobody listens on; all held at once, so that they differ.
fn free_ports() -> Vec<u16> {
    let bind = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback interface");
    let held: Vec<TcpListener> = (0..8).map(bind).collect();
    held.iter().map(|listener| listener.local_addr().expect("an address").port()).collect()
}
