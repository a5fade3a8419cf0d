//! A server, and what every refusal of it is held to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use opentaco_tests::client::{Attempt, JSON_API, http};
use opentaco_tests::server::{Options, Server};
use opentaco_tests::wait::eventually;
use reqwest::header::{CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::forge::Key;
use crate::flow::{code, exchange_fields, varied};

/// The lines that say in the log that something was refused.
const LINES: [&str; 3] = ["Login refused", "Token request refused", "Token verification failed"];
/// Shorter texts are in many lines by chance.
const SHORTEST_SECRET: usize = 12;
const PATIENCE: Duration = Duration::from_secs(40);

/// What a refusal looks like, which depends on the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// A page for a person, with 400.
    Page,
    /// An error of OAuth with that code, with 400.
    Oauth(&'static str),
    /// A problem document of the management API, with 401.
    Problem,
    /// An error of the cloud API, with 401.
    Cloud,
}

impl Says {
    fn line(self) -> &'static str {
        let [login, grant, token] = LINES;
        match self {
            Self::Page => login,
            Self::Oauth(_) => grant,
            Self::Problem | Self::Cloud => token,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Page | Self::Oauth(_) => StatusCode::BAD_REQUEST,
            Self::Problem | Self::Cloud => StatusCode::UNAUTHORIZED,
        }
    }
}

/// A server that logs everything there is to log, and signs with a key that we have.
pub struct Bench {
    pub server: Server,
    /// Its signing key.
    pub key: Key,
    /// A client without cookies that follows nothing.
    pub client: Client,
    marks: AtomicUsize,
    cases: AtomicUsize,
    failures: Mutex<Vec<String>>,
    _folder: TempDir,
}

/// What alice has: one of each kind.
pub struct Held {
    /// An API token.
    pub api: String,
    /// An access token.
    pub access: String,
    /// The refresh token that came with it.
    pub refresh: String,
    /// The session token of credentials for the S3 door.
    pub s3: String,
}

impl Bench {
    /// With the development login.
    pub fn start() -> Self {
        Self::start_with(Options::memory().dev_login())
    }

