//! Headers and markup of the pages: nothing frames them, keeps them, or puts words into them.

use opentaco_tests::browser::{Answer, Browser, Stop};
use opentaco_tests::client::Attempt;
use reqwest::header::{HeaderMap, SET_COOKIE};

use crate::flow::{open, post, press, session, start, to_consent, varied, window};

fn policy(headers: &HeaderMap) -> Vec<String> {
    let policy = headers["content-security-policy"].to_str().unwrap();
    policy.split(';').map(|part| part.trim().to_owned()).collect()
}

#[track_caller]
fn is_guarded(headers: &HeaderMap, form_action: &str) {
    let policy = policy(headers);
    for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", form_action] {
        assert!(policy.iter().any(|found| found == part), "{part} is not in {policy:?}");
    }
    assert!(!policy.iter().any(|part| part.contains("unsafe") || part.contains('*')), "{policy:?}");
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["x-frame-options"], "DENY");
    assert_eq!(headers["referrer-policy"], "no-referrer");
}

#[tokio::test]
async fn every_page_is_guarded_and_only_those_of_a_checked_request_may_lead_to_its_command_line() {
    let server = start();
    let attempt = Attempt::new(&server);
    let window = window(&server);
    let identify = format!("{}/oauth/authorization", server.base_https());
    let consent = format!("{}/oauth/consent", server.base_https());
    let login = open(&window, &attempt.authorization).await;
    is_guarded(&login.headers, "form-action 'self' http://localhost:10004");
    let cookie = login.headers[SET_COOKIE].to_str().unwrap();
    for part in ["__Host-opentaco_login=", "Path=/", "HttpOnly", "SameSite=Lax", "Secure", "Max-Age=600"] {
        assert!(cookie.contains(part), "{part} is not in {cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    let first = session(&login.html);
    let wrong = post(&window, &identify, &[("session", &first), ("proof", "")]).await;
    assert!(wrong.status.is_client_error());
    is_guarded(&wrong.headers, "form-action 'self' http://localhost:10004");
    let asked = post(&window, &identify, &[("session", &first), ("proof", "alice")]).await;
    is_guarded(&asked.headers, "form-action 'self' http://localhost:10004");
    assert!(asked.html.contains("10004") && asked.html.contains("alice"), "{}", asked.html);
    let failed = post(&window, &consent, &[("session", "x"), ("verdict", "allow")]).await;
    is_guarded(&failed.headers, "form-action 'self'");
    let malformed = open(&window, &format!("{identify}?x")).await;
    is_guarded(&malformed.headers, "form-action 'self'");
}

#[tokio::test]
async fn over_http_the_cookie_has_a_name_of_its_own() {
    let server = start();
    let url = Attempt::new(&server).authorization.replace("https://", "http://");
    let shown = open(&window(&server), &url).await;
    let cookie = shown.headers[SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("opentaco_login=") && !cookie.contains("Secure"), "{cookie}");
}

#[tokio::test]
async fn two_pages_have_two_nonces_and_two_browsers_two_cookies() {
    let server = start();
    let url = Attempt::new(&server).authorization;
    let [one, two] = [open(&window(&server), &url).await, open(&window(&server), &url).await];
    let nonce =
        |headers: &HeaderMap| policy(headers).into_iter().find(|part| part.starts_with("style-src")).unwrap();
    assert_ne!(nonce(&one.headers), nonce(&two.headers));
    assert_ne!(one.headers[SET_COOKIE], two.headers[SET_COOKIE]);
    assert_ne!(session(&one.html), session(&two.html));
}

#[tokio::test]
async fn markup_in_any_parameter_stays_text() {
    let server = start();
    let markup = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'";
    let attempt = Attempt::new(&server);
    for name in
        ["client_id", "redirect_uri", "response_type", "code_challenge", "code_challenge_method", "state"]
    {
        let shown = open(&window(&server), &varied(&attempt, &[(name, Some(markup))])).await;
        assert!(!shown.html.contains("<script") && !shown.html.contains("<img"), "{name}: {}", shown.html);
    }
    let identify = format!("{}/oauth/authorization", server.base_https());
    for typed in [markup, "<b>bold</b>", "a&b", "javascript:alert(1)"] {
        let window = window(&server);
        let first = session(&open(&window, &attempt.authorization).await.html);
        for (sealed, proof) in [(first.as_str(), typed), (markup, "alice")] {
            let shown = post(&window, &identify, &[("session", sealed), ("proof", proof)]).await;
            assert!(
                !shown.html.contains("<script") && !shown.html.contains("<b>bold"),
                "{typed}: {}",
                shown.html
            );
            assert!(!shown.html.contains("<img"), "{typed}: {}", shown.html);
        }
    }
}

#[tokio::test]
async fn the_clients_state_comes_back_as_it_went_and_cannot_break_out() {
    let server = start();
    let state = "a&code=evil#x\r\nSet-Cookie: y=z\u{20}\"<>é";
    let mut attempt = Attempt::new(&server);
    attempt.authorization = varied(&attempt, &[("state", Some(state))]);
    state.clone_into(&mut attempt.state);
    let browser = Browser::new(&server);
    let page = to_consent(&browser, &attempt, "alice").await;
    let Stop::Elsewhere(arrived) = press(&browser, &page, Answer::Allow).await else { panic!("no redirect") };
    assert_eq!(arrived.query_pairs().filter(|(name, _)| name == "code").count(), 1, "{arrived}");
    assert_eq!(arrived.fragment(), None);
    let code = attempt.code(&arrived);
    assert_ne!(code, "evil");
}
