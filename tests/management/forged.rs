//! Tokens of a CI system that are worth nothing.

use opentaco_tests::issuer::{Claims, Issuer, Signature};
use opentaco_tests::server::Options;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::ci::{AUDIENCE, Ci, MAIN, REPOSITORY, rule, written};
use crate::v1::{refused, tampered};

/// A rule that asks for more than one claim.
fn strict(issuer: &Issuer) -> String {
    let said = issuer.github(REPOSITORY, MAIN, AUDIENCE);
    let repository = said.get("repository_id").as_str().unwrap().to_owned();
    let claims = format!(
        "repository_id = \"{repository}\", ref = \"{MAIN}\", environment = \"prod*\", ref_protected = true"
    );
    written("strict", issuer, &claims, "role = \"writer\"")
}

fn later(claims: &Claims, name: &str, seconds: i64) -> Claims {
    let time = claims.get("iat").as_i64().unwrap() + seconds;
    claims.clone().with(name, time)
}

#[tokio::test]
async fn whoever_is_not_of_the_rule_gets_nothing() {
    let ci = Ci::start();
    let issuer = &ci.issuer;
    for (repository, reference, audience) in [
        ("acme/other", MAIN, AUDIENCE),
        ("evil/shop", MAIN, AUDIENCE),
        ("acme/shop2", MAIN, AUDIENCE),
        ("Acme/shop", MAIN, AUDIENCE),
        (REPOSITORY, "refs/heads/mainline", AUDIENCE),
        (REPOSITORY, "refs/heads/dev", AUDIENCE),
        (REPOSITORY, "refs/tags/main", AUDIENCE),
        (REPOSITORY, MAIN, "opentaco-of-other"),
        (REPOSITORY, MAIN, "OPENTACO-OF-ACME"),
        (REPOSITORY, MAIN, ""),
        (REPOSITORY, MAIN, "opentaco-of-acme "),
    ] {
        let said = issuer.github(repository, reference, audience);
        let reply = ci.exchange(&issuer.sign(&said)).await;
        let sentence = refused(&reply, "invalid_grant");
        assert!(!sentence.contains("repo:") && !sentence.contains(AUDIENCE), "no hint: {sentence}");
    }
    ci.token(&ci.claims()).await;
}

#[tokio::test]
async fn every_claim_of_a_rule_must_fit() {
    let ci = Ci::with(Options::memory().dev_login(), strict);
    let good = ci.claims().with("environment", "prod-eu");
    ci.token(&good).await;
    ci.token(&good.clone().with("ref_protected", true)).await;
    for bad in [
        ci.claims(),
        good.clone().with("environment", "stage"),
        good.clone().with("environment", "non-prod"),
        good.clone().with("environment", json!(["prod-eu"])),
        good.clone().with("environment", json!({"name": "prod-eu"})),
        good.clone().with("environment", Value::Null),
        good.clone().with("ref", "refs/heads/dev"),
        good.clone().with("ref_protected", "false"),
        good.clone().with("ref_protected", "yes"),
        good.clone().with("repository_id", "1"),
        good.clone().without("repository_id"),
        good.clone().without("ref"),
        good.clone().without("ref_protected"),
    ] {
        refused(&ci.exchange(&ci.issuer.sign(&bad)).await, "invalid_grant");
    }
}

#[tokio::test]
async fn what_is_not_of_this_time_gets_nothing() {
    let ci = Ci::start();
    let good = ci.claims();
    for (what, bad) in [
        ("expired", good.clone().shifted(-600)),
        ("expired for two hours", good.clone().shifted(-7200)),
        ("issued in the future", good.clone().shifted(3600)),
        ("not valid yet", later(&good, "nbf", 600)),
        ("issued later alone", later(&good, "iat", 600)),
        ("ended before it began", later(&good, "exp", -600)),
        ("a time that is text", good.clone().with("exp", "never")),
        ("a time that is null", good.clone().with("exp", Value::Null)),
        ("a beginning that is text", good.clone().with("nbf", "always")),
    ] {
        let reply = ci.exchange(&ci.issuer.sign(&bad)).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{what}: {}", reply.text());
        refused(&reply, "invalid_grant");
    }
    // Clocks differ a little.
    for seconds in [-310, 20] {
        ci.token(&good.clone().shifted(seconds)).await;
    }
}

