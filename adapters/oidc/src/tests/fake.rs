//! A web server that says what a test tells it, and remembers what it was asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::Value;

/// What the server was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    /// Names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

/// What it says at a path.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

#[derive(Default)]
struct Shared {
    answers: BTreeMap<String, Answer>,
    asked: Vec<Asked>,
    /// Connections are closed without a word.
    down: bool,
    over: bool,
}

/// The server; it ends with the value.
pub(super) struct Fake {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

impl Fake {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Mutex<Shared>>::default();
        let own = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (down, over) = with(&own, |shared| (shared.down, shared.over));
                if over {
                    return;
                }
                if let (Ok(stream), false) = (stream, down) {
                    // Who hangs up early is part of some tests.
                    let _ = converse(&stream, &own);
                }
            }
        });
        Self { address, shared }
    }

    /// The address of a path.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn says(&self, path: &str, answer: Answer) {
        with(&self.shared, |shared| shared.answers.insert(path.to_owned(), answer));
    }

    pub(super) fn says_json(&self, path: &str, body: &Value) {
        self.says(path, Answer::json(200, body));
    }

    pub(super) fn is_down(&self, down: bool) {
        with(&self.shared, |shared| shared.down = down);
    }

    /// What was asked at a path, oldest first.
    pub(super) fn asked(&self, path: &str) -> Vec<Asked> {
        let all = with(&self.shared, |shared| shared.asked.clone());
        all.into_iter().filter(|asked| asked.path == path).collect()
    }

    /// How many requests came, whatever they were.
    pub(super) fn asked_in_all(&self) -> usize {
        with(&self.shared, |shared| shared.asked.len())
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        with(&self.shared, |shared| shared.over = true);
        // Wakes the listener up.
        let _ = TcpStream::connect(self.address);
    }
}

impl Answer {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        let kind = ("Content-Type", "application/json".to_owned());
        Self { status, headers: vec![kind], body: body.to_string().into_bytes() }
    }
}

fn with<T>(shared: &Mutex<Shared>, act: impl FnOnce(&mut Shared) -> T) -> T {
    act(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
}

/// One request, one answer, and the connection ends.
fn converse(stream: &TcpStream, shared: &Mutex<Shared>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let mut asked = Asked { method: method.to_owned(), path, headers: BTreeMap::new(), body: String::new() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        asked.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = asked.headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    reader.take(length).read_to_string(&mut asked.body)?;
    let answer = with(shared, |shared| {
        let answer = shared.answers.get(&asked.path).cloned();
        shared.asked.push(asked);
        answer
    });
    let answer = answer.unwrap_or_else(|| Answer::json(404, &Value::Null));
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {} X\r\nConnection: close\r\n", answer.status)?;
    for (name, value) in &answer.headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    stream.write_all(b"\r\n")?;
    // No length: the body ends with the connection, so a reader that trusted a length would read all of it.
    stream.write_all(&answer.body)
}
