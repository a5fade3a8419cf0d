//! The flow in single steps, each of which can be taken wrongly.

use std::fs;
use std::path::{Path, PathBuf};

use opentaco_tests::browser::{Answer, Browser, Form, Page, Stop, Who};
use opentaco_tests::client::{Api, Attempt, REDIRECT, http};
use opentaco_tests::pair::Pair;
use opentaco_tests::server::{Options, Server};
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION, ORIGIN};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use serde_json::Value;

/// A server with the development login.
pub fn start() -> Server {
    Server::start(Options::memory().dev_login())
}

/// A client that keeps cookies and follows nothing.
pub fn window(server: &Server) -> Client {
    http(server).cookie_store(true).redirect(Policy::none()).build().expect("a client")
}

/// What came back for a person.
#[derive(Debug)]
pub struct Shown {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub html: String,
}

impl Shown {
    pub async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, html: response.text().await.expect("a body") }
    }

    /// Demands a page that stops the login: never a redirect, never a way on.
    #[track_caller]
    pub fn stops(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.html);
        assert!(!self.headers.contains_key(LOCATION), "a page, not a redirect");
        let kind = self.headers[CONTENT_TYPE].to_str().expect("text");
        assert!(kind.starts_with("text/html"), "a person reads it: {kind}");
        assert!(!self.html.contains("value=\"allow\""), "no consent is offered: {}", self.html);
    }
}

/// Opens an address once, without following.
pub async fn open(client: &Client, url: &str) -> Shown {
    Shown::read(client.get(url).send().await.expect("an answer")).await
}

/// Sends a form once, without following.
pub async fn post(client: &Client, url: &str, fields: &[(&str, &str)]) -> Shown {
    let origin = Url::parse(url).expect("an address").origin().ascii_serialization();
    let request = client.post(url).header(ORIGIN, origin).form(fields);
    Shown::read(request.send().await.expect("an answer")).await
}

/// The attempt's address with other parameters: `None` leaves one out.
pub fn varied(attempt: &Attempt, changes: &[(&str, Option<&str>)]) -> String {
    let mut url = Url::parse(&attempt.authorization).expect("an address");
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let mut query = url.query_pairs_mut();
    query.clear();
    for (name, value) in pairs {
        match changes.iter().find(|(changed, _)| *changed == name) {
            None => query.append_pair(&name, &value),
            Some((_, Some(value))) => query.append_pair(&name, value),
            Some((_, None)) => &mut query,
        };
    }
    drop(query);
    url.into()
}

/// The sealed session of a page.
pub fn session(html: &str) -> String {
    let rest =
        html.split("name=\"session\" value=\"").nth(1).unwrap_or_else(|| panic!("no session in {html}"));
    rest.split('"').next().expect("an end").to_owned()
}

/// Goes on to the consent page, as a person does.
pub async fn to_consent(browser: &Browser, attempt: &Attempt, name: &str) -> Page {
    let page = browser.try_to_log_in(&attempt.authorization, name).await.page();
    assert!(page.html.contains("value=\"allow\""), "the consent page: {}", page.html);
    page
}

/// Presses a button of the consent page.
pub async fn press(browser: &Browser, page: &Page, answer: Answer) -> Stop {
    let says = format!("{answer:?}").to_lowercase();
    let said = |form: &&Form| form.buttons.iter().any(|button| button.label.to_lowercase() == says);
    let form = page.forms.iter().find(said).expect("a form");
    let button = form.buttons.iter().find(|button| button.label.to_lowercase() == says);
    browser.submit(page, form, button, None).await
}

/// A code for alice.
pub async fn code(server: &Server, attempt: &Attempt) -> String {
    let arrived =
        Browser::new(server).log_in(&attempt.authorization, &Who::dev("alice"), Answer::Allow).await;
    attempt.code(&arrived)
}

