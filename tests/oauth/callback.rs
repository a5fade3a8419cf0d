//! Where the provider sends the browser back to: for the browser and the login that it belongs to, once.

use opentaco_tests::browser::{Answer, Browser, Stop, Who};
use opentaco_tests::client::Attempt;
use opentaco_tests::pair::{Pair, everybody};
use opentaco_tests::server::Options;
use reqwest::{Client, Url};

use crate::flow::{Shown, denial, exchange, exchange_fields, open, press, window};

async fn start() -> Option<Pair> {
    Pair::start(everybody(Options::memory())).await
}

/// A login that the provider has just sent back; nobody has opened that address yet.
struct Returning {
    attempt: Attempt,
    window: Client,
    callback: Url,
}

impl Returning {
    async fn new(pair: &Pair, who: &Who) -> Self {
        Self::in_window(pair, window(&pair.server), who).await
    }

    async fn in_window(pair: &Pair, window: Client, who: &Who) -> Self {
        let attempt = Attempt::new(&pair.server);
        let shown = open(&window, &attempt.authorization).await;
        assert_eq!(shown.status, 302, "{}", shown.html);
        let there = shown.headers["location"].to_str().unwrap();
        let callback = Browser::at(&pair.provider).log_in(there, who, Answer::Allow).await;
        assert!(callback.as_str().starts_with(&pair.server.base_https()), "{callback}");
        Self { attempt, window, callback }
    }

    /// The address with another value of a parameter.
    fn varied(&self, name: &str, value: &str) -> String {
        let mut url = self.callback.clone();
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let value = |(key, old): (String, String)| {
            let new = if key == name { value.to_owned() } else { old };
            (key, new)
        };
        url.query_pairs_mut().clear().extend_pairs(pairs.into_iter().map(value));
        url.into()
    }

    fn state(&self) -> String {
        let found = self.callback.query_pairs().find(|(name, _)| name == "state");
        found.expect("a state").1.into_owned()
    }

    /// The address with a state and these parameters alone.
    fn with(&self, pairs: &[(&str, &str)]) -> String {
        let mut url = self.callback.clone();
        url.query_pairs_mut().clear().append_pair("state", &self.state()).extend_pairs(pairs);
        url.into()
    }
}

