//! Real sockets and real TLS against a running server.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{Serve, Tls, bind, scheme, serve};

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// Far longer than any test may take, so that it never is the reason a test passes.
const LONG: Duration = Duration::from_mins(1);
/// A stop that waits for anything at all takes longer than this: a silent client has 5 s, an idle one 75 s.
const AT_ONCE: Duration = Duration::from_secs(3);

struct Running {
    port: u16,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<io::Result<()>>,
    client: Arc<ClientConfig>,
    entered: mpsc::UnboundedReceiver<()>,
    gate: Arc<Semaphore>,
}

enum Mode {
    Off,
    Both,
    Only,
}

impl Running {
    fn start(mode: &Mode, drain_timeout: Duration) -> Result<Self, Box<dyn std::error::Error>> {
        let (server, client) = certificates()?;
        let listeners = bind("127.0.0.1", 0)?;
        let port = listeners.first().ok_or("no listener")?.local_addr()?.port();
        let tls = match mode {
            Mode::Off => Tls::Off,
            Mode::Both => Tls::Both(server),
            Mode::Only => Tls::Only(server),
        };
        let (entering, entered) = mpsc::unbounded_channel();
        let gate = Arc::new(Semaphore::new(0));
        let waiting = Arc::clone(&gate);
        let configure = move |config: &mut web::ServiceConfig| {
            let (entering, waiting) = (entering.clone(), Arc::clone(&waiting));
            let slow = move || {
                let (entering, waiting) = (entering.clone(), Arc::clone(&waiting));
                async move {
                    let _ = entering.send(());
                    let _permit = waiting.acquire().await;
                    HttpResponse::Ok().body("slow")
                }
            };
            config
                .route("/scheme", web::get().to(|request: HttpRequest| async move { scheme(&request) }))
                .route("/slow", web::get().to(slow))
                .route("/broken", web::get().to(broken));
        };
        let (stop, stopped) = oneshot::channel();
        let parts = Serve { max_connections: 1000, listeners, tls, drain_timeout, workers: 2 };
        let ended = tokio::spawn(serve(parts, configure, async move {
            let _ = stopped.await;
        }));
        Ok(Self { port, stop, ended, client, entered, gate })
    }

    fn http(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(LONG))?;
        Ok(stream)
    }

    fn https(&self) -> Result<StreamOwned<ClientConnection, TcpStream>, Box<dyn std::error::Error>> {
        let connection = ClientConnection::new(Arc::clone(&self.client), ServerName::try_from("localhost")?)?;
        Ok(StreamOwned::new(connection, self.http()?))
    }

    async fn stop(self) -> TestResult {
        let _ = self.stop.send(());
        Ok(tokio::time::timeout(AT_ONCE, self.ended).await???)
    }
}

async fn broken() -> HttpResponse {
    let parts = [Ok(Bytes::from_static(b"half")), Err(io::Error::other("the disk is gone"))];
    HttpResponse::Ok().streaming(futures_util::stream::iter(parts))
}

fn certificates() -> Result<(Arc<ServerConfig>, Arc<ClientConfig>), Box<dyn std::error::Error>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone())?;
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((Arc::new(server), Arc::new(client)))
}

/// Sends one request and reads until the server closes.
async fn ask<S: Read + Write + Send + 'static>(
    mut stream: S,
    target: &str,
    headers: &str,
) -> io::Result<String> {
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    spawn_blocking(move || {
        stream.write_all(request.as_bytes())?;
        stream.flush()?;
        Ok(rest(&mut stream))
    })
    .await?
}

