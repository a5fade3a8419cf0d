//! The management API by hand.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use opentaco_tests::alternating::Alternating;
use opentaco_tests::browser::{Answer, Browser, Who};
use opentaco_tests::client::{Attempt, REDIRECT, Reply, http};
use opentaco_tests::server::{Options, Server};
use opentaco_tests::wait::eventually;
use reqwest::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// Another server, and everything that is remembered, knows after 5 seconds; the rest is for a machine that is busy.
pub const WITHIN: Duration = Duration::from_secs(8);

/// A caller of one server, with any credentials or none.
pub struct V1 {
    client: Client,
    base: String,
    bearer: Option<String>,
}

/// Two servers on one store, which clients know by one address: what one of them signs is good at the other.
pub struct Pair {
    pub here: Server,
    pub there: Server,
    /// The address of both; what it says leads to the second one.
    _address: Alternating,
}

impl Pair {
    pub fn start(options: Options) -> Self {
        let address = Alternating::open();
        let options = options.env("OPENTACO_PUBLIC_BASE_URL", &address.base()).env("OPENTACO_TLS", "dev");
        let here = Server::start(options);
        let there = here.second();
        address.lead_to(&[there.port()]);
        Self { here, there, _address: address }
    }
}

/// What a login of `taco` gives.
#[derive(Clone, Debug)]
pub struct Session {
    pub access: String,
    pub refresh: String,
}

impl Session {
    pub fn read(document: &Value) -> Self {
        let text = |name: &str| document[name].as_str().unwrap_or_else(|| panic!("{document}")).to_owned();
        Self { access: text("access_token"), refresh: text("refresh_token") }
    }
}

pub async fn answer(request: RequestBuilder) -> Reply {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    Reply { status, headers, body: response.bytes().await.expect("a body").to_vec() }
}

impl V1 {
    pub fn new(server: &Server, token: &str) -> Self {
        Self { bearer: Some(token.to_owned()), ..Self::anonymous(server) }
    }

    /// The same caller of a server that was started again.
    pub fn again(&self, server: &Server) -> Self {
        Self { bearer: self.bearer.clone(), ..Self::anonymous(server) }
    }

    pub fn anonymous(server: &Server) -> Self {
        let client = http(server).build().expect("a client");
        Self { client, base: server.base_https(), bearer: None }
    }

    /// The start of a request to any path of the server.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.bearer {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Reply {
        answer(self.request(Method::GET, path)).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        answer(self.request(Method::DELETE, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        let request = self.request(Method::POST, path).header(CONTENT_TYPE, "application/json");
        answer(request.body(body.to_string())).await
    }

    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        answer(self.request(Method::POST, path).form(fields)).await
    }

    /// Who the caller is.
    pub async fn me(&self) -> Value {
        self.get("/v1/auth/me").await.expect(StatusCode::OK).json()
    }

    /// Whether what is presented opens anything.
    pub async fn works(&self) -> bool {
        let reply = self.get("/v1/auth/me").await;
        match reply.status {
            StatusCode::OK => true,
            StatusCode::UNAUTHORIZED => false,
            other => panic!("neither yes nor no: {other}: {}", reply.text()),
        }
    }

    /// The caller's own tokens.
    pub async fn tokens(&self) -> Vec<Value> {
        let reply = self.get("/v1/auth/tokens").await.expect(StatusCode::OK);
        reply.json()["tokens"].as_array().expect("a list").clone()
    }

    /// Makes a token: the whole answer, and the token.
    pub async fn make(&self, wanted: Value) -> (Value, String) {
        let made = self.post("/v1/auth/tokens", &wanted).await.expect(StatusCode::CREATED).json();
        let token = made["token"].as_str().expect("a token").to_owned();
        assert!(token.starts_with(&format!("otc_tfe_{}_", made["id"].as_str().expect("an id"))), "{made}");
        (made, token)
    }

    /// An access token for the API token that is presented.
    pub async fn access(&self) -> String {
        let answer = self.post("/v1/auth/token", &json!({})).await.expect(StatusCode::OK).json();
        answer["access_token"].as_str().expect("an access token").to_owned()
    }
}

/// Presents a refresh token.
pub async fn refresh(server: &Server, token: &str) -> Reply {
    V1::anonymous(server).post("/v1/auth/token", &json!({"refresh_token": token})).await
}

/// Presents a good refresh token.
pub async fn refreshed(server: &Server, token: &str) -> Session {
    Session::read(&refresh(server, token).await.expect(StatusCode::OK).json())
}

