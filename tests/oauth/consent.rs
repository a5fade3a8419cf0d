//! The pages' forms: bound to the browser that began, and to the step they belong to.

use opentaco_tests::browser::{Answer, Browser, Stop};
use opentaco_tests::client::{Attempt, REDIRECT};
use reqwest::StatusCode;

use crate::flow::{
    exchange, exchange_fields, open, post, press, refused, session, start, to_consent, window, works,
};

#[tokio::test]
async fn a_form_without_the_cookie_or_with_another_browsers_is_refused() {
    let server = start();
    let attempt = Attempt::new(&server);
    let mine = window(&server);
    let identify = format!("{}/oauth/authorization", server.base_https());
    let consent = format!("{}/oauth/consent", server.base_https());
    let first = session(&open(&mine, &attempt.authorization).await.html);
    let bare = window(&server);
    let other = window(&server);
    open(&other, &Attempt::new(&server).authorization).await;
    for stranger in [&bare, &other] {
        post(stranger, &identify, &[("session", &first), ("proof", "mallory")]).await.stops(400);
    }
    let second = session(&post(&mine, &identify, &[("session", &first), ("proof", "alice")]).await.html);
    for stranger in [&bare, &other] {
        post(stranger, &consent, &[("session", &second), ("verdict", "allow")]).await.stops(400);
    }
    let shown = post(&mine, &consent, &[("session", &second), ("verdict", "allow")]).await;
    assert_eq!(shown.status, StatusCode::FOUND, "the right browser goes on: {}", shown.html);
}

#[tokio::test]
async fn a_session_of_another_step_or_a_garbled_one_is_refused() {
    let server = start();
    let mine = window(&server);
    let identify = format!("{}/oauth/authorization", server.base_https());
    let consent = format!("{}/oauth/consent", server.base_https());
    let first = session(&open(&mine, &Attempt::new(&server).authorization).await.html);
    // Consent before anybody has said who they are.
    post(&mine, &consent, &[("session", &first), ("verdict", "allow")]).await.stops(400);
    let second = session(&post(&mine, &identify, &[("session", &first), ("proof", "alice")]).await.html);
    post(&mine, &identify, &[("session", &second), ("proof", "bob")]).await.stops(400);
    let flipped =
        format!("{}{}", &second[..second.len() - 2], if second.ends_with("AA") { "BB" } else { "AA" });
    for bad in ["", "x", &flipped, &second[1..], &"A".repeat(10_000)] {
        post(&mine, &consent, &[("session", bad), ("verdict", "allow")]).await.stops(400);
    }
    for verdict in ["", "ALLOW", "yes"] {
        post(&mine, &consent, &[("session", &second), ("verdict", verdict)]).await.stops(400);
    }
    post(&mine, &consent, &[("session", &second)]).await.stops(400);
    post(&mine, &consent, &[("session", &second), ("verdict", "allow"), ("verdict", "deny")])
        .await
        .stops(400);
    post(&mine, &consent, &[("session", &second), ("session", &first), ("verdict", "allow")])
        .await
        .stops(400);
    let large = "x".repeat(100_000);
    post(&mine, &consent, &[("session", &large), ("verdict", "allow")]).await.stops(400);
    let shown = open(&mine, &consent).await;
    assert_eq!(shown.status, 405, "a link must not consent: {}", shown.html);
}

#[tokio::test]
async fn a_session_of_another_server_is_refused() {
    let [here, there] = [start(), start()];
    let window = window(&here);
    open(&window, &Attempt::new(&here).authorization).await;
    let foreign =
        session(&open(&crate::flow::window(&there), &Attempt::new(&there).authorization).await.html);
    let identify = format!("{}/oauth/authorization", here.base_https());
    post(&window, &identify, &[("session", &foreign), ("proof", "alice")]).await.stops(400);
}

#[tokio::test]
async fn two_tabs_of_one_browser_both_log_in() {
    let server = start();
    let browser = Browser::new(&server);
    let [first, second] = [Attempt::new(&server), Attempt::new(&server)];
    let one = to_consent(&browser, &first, "alice").await;
    let two = to_consent(&browser, &second, "bob").await;
    for (attempt, page) in [(first, one), (second, two)] {
        let Stop::Elsewhere(arrived) = press(&browser, &page, Answer::Allow).await else {
            panic!("no redirect")
        };
        let (status, body) = attempt.exchange(&server, &attempt.code(&arrived)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }
}

#[tokio::test]
async fn denial_goes_back_with_the_state_and_its_exchange_says_access_denied() {
    let server = start();
    let browser = Browser::new(&server);
    let attempt = Attempt::new(&server);
    let page = to_consent(&browser, &attempt, "alice").await;
    let Stop::Elsewhere(arrived) = press(&browser, &page, Answer::Deny).await else { panic!("no redirect") };
    assert!(arrived.as_str().starts_with(REDIRECT));
    let fields = exchange_fields(&attempt, &attempt.code(&arrived));
    for _ in 0..2 {
        refused(&exchange(&server, &fields).await, "access_denied");
    }
}

#[tokio::test]
async fn consenting_twice_gives_no_second_working_token() {
    let server = start();
    let browser = Browser::new(&server);
    let attempt = Attempt::new(&server);
    let page = to_consent(&browser, &attempt, "alice").await;
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let arrived = match press(&browser, &page, Answer::Allow).await {
            Stop::Elsewhere(arrived) => arrived,
            // Refusing the second press is as good.
            Stop::Page(page) => {
                assert_eq!(page.status, 400, "{}", page.html);
                continue;
            }
        };
        let (_, body) = attempt.exchange(&server, &attempt.code(&arrived)).await;
        tokens.extend(body["access_token"].as_str().map(str::to_owned));
    }
    let mut working = 0;
    for token in &tokens {
        working += usize::from(works(&server, token).await);
    }
    assert!(working <= 1, "one consent, {working} working tokens");
}
