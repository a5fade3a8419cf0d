//! Redirect addresses and PKCE. What is wrong at the first endpoint is a page, and what does not fit at the second burns nothing.

use data_encoding::BASE64URL_NOPAD;
use opentaco_tests::client::{Attempt, REDIRECT};
use opentaco_tests::server::Options;
use sha2::{Digest as _, Sha256};

use super::bench::{Bench, Says, field, taco, with};
use crate::flow::{code, exchange_fields, varied};

/// Addresses that look like the command line's own to somebody who reads them less carefully than a browser does. More
/// are in `authorization.rs`.
const CRAFTED: [&str; 40] = [
    "HTTP://localhost:10004/login",
    "http://LOCALHOST:10004/login",
    "http://localhost.:10004/login",
    "http://localhost:10004",
    "http://localhost:10004/login?",
    "http://localhost:10004/login#",
    "http://localhost:10004/login?state=mine",
    "http://localhost:10004/a/../login",
    "http://localhost:10004/%2e%2e/login",
    "http://localhost:010004/login",
    "http://localhost:+10004/login",
    "http://localhost:10004@evil.example/",
    "http://localhost:10004%2f@evil.example/",
    "http://localhost:10004%40evil.example/",
    "http://localhost:@evil.example:10004/",
    "http://localhost:10004\t/login",
    "http://localhost:\u{ff11}0004/login",
    "http://\u{24db}ocalhost:10004/login",
    "http://local\u{ad}host:10004/login",
    "http://localhost%00.evil.example:10004/",
    "http://localhost%2eevil.example:10004/",
    "http://evil.example:10004/http://localhost:10004/",
    "http://127.1:10004/",
    "http://2130706433:10004/",
    "http://0x7f000001:10004/",
    "http://127.0.0.1.:10004/",
    "http://127.0.0.1.nip.io:10004/",
    "http://127.0.0.1:10004\\evil.example/",
    "http://[::ffff:127.0.0.1]:10004/",
    "http://[0:0:0:0:0:0:0:1]:10004/",
    "http://[::1%25lo]:10004/",
    "http://[::1]:9999/",
    "http://[::]:10004/",
    "http:localhost:10004/",
    "http:/localhost:10004/",
    " http://localhost:10004/login",
    "http://localhost:10004/login ",
    "data:text/html,http://localhost:10004/",
    "file://localhost:10004/login",
    "urn:ietf:wg:oauth:2.0:oob",
];

/// The one of them that is as good as its other spelling: a path is never empty.
const GOOD: &str = "http://localhost:10004";

#[tokio::test]
async fn a_crafted_redirect_address_leads_nowhere() {
    let bench = Bench::start();
    let attempts = [Attempt::new(&bench.server), taco(&Attempt::new(&bench.server))];
    for redirect in CRAFTED.into_iter().filter(|redirect| *redirect != GOOD) {
        for attempt in &attempts {
            let url = varied(attempt, &[("redirect_uri", Some(redirect))]);
            bench.refuses(redirect, bench.client.get(url), Says::Page, &[&attempt.state]).await;
        }
    }
    bench.done(2 * (CRAFTED.len() - 1));
}

#[tokio::test]
async fn nor_does_it_on_the_way_to_a_provider_or_to_the_terminal() {
    let no_provider = Bench::start_with(Options::memory());
    let provider = Bench::start_with(with_endpoints(Options::memory()));
    for bench in [no_provider, provider] {
        let attempt = Attempt::new(&bench.server);
        for redirect in ["http://evil.example:10004/", "http://localhost:10004@evil.example/"] {
            let url = varied(&attempt, &[("redirect_uri", Some(redirect))]);
            bench.refuses(redirect, bench.client.get(url), Says::Page, &[&attempt.state]).await;
        }
        bench.done(2);
    }
}

/// A provider whose endpoints are told, so that nobody needs to ask it anything before a login.
pub fn with_endpoints(options: Options) -> Options {
    let issuer = "http://127.0.0.1:9";
    ["AUTH", "TOKEN", "USERINFO"]
        .into_iter()
        .fold(options, |options, name| {
            options.env(&format!("OPENTACO_AUTH_{name}_URL"), &format!("{issuer}/{}", name.to_lowercase()))
        })
        .env("OPENTACO_AUTH_ISSUER", issuer)
        .env("OPENTACO_AUTH_CLIENT_ID", "opentaco")
        .env("OPENTACO_AUTH_ALLOWED_DOMAINS", "*")
}

#[tokio::test]
async fn a_code_is_only_good_with_the_address_it_was_sent_to() {
    let bench = Bench::start();
    let attempt = Attempt::new(&bench.server);
    let fields = exchange_fields(&attempt, &code(&bench.server, &attempt).await);
    let secrets = [field(&fields, "code"), &attempt.verifier];
    let others = [
        "http://localhost:10004",
        "http://localhost:10004/",
        "http://localhost:10004/login/",
        "http://localhost:10004/login?",
        "http://localhost:10004/login#",
        "http://localhost:10004/Login",
        "http://localhost:10004/%6cogin",
        "http://localhost:10004/a/../login",
        "http://localhost:010004/login",
        "http://localhost:10003/login",
        "http://127.0.0.1:10004/login",
        "http://[::1]:10004/login",
        "https://localhost:10004/login",
        "http://evil.example:10004/login",
        "http://localhost:10004@evil.example/login",
        "x",
    ];
    for other in others {
        let request = bench.token(&with(&fields, "redirect_uri", other));
        bench.refuses(other, request, Says::Oauth("invalid_grant"), &secrets).await;
    }
    bench.grants("the address itself", bench.token(&fields)).await;
    bench.done(others.len());
}

