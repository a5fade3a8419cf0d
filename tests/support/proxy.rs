//! A proxy that passes bytes on and remembers which requests it saw.

use std::io::{self, BufRead, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// More bytes than the head of any request here has.
const MOST_HEAD: u64 = 64 * 1024;

/// A proxy before a server on the loopback interface. It lives as long as the process.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// A proxy before that port.
    pub fn before(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback interface");
        let own = listener.local_addr().expect("an address").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { continue };
                let (client_out, server_out) = (client.try_clone(), server.try_clone());
                let (Ok(client_out), Ok(server_out), log) = (client_out, server_out, log.clone()) else {
                    continue;
                };
                thread::spawn(move || pass(client, server_out, |chunk| note(&log, chunk)));
                thread::spawn(move || pass(server, client_out, |_| {}));
            }
        });
        Self { port: own, seen }
    }

    /// The port that clients use.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The requests since the last call: `GET /bucket/key`, in the order in which they came.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut look: impl FnMut(&[u8])) {
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(n @ 1..) = from.read(&mut chunk) {
        look(&chunk[..n]);
        if to.write_all(&chunk[..n]).is_err() {
            break;
        }
    }
    // Either side may have gone already.
    let _ = (to.shutdown(Shutdown::Write), from.shutdown(Shutdown::Read));
}

/// The lines of a request's head, without the empty one at its end; nothing if the caller has hung up.
pub(crate) fn read_head(from: &mut impl BufRead) -> io::Result<Vec<String>> {
    // A head that is longer than any client's is cut off.
    from.take(MOST_HEAD).lines().take_while(|line| !line.as_ref().is_ok_and(String::is_empty)).collect()
}

/// Remembers a request whose head begins here. A client waits for its answer before it asks again on a connection, so a
/// head always begins a chunk.
fn note(log: &Mutex<Vec<String>>, chunk: &[u8]) {
    let line = chunk.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let Ok(line) = str::from_utf8(line) else { return };
    if let Some(request) = line.strip_suffix(" HTTP/1.1") {
        log.lock().unwrap_or_else(PoisonError::into_inner).push(request.to_owned());
    }
}