/// Everything until the end, however the connection ends.
fn rest(stream: &mut impl Read) -> String {
    let (mut all, mut buffer) = (Vec::new(), [0; 1024]);
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        all.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Sends a request on a connection that stays open and reads exactly its answer.
fn keep_alive(stream: &mut (impl Read + Write), scheme: &str) -> io::Result<()> {
    stream.write_all(b"GET /scheme HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    stream.flush()?;
    let (mut all, mut byte) = (String::new(), [0]);
    while !all.ends_with(&format!("\r\n\r\n{scheme}")) {
        stream.read_exact(&mut byte)?;
        all.push(char::from(byte[0]));
    }
    Ok(())
}

const LIES: &str = "X-Forwarded-Proto: gopher\r\nForwarded: proto=gopher\r\nConnection: close\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn scheme_is_that_of_the_connection_and_never_of_a_header() -> TestResult {
    let server = Running::start(&Mode::Both, LONG)?;
    let plain = ask(server.http()?, "/scheme", LIES).await?;
    assert!(plain.starts_with("HTTP/1.1 200") && plain.ends_with("\r\n\r\nhttp"), "{plain}");
    let secure = ask(server.https()?, "/scheme", LIES).await?;
    assert!(secure.starts_with("HTTP/1.1 200") && secure.ends_with("\r\n\r\nhttps"), "{secure}");
    let absolute = ask(server.http()?, "https://localhost/scheme", LIES).await?;
    assert!(absolute.ends_with("\r\n\r\nhttp"), "{absolute}");
    server.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_speaks_only_what_it_was_set_to() -> TestResult {
    let off = Running::start(&Mode::Off, LONG)?;
    assert!(ask(off.http()?, "/scheme", LIES).await?.ends_with("\r\n\r\nhttp"));
    assert!(ask(off.https()?, "/scheme", LIES).await.is_err());
    off.stop().await?;

    let only = Running::start(&Mode::Only, LONG)?;
    assert!(ask(only.https()?, "/scheme", LIES).await?.ends_with("\r\n\r\nhttps"));
    assert!(!ask(only.http()?, "/scheme", LIES).await?.contains("HTTP/1.1"));
    only.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_finish_after_stop() -> TestResult {
    let mut server = Running::start(&Mode::Both, LONG)?;
    let plain = tokio::spawn(ask(server.http()?, "/slow", ""));
    let secure = tokio::spawn(ask(server.https()?, "/slow", ""));
    for _ in 0..2 {
        server.entered.recv().await.ok_or("the handlers are gone")?;
    }
    let (port, gate) = (server.port, Arc::clone(&server.gate));
    let _ = server.stop.send(());
    // The port refuses newcomers while the two are still being answered.
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!server.ended.is_finished());
    gate.add_permits(2);
    for answer in [plain.await??, secure.await??] {
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("slow"), "{answer}");
    }
    Ok(tokio::time::timeout(AT_ONCE, server.ended).await???)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_never_ends_is_cut_at_the_drain_timeout() -> TestResult {
    let mut server = Running::start(&Mode::Both, Duration::from_millis(1))?;
    let stuck = tokio::spawn(ask(server.http()?, "/slow", ""));
    server.entered.recv().await.ok_or("the handler is gone")?;
    server.stop().await?;
    assert_eq!(stuck.await??, "");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_and_silent_connections_close_at_once_on_stop() -> TestResult {
    let server = Running::start(&Mode::Both, LONG)?;
    let (mut plain, mut secure, mut silent) = (server.http()?, server.https()?, server.http()?);
    keep_alive(&mut plain, "http")?;
    keep_alive(&mut plain, "http")?;
    keep_alive(&mut secure, "https")?;
    keep_alive(&mut secure, "https")?;
    server.stop().await?;
    assert_eq!(rest(&mut plain), "");
    assert_eq!(rest(&mut secure), "");
    assert_eq!(rest(&mut silent), "");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_is_closed_without_an_answer() -> TestResult {
    let server = Running::start(&Mode::Both, LONG)?;
    let mut silent = server.http()?;
    let closing = spawn_blocking(move || rest(&mut silent));
    // The read itself waits a minute before it gives up, so only the server can end this in time.
    assert_eq!(tokio::time::timeout(Duration::from_secs(15), closing).await??, "");
    server.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_fails_cuts_its_connection_and_nothing_else() -> TestResult {
    let server = Running::start(&Mode::Both, LONG)?;
    for _ in 0..4 {
        let answer = ask(server.http()?, "/broken", "").await?;
        assert!(!answer.ends_with("0\r\n\r\n"), "a cut body must not look whole: {answer}");
    }
    assert!(ask(server.https()?, "/scheme", LIES).await?.ends_with("https"));
    server.stop().await
}

#[test]
fn localhost_means_the_same_port_on_every_loopback_this_machine_has() -> TestResult {
    let listeners = bind("localhost", 0)?;
    let mut addresses = Vec::new();
    for listener in &listeners {
        addresses.push(listener.local_addr()?);
    }
    assert!(addresses.iter().all(|address| address.ip().is_loopback()), "{addresses:?}");
    assert!(addresses.iter().all(|address| address.port() == addresses[0].port()), "{addresses:?}");
    let has_v6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    assert_eq!(listeners.len(), if has_v6 { 2 } else { 1 });
    Ok(())
}

#[test]
fn a_port_in_use_is_named() -> TestResult {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    let error = bind("127.0.0.1", port).err().ok_or("two servers on one port")?;
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().starts_with(&format!("cannot listen on 127.0.0.1:{port}: ")), "{error}");
    Ok(())
}
