//! What was used already, and what belongs to another client, browser or step.

use opentaco_tests::browser::{Answer, Browser, Stop};
use opentaco_tests::client::{Api, Attempt};
use reqwest::header::ORIGIN;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::json;

use super::bench::{Bench, Says, accepted, field, taco, text, with};
use super::forge::flipped;
use crate::flow::{code, exchange_fields, open, post, press, session, to_consent, window, works};

const GRANT: Says = Says::Oauth("invalid_grant");

#[tokio::test]
async fn a_code_that_was_used_ends_what_it_gave() {
    let bench = Bench::start();
    let (fields, attempt) = bench.taco().await;
    let first = accepted(bench.token(&fields)).await;
    let (access, refresh) = (text(&first["access_token"]), text(&first["refresh_token"]));
    let secrets = [field(&fields, "code"), &attempt.verifier, &access, &refresh];
    bench.grants("before the replay", bench.get("/v1/auth/me").bearer_auth(&access)).await;
    bench.refuses("the code again", bench.token(&fields), GRANT, &secrets).await;
    bench.refuses("its refresh token", bench.refresh(&refresh), GRANT, &secrets).await;
    let me = bench.get("/v1/auth/me").bearer_auth(&access);
    bench.refuses("its access token", me, Says::Problem, &secrets).await;
    let credentials = bench.post("/v1/auth/issue-s3-creds").bearer_auth(&access);
    bench.refuses("its access token for credentials", credentials, Says::Problem, &secrets).await;
    bench.refuses("the code a third time", bench.token(&fields), GRANT, &secrets).await;
    bench.done(5);
}

#[tokio::test]
async fn a_code_is_for_the_client_that_asked_for_it() {
    let bench = Bench::start();
    let attempt = Attempt::new(&bench.server);
    let terraform = exchange_fields(&attempt, &code(&bench.server, &attempt).await);
    let (taco, taco_attempt) = bench.taco().await;
    let none = |fields: &[(String, String)]| -> Vec<(String, String)> {
        fields.iter().filter(|(name, _)| name != "client_id").cloned().collect()
    };
    let cases = [
        ("terraform's as taco", with(&terraform, "client_id", "taco"), "invalid_grant"),
        ("taco's as terraform", with(&taco, "client_id", "terraform-cli"), "invalid_grant"),
        ("terraform's as nobody", with(&terraform, "client_id", "somebody"), "invalid_client"),
        ("taco's as nobody", with(&taco, "client_id", "somebody"), "invalid_client"),
        ("in another case", with(&taco, "client_id", "Taco"), "invalid_client"),
        ("with a space", with(&taco, "client_id", "taco "), "invalid_client"),
        ("with an empty name", with(&taco, "client_id", ""), "invalid_request"),
        ("without a name", none(&terraform), "invalid_request"),
    ];
    let count = cases.len();
    for (what, fields, error) in cases {
        let secrets = [field(&fields, "code"), &attempt.verifier, &taco_attempt.verifier];
        bench.refuses(what, bench.token(&fields), Says::Oauth(error), &secrets).await;
    }
    // None of that has used them up.
    bench.grants("terraform's own", bench.token(&terraform)).await;
    let session = accepted(bench.token(&taco)).await;
    let refresh = text(&session["refresh_token"]);
    let named = |client: &str| {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", &refresh), ("client_id", client)];
        bench.post("/oauth/token").form(&fields)
    };
    for client in ["terraform-cli", "somebody", ""] {
        let what = format!("a refresh token as {client:?}");
        bench.refuses(&what, named(client), Says::Oauth("invalid_client"), &[&refresh]).await;
    }
    bench.grants("a refresh token as taco", named("taco")).await;
    bench.done(count + 3);
}

#[tokio::test]
async fn a_consent_and_a_session_sent_twice_are_worth_one_token() {
    let bench = Bench::start();
    let browser = Browser::new(&bench.server);
    let attempt = Attempt::new(&bench.server);
    let page = to_consent(&browser, &attempt, "alice").await;
    let mut codes = Vec::new();
    for _ in 0..2 {
        let Stop::Elsewhere(arrived) = press(&browser, &page, Answer::Allow).await else {
            panic!("no redirect")
        };
        codes.push(attempt.code(&arrived));
    }
    let given = accepted(bench.token(&exchange_fields(&attempt, &codes[0]))).await;
    let token = text(&given["access_token"]);
    let replay = bench.token(&exchange_fields(&attempt, &codes[1]));
    bench.refuses("the second press", replay, GRANT, &[&codes[0], &codes[1], &token]).await;
    assert!(!works(&bench.server, &token).await, "a consent that was replayed is worth nothing");

    // The page before it, sent twice, in the same browser: two names, one login.
    let (window, attempt) = (window(&bench.server), Attempt::new(&bench.server));
    let first = session(&open(&window, &attempt.authorization).await.html);
    let mut codes = Vec::new();
    for name in ["alice", "bob"] {
        let fields = [("session", first.as_str()), ("proof", name)];
        let second = session(&post(&window, &bench.url("/oauth/authorization"), &fields).await.html);
        let fields = [("session", second.as_str()), ("verdict", "allow")];
        let shown = post(&window, &bench.url("/oauth/consent"), &fields).await;
        let arrived = shown.headers["location"].to_str().unwrap().parse().unwrap();
        codes.push(attempt.code(&arrived));
    }
    bench.grants("alice's code", bench.token(&exchange_fields(&attempt, &codes[0]))).await;
    let replay = bench.token(&exchange_fields(&attempt, &codes[1]));
    bench.refuses("bob's code of the same login", replay, GRANT, &[&codes[0], &codes[1]]).await;
    bench.done(2);
}

