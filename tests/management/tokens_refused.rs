//! Wishes for tokens that are none.

use opentaco_tests::server::Options;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::tokens::alice;
use crate::v1::{V1, answer, problem};

const PATH: &str = "/v1/auth/tokens";

#[tokio::test]
async fn a_value_outside_its_rule_is_named() {
    let (_server, alice) = alice(Options::memory()).await;
    let long = "x".repeat(101);
    for (field, values) in [
        ("name", &["", &long, "a\nb", "a\u{0}b", "\u{7f}"][..]),
        ("role", &["", "root", "Reader", "reader ", "owner"]),
        ("unit", &["", &"x".repeat(201)]),
        ("ttl", &["", "0", "0s", "-1h", "soon", "90", "1 fortnight", "h1", "1h -2m"]),
    ] {
        for value in values {
            let mut wanted = json!({"name": "fine", "role": "reader", "unit": "app/*", "ttl": "1h"});
            wanted[field] = json!(value);
            let said = problem(&alice.post(PATH, &wanted).await, 422);
            assert!(said.contains(field), "{field}={value:.20}: {said}");
        }
    }
    assert_eq!(alice.tokens().await.len(), 1, "none of them was made");
}

#[tokio::test]
async fn what_is_no_wish_is_told_what_one_is() {
    let (_server, alice) = alice(Options::memory()).await;
    for body in [
        "",
        "{",
        "[]",
        "null",
        "\"x\"",
        "{}",
        "{\"role\":\"reader\"}",
        "{\"name\":7}",
        "{\"name\":null}",
        "{\"name\":[\"x\"]}",
        "{\"name\":\"x\",\"role\":7}",
        "{\"name\":\"x\",\"ttl\":3600}",
        "{\"name\":\"x\",\"unit\":[\"a\",\"b\"]}",
        "{\"name\":\"x\",\"name\":\"y\"}",
        "{\"name\":\"x\",\"units\":\"app/*\"}",
        "{\"name\":\"x\",\"scope\":\"hunter2\"}",
        "{\"name\":\"x\"} {}",
    ] {
        let request = alice.request(Method::POST, PATH).header(CONTENT_TYPE, "application/json");
        let said = problem(&answer(request.body(body)).await, 400);
        for field in ["name", "role", "unit", "ttl"] {
            assert!(said.contains(field), "{body}: {said}");
        }
        assert!(!said.contains("hunter2"), "{said}");
    }
    let large = json!({"name": "x".repeat(2_000_000)}).to_string();
    let request = alice.request(Method::POST, PATH).header(CONTENT_TYPE, "application/json");
    problem(&answer(request.body(large)).await, 413);
    assert_eq!(alice.tokens().await.len(), 1, "none of them was made");
}

#[tokio::test]
async fn a_life_that_is_longer_than_any_calendar_is_refused_or_told_as_a_moment() {
    let (server, alice) = alice(Options::memory()).await;
    for ttl in ["100y", "7900y", "10000y", "290000000y", "580000000000y", "18446744073709551615s"] {
        let reply = alice.post(PATH, &json!({"name": "long", "ttl": ttl})).await;
        if reply.status == StatusCode::UNPROCESSABLE_ENTITY {
            assert!(problem(&reply, 422).contains("end"), "{}", reply.text());
            continue;
        }
        let made = reply.expect(StatusCode::CREATED).json();
        let end = made["expires_at"].as_str().unwrap();
        assert!(end.len() >= 20 && end.contains('T') && end.ends_with('Z'), "{ttl}: {end}");
        let listed = alice.tokens().await;
        let listed = listed.iter().find(|token| token["id"] == made["id"]);
        assert_eq!(listed.map(|token| &token["expires_at"]), Some(&json!(end)), "{ttl}: it reads back");
        let token = V1::new(&server, made["token"].as_str().unwrap());
        assert!(token.works().await && V1::new(&server, &token.access().await).works().await, "{ttl}");
    }
}

#[tokio::test]
async fn who_may_not_ask_makes_nothing() {
    let (server, alice) = alice(Options::memory()).await;
    let anonymous = V1::anonymous(&server);
    problem(&anonymous.post(PATH, &json!({"name": "x"})).await, 401);
    let (made, token) = alice.make(json!({"name": "gone"})).await;
    let path = format!("{PATH}/{}", made["id"].as_str().unwrap());
    alice.delete(&path).await.expect(StatusCode::NO_CONTENT);
    problem(&V1::new(&server, &token).post(PATH, &json!({"name": "x"})).await, 401);
    problem(&anonymous.delete(&path).await, 401);
    let left: Vec<Value> = alice.tokens().await;
    assert_eq!(left.len(), 1);
}
