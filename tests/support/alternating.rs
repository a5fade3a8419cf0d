//! A load balancer of the worst kind: every request goes to another server than the one before it.

use std::io::{self, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::proxy::read_head;

/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_mins(1);
const NOBODY: &[u8] = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// A proxy on the loopback interface, over plain http. It lives as long as the process.
///
/// It turns by requests and not by connections: each connection carries one request, and says so to both sides. Bodies
/// and every header but `Connection` are passed on as they are, `Host` too.
#[derive(Debug)]
pub struct Alternating {
    port: u16,
    turns: Arc<Mutex<Turns>>,
}

#[derive(Debug, Default)]
struct Turns {
    backends: Vec<Backend>,
    next: usize,
}

#[derive(Debug)]
struct Backend {
    port: u16,
    served: Vec<String>,
}

impl Alternating {
    /// A proxy before servers on those ports.
    pub fn new(ports: &[u16]) -> Self {
        let proxy = Self::open();
        proxy.lead_to(ports);
        proxy
    }

    /// A proxy that leads nowhere yet, so that servers can be told its address before they start.
    pub fn open() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback interface");
        let port = listener.local_addr().expect("an address").port();
        let turns = Arc::new(Mutex::new(Turns::default()));
        let shared = turns.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let turns = shared.clone();
                thread::spawn(move || {
                    // A client or a server that hangs up in the middle is what it is without a proxy, too.
                    let _ = serve(&client, &turns);
                });
            }
        });
        Self { port, turns }
    }

    /// Leads to those ports from now on, the first one next. What was counted before is forgotten.
    pub fn lead_to(&self, ports: &[u16]) {
        let backends = ports.iter().map(|&port| Backend { port, served: Vec::new() }).collect();
        *lock(&self.turns) = Turns { backends, next: 0 };
    }

    /// The port that clients use.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `http://localhost:PORT`.
    pub fn base(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// The requests that each server got, `GET /path?query`, in the order of the ports.
    pub fn requests(&self) -> Vec<Vec<String>> {
        lock(&self.turns).backends.iter().map(|backend| backend.served.clone()).collect()
    }
}

/// Passes one request on, and its answer back.
fn serve(mut client: &TcpStream, turns: &Mutex<Turns>) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(client.try_clone()?);
    let head = read_head(&mut reader)?;
    let Some(first) = head.first() else { return Ok(()) };
    let Some(mut server) = connect(first, turns) else { return client.write_all(NOBODY) };
    server.write_all(with_one_request(&head).as_bytes())?;
    let mut body_out = server.try_clone()?;
    thread::spawn(move || {
        let sent = io::copy(&mut reader, &mut body_out);
        // A server may answer and go before it has read everything. A client that still sends must be heard to the end,
        // or the system throws the answer away.
        let _ = sent.or_else(|_| io::copy(&mut reader, &mut io::sink()));
    });
    io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Write)
}

/// The server whose turn it is; one that does not listen loses its turn, as no balancer would send anything to it.
fn connect(request: &str, turns: &Mutex<Turns>) -> Option<TcpStream> {
    let mut turns = lock(turns);
    for _ in 0..turns.backends.len() {
        let turn = turns.next % turns.backends.len();
        turns.next = turn + 1;
        if let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, turns.backends[turn].port)) {
            let request = request.trim_end_matches(" HTTP/1.1").to_owned();
            turns.backends[turn].served.push(request);
            return Some(server);
        }
    }
    None
}

/// The head again, with a word to the server that nothing follows. The server says so to the client.
fn with_one_request(head: &[String]) -> String {
    let is_kept = |line: &&String| {
        let name = line.split(':').next().unwrap_or_default();
        !["connection", "keep-alive"].iter().any(|dropped| name.eq_ignore_ascii_case(dropped))
    };
    let kept = head.iter().filter(is_kept).map(|line| format!("{line}\r\n"));
    kept.collect::<String>() + "Connection: close\r\n\r\n"
}

fn lock(turns: &Mutex<Turns>) -> MutexGuard<'_, Turns> {
    turns.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use reqwest::StatusCode;

    use super::*;
    use crate::client::plain;

    /// A server that answers with its name and the body it got, and keeps connections open unless it is told not to.
    fn named(name: &'static str) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let mut reader = BufReader::new(client.try_clone().unwrap());
                while let Ok(head) = read_head(&mut reader)
                    && !head.is_empty()
                {
                    let find = |name: &str| head.iter().find_map(|line| line.strip_prefix(name));
                    let length = find("content-length: ").map_or(0, |length| length.parse().unwrap());
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).unwrap();
                    let host = find("host: ").unwrap();
                    let answer = format!("{name} at {host}: {}", String::from_utf8(body).unwrap());
                    let last = find("Connection: close").is_some();
                    let close = if last { "Connection: close\r\n" } else { "" };
                    let length = answer.len();
                    write!(client, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{close}\r\n{answer}")
                        .unwrap();
                    if last {
                        break;
                    }
                }
            }
        });
        port
    }

    #[tokio::test]
    async fn requests_of_one_client_go_to_one_server_after_the_other() {
        let (proxy, client) = (Alternating::open(), plain().build().unwrap());
        assert_eq!(client.get(proxy.base()).send().await.unwrap().status(), StatusCode::BAD_GATEWAY);
        proxy.lead_to(&[named("one"), named("two")]);
        let body = "x".repeat(1_000_000);
        for (turn, name) in ["one", "two", "one", "two"].into_iter().enumerate() {
            let url = format!("{}/{turn}?a=b", proxy.base());
            let answer = client.post(url).body(body.clone()).send().await.unwrap().text().await.unwrap();
            assert_eq!(answer, format!("{name} at localhost:{}: {body}", proxy.port()));
        }
        assert_eq!(proxy.requests(), [["POST /0?a=b", "POST /2?a=b"], ["POST /1?a=b", "POST /3?a=b"]]);
    }

    #[tokio::test]
    async fn a_server_that_is_down_loses_its_turn() {
        let held = crate::port::Held::any();
        let (proxy, client) = (Alternating::new(&[held.port(), named("two")]), plain().build().unwrap());
        for _ in 0..2 {
            let answer = client.get(proxy.base()).send().await.unwrap().text().await.unwrap();
            assert!(answer.starts_with("two "), "{answer}");
        }
    }

    #[test]
    fn a_head_asks_for_one_answer_alone() {
        let head = ["GET / HTTP/1.1", "Host: a", "connection: keep-alive"].map(str::to_owned);
        assert_eq!(with_one_request(&head), "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    }
}
