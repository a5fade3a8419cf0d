//! The login in a real browser, which enforces what pages only ask for: policies, cookies, certificates.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use opentaco_tests::browser::Answer;
use opentaco_tests::chromium::Chromium;
use opentaco_tests::client::Attempt;
use opentaco_tests::pair::{Pair, everybody};
use opentaco_tests::server::{Options, Server};
use opentaco_tests::wait::until;
use reqwest::{StatusCode, Url};

use crate::flow::{exchange, exchange_fields, refused, varied, works};

const PATIENCE: Duration = Duration::from_mins(1);
/// The ports at which a command line may wait.
const PORTS: RangeInclusive<u16> = 10_000..=10_010;

/// A command line that waits for the browser, as Terraform does, and what it asked for. Dropping it frees its port.
struct CommandLine {
    attempt: Attempt,
    redirect: String,
    address: SocketAddr,
    heard: Receiver<String>,
    is_over: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl CommandLine {
    /// Listens under that name of this machine.
    fn at(host: &str, server: &Server) -> Self {
        let ip = host.trim_matches(['[', ']']).parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        // Other tests, and people, log in at the same time.
        let listener = until(PATIENCE, "one of eleven ports to be free", || {
            PORTS.map(|port| TcpListener::bind((ip, port))).find_map(Result::ok)
        });
        let address = listener.local_addr().unwrap();
        let redirect = format!("http://{host}:{}/login", address.port());
        let (said, heard) = channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let ended = is_over.clone();
        let listening = thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let said = said.clone();
                // A browser may open a connection and leave it.
                thread::spawn(move || {
                    answer(&client).filter(|path| path.starts_with("/login")).map(|path| said.send(path))
                });
            }
        });
        let mut attempt = Attempt::new(server);
        attempt.authorization = varied(&attempt, &[("redirect_uri", Some(&redirect))]);
        Self { attempt, redirect, address, heard, is_over, listening: Some(listening) }
    }

    /// Waits for the browser and exchanges what it brings.
    async fn exchange(&self, server: &Server) -> (StatusCode, reqwest::header::HeaderMap, serde_json::Value) {
        let heard = self.heard.recv_timeout(PATIENCE);
        let path = heard.expect("the browser to arrive");
        let url = Url::parse(&self.redirect).unwrap().join(&path).unwrap();
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let find = |name: &str| pairs.iter().find(|(key, _)| key == name).unwrap().1.clone();
        assert_eq!(find("state"), self.attempt.state);
        let mut fields = exchange_fields(&self.attempt, &find("code"));
        for (name, value) in &mut fields {
            if name == "redirect_uri" {
                value.clone_from(&self.redirect);
            }
        }
        exchange(server, &fields).await
    }
}

impl Drop for CommandLine {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Best effort: a test that is failing already must not be hidden by a panic here.
        let _ = TcpStream::connect(self.address);
        let _ = self.listening.take().map(JoinHandle::join);
    }
}

/// Answers one request as Terraform does, and gives its path.
fn answer(mut client: &TcpStream) -> Option<String> {
    client.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut lines = BufReader::new(client).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    let _head = lines.map_while(Result::ok).find(String::is_empty)?;
    let page = "<title>Terraform Login</title><p>You can close this window.";
    let head = format!("Content-Type: text/html\r\nContent-Length: {}\r\nConnection: close", page.len());
    write!(client, "HTTP/1.1 200 OK\r\n{head}\r\n\r\n{page}").ok()?;
    Some(path)
}

/// What the browser must never say of our pages.
async fn is_content(window: &Chromium) {
    let complaints = window.console().await;
    let about_us = |line: &&String| line.contains("Content Security Policy") || line.contains("/oauth/");
    let about_us: Vec<_> = complaints.iter().filter(about_us).collect();
    assert!(about_us.is_empty(), "{about_us:#?}");
}

/// A page of ours: styled as its policy allows, and with nothing on it that runs or comes from elsewhere.
async fn is_plain_and_styled(window: &Chromium) {
    let found = window
        .run(
            "const all = [...document.querySelectorAll('*')];
             return {
                 scripts: document.scripts.length,
                 handlers: all.filter(e => [...e.attributes].some(a => a.name.startsWith('on'))).length,
                 links: all.filter(e => /^javascript:/i.test(e.getAttribute('href') || e.getAttribute('action') || '')).length,
                 fetched: performance.getEntriesByType('resource').map(e => e.name),
                 rounded: getComputedStyle(document.querySelector('main')).borderRadius !== '0px',
                 cookies: document.cookie,
             }",
        )
        .await;
    let wanted = serde_json::json!({
        "scripts": 0, "handlers": 0, "links": 0, "fetched": [], "rounded": true, "cookies": "",
    });
    assert_eq!(found, wanted);
}

/// Logs in at the provider and lets the server know who it is.
async fn at_the_provider(window: &Chromium, login: &str) {
    window.fill("input[name=login]", login).await;
    window.fill("input[name=password]", "any").await;
    window.press("button[type=submit]").await;
    // The page of consent has the same button and nothing to type.
    window.press("form:not(:has(input[name=login])) button[type=submit]").await;
}

