//! One login over two servers, where every request goes to the other one.

use std::fs;

use jwt_simple::prelude::Ed25519KeyPair;
use opentaco_tests::alternating::Alternating;
use opentaco_tests::browser::{Answer, Browser, Page, Stop, Who};
use opentaco_tests::client::{Api, Attempt, REDIRECT, state};
use opentaco_tests::pair::{callback, everybody, past_provider};
use opentaco_tests::provider::{Provider, ProviderOptions};
use opentaco_tests::server::{Options, Server, Storage};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::flow::{exchange_at, exchange_fields, press, refused};

const STATE_KEY: &str = "OPENTACO_OAUTH_STATE_KEY";
const SIGNING_KEY: &str = "OPENTACO_TOKENS_PRIVATE_KEY_PEM_PATH";
const OTHER_KEYS: &str = "OPENTACO_TOKENS_VERIFY_PEM_PATHS";

/// Two servers on one bucket behind a proxy that sends every request to the other one.
struct Team {
    proxy: Alternating,
    servers: [Server; 2],
    provider: Provider,
}

impl Team {
    /// Two servers with these settings, the second one with more.
    fn start(first: &[(&str, &str)], second: &[(&str, &str)]) -> Option<Self> {
        let installed = Provider::find()?;
        if !Storage::S3.is_there() {
            return None;
        }
        let proxy = Alternating::open();
        let provider = installed.start(&ProviderOptions::to(&callback(&proxy.base())));
        let set = |options: Options, (name, value): &(&str, &str)| options.env(name, value);
        let told = provider.variables();
        let options = everybody(Options::s3()).env("OPENTACO_PUBLIC_BASE_URL", &proxy.base());
        let options = told.iter().fold(options, |options, (name, value)| options.env(name, value));
        let one = Server::start(first.iter().fold(options, set));
        let two = one.second_with(|same| second.iter().fold(same, set));
        proxy.lead_to(&[one.port(), two.port()]);
        Some(Self { proxy, servers: [one, two], provider })
    }

    fn browser(&self) -> Browser {
        let through = Browser::through(&self.servers[0], &self.provider);
        through.trusting(&format!("localhost:{}", self.proxy.port()))
    }

    fn attempt(&self) -> Attempt {
        let mut attempt = Attempt::new(&self.servers[0]);
        let server = self.servers[0].base_https();
        attempt.authorization = attempt.authorization.replace(&server, &self.proxy.base());
        attempt
    }

    /// The page that follows the provider's.
    async fn returned(&self, browser: &Browser, attempt: &Attempt) -> Page {
        let alice = Who::known_as("alice");
        past_provider(&self.provider, browser, &attempt.authorization, &alice).await.page()
    }

    /// The whole login up to the answer of the token endpoint.
    async fn exchanged(&self) -> (StatusCode, HeaderMap, Value) {
        let (browser, attempt) = (self.browser(), self.attempt());
        let page = self.returned(&browser, &attempt).await;
        let Stop::Elsewhere(arrived) = press(&browser, &page, Answer::Allow).await else {
            panic!("no redirect")
        };
        let fields = exchange_fields(&attempt, &attempt.code(&arrived));
        exchange_at(&self.servers[0], &self.proxy.base(), &fields).await
    }

    /// The paths that each server was asked for.
    fn paths(&self) -> Vec<Vec<String>> {
        let path = |request: &String| request.split(['?', ' ']).nth(1).unwrap_or_default().to_owned();
        self.proxy.requests().iter().map(|served| served.iter().map(path).collect()).collect()
    }
}

fn token(answer: &(StatusCode, HeaderMap, Value)) -> String {
    assert_eq!(answer.0, StatusCode::OK, "{}", answer.2);
    answer.2["access_token"].as_str().unwrap().to_owned()
}

/// Two signing keys in files.
fn two_keys(folder: &TempDir) -> [String; 2] {
    ["one.pem", "two.pem"].map(|name| {
        let path = folder.path().join(name);
        fs::write(&path, Ed25519KeyPair::generate().to_pem()).unwrap();
        path.to_str().unwrap().to_owned()
    })
}