    pub fn start_with(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (key, path) = (Key::named("bench"), folder.path().join("signing.pem"));
        std::fs::write(&path, key.pem()).unwrap();
        let options = options
            .env("OPENTACO_LOG_LEVEL", "trace")
            .env("OPENTACO_TOKENS_KID", key.kid())
            .env("OPENTACO_TOKENS_PRIVATE_KEY_PEM_PATH", path.to_str().unwrap());
        let server = Server::start(options);
        let client = http(&server).redirect(Policy::none()).build().unwrap();
        let (marks, cases, failures) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::default());
        Self { server, key, client, marks, cases, failures, _folder: folder }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.base_https())
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path))
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(self.url(path))
    }

    /// A form at the token endpoint.
    pub fn token(&self, fields: &[(String, String)]) -> RequestBuilder {
        self.post("/oauth/token").form(fields)
    }

    /// A JSON body at `/v1/auth/token`.
    pub fn refresh(&self, token: &str) -> RequestBuilder {
        self.post("/v1/auth/token").json(&json!({"refresh_token": token}))
    }

    /// Whatever alice can have.
    pub async fn held(&self) -> Held {
        let attempt = Attempt::new(&self.server);
        let fields = exchange_fields(&attempt, &code(&self.server, &attempt).await);
        let api = text(&accepted(self.token(&fields)).await["access_token"]);
        let (fields, _) = self.taco().await;
        let session = accepted(self.token(&fields)).await;
        let (access, refresh) = (text(&session["access_token"]), text(&session["refresh_token"]));
        let s3 = accepted(self.post("/v1/auth/issue-s3-creds").bearer_auth(&access)).await;
        Held { api, access, refresh, s3: text(&s3["SessionToken"]) }
    }

    /// A login of alice with taco, up to the token request that is due.
    pub async fn taco(&self) -> (Vec<(String, String)>, Attempt) {
        let attempt = taco(&Attempt::new(&self.server));
        let code = code(&self.server, &attempt).await;
        (with(&exchange_fields(&attempt, &code), "client_id", "taco"), attempt)
    }

    /// Holds a request that must be refused against all rules; what breaks one is told by [`Bench::done`].
    pub async fn refuses(&self, what: &str, request: RequestBuilder, says: Says, secrets: &[&str]) {
        self.cases.fetch_add(1, Ordering::Relaxed);
        let from = self.mark().await;
        let response = request.send().await.expect("an answer");
        let answer = judge(response, says).await;
        let to = self.mark().await;
        let output = self.server.output();
        let outcome = answer.and_then(|body| is_told_once(&output[from..to], &body, says, secrets));
        if let Err(why) = outcome {
            self.lock().push(format!("{what}: {why}"));
        }
    }

    /// Holds a request that must be granted to that.
    pub async fn grants(&self, what: &str, request: RequestBuilder) {
        let response = request.send().await.expect("an answer");
        let (status, body) = (response.status(), response.text().await.expect("a body"));
        if !status.is_success() {
            self.lock().push(format!("{what}: it must be granted, and not {status} {body:.300}"));
        }
    }

    /// Ends the table, which must have had that many cases.
    pub fn done(self, cases: usize) {
        let failures = self.lock().join("\n");
        // What it said is long, and the lines that matter are in the failures.
        drop(self.server);
        assert!(failures.is_empty(), "{failures}");
        assert_eq!(self.cases.load(Ordering::Relaxed), cases, "as many cases as the table has");
    }

    /// Writes a line of its own into the log, and gives the place behind it. What was logged before is there by then.
    pub async fn mark(&self) -> usize {
        let method = format!("MARK{}", self.marks.fetch_add(1, Ordering::Relaxed));
        let sought = format!("method={method} ");
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client.request(method, self.url("/healthz")).send().await.unwrap();
        eventually(PATIENCE, async || {
            let output = self.server.output();
            let place = output.find(&sought).and_then(|at| Some(at + output[at..].find('\n')? + 1));
            place.ok_or_else(|| format!("no line with {sought}"))
        })
        .await
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The status and form of a refusal; gives its body.
async fn judge(response: Response, says: Says) -> Result<String, String> {
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.text().await.expect("a body");
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if status != says.status() {
        return Err(format!("{status} instead of {}: {body:.300}", says.status()));
    }
    let parsed: Value = serde_json::from_str(&body).unwrap_or_default();
    let kind = header(CONTENT_TYPE);
    let fits = match says {
        Says::Page => {
            kind.starts_with("text/html")
                && !headers.contains_key(LOCATION)
                && !body.contains("value=\"allow\"")
                && !body.contains("name=\"session\"")
        }
        Says::Oauth(code) => {
            let sentence = parsed["error_description"].as_str().unwrap_or_default();
            kind == "application/json"
                && parsed["error"] == code
                && sentence.split(' ').count() >= 3
                && header("cache-control".parse().unwrap()) == "no-store"
                && parsed.as_object().is_some_and(|members| members.len() == 2)
        }
        Says::Problem => {
            kind == "application/problem+json"
                && parsed["status"] == status.as_u16()
                && header(WWW_AUTHENTICATE).starts_with("Bearer ")
        }
        Says::Cloud => {
            kind.starts_with(JSON_API)
                && parsed["errors"][0]["status"] == status.as_str()
                && header(WWW_AUTHENTICATE).starts_with("Bearer ")
        }
    };
    if fits { Ok(body) } else { Err(format!("not {says:?}: {kind} {body:.300}")) }
}

/// One line that says it, no failure, and no secret in the log or in the answer.
fn is_told_once(log: &str, body: &str, says: Says, secrets: &[&str]) -> Result<(), String> {
    let told: Vec<&str> = log.lines().filter(|line| LINES.iter().any(|said| line.contains(said))).collect();
    if told.len() != 1 || !told[0].contains(says.line()) {
        return Err(format!("not one line {:?} but {}: {told:#?}", says.line(), told.len()));
    }
    if let Some(line) = log.lines().find(|line| line.contains(" ERROR ") || line.contains("panicked")) {
        return Err(format!("a failure: {line}"));
    }
    for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST_SECRET) {
        if let Some(line) = log.lines().find(|line| line.contains(secret)) {
            return Err(format!("{secret:.60} was logged: {line:.400}"));
        }
        if body.contains(secret) {
            return Err(format!("{secret:.60} comes back: {body:.300}"));
        }
    }
    Ok(())
}

/// The same attempt by taco.
pub fn taco(attempt: &Attempt) -> Attempt {
    let authorization = varied(attempt, &[("client_id", Some("taco"))]);
    Attempt { authorization, ..attempt.clone() }
}

/// The fields with another value of one.
pub fn with(fields: &[(String, String)], name: &str, value: &str) -> Vec<(String, String)> {
    assert!(fields.iter().any(|(known, _)| known == name), "there is no field {name}");
    let change = |(field, old): &(String, String)| {
        (field.clone(), if field == name { value.to_owned() } else { old.clone() })
    };
    fields.iter().map(change).collect()
}

/// The value of a field.
pub fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).expect("a field")
}

/// The answer to a request that must be granted.
pub async fn accepted(request: RequestBuilder) -> Value {
    let response = request.send().await.expect("an answer");
    let (status, body) = (response.status(), response.text().await.expect("a body"));
    assert!(status.is_success(), "{status} {body}");
    serde_json::from_str(&body).unwrap_or_default()
}

/// A text in a document.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
