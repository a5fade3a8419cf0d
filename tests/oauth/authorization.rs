//! The authorization request: what is not exactly right is a page, and never sends a browser anywhere.

use opentaco_tests::client::{Attempt, REDIRECT};
use reqwest::StatusCode;

use crate::flow::{open, start, varied, window};

#[tokio::test]
async fn a_redirect_address_that_is_not_the_command_lines_is_a_page() {
    let server = start();
    let long = format!("http://localhost:10004/{}", "x".repeat(300));
    for redirect in [
        "https://localhost:10004/login",
        "http://localhost:9999/login",
        "http://localhost:10011/login",
        "http://localhost/login",
        "http://evil.example:10004/login",
        "http://localhost.evil.example:10004/",
        "http://localhost@evil.example:10004/",
        "http://user:pass@localhost:10004/",
        "http://localhost:10004/#fragment",
        "http://localhost:10004\\@evil.example/",
        "http://localhost:10004/login?code=mine",
        "http://127.0.0.2:10004/",
        "http://0.0.0.0:10004/",
        "//localhost:10004/login",
        "javascript:alert(1)//localhost:10004",
        "http://localhost:10004/\r\nSet-Cookie: x=y",
        "/login",
        "",
        &long,
    ] {
        let attempt = Attempt::new(&server);
        let shown = open(&window(&server), &varied(&attempt, &[("redirect_uri", Some(redirect))])).await;
        shown.stops(400);
    }
}

#[tokio::test]
async fn every_parameter_must_be_there_once_and_right() {
    let server = start();
    let attempt = Attempt::new(&server);
    let too_long = "s".repeat(513);
    for (name, bad) in [
        ("client_id", vec!["", "terraform", "TERRAFORM-CLI", "taco\u{0}"]),
        ("response_type", vec!["", "token", "code token", "Code", "id_token"]),
        ("code_challenge_method", vec!["", "plain", "s256", "S512"]),
        (
            "code_challenge",
            vec!["", "short", &too_long, "====", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM"],
        ),
        ("redirect_uri", vec![""]),
        ("state", vec!["", &too_long]),
    ] {
        for value in bad {
            open(&window(&server), &varied(&attempt, &[(name, Some(value))])).await.stops(400);
        }
        open(&window(&server), &varied(&attempt, &[(name, None)])).await.stops(400);
        for again in ["", "other", REDIRECT] {
            let doubled = format!("{}&{name}={again}", attempt.authorization);
            open(&window(&server), &doubled).await.stops(400);
            let (base, query) = attempt.authorization.split_once('?').unwrap();
            open(&window(&server), &format!("{base}?{name}={again}&{query}")).await.stops(400);
        }
    }
    open(&window(&server), &format!("{}/oauth/authorization", server.base_https())).await.stops(400);
    open(&window(&server), &format!("{}/oauth/authorization?%zz=%ff", server.base_https())).await.stops(400);
}

#[tokio::test]
async fn a_state_of_five_hundred_and_twelve_bytes_and_every_loopback_name_are_fine() {
    let server = start();
    let attempt = Attempt::new(&server);
    let state = "s".repeat(512);
    for (name, value) in [
        ("state", state.as_str()),
        ("redirect_uri", "http://127.0.0.1:10000/"),
        ("redirect_uri", "http://[::1]:10010/login"),
        ("redirect_uri", "http://localhost:10000"),
    ] {
        let shown = open(&window(&server), &varied(&attempt, &[(name, Some(value))])).await;
        assert_eq!(shown.status, StatusCode::OK, "{name}={value}: {}", shown.html);
    }
    // A parameter that nobody knows is ignored, once or twice (RFC 6749 section 3.1).
    let shown = open(&window(&server), &format!("{}&nonce=x", attempt.authorization)).await;
    assert_eq!(shown.status, StatusCode::OK);
}
