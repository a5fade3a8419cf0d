//! The one-time code on the terminal: good once, and not to be guessed.

use opentaco_tests::browser::{Answer, Browser, Who};
use opentaco_tests::client::{Attempt, login};
use opentaco_tests::server::{Options, Server};
use reqwest::header::RETRY_AFTER;

use crate::flow::works;

#[tokio::test]
async fn after_five_wrong_codes_a_browser_waits_and_another_does_not() {
    let server = Server::start(Options::memory());
    let code = server.login_code();
    let attempt = Attempt::new(&server);
    let guesser = Browser::new(&server);
    for _ in 0..5 {
        let page = guesser.try_to_log_in(&attempt.authorization, "AAAA-AAAA").await.page();
        assert_eq!(page.status, 422, "{}", page.html);
        assert!(!page.html.contains("AAAA-AAAA") && !page.html.contains(&code), "{}", page.html);
    }
    for typed in ["AAAA-AAAA", &code] {
        let page = guesser.try_to_log_in(&attempt.authorization, typed).await.page();
        assert_eq!(page.status, 429, "{}", page.html);
        let wait: u64 = page.headers[RETRY_AFTER].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        assert!(!page.html.contains("value=\"allow\""));
    }
    // The guesser locks nobody else out.
    assert!(works(&server, &login(&server, &Who::Code(code)).await).await);
}

#[tokio::test]
async fn a_used_code_is_refused_and_the_next_one_is_printed() {
    let server = Server::start(Options::memory());
    let first = server.login_code();
    login(&server, &Who::Code(first.clone())).await;
    let page = Browser::new(&server).try_to_log_in(&Attempt::new(&server).authorization, &first).await.page();
    assert_eq!(page.status, 422, "{}", page.html);
    let next = server.login_code();
    assert_ne!(first, next);
    assert!(works(&server, &login(&server, &Who::Code(next)).await).await);
}

#[tokio::test]
async fn a_code_is_read_as_people_type_it() {
    let server = Server::start(Options::memory());
    let typed = format!(" {} ", server.login_code().to_lowercase().replace('-', " "));
    assert!(works(&server, &login(&server, &Who::Code(typed)).await).await);
}

#[tokio::test]
async fn wrong_codes_of_any_kind_are_refused() {
    let server = Server::start(Options::memory());
    let code = server.login_code();
    let long = "A".repeat(60_000);
    let twice = format!("{code}{code}");
    for typed in ["", "-", &code[..8], &twice, &long, "\u{0}", "<script>", "ＡＡＡＡ-ＡＡＡＡ"] {
        let page =
            Browser::new(&server).try_to_log_in(&Attempt::new(&server).authorization, typed).await.page();
        assert_eq!(page.status, 422, "{typed:.20}: {}", page.html);
        assert!(!page.html.contains("<script>"));
    }
    let attempt = Attempt::new(&server);
    let arrived = Browser::new(&server).log_in(&attempt.authorization, &Who::Code(code), Answer::Allow).await;
    attempt.code(&arrived);
}