/// What a good token request says.
pub fn exchange_fields(attempt: &Attempt, code: &str) -> Vec<(String, String)> {
    [
        ("client_id", "terraform-cli"),
        ("code", code),
        ("code_verifier", &attempt.verifier),
        ("grant_type", "authorization_code"),
        ("redirect_uri", REDIRECT),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// A token request with these fields.
pub async fn exchange(server: &Server, fields: &[(String, String)]) -> (StatusCode, HeaderMap, Value) {
    exchange_at(server, &server.base_https(), fields).await
}

/// A token request with these fields, to a server by that base.
pub async fn exchange_at(
    server: &Server,
    base: &str,
    fields: &[(String, String)],
) -> (StatusCode, HeaderMap, Value) {
    let client = http(server).build().expect("a client");
    let url = format!("{base}/oauth/token");
    let response = client.post(url).form(fields).send().await.expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    (status, headers, response.json().await.expect("JSON"))
}

/// Demands an OAuth error of that code, with a sentence.
#[track_caller]
pub fn refused(answer: &(StatusCode, HeaderMap, Value), code: &str) {
    let (status, headers, body) = answer;
    assert_eq!((status.as_u16(), &body["error"]), (400, &code.into()), "{body}");
    assert_eq!(headers["cache-control"], "no-store");
    let sentence = body["error_description"].as_str().expect("a sentence");
    assert!(sentence.split_whitespace().count() >= 3, "{sentence}");
    assert!(body.get("access_token").is_none() && body.get("token").is_none(), "{body}");
}

/// Whether a token opens anything.
pub async fn works(server: &Server, token: &str) -> bool {
    match Api::new(server, token).get("/account/details").await.status {
        StatusCode::OK => true,
        StatusCode::UNAUTHORIZED => false,
        other => panic!("neither yes nor no: {other}"),
    }
}

/// What a server says to whoever presents a token, or to nobody in particular; `path` begins after `/v1`.
pub async fn management(server: &Server, path: &str, token: Option<&str>) -> Value {
    management_at(server, &server.base_https(), path, token).await
}

/// The same, of a server by that base.
pub async fn management_at(server: &Server, base: &str, path: &str, token: Option<&str>) -> Value {
    let mut request = http(server).build().expect("a client").get(format!("{base}/v1{path}"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status();
    let body = answer.text().await.expect("a body");
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    serde_json::from_str(&body).expect("JSON")
}

/// Who holds a token, as the server knows them.
pub async fn me(server: &Server, token: &str) -> Value {
    management(server, "/auth/me", Some(token)).await
}

/// What the command line gets when somebody has logged in at the provider and pressed Allow: a token, or the sentence
/// that it prints. Who is refused is not asked for consent.
pub async fn outcome(pair: &Pair, who: &Who) -> Result<String, String> {
    let attempt = Attempt::new(&pair.server);
    let browser = pair.browser();
    let arrived = match pair.past_provider(&browser, &attempt.authorization, who).await {
        Stop::Elsewhere(arrived) => return Err(denial(&pair.server, &attempt, &arrived).await),
        Stop::Page(page) => match press(&browser, &page, Answer::Allow).await {
            Stop::Elsewhere(arrived) => arrived,
            Stop::Page(page) => panic!("no redirect but {page:?}"),
        },
    };
    let (status, _, body) = exchange(&pair.server, &exchange_fields(&attempt, &attempt.code(&arrived))).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    Ok(body["access_token"].as_str().expect("a token").to_owned())
}

/// The sentence that the command line prints, where a login ended with a denial: the browser brings a code, and its
/// exchange says why.
pub async fn denial(server: &Server, attempt: &Attempt, arrived: &Url) -> String {
    let answer = exchange(server, &exchange_fields(attempt, &attempt.code(arrived))).await;
    refused(&answer, "access_denied");
    let sentence = answer.2["error_description"].as_str().expect("a sentence").to_owned();
    assert!(!sentence.contains("  "), "a sentence and no gap: {sentence:?}");
    sentence
}

/// Every file under a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