#[tokio::test]
async fn what_lacks_a_registered_claim_gets_nothing() {
    let ci = Ci::start();
    for name in ["iss", "sub", "aud", "exp", "iat"] {
        let bad = ci.claims().without(name);
        let reply = ci.exchange(&ci.issuer.sign(&bad)).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{name}: {}", reply.text());
        refused(&reply, "invalid_grant");
        let bad = ci.claims().with(name, json!({"a": [1]}));
        refused(&ci.exchange(&ci.issuer.sign(&bad)).await, "invalid_grant");
    }
    ci.token(&ci.claims().without("nbf").without("jti")).await;
}

#[tokio::test]
async fn what_the_issuer_did_not_sign_gets_nothing() {
    let ci = Ci::start();
    let good = ci.claims();
    ci.token(&good).await;
    for forged in Signature::FORGED {
        for _ in 0..5 {
            let reply = ci.exchange(&ci.issuer.sign_as(forged, &good)).await;
            assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{forged:?}: {}", reply.text());
            refused(&reply, "invalid_grant");
        }
    }
    let token = ci.issuer.sign(&good);
    let parts: Vec<&str> = token.split('.').collect();
    let other = ci.issuer.sign(&ci.issuer.github("evil/shop", MAIN, AUDIENCE));
    let others: Vec<&str> = other.split('.').collect();
    for bad in [
        format!("{}.{}.{}", parts[0], others[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{token}.{}", parts[2]),
        tampered(&token),
        token[1..].to_owned(),
        format!("{token}="),
        format!("{}{token}", "A".repeat(20_000)),
    ] {
        refused(&ci.exchange(&bad).await, "invalid_grant");
    }
    let fetched = ci.issuer.keys_fetched();
    assert!(fetched <= 4, "forged tokens make us ask {fetched} times");
    ci.token(&good).await;
}

#[tokio::test]
async fn another_issuers_word_counts_for_its_own_rules_alone() {
    // Both are listed; each signs what only the other may say.
    let second = Issuer::start();
    // The first keys of all issuers are the same.
    second.rotate();
    let ci = Ci::with(Options::memory().dev_login(), |first| {
        let narrow = written("second", &second, "sub = \"repo:acme/second:*\"", "role = \"reader\"");
        rule(first) + &narrow
    });
    let as_first = second.github(REPOSITORY, MAIN, AUDIENCE);
    refused(&ci.exchange(&second.sign(&as_first)).await, "invalid_grant");
    let posing = as_first.with("iss", ci.issuer.url());
    refused(&ci.exchange(&second.sign(&posing)).await, "invalid_grant");
    let own = second.github("acme/second", MAIN, AUDIENCE);
    ci.exchange(&second.sign(&own)).await.expect(StatusCode::OK);
    let as_second = ci.issuer.github("acme/second", MAIN, AUDIENCE);
    refused(&ci.exchange(&ci.issuer.sign(&as_second)).await, "invalid_grant");
}

#[tokio::test]
async fn an_issuer_that_calls_itself_otherwise_is_not_believed() {
    let ci = Ci::start();
    ci.issuer.bend_discovery("issuer", "https://elsewhere.test");
    let reply = ci.exchange(&ci.issuer.sign(&ci.claims())).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{}", reply.text());
    assert!(reply.json().get("access_token").is_none());
}

#[tokio::test]
async fn without_any_rule_nobody_is_trusted() {
    let issuer = Issuer::start();
    let ci = Ci::with(Options::memory().dev_login(), |_| String::new());
    let token = issuer.sign(&issuer.github(REPOSITORY, MAIN, AUDIENCE));
    refused(&ci.exchange(&token).await, "invalid_grant");
    assert_eq!(issuer.requests(), 0);
}