fn form(client: &Client, url: &str, fields: &[(&str, &str)]) -> RequestBuilder {
    client.post(url).header(ORIGIN, url.split("/oauth").next().unwrap()).form(fields)
}

#[tokio::test]
async fn a_session_that_was_tampered_with_does_not_open() {
    let bench = Bench::start();
    let window = window(&bench.server);
    let (identify, consent) = (bench.url("/oauth/authorization"), bench.url("/oauth/consent"));
    let first = session(&open(&window, &Attempt::new(&bench.server).authorization).await.html);
    let fields = [("session", first.as_str()), ("proof", "alice")];
    let second = session(&post(&window, &identify, &fields).await.html);
    let tampered = |sealed: &str| {
        let (half, first) = (sealed.len() / 2, if sealed.starts_with('A') { 'B' } else { 'A' });
        [
            flipped(sealed),
            format!("{first}{}", &sealed[1..]),
            format!("{}AAAA", &sealed[..sealed.len() - 4]),
            sealed[..half].to_owned(),
            sealed[half..].to_owned(),
            format!("{sealed}{sealed}"),
            format!("{sealed}="),
            format!(" {sealed}"),
            sealed.to_uppercase(),
        ]
    };
    let mut cases = 0;
    for (step, sealed, url, answer) in [
        ("identify", &first, &identify, ("proof", "alice")),
        ("consent", &second, &consent, ("verdict", "allow")),
    ] {
        for text in tampered(sealed) {
            let request = form(&window, url, &[("session", &text), answer]);
            bench.refuses(step, request, Says::Page, &[sealed.as_str(), &text]).await;
            cases += 1;
        }
    }
    // What is sealed for another purpose, or signed: nothing of that is a session.
    let held = bench.held().await;
    let api = Api::new(&bench.server, &held.api);
    let workspace = api.create_workspace("default", "web").await;
    api.lock(&workspace).await.expect(StatusCode::OK);
    let state = opentaco_tests::client::state(1, "l", 0, &json!({}));
    let proposal = api.propose(&workspace, &state).await.expect(StatusCode::CREATED).json();
    let upload = text(&proposal["data"]["attributes"]["hosted-state-upload-url"]);
    let ticket = upload.rsplit_once('/').unwrap().1;
    let attempt = Attempt::new(&bench.server);
    let code = code(&bench.server, &attempt).await;
    for other in [ticket, &code, &held.access, &held.api] {
        let request = form(&window, &consent, &[("session", other), ("verdict", "allow")]);
        bench.refuses("no session", request, Says::Page, &[other]).await;
        cases += 1;
    }
    // Nor is a session anything else.
    let as_code = bench.token(&exchange_fields(&attempt, &second));
    bench.refuses("a session as a code", as_code, GRANT, &[&second]).await;
    bench.refuses("a session as a refresh token", bench.refresh(&second), GRANT, &[&second]).await;
    let as_token = bench.get("/v1/auth/me").bearer_auth(&second);
    bench.refuses("a session as a token", as_token, Says::Problem, &[&second]).await;
    let as_ticket = bench.client.put(bench.url(&format!("/tfe/api/v2/uploads/{second}"))).body(state);
    assert_eq!(as_ticket.send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let shown = post(&window, &consent, &[("session", &second), ("verdict", "allow")]).await;
    assert_eq!(shown.status, StatusCode::FOUND, "the session itself is good: {}", shown.html);
    bench.done(cases + 3);
}

#[tokio::test]
async fn a_session_is_of_one_browser_and_one_step() {
    let bench = Bench::start();
    let (mine, bare, other) = (window(&bench.server), window(&bench.server), window(&bench.server));
    let (identify, consent) = (bench.url("/oauth/authorization"), bench.url("/oauth/consent"));
    let attempt = taco(&Attempt::new(&bench.server));
    open(&other, &attempt.authorization).await;
    let first = session(&open(&mine, &attempt.authorization).await.html);
    let second = session(&post(&mine, &identify, &[("session", &first), ("proof", "alice")]).await.html);
    let forged = |name: &str, value: &str| {
        let request = form(&bare, &consent, &[("session", &second), ("verdict", "allow")]);
        request.header("cookie", format!("{name}={value}"))
    };
    let any = "A".repeat(43);
    let callback = |client: &Client, sealed: &str| {
        client.get(bench.url("/oauth/oidc-callback")).query(&[("state", sealed), ("code", "any")])
    };
    let cases = [
        ("no cookie: identify", form(&bare, &identify, &[("session", &first), ("proof", "mallory")])),
        ("no cookie: deny", form(&bare, &consent, &[("session", &second), ("verdict", "deny")])),
        ("another browser: identify", form(&other, &identify, &[("session", &first), ("proof", "mallory")])),
        ("another browser: consent", form(&other, &consent, &[("session", &second), ("verdict", "allow")])),
        ("an invented cookie", forged("__Host-opentaco_login", &any)),
        ("a cookie that is none of ours", forged("__Host-opentaco_login", "x")),
        ("the cookie of http", forged("opentaco_login", &any)),
        ("consent before identify", form(&mine, &consent, &[("session", &first), ("verdict", "allow")])),
        ("identify after identify", form(&mine, &identify, &[("session", &second), ("proof", "bob")])),
        ("a callback before identify", callback(&mine, &first)),
        ("a callback after identify", callback(&mine, &second)),
        ("a callback without a session", callback(&mine, "")),
    ];
    let count = cases.len();
    for (what, request) in cases {
        bench.refuses(what, request, Says::Page, &[&first, &second]).await;
    }
    let shown = post(&mine, &consent, &[("session", &second), ("verdict", "allow")]).await;
    assert_eq!(shown.status, StatusCode::FOUND, "the right browser goes on: {}", shown.html);
    bench.done(count);
}
