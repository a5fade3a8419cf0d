//! The login at a real `OpenID` provider, over its own pages.

use std::time::Duration;

use opentaco_tests::browser::{Answer, Stop, Who};
use opentaco_tests::client::{Api, Attempt, http};
use opentaco_tests::pair::{Alone, Pair, everybody};
use opentaco_tests::provider::{Claims, ClientAuth, ProviderOptions};
use opentaco_tests::server::{Options, Server};
use opentaco_tests::wait::eventually;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::flow::{
    denial, exchange_at, exchange_fields, files, management, management_at, me, open, outcome, press, window,
    works,
};

/// Longer than a server waits between two looks at a provider.
const PATIENCE: Duration = Duration::from_mins(1);

/// Logs somebody in and gives what the server then knows of them.
async fn known(pair: &Pair, login: &str) -> Value {
    me(&pair.server, &pair.login(login).await).await
}

/// What is stored of people and tokens.
fn stored(server: &Server, kind: &str) -> usize {
    files(&server.data_dir()).iter().filter(|file| file.iter().any(|part| part == kind)).count()
}

#[tokio::test]
async fn a_person_logs_in_over_either_scheme_of_the_server() {
    let Some(pair) = Pair::start(everybody(Options::memory())).await else { return };
    for base in [pair.server.base_https(), pair.server.base_http()] {
        let mut attempt = Attempt::new(&pair.server);
        attempt.authorization = attempt.authorization.replace(&pair.server.base_https(), &base);
        let browser = pair.browser();
        let page = pair.to_consent(&browser, &attempt, "alice").await;
        assert!(page.url.as_str().starts_with(&base), "{} is on {base}", page.url);
        for words in ["alice@example.com", "10004", "terraform login"] {
            assert!(page.html.contains(words), "{words} is not in {}", page.html);
        }
        let Stop::Elsewhere(arrived) = press(&browser, &page, Answer::Allow).await else {
            panic!("no redirect")
        };
        let fields = exchange_fields(&attempt, &attempt.code(&arrived));
        let (status, _, body) = exchange_at(&pair.server, &base, &fields).await;
        assert_eq!(status, StatusCode::OK, "{base}: {body}");
        let token = body["access_token"].as_str().unwrap();
        let me = management_at(&pair.server, &base, "/auth/me", Some(token)).await;
        assert_eq!((&me["subject"], &me["email"]), (&json!("oidc:alice"), &json!("alice@example.com")));
        assert_eq!((&me["email_verified"], &me["groups"]), (&json!(true), &json!(["dev"])));
    }
}

#[tokio::test]
async fn a_person_keeps_working_with_the_token() {
    let Some(pair) = Pair::start(everybody(Options::memory())).await else { return };
    let api = Api::new(&pair.server, &pair.login("alice").await);
    let workspace = api.create_workspace("default", "web").await;
    api.write(&workspace, &opentaco_tests::client::state(1, "l", 1, &json!({}))).await;
    let account = api.get("/account/details").await.expect(StatusCode::OK).json();
    let attributes = &account["data"]["attributes"];
    assert_eq!(
        (&attributes["username"], &attributes["email"]),
        (&json!("alice"), &json!("alice@example.com"))
    );
}

#[tokio::test]
async fn e_mail_and_groups_may_come_from_the_userinfo_endpoint_alone() {
    let provider = ProviderOptions { claims: Claims::UserInfo, ..ProviderOptions::default() };
    let Some(pair) = Pair::start_with(everybody(Options::memory()), provider).await else { return };
    let ann = known(&pair, "admin-ann").await;
    assert_eq!((&ann["email"], &ann["email_verified"]), (&json!("admin-ann@example.com"), &json!(true)));
    assert_eq!(ann["groups"], json!(["dev", "ops"]));
}

#[tokio::test]
async fn a_provider_that_takes_the_secret_in_the_form_alone_gets_it_there() {
    let provider = ProviderOptions { client_auth: ClientAuth::Post, ..ProviderOptions::default() };
    let Some(pair) = Pair::start_with(everybody(Options::memory()), provider).await else { return };
    assert_eq!(known(&pair, "alice").await["subject"], "oidc:alice");
}