/// A code for `taco`, and what it is redeemed with.
pub async fn taco_code(server: &Server, who: &Who) -> Vec<(&'static str, String)> {
    let mut attempt = Attempt::new(server);
    attempt.authorization = attempt.authorization.replace("client_id=terraform-cli", "client_id=taco");
    let arrived = Browser::new(server).log_in(&attempt.authorization, who, Answer::Allow).await;
    vec![
        ("client_id", "taco".to_owned()),
        ("code", attempt.code(&arrived)),
        ("code_verifier", attempt.verifier.clone()),
        ("grant_type", "authorization_code".to_owned()),
        ("redirect_uri", REDIRECT.to_owned()),
    ]
}

/// Redeems a code.
pub async fn redeem(server: &Server, fields: &[(&'static str, String)]) -> Reply {
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    V1::anonymous(server).form("/oauth/token", &fields).await
}

/// Logs in as `taco` does.
pub async fn taco_login(server: &Server, who: &Who) -> Session {
    let reply = redeem(server, &taco_code(server, who).await).await.expect(StatusCode::OK);
    Session::read(&reply.json())
}

/// A signed token with one character of its signature changed, in the middle, where every bit counts.
pub fn tampered(jwt: &str) -> String {
    let place = jwt.rfind('.').expect("a signature") + 20;
    let other = if jwt[place..].starts_with('A') { "B" } else { "A" };
    format!("{}{other}{}", &jwt[..place], &jwt[place + 1..])
}

/// Header and claims of a signed token, unverified.
pub fn opened(jwt: &str) -> (Value, Value) {
    let mut parts = jwt.split('.').map(|part| {
        let bytes = BASE64URL_NOPAD.decode(part.as_bytes()).unwrap_or_else(|_| panic!("no JWT: {jwt}"));
        serde_json::from_slice(&bytes).unwrap_or_default()
    });
    (parts.next().expect("a header"), parts.next().expect("claims"))
}

pub fn claims(jwt: &str) -> Value {
    opened(jwt).1
}

/// How many seconds a signed token lives.
pub fn life(jwt: &str) -> i64 {
    let claims = claims(jwt);
    claims["exp"].as_i64().expect("an end") - claims["iat"].as_i64().expect("a beginning")
}

/// Demands a problem document (RFC 9457) that nobody keeps, and gives its sentence.
#[track_caller]
pub fn problem(reply: &Reply, status: u16) -> String {
    assert_eq!(reply.status.as_u16(), status, "{}", reply.text());
    assert_eq!(reply.headers[CONTENT_TYPE], "application/problem+json");
    assert_eq!(reply.headers[CACHE_CONTROL], "no-store");
    if status == 401 {
        let scheme = reply.headers[WWW_AUTHENTICATE].to_str().expect("text");
        assert!(scheme.starts_with("Bearer"), "{scheme}");
    }
    let document = reply.json();
    assert_eq!(document["status"], status, "{document}");
    for name in ["type", "title"] {
        assert!(document[name].as_str().is_some_and(|text| !text.is_empty()), "{document}");
    }
    let detail = document["detail"].as_str().expect("a sentence");
    assert!(detail.split_whitespace().count() >= 3, "{document}");
    detail.to_owned()
}

/// Demands an OAuth error of that code, with a sentence and nothing that opens anything.
#[track_caller]
pub fn refused(reply: &Reply, code: &str) -> String {
    let body = reply.json();
    assert_eq!((reply.status.as_u16(), &body["error"]), (400, &code.into()), "{body}");
    assert_eq!(reply.headers[CACHE_CONTROL], "no-store");
    assert!(body.get("access_token").is_none() && body.get("refresh_token").is_none(), "{body}");
    let sentence = body["error_description"].as_str().expect("a sentence");
    assert!(sentence.split_whitespace().count() >= 3, "{sentence}");
    sentence.to_owned()
}

/// Waits until something holds that other servers, or this one from memory, may learn later.
pub async fn soon(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    eventually(WITHIN, async || if ask().await { Ok(()) } else { Err(what.to_owned()) }).await;
}

/// Every file below a folder, by its path in it.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() {
            let inner = files(&path).into_iter();
            found.extend(inner.map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else if let Ok(bytes) = fs::read(&path) {
            // What is gone again was the server's minute probe.
            found.insert(name, bytes);
        }
    }
    found
}

/// Demands that a secret was neither printed nor kept.
#[track_caller]
pub fn is_nowhere(server: &Server, secret: &str) {
    assert!(secret.len() >= 20, "{secret} may be anywhere by chance");
    assert!(!server.output().contains(secret), "{secret} was printed");
    for (name, bytes) in files(&server.data_dir()) {
        let lies = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!lies && !name.contains(secret), "{secret} lies in {name}");
    }
}

/// What only the owner of an API token knows of it.
pub fn secret(token: &str) -> &str {
    token.rsplit('_').next().expect("a secret")
}