/// Presses a button of our page of consent, and waits until the browser has gone where that leads.
async fn consent(window: &Chromium, cli: &CommandLine, answer: Answer) {
    // The page before has a heading, too, but not this button.
    assert_eq!(window.text("button[value=allow]").await, "Allow");
    assert_eq!(window.text("h1").await, "Allow Terraform?");
    is_plain_and_styled(window).await;
    window.press(&format!("button[value={}]", format!("{answer:?}").to_lowercase())).await;
    window.wait_for_url(&format!("{}?", cli.redirect)).await;
    assert_eq!(window.text("p").await, "You can close this window.");
    is_content(window).await;
}

/// Demands a token.
async fn gets_in(cli: &CommandLine, server: &Server) {
    let (status, _, body) = cli.exchange(server).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(works(server, body["access_token"].as_str().unwrap()).await);
}

#[tokio::test]
async fn a_person_logs_in_at_the_provider_and_arrives_at_the_command_line() {
    let Some(pair) = Pair::start(everybody(Options::memory())).await else { return };
    for answer in [Answer::Allow, Answer::Deny] {
        let Some(window) = Chromium::find().await else { return };
        let cli = CommandLine::at("localhost", &pair.server);
        window.open(&cli.attempt.authorization).await;
        at_the_provider(&window, "alice").await;
        window.wait_for_url(&pair.server.base_https()).await;
        assert!(window.text("main").await.contains("alice@example.com"));
        consent(&window, &cli, answer).await;
        match answer {
            Answer::Allow => gets_in(&cli, &pair.server).await,
            Answer::Deny => refused(&cli.exchange(&pair.server).await, "access_denied"),
        }
    }
}

#[tokio::test]
async fn a_person_logs_in_over_http_at_the_provider() {
    let Some(pair) = Pair::start(everybody(Options::memory())).await else { return };
    let Some(window) = Chromium::find().await else { return };
    let cli = CommandLine::at("localhost", &pair.server);
    window.open(&cli.attempt.authorization.replace("https://", "http://")).await;
    at_the_provider(&window, "alice").await;
    window.wait_for_url(&pair.server.base_http()).await;
    consent(&window, &cli, Answer::Allow).await;
    gets_in(&cli, &pair.server).await;
}

#[tokio::test]
async fn who_cancels_at_the_provider_or_may_not_log_in_arrives_at_the_command_line_too() {
    let options = Options::memory().env("OPENTACO_AUTH_ALLOWED_DOMAINS", "elsewhere.test");
    let Some(pair) = Pair::start(options).await else { return };
    for cancels in [true, false] {
        let Some(window) = Chromium::find().await else { return };
        let cli = CommandLine::at("localhost", &pair.server);
        window.open(&cli.attempt.authorization).await;
        if cancels {
            window.press("a[href$='/abort']").await;
        } else {
            at_the_provider(&window, "alice").await;
        }
        window.wait_for_url(&format!("{}?", cli.redirect)).await;
        is_content(&window).await;
        refused(&cli.exchange(&pair.server).await, "access_denied");
    }
}

#[tokio::test]
async fn two_tabs_of_one_window_both_log_in() {
    let Some(pair) = Pair::start(everybody(Options::memory())).await else { return };
    let Some(window) = Chromium::find().await else { return };
    for first in [true, false] {
        let cli = CommandLine::at("localhost", &pair.server);
        window.open(&cli.attempt.authorization).await;
        if first {
            at_the_provider(&window, "alice").await;
        }
        // The second time, the provider knows the browser and asks nothing.
        consent(&window, &cli, Answer::Allow).await;
        gets_in(&cli, &pair.server).await;
    }
}

/// Says who it is on our own page, after a wrong answer where there is one.
async fn on_our_page(server: &Server, wrong: &str, right: &str, answer: Answer, host: &str) {
    let Some(window) = Chromium::find().await else { return };
    let cli = CommandLine::at(host, server);
    window.open(&cli.attempt.authorization).await;
    for proof in [wrong, right] {
        assert_eq!(window.text("h1").await, "Log in to OpenTaco");
        is_plain_and_styled(&window).await;
        window.fill("input[name=proof]", proof).await;
        if proof == wrong {
            // The answer is an error page with the same form; the browser says in its console that it is one.
            window.press("button[type=submit]").await;
            assert!(!window.text("[role=alert]").await.is_empty());
            let said = window.console().await.join("\n");
            assert!(!said.contains("Content Security Policy"), "{said}");
        } else {
            window.press("button[type=submit]").await;
        }
    }
    consent(&window, &cli, answer).await;
    match answer {
        Answer::Allow => gets_in(&cli, server).await,
        Answer::Deny => refused(&cli.exchange(server).await, "access_denied"),
    }
}

#[tokio::test]
async fn the_one_time_code_is_typed_in_and_arrives_at_the_command_line() {
    let server = Server::start(Options::memory());
    for answer in [Answer::Allow, Answer::Deny] {
        on_our_page(&server, "AAAA-AAAA", &server.login_code(), answer, "localhost").await;
    }
}

#[tokio::test]
async fn a_name_of_the_development_login_arrives_at_the_command_line() {
    let server = Server::start(Options::memory().dev_login());
    for answer in [Answer::Allow, Answer::Deny] {
        on_our_page(&server, "no name: at all", "alice", answer, "localhost").await;
    }
}

#[tokio::test]
async fn a_command_line_may_wait_under_every_name_of_this_machine() {
    let server = Server::start(Options::memory().dev_login());
    let has_ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    for host in ["localhost", "127.0.0.1", "[::1]"].into_iter().filter(|host| has_ipv6 || *host != "[::1]") {
        on_our_page(&server, "no name: at all", "alice", Answer::Allow, host).await;
    }
}