/// An attempt with that verifier.
fn proving(bench: &Bench, verifier: &str) -> Attempt {
    let attempt = Attempt::new(&bench.server);
    let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(verifier));
    let authorization = varied(&attempt, &[("code_challenge", Some(&challenge))]);
    Attempt { authorization, verifier: verifier.to_owned(), ..attempt }
}

#[tokio::test]
async fn a_verifier_of_another_form_is_refused_even_if_its_digest_fits() {
    let bench = Bench::start();
    let (short, long) = ("s".repeat(42), "l".repeat(129));
    let plus = format!("{}+", "p".repeat(50));
    let umlaut = format!("{}ü", "u".repeat(50));
    for verifier in [&short, &long, &plus, &umlaut] {
        let attempt = proving(&bench, verifier);
        let fields = exchange_fields(&attempt, &code(&bench.server, &attempt).await);
        let secrets = [field(&fields, "code"), verifier];
        bench.refuses(verifier, bench.token(&fields), Says::Oauth("invalid_grant"), &secrets).await;
    }
    for verifier in ["s".repeat(43), "l".repeat(128), format!("{}-._~", "p".repeat(50))] {
        let attempt = proving(&bench, &verifier);
        let fields = exchange_fields(&attempt, &code(&bench.server, &attempt).await);
        bench.grants(&verifier, bench.token(&fields)).await;
    }
    bench.done(4);
}

#[tokio::test]
async fn the_proof_is_the_verifier_and_nothing_else() {
    let bench = Bench::start();
    let attempt = Attempt::new(&bench.server);
    let fields = exchange_fields(&attempt, &code(&bench.server, &attempt).await);
    let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(&attempt.verifier));
    let stranger = Attempt::new(&bench.server).verifier;
    let (doubled, spaced) = (attempt.verifier.repeat(2), format!("{} ", attempt.verifier));
    let own_code = field(&fields, "code");
    let cases = [
        ("plain: the challenge itself", challenge.as_str(), "invalid_grant"),
        ("another attempt's", &stranger, "invalid_grant"),
        ("one character less", &attempt.verifier[1..], "invalid_grant"),
        ("twice", &doubled, "invalid_grant"),
        ("with a space", &spaced, "invalid_grant"),
        ("in upper case", &attempt.verifier.to_uppercase(), "invalid_grant"),
        ("the state", &attempt.state, "invalid_grant"),
        ("the code", own_code, "invalid_grant"),
        ("a digit", "0", "invalid_grant"),
        ("nothing", "", "invalid_request"),
    ];
    for (what, verifier, error) in cases {
        let request = bench.token(&with(&fields, "code_verifier", verifier));
        bench.refuses(what, request, Says::Oauth(error), &[own_code, verifier, &attempt.verifier]).await;
    }
    let without: Vec<_> = fields.iter().filter(|(name, _)| name != "code_verifier").cloned().collect();
    let says = Says::Oauth("invalid_request");
    bench.refuses("none", bench.token(&without), says, &[own_code]).await;
    // A client that says how it would have liked its challenge to be read is not heard.
    let mut plain = with(&fields, "code_verifier", &challenge);
    plain.push(("code_challenge_method".into(), "plain".into()));
    bench.refuses("plain by name", bench.token(&plain), Says::Oauth("invalid_grant"), &[own_code]).await;
    assert_eq!(field(&fields, "redirect_uri"), REDIRECT);
    bench.grants("the verifier", bench.token(&fields)).await;
    bench.done(cases.len() + 2);
}

#[tokio::test]
async fn a_login_without_a_challenge_of_the_right_form_does_not_begin() {
    let bench = Bench::start();
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let (longer, padded) = (format!("{challenge}A"), format!("{challenge}="));
    // The last character has bits that mean nothing; they must not be set.
    let loose = format!("{}N", &challenge[..42]);
    let cases: [&[(&str, Option<&str>)]; 9] = [
        &[("code_challenge_method", Some("plain"))],
        &[("code_challenge_method", Some("S256 "))],
        &[("code_challenge_method", Some("plain S256"))],
        &[("code_challenge_method", None), ("code_challenge", Some(challenge))],
        &[("code_challenge_method", None), ("code_challenge", None)],
        &[("code_challenge", Some(&longer))],
        &[("code_challenge", Some(&padded))],
        &[("code_challenge", Some(&challenge[1..]))],
        &[("code_challenge", Some(&loose))],
    ];
    for changes in cases {
        for attempt in [Attempt::new(&bench.server), taco(&Attempt::new(&bench.server))] {
            let request = bench.client.get(varied(&attempt, changes));
            bench.refuses(&format!("{changes:?}"), request, Says::Page, &[&attempt.state]).await;
        }
    }
    bench.done(2 * cases.len());
}