#[tokio::test]
async fn a_login_whose_every_request_meets_the_other_server_gives_a_token_for_both() {
    let Some(team) = Team::start(&[], &[]) else { return };
    let token = token(&team.exchanged().await);
    let steps = [
        vec!["/oauth/authorization".to_owned(), "/oauth/consent".to_owned()],
        vec!["/oauth/oidc-callback".to_owned(), "/oauth/token".to_owned()],
    ];
    assert_eq!(team.paths(), steps, "each had its share");

    let api = Api::at(&team.proxy.base(), &token);
    let workspace = api.create_workspace("default", "web").await;
    for serial in 1..=2 {
        let bytes = state(serial, "l", 1, &json!({}));
        api.write(&workspace, &bytes).await;
        assert_eq!(api.download(&workspace).await.expect(StatusCode::OK).body, bytes);
    }
    let [one, two] = [&team.paths()[0], &team.paths()[1]].map(Vec::len);
    assert!(one > 6 && two > 6, "{one} and {two}");
    for server in &team.servers {
        Api::at(&server.base_http(), &token).get("/account/details").await.expect(StatusCode::OK);
    }
}

#[tokio::test]
async fn a_code_that_was_exchanged_at_one_server_is_used_up_at_the_other() {
    let Some(team) = Team::start(&[], &[]) else { return };
    let (browser, attempt) = (team.browser(), team.attempt());
    let page = team.returned(&browser, &attempt).await;
    let Stop::Elsewhere(arrived) = press(&browser, &page, Answer::Allow).await else { panic!("no redirect") };
    let fields = exchange_fields(&attempt, &attempt.code(&arrived));
    let [one, two] = &team.servers;
    let token = token(&exchange_at(one, &one.base_http(), &fields).await);
    refused(&exchange_at(two, &two.base_http(), &fields).await, "invalid_grant");
    for server in [two, one] {
        let api = Api::at(&server.base_http(), &token);
        // Who remembers a token does so for a moment.
        opentaco_tests::wait::eventually(std::time::Duration::from_mins(1), async || {
            let status = api.get("/account/details").await.status;
            if status == StatusCode::UNAUTHORIZED { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    }
}

#[tokio::test]
async fn with_another_state_key_at_each_server_the_page_names_the_setting() {
    let other = "another key that the first server does not have";
    let Some(team) = Team::start(&[], &[(STATE_KEY, other)]) else { return };
    let page = team.returned(&team.browser(), &team.attempt()).await;
    assert_eq!(page.status, 400, "{}", page.html);
    for words in ["Invalid or expired state", STATE_KEY] {
        assert!(page.html.contains(words), "{words} is not in {}", page.html);
    }
    assert!(!page.html.contains("another key"), "{}", page.html);
    // What is logged may be read a moment later.
    opentaco_tests::wait::until(std::time::Duration::from_secs(30), "the reason in the log", || {
        team.servers[1].output().contains("Invalid or expired state").then_some(())
    });
}

#[tokio::test]
async fn with_another_signing_key_at_each_server_the_exchange_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = two_keys(&folder);
    let Some(team) = Team::start(&[(SIGNING_KEY, &one)], &[(SIGNING_KEY, &two)]) else { return };
    let answer = team.exchanged().await;
    refused(&answer, "invalid_grant");
    assert_eq!(answer.2["error_description"], "Invalid or expired authorization code");
}

#[tokio::test]
async fn in_the_middle_of_a_rotation_of_all_keys_logins_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = two_keys(&folder);
    let [old, new] = ["the old key of at least 32 characters", "the new key of at least 32 characters"];
    let [older, newer] = [format!("{old},{new}"), format!("{new},{old}")];
    let first = [(STATE_KEY, older.as_str()), (SIGNING_KEY, &one), (OTHER_KEYS, &two)];
    let second = [(STATE_KEY, newer.as_str()), (SIGNING_KEY, &two), (OTHER_KEYS, &one)];
    let Some(team) = Team::start(&first, &second) else { return };
    for _ in 0..2 {
        let token = token(&team.exchanged().await);
        for server in &team.servers {
            Api::at(&server.base_http(), &token).get("/account/details").await.expect(StatusCode::OK);
        }
    }
}

#[tokio::test]
async fn a_denial_at_one_server_is_told_by_the_other() {
    let Some(team) = Team::start(&[], &[]) else { return };
    let (browser, attempt) = (team.browser(), team.attempt());
    let page = team.returned(&browser, &attempt).await;
    let Stop::Elsewhere(arrived) = press(&browser, &page, Answer::Deny).await else { panic!("no redirect") };
    assert!(arrived.as_str().starts_with(REDIRECT), "{arrived}");
    let fields = exchange_fields(&attempt, &attempt.code(&arrived));
    refused(&exchange_at(&team.servers[0], &team.proxy.base(), &fields).await, "access_denied");
}
