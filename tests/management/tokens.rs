//! Everybody's own tokens.

use std::collections::BTreeSet;
use std::time::Duration;

use opentaco_tests::browser::Who;
use opentaco_tests::client::{Api, login};
use opentaco_tests::server::{Options, Server};
use opentaco_tests::wait::eventually;
use reqwest::StatusCode;
use reqwest::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::{Value, json};

use crate::v1::{V1, claims, problem, secret, soon, taco_login};

const PATH: &str = "/v1/auth/tokens";

pub async fn alice(options: Options) -> (Server, V1) {
    let server = Server::start(options.dev_login());
    let token = login(&server, &Who::dev("alice")).await;
    let alice = V1::new(&server, &token);
    (server, alice)
}

async fn person(server: &Server, name: &str) -> V1 {
    V1::new(server, &login(server, &Who::dev(name)).await)
}

fn ids(tokens: &[Value]) -> Vec<&str> {
    tokens.iter().map(|token| token["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_token_is_shown_once_and_then_listed_with_all_but_its_secret() {
    let (server, alice) = alice(Options::local()).await;
    let wanted = json!({"name": "deploy \"prod\" ä", "role": "writer", "unit": "app/*", "ttl": "90d"});
    let reply = alice.post(PATH, &wanted).await.expect(StatusCode::CREATED);
    assert_eq!(reply.headers[CONTENT_TYPE], "application/json");
    assert_eq!(reply.headers[CACHE_CONTROL], "no-store");
    let made = reply.json();
    let token = made["token"].as_str().unwrap();
    let expected = json!({
        "id": made["id"], "kind": "api", "name": "deploy \"prod\" ä", "role": "writer", "unit": "app/*",
        "created_at": made["created_at"], "last_used_at": null, "expires_at": made["expires_at"],
    });
    let mut shown = made.clone();
    shown.as_object_mut().unwrap().remove("token");
    assert_eq!(shown, expected);
    for name in ["created_at", "expires_at"] {
        let moment = made[name].as_str().unwrap();
        assert!(moment.len() == 20 && moment.ends_with('Z') && moment.contains('T'), "{moment}");
    }
    assert!(made["expires_at"].as_str() > made["created_at"].as_str());

    let listed = alice.tokens().await;
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert_eq!(listed[1], expected, "in the order of their making");
    assert_eq!((&listed[0]["role"], &listed[0]["unit"]), (&Value::Null, &Value::Null));
    let text = alice.get(PATH).await.text();
    assert!(!text.contains(secret(token)) && !text.contains("digest"), "{text}");
    assert_eq!(V1::new(&server, token).me().await["subject"], "dev:alice");
}

#[tokio::test]
async fn the_smallest_wish_is_a_name() {
    let (server, alice) = alice(Options::memory()).await;
    for wanted in [
        json!({"name": "x"}),
        json!({"name": "x".repeat(100), "role": null, "unit": null, "ttl": null}),
        json!({"name": "\u{1F32E}"}),
    ] {
        let (made, token) = alice.make(wanted).await;
        for name in ["role", "unit", "expires_at"] {
            assert_eq!(made[name], Value::Null, "{made}");
        }
        assert_eq!(V1::new(&server, &token).me().await["administrator"], true);
    }
    assert_eq!(alice.tokens().await.len(), 4, "names need not differ");
}

#[tokio::test]
async fn the_last_use_is_told_to_the_hour() {
    let (server, alice) = alice(Options::memory()).await;
    let (made, token) = alice.make(json!({"name": "used"})).await;
    let last_use = async || {
        let listed = alice.tokens().await;
        listed.iter().find(|listed| listed["id"] == made["id"]).unwrap()["last_used_at"].clone()
    };
    assert_eq!(last_use().await, Value::Null);
    Api::new(&server, &token).get("/account/details").await.expect(StatusCode::OK);
    let hour = eventually(Duration::from_secs(10), async || {
        last_use().await.as_str().map(str::to_owned).ok_or_else(|| "no use yet".to_owned())
    })
    .await;
    assert!(hour.ends_with(":00:00Z"), "{hour}");
    assert!(hour.as_str() <= made["created_at"].as_str().unwrap(), "the hour that it was made in: {hour}");
}

#[tokio::test]
async fn everybody_sees_their_own_tokens_and_sessions_alone() {
    let (server, alice) = alice(Options::memory()).await;
    let bob = person(&server, "bob").await;
    let (ours, _) = alice.make(json!({"name": "ours"})).await;
    bob.make(json!({"name": "theirs"})).await;
    let session = taco_login(&server, &Who::dev("alice")).await;
    let listed = alice.tokens().await;
    let kinds: Vec<_> = listed.iter().map(|token| token["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["api", "api", "refresh"]);
    assert_eq!(listed[1]["id"], ours["id"]);
    let family = claims(&session.refresh)["par"].as_str().unwrap().replace("fam:", "");
    assert_eq!(listed[2]["id"], family);
    assert!(listed[2]["name"].as_str().unwrap().starts_with("taco"), "{}", listed[2]);
    assert_eq!(ids(&V1::new(&server, &session.access).tokens().await), ids(&listed), "it is alice, too");
    let theirs = bob.tokens().await;
    assert_eq!(theirs.len(), 2);
    assert!(ids(&theirs).iter().all(|id| !ids(&listed).contains(id)));
}

#[tokio::test]
async fn a_token_ends_by_its_id_or_by_itself() {
    let (server, alice) = alice(Options::memory()).await;
    let (by_id, first) = alice.make(json!({"name": "by id"})).await;
    let (_, second) = alice.make(json!({"name": "by itself"})).await;
    let session = taco_login(&server, &Who::dev("alice")).await;
    let family = claims(&session.refresh)["par"].as_str().unwrap().replace("fam:", "");
    for (named, dead) in
        [(by_id["id"].as_str().unwrap(), &first), (&second, &second), (&family, &session.access)]
    {
        assert!(V1::new(&server, dead).works().await);
        let path = format!("{PATH}/{named}");
        let reply = alice.delete(&path).await.expect(StatusCode::NO_CONTENT);
        assert!(reply.body.is_empty());
        assert!(!V1::new(&server, dead).works().await, "{named}");
        problem(&alice.delete(&path).await, 404);
    }
    assert_eq!(alice.tokens().await.len(), 1);
    // The last one ends itself.
    let own = alice.tokens().await[0]["id"].as_str().unwrap().to_owned();
    alice.delete(&format!("{PATH}/{own}")).await.expect(StatusCode::NO_CONTENT);
    assert!(!alice.works().await);
}

#[tokio::test]
async fn what_is_not_there_or_somebody_elses_is_not_found_alike() {
    let server = Server::start(Options::local().dev_login());
    let (alice, bob) = (person(&server, "alice").await, person(&server, "bob").await);
    let (theirs, token) = alice.make(json!({"name": "alice's"})).await;
    server.admin(&["grant", "dev:alice"]);
    soon("access control is on", async || bob.me().await["administrator"] == false).await;

    let forged = format!("{}{}", &token[..token.len() - 52], "b".repeat(52));
    let unknown = format!("otc_tfe_{}_{}", "a".repeat(16), "b".repeat(52));
    for named in
        [theirs["id"].as_str().unwrap(), &forged, &unknown, &"a".repeat(16), "hunter2hunter2", "..", "%00"]
    {
        let said = problem(&bob.delete(&format!("{PATH}/{named}")).await, 404);
        let secrets = ["hunter2", &"b".repeat(52)];
        assert!(!secrets.iter().any(|secret| said.contains(secret)), "it may be a secret: {said}");
    }
    assert!(V1::new(&server, &token).works().await);
    assert_eq!(bob.tokens().await.len(), 1, "bob lists his own");
    // Who holds a token may end it; that is what its finder should do.
    bob.delete(&format!("{PATH}/{token}")).await.expect(StatusCode::NO_CONTENT);
    assert!(!V1::new(&server, &token).works().await);
    // Who may manage access ends anybody's.
    let own = bob.tokens().await[0]["id"].as_str().unwrap().to_owned();
    alice.delete(&format!("{PATH}/{own}")).await.expect(StatusCode::NO_CONTENT);
    assert!(!bob.works().await);
}

#[tokio::test]
async fn a_limited_token_makes_none_and_sees_itself_alone() {
    let (server, alice) = alice(Options::memory()).await;
    let (other, _) = alice.make(json!({"name": "other"})).await;
    for limits in [
        json!({"role": "reader"}),
        json!({"role": "operator"}),
        json!({"unit": "app/*"}),
        json!({"role": "admin", "unit": "a*"}),
        json!({"role": "admin", "unit": "app"}),
    ] {
        let mut wanted = limits.clone();
        wanted["name"] = json!("limited");
        let (made, token) = alice.make(wanted).await;
        let itself = V1::new(&server, &token);
        for caller in [&itself, &V1::new(&server, &itself.access().await)] {
            let before = alice.tokens().await.len();
            problem(&caller.post(PATH, &json!({"name": "more"})).await, 403);
            problem(&caller.post(PATH, &json!({"name": "less", "role": "reader", "unit": "x"})).await, 403);
            assert_eq!(alice.tokens().await.len(), before, "{limits}");
            assert_eq!(ids(&caller.tokens().await), [made["id"].as_str().unwrap()], "{limits}");
            problem(&caller.delete(&format!("{PATH}/{}", other["id"].as_str().unwrap())).await, 404);
        }
        let own = format!("{PATH}/{}", made["id"].as_str().unwrap());
        itself.delete(&own).await.expect(StatusCode::NO_CONTENT);
    }
    // Limits that limit nothing.
    let (_, token) = alice.make(json!({"name": "all", "role": "admin", "unit": "*"})).await;
    V1::new(&server, &token).make(json!({"name": "more"})).await;
    assert_eq!(alice.tokens().await.len(), 4);
}

#[tokio::test]
async fn no_token_outlives_its_maker() {
    let (server, alice) = alice(Options::memory().env("OPENTACO_TERRAFORM_TOKEN_TTL", "1h")).await;
    let end = alice.tokens().await[0]["expires_at"].clone();
    let access = V1::new(&server, &alice.access().await);
    for caller in [&alice, &access] {
        let said = problem(&caller.post(PATH, &json!({"name": "long", "ttl": "2h"})).await, 422);
        assert!(said.contains("ttl") || said.contains("expire") || said.contains("outlive"), "{said}");
        let (made, _) = caller.make(json!({"name": "as long"})).await;
        assert_eq!(made["expires_at"], end, "it ends with its maker when nothing is said");
        let (made, token) = caller.make(json!({"name": "shorter", "ttl": "10m"})).await;
        assert!(made["expires_at"].as_str() < end.as_str(), "{made}");
        let child = V1::new(&server, &token);
        problem(&child.post(PATH, &json!({"name": "longer again", "ttl": "30m"})).await, 422);
    }
    assert_eq!(alice.tokens().await.len(), 5);
}

#[tokio::test]
async fn a_token_that_has_ended_opens_nothing_and_is_not_listed() {
    let (server, alice) = alice(Options::memory()).await;
    let (_, token) = alice.make(json!({"name": "short", "ttl": "2s"})).await;
    let short = V1::new(&server, &token);
    let access = short.access().await;
    soon("the token ends", async || !short.works().await).await;
    soon("what was signed for it ends", async || !V1::new(&server, &access).works().await).await;
    Api::new(&server, &token).get("/account/details").await.expect_error(StatusCode::UNAUTHORIZED);
    assert_eq!(alice.tokens().await.len(), 1);
}

#[tokio::test]
async fn tokens_made_together_are_all_there() {
    let (server, alice) = alice(Options::memory()).await;
    let made = futures_util::future::join_all((0..20).map(|n| alice.make(json!({"name": n.to_string()}))));
    let made = made.await;
    let tokens: BTreeSet<&String> = made.iter().map(|(_, token)| token).collect();
    assert_eq!(tokens.len(), 20);
    let listed = alice.tokens().await;
    assert_eq!(listed.len(), 21);
    assert!(listed.is_sorted_by(|a, b| a["created_at"].as_str() <= b["created_at"].as_str()));
    for (document, token) in &made {
        assert!(ids(&listed).contains(&document["id"].as_str().unwrap()));
        assert!(V1::new(&server, token).works().await);
    }
}