#[tokio::test]
async fn a_provider_that_starts_after_the_server_is_found_without_a_restart() {
    let Some(alone) = Alone::start(everybody(Options::memory())) else { return };
    let shown = open(&window(&alone.server), &Attempt::new(&alone.server).authorization).await;
    shown.stops(503);
    for words in [&alone.issuer(), "try again"] {
        assert!(shown.html.contains(words), "{words} is not in {}", shown.html);
    }
    let client = http(&alone.server).build().unwrap();
    for path in ["healthz", "readyz", ".well-known/terraform.json"] {
        let url = format!("{}/{path}", alone.server.base_https());
        assert_eq!(client.get(url).send().await.unwrap().status(), StatusCode::OK, "{path}");
    }
    let config = management(&alone.server, "/auth/config", None).await;
    assert_eq!((&config["provider"]["ready"], &config["login"]), (&json!(false), &json!("oidc")));
    let loaded = "OIDC: Configuration loaded";
    assert!(!alone.server.output().contains(loaded));

    // Nobody has to try for it: the server looks again by itself.
    let pair = alone.join(&ProviderOptions::default());
    eventually(PATIENCE, async || {
        let output = pair.server.output();
        if output.contains(loaded) { Ok(()) } else { Err(output) }
    })
    .await;
    assert_eq!(management(&pair.server, "/auth/config", None).await["provider"]["ready"], true);
    assert!(works(&pair.server, &pair.login("alice").await).await);
}

#[tokio::test]
async fn a_provider_with_another_signing_key_is_believed_again_after_it_was_asked_for_it() {
    let Some(mut pair) = Pair::start(everybody(Options::memory())).await else { return };
    let before = pair.login("alice").await;
    pair.provider.restart_with_another_key();
    // Keys are asked for at most every ten seconds, whatever is presented.
    let after = eventually(PATIENCE, async || outcome(&pair, &Who::known_as("alice")).await).await;
    for token in [&before, &after] {
        assert!(works(&pair.server, token).await);
    }
}

#[tokio::test]
async fn who_cancels_at_the_provider_is_told_so_at_the_command_line_and_nothing_is_stored() {
    let Some(pair) = Pair::start(everybody(Options::local())).await else { return };
    let sentence = outcome(&pair, &Who::cancelling()).await.unwrap_err();
    assert!(sentence.contains("denied at the identity provider"), "{sentence}");
    assert_eq!((stored(&pair.server, "users"), stored(&pair.server, "_tfe_tokens")), (0, 0));

    pair.login("alice").await;
    assert!(stored(&pair.server, "users") > 0, "this is where people are");
    assert!(stored(&pair.server, "_tfe_tokens") > 0, "this is where tokens are");
}

#[tokio::test]
async fn who_denies_on_our_page_is_told_so_at_the_command_line_and_no_token_is_stored() {
    let Some(pair) = Pair::start(everybody(Options::local())).await else { return };
    let (browser, attempt) = (pair.browser(), Attempt::new(&pair.server));
    let page = pair.to_consent(&browser, &attempt, "alice").await;
    let Stop::Elsewhere(arrived) = press(&browser, &page, Answer::Deny).await else { panic!("no redirect") };
    let sentence = denial(&pair.server, &attempt, &arrived).await;
    assert!(sentence.contains("denied in the browser"), "{sentence}");
    assert_eq!(stored(&pair.server, "_tfe_tokens"), 0);
}

#[tokio::test]
async fn two_logins_give_two_tokens_and_what_the_newest_one_said_counts_for_both() {
    let Some(mut pair) = Pair::start(everybody(Options::memory())).await else { return };
    let mut tokens = vec![pair.login("alice").await];
    for (bent, email, groups) in [
        (json!({"email": "Alice@Night.Example", "groups": ["night", "ops"]}), "alice@night.example", 2),
        (
            json!({"email": "alice@day.example", "email_verified": false, "groups": "day"}),
            "alice@day.example",
            1,
        ),
        (json!({"email": null, "groups": null}), "", 0),
    ] {
        let verified = bent.get("email_verified").is_none() && !email.is_empty();
        pair.provider.bend("alice", bent);
        let token = pair.login("alice").await;
        assert!(!tokens.contains(&token), "each login has a token of its own");
        tokens.push(token);
        for token in &tokens {
            let me = me(&pair.server, token).await;
            assert_eq!(me["subject"], "oidc:alice");
            assert_eq!(me["email"].as_str().unwrap_or_default(), email);
            assert_eq!(me["email_verified"], verified);
            assert_eq!(me["groups"].as_array().unwrap().len(), groups, "{me}");
        }
    }
}

#[tokio::test]
async fn two_people_are_two_subjects_even_with_one_address() {
    let Some(mut pair) = Pair::start(everybody(Options::memory())).await else { return };
    pair.provider.bend("mallory", json!({"email": "alice@example.com", "name": "alice"}));
    let [alice, mallory] = [known(&pair, "alice").await, known(&pair, "mallory").await];
    assert_eq!(alice["email"], mallory["email"]);
    assert_eq!((&alice["subject"], &mallory["subject"]), (&json!("oidc:alice"), &json!("oidc:mallory")));
}