fn target(shown: &Shown) -> Url {
    assert_eq!(shown.status, 302, "{}", shown.html);
    shown.headers["location"].to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn another_browser_gets_nothing_and_the_right_one_goes_on() {
    let Some(pair) = start().await else { return };
    let login = Returning::new(&pair, &Who::known_as("alice")).await;
    let stranger = window(&pair.server);
    for known in [false, true] {
        if known {
            open(&stranger, &Attempt::new(&pair.server).authorization).await;
        }
        let shown = open(&stranger, login.callback.as_str()).await;
        shown.stops(400);
        assert!(shown.html.contains("another browser"), "{}", shown.html);
    }
    let shown = open(&login.window, login.callback.as_str()).await;
    assert!(shown.status == 200 && shown.html.contains("value=\"allow\""), "{}", shown.html);
}

#[tokio::test]
async fn a_state_that_is_not_ours_is_a_page_and_sends_nobody_anywhere() {
    let Some(pair) = start().await else { return };
    let login = Returning::new(&pair, &Who::known_as("alice")).await;
    let long = "A".repeat(10_000);
    for bad in ["", "x", &login.state()[1..], &long, "\"><script>alert(1)</script>"] {
        let shown = open(&login.window, &login.varied("state", bad)).await;
        shown.stops(400);
        assert!(!shown.html.contains("<script"), "{}", shown.html);
    }
    let base = format!("{}/oauth/oidc-callback", pair.server.base_https());
    for query in ["", "?code=x", "?error=access_denied"] {
        open(&login.window, &format!("{base}{query}")).await.stops(400);
    }
    for again in ["state", "code"] {
        open(&login.window, &format!("{}&{again}=x", login.callback)).await.stops(400);
    }
    let posted = login.window.post(login.callback.clone()).send().await.unwrap();
    assert_eq!(posted.status(), 405, "a form elsewhere must not log anybody in");
}

#[tokio::test]
async fn the_same_address_opened_twice_gives_one_token() {
    let Some(pair) = start().await else { return };
    let attempt = Attempt::new(&pair.server);
    // One window for all: it follows the provider, but not back to the server.
    let browser = pair.browser();
    let page = pair.to_consent(&browser, &attempt, "alice").await;
    let again = browser.open(page.url.as_str()).await;
    let Stop::Elsewhere(denied) = again else { panic!("the provider's code is used up") };
    let sentence = denial(&pair.server, &attempt, &denied).await;
    assert!(sentence.contains("refused"), "{sentence}");
    let Stop::Elsewhere(arrived) = press(&browser, &page, Answer::Allow).await else { panic!("no redirect") };
    let (status, _, body) = exchange(&pair.server, &exchange_fields(&attempt, &attempt.code(&arrived))).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test]
async fn the_code_of_another_login_is_refused() {
    let Some(pair) = start().await else { return };
    let mine = Returning::new(&pair, &Who::known_as("alice")).await;
    let theirs = Returning::in_window(&pair, mine.window.clone(), &Who::known_as("mallory")).await;
    let code = theirs.callback.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    for code in [code.as_str(), "made-up", &"x".repeat(3_000)] {
        let shown = open(&mine.window, &mine.varied("code", code)).await;
        let sentence = denial(&pair.server, &mine.attempt, &target(&shown)).await;
        assert!(sentence.contains("refused"), "{sentence}");
    }
    assert!(pair.server.output().contains("invalid_grant"), "{}", pair.server.output());
}

#[tokio::test]
async fn an_error_of_the_provider_ends_the_command_line_and_its_words_go_nowhere() {
    let Some(pair) = start().await else { return };
    let login = Returning::new(&pair, &Who::known_as("alice")).await;
    let markup = "\"><script>alert(1)</script>";
    for (error, words) in [
        ("access_denied", "denied at the identity provider"),
        ("login_required", "denied at the identity provider"),
        ("server_error", "did not answer"),
        ("temporarily_unavailable", "did not answer"),
        ("invalid_scope", "OPENTACO_AUTH_SCOPES"),
        ("unauthorized_client", "registration"),
        (markup, "refused"),
        ("", "refused"),
    ] {
        let shown =
            open(&login.window, &login.with(&[("error", error), ("error_description", markup)])).await;
        let target = target(&shown);
        assert!(!target.as_str().contains("script") && !shown.html.contains("script"), "{target}");
        let sentence = denial(&pair.server, &login.attempt, &target).await;
        assert!(sentence.contains(words) && !sentence.contains("script"), "{error}: {sentence}");
    }
    // An error beside a code is an error.
    let both = format!("{}&error=access_denied", login.callback);
    denial(&pair.server, &login.attempt, &target(&open(&login.window, &both).await)).await;
    assert!(!pair.server.output().contains("<script"), "{}", pair.server.output());
}

#[tokio::test]
async fn a_provider_that_goes_away_in_the_middle_ends_the_command_line_with_a_word_to_try_again() {
    let Some(mut pair) = start().await else { return };
    let login = Returning::new(&pair, &Who::known_as("alice")).await;
    pair.provider.stop();
    let shown = open(&login.window, login.callback.as_str()).await;
    let sentence = denial(&pair.server, &login.attempt, &target(&shown)).await;
    assert!(sentence.contains("did not answer") && sentence.contains("try again"), "{sentence}");
    pair.provider.restart();
    pair.login("alice").await;
}

#[tokio::test]
async fn codes_sessions_and_secrets_of_the_provider_are_not_logged() {
    let options = everybody(Options::memory()).env("OPENTACO_LOG_LEVEL", "trace");
    let Some(pair) = Pair::start(options).await else { return };
    let login = Returning::new(&pair, &Who::known_as("alice")).await;
    let shown = open(&login.window, login.callback.as_str()).await;
    assert_eq!(shown.status, 200, "{}", shown.html);
    let output = pair.server.output();
    let code = login.callback.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let [secret, escaped] = ["quiet:please", "quiet%3Aplease"];
    for needle in [code.as_str(), &login.state(), &login.attempt.state, secret, escaped] {
        assert!(!output.contains(needle), "{needle} was printed");
    }
}
