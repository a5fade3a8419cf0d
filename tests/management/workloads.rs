//! Jobs of a CI system get short tokens for their own.

use std::time::Duration;

use opentaco_tests::browser::Who;
use opentaco_tests::client::{login, state};
use opentaco_tests::issuer::Issuer;
use opentaco_tests::server::Options;
use opentaco_tests::wait::eventually;
use reqwest::header::RETRY_AFTER;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::ci::{ACCESS_TOKEN, AUDIENCE, Ci, EXCHANGE, JWT, MAIN, PATH, REPOSITORY, rule, written};
use crate::v1::{V1, claims, files, is_nowhere, life, problem, refused, secret, soon, taco_code, taco_login};

#[tokio::test]
async fn a_job_that_is_trusted_gets_a_short_token_and_nothing_else() {
    let ci = Ci::start();
    let reply = ci.exchange(&ci.issuer.sign(&ci.claims())).await.expect(StatusCode::OK);
    let body = reply.json();
    let names: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(names, ["access_token", "expires_in", "issued_token_type", "token_type"]);
    assert_eq!((&body["issued_token_type"], &body["token_type"]), (&json!(ACCESS_TOKEN), &json!("Bearer")));
    assert_eq!(body["expires_in"], 900);
    let job = V1::new(&ci.server, body["access_token"].as_str().unwrap());
    let me = job.me().await;
    assert_eq!(me["subject"], format!("ci:shop:repo:{REPOSITORY}:ref:{MAIN}"));
    let token = &me["token"];
    assert_eq!((&token["kind"], &token["role"]), (&json!("api"), &json!("writer")));
    assert_eq!(token["unit"], "app/*");
    assert!(token["name"].as_str().unwrap().contains("shop"), "{token}");
    assert_ne!(token["expires_at"], Value::Null);
    assert_eq!((&me["administrator"], &me["email"]), (&json!(false), &Value::Null));
    // Each exchange is another token.
    assert_ne!(ci.token(&ci.claims()).await, ci.token(&ci.claims()).await);
}

/// What the usual rule gives, and that it gives no more.
async fn may_what_the_rule_says(ci: &Ci) {
    let job = ci.cloud(&ci.token(&ci.claims()).await);
    let alice = ci.cloud(&login(&ci.server, &Who::dev("alice")).await);
    let other = alice.create_workspace("default", "other").await;
    let id = job.create_workspace("default", "app~x").await;
    let bytes = state(1, "kept", 1, &json!({}));
    job.write(&id, &bytes).await;
    assert_eq!(job.download(&id).await.expect(StatusCode::OK).body, bytes);
    job.call(Method::DELETE, &format!("/workspaces/{id}"), None).await.expect_error(StatusCode::FORBIDDEN);
    alice.lock(&id).await.expect(StatusCode::OK);
    job.force_unlock(&id).await.expect_error(StatusCode::FORBIDDEN);
    alice.unlock(&id).await.expect(StatusCode::OK);
    job.get(&format!("/workspaces/{other}")).await.expect_error(StatusCode::NOT_FOUND);
    let list = job.get("/organizations/default/workspaces").await.json();
    assert_eq!(list["meta"]["pagination"]["total-count"], 1);
    let body = json!({"data": {"type": "organizations", "attributes": {"name": "acme"}}});
    job.post("/organizations", body).await.expect_error(StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_job_may_what_its_rule_says_and_nothing_else() {
    may_what_the_rule_says(&Ci::start()).await;
}

#[tokio::test]
async fn with_access_control_on_a_job_may_the_same() {
    let ci = Ci::with(Options::local().dev_login(), rule);
    let bob = V1::new(&ci.server, &login(&ci.server, &Who::dev("bob")).await);
    ci.server.admin(&["grant", "dev:alice"]);
    soon("access control is on", async || bob.me().await["administrator"] == false).await;
    may_what_the_rule_says(&ci).await;
}

#[tokio::test]
async fn a_job_makes_no_tokens_and_gets_no_session() {
    // Even where the rule gives everything.
    let ci = Ci::with(Options::memory().dev_login(), |issuer| {
        written("all", issuer, &format!("sub = \"repo:{REPOSITORY}:*\""), "role = \"admin\"\nttl = \"24h\"")
    });
    let token = ci.token(&ci.claims()).await;
    let job = V1::new(&ci.server, &token);
    let access = job.access().await;
    assert!(life(&access) <= 3600);
    for caller in [&job, &V1::new(&ci.server, &access)] {
        problem(&caller.post("/v1/auth/tokens", &json!({"name": "x"})).await, 403);
        problem(&caller.post("/v1/auth/tokens", &json!({"name": "x", "role": "reader"})).await, 403);
        assert!(caller.tokens().await.iter().all(|token| token["kind"] == "api"));
    }
    let cloud = ci.cloud(&token);
    let user = cloud.get("/account/details").await.expect(StatusCode::OK).id();
    let body = json!({"data": {"type": "authentication-tokens", "attributes": {}}});
    let made = cloud.post(&format!("/users/{user}/authentication-tokens"), body).await;
    made.expect_error(StatusCode::FORBIDDEN);
    let credentials = job.post("/v1/auth/issue-s3-creds", &json!({})).await.expect(StatusCode::OK).json();
    assert_eq!(claims(credentials["SessionToken"].as_str().unwrap())["sub"], claims(&access)["sub"]);
    // It may end itself.
    let own = format!("/v1/auth/tokens/{}", token.split('_').nth(2).unwrap());
    job.delete(&own).await.expect(StatusCode::NO_CONTENT);
    assert!(!job.works().await && !V1::new(&ci.server, &access).works().await);
}

#[tokio::test]
async fn the_first_rule_that_fits_counts() {
    let ci = Ci::with(Options::memory().dev_login(), |issuer| {
        let claims = issuer.github(REPOSITORY, MAIN, AUDIENCE);
        let repository = claims.get("repository_id").as_str().unwrap();
        [
            rule(issuer),
            written(
                "stage",
                issuer,
                &format!("repository_id = {repository}, ref = \"refs/heads/*\""),
                "role = \"planner\"\nunit = \"stage/*\"",
            ),
            written("rest", issuer, "sub = \"repo:acme/*\"", "role = \"reader\""),
        ]
        .concat()
    });
    for (repository, reference, rule, role, unit, seconds) in [
        (REPOSITORY, MAIN, "shop", "writer", json!("app/*"), 900),
        (REPOSITORY, "refs/heads/feature", "stage", "planner", json!("stage/*"), 3600),
        (REPOSITORY, "refs/tags/v1", "rest", "reader", json!("*"), 3600),
        ("acme/other", MAIN, "rest", "reader", json!("*"), 3600),
    ] {
        let said = ci.issuer.github(repository, reference, AUDIENCE);
        let answer = ci.exchange(&ci.issuer.sign(&said)).await.expect(StatusCode::OK).json();
        assert_eq!(answer["expires_in"], seconds, "{repository} {reference}");
        let me = V1::new(&ci.server, answer["access_token"].as_str().unwrap()).me().await;
        assert_eq!(me["subject"], format!("ci:{rule}:{}", said.get("sub").as_str().unwrap()));
        assert_eq!((&me["token"]["role"], &me["token"]["unit"]), (&json!(role), &unit), "{me}");
    }
    let stranger = ci.issuer.github("evil/shop", MAIN, AUDIENCE);
    refused(&ci.exchange(&ci.issuer.sign(&stranger)).await, "invalid_grant");
}

#[tokio::test]
async fn an_audience_among_several_counts() {
    let ci = Ci::start();
    ci.token(&ci.claims().with("aud", json!(["https://elsewhere.test", AUDIENCE]))).await;
    let other = ci.claims().with("aud", json!(["https://elsewhere.test"]));
    refused(&ci.exchange(&ci.issuer.sign(&other)).await, "invalid_grant");
}

#[tokio::test]
async fn keys_are_fetched_once_and_for_a_listed_issuer_alone() {
    let ci = Ci::start();
    assert_eq!(ci.issuer.requests(), 0, "nobody is asked before there is a need");
    let unlisted = Issuer::start();
    for url in [unlisted.url(), format!("{}/", ci.issuer.url()), ci.issuer.url().to_uppercase()] {
        let said = unlisted.github(REPOSITORY, MAIN, AUDIENCE).with("iss", url);
        refused(&ci.exchange(&unlisted.sign(&said)).await, "invalid_grant");
    }
    assert_eq!((unlisted.requests(), ci.issuer.requests()), (0, 0));
    let tokens: Vec<String> = (0..10).map(|_| ci.issuer.sign(&ci.claims())).collect();
    let together = futures_util::future::join_all(tokens.iter().map(|token| ci.exchange(token))).await;
    assert!(together.iter().all(|reply| reply.status == StatusCode::OK), "{together:?}");
    for token in &tokens {
        // The same token again is as good: it is the CI system's word, not ours to count.
        ci.exchange(token).await.expect(StatusCode::OK);
    }
    assert_eq!(ci.issuer.keys_fetched(), 1);
}

#[tokio::test]
async fn an_issuer_that_is_down_is_asked_again_and_then_not_needed() {
    let ci = Ci::start();
    ci.issuer.break_down();
    let token = ci.issuer.sign(&ci.claims());
    let reply = ci.exchange(&token).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{}", reply.text());
    assert_eq!(reply.json()["error"], "temporarily_unavailable");
    assert!(reply.headers.contains_key(RETRY_AFTER));
    ci.issuer.recover();
    eventually(Duration::from_secs(10), async || {
        let reply = ci.exchange(&token).await;
        if reply.status == StatusCode::OK { Ok(()) } else { Err(reply.text()) }
    })
    .await;
    ci.issuer.break_down();
    ci.exchange(&token).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn new_keys_of_the_issuer_are_learnt_and_old_ones_forgotten() {
    let ci = Ci::start();
    let old = ci.issuer.sign(&ci.claims());
    ci.exchange(&old).await.expect(StatusCode::OK);
    ci.issuer.rotate();
    let new = ci.issuer.sign(&ci.claims());
    // Within ten seconds, so that nobody who sends odd tokens makes us ask more often.
    eventually(Duration::from_secs(20), async || {
        let reply = ci.exchange(&new).await;
        if reply.status == StatusCode::OK { Ok(()) } else { Err(refused(&reply, "invalid_grant")) }
    })
    .await;
    assert_eq!(ci.issuer.keys_fetched(), 2);
    refused(&ci.exchange(&old).await, "invalid_grant");
    ci.exchange(&new).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn what_is_no_exchange_is_refused() {
    let ci = Ci::start();
    let token = ci.issuer.sign(&ci.claims());
    let good = [("grant_type", EXCHANGE), ("subject_token", &token), ("subject_token_type", JWT)];
    let anonymous = V1::anonymous(&ci.server);
    let with = |more: &[(&'static str, &'static str)]| {
        let mut fields: Vec<(&str, &str)> = good.to_vec();
        fields.extend(more);
        fields
    };
    for place in 0..good.len() {
        let (mut without, mut doubled) = (good.to_vec(), good.to_vec());
        without.remove(place);
        doubled.push(good[place]);
        refused(&anonymous.form(PATH, &without).await, "invalid_request");
        refused(&anonymous.form(PATH, &doubled).await, "invalid_request");
    }
    for kind in [
        ACCESS_TOKEN,
        "urn:ietf:params:oauth:token-type:refresh_token",
        "urn:ietf:params:oauth:token-type:saml2",
        "jwt",
        "",
    ] {
        let fields = [good[0], good[1], ("subject_token_type", kind)];
        refused(&anonymous.form(PATH, &fields).await, "invalid_request");
    }
    for more in [
        &[("requested_token_type", JWT)][..],
        &[("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token")],
        &[("requested_token_type", ACCESS_TOKEN), ("requested_token_type", ACCESS_TOKEN)],
        &[("requested_token_type", ACCESS_TOKEN), ("requested_token_type", JWT)],
        &[("actor_token", "x"), ("actor_token_type", JWT)],
    ] {
        refused(&anonymous.form(PATH, &with(more)).await, "invalid_request");
    }
    refused(
        &anonymous.post(PATH, &json!({"grant_type": EXCHANGE, "subject_token": token})).await,
        "invalid_grant",
    );
    assert_eq!(anonymous.form("/oauth/token", &good).await.status, 400);
    // Nothing but tokens of a listed issuer.
    let alice = login(&ci.server, &Who::dev("alice")).await;
    let access = V1::new(&ci.server, &alice).access().await;
    let session = taco_login(&ci.server, &Who::dev("alice")).await;
    let code = taco_code(&ci.server, &Who::dev("alice")).await[1].1.clone();
    for other in [&alice, &access, &session.access, &session.refresh, &code, "x", "a.b.c", "..", "eyJ"] {
        refused(&ci.exchange(other).await, "invalid_grant");
    }
    assert_eq!(ci.issuer.requests(), 0);
    for more in [&[("requested_token_type", ACCESS_TOKEN)][..], &[("audience", "a"), ("scope", "x")]] {
        anonymous.form(PATH, &with(more)).await.expect(StatusCode::OK);
    }
}

#[tokio::test]
async fn nothing_of_a_presented_token_is_printed_or_kept() {
    let options = Options::local().dev_login().env("OPENTACO_LOG_LEVEL", "trace");
    let ci = Ci::with(options, rule);
    let good = ci.issuer.sign(&ci.claims());
    let stranger = ci.issuer.sign(&ci.issuer.github("evil/shop", MAIN, AUDIENCE));
    let expired = ci.issuer.sign(&ci.claims().shifted(-7200));
    let made = ci.exchange(&good).await.expect(StatusCode::OK).json();
    for bad in [&stranger, &expired] {
        refused(&ci.exchange(bad).await, "invalid_grant");
    }
    for presented in [&good, &stranger, &expired] {
        // The head is the same for all, and says nothing.
        for part in presented.split('.').skip(1) {
            is_nowhere(&ci.server, part);
        }
    }
    is_nowhere(&ci.server, secret(made["access_token"].as_str().unwrap()));
    assert!(!ci.server.output().contains("evil/shop"), "what is not trusted is not repeated");
    let kept = files(&ci.server.data_dir());
    let tokens = kept.keys().filter(|name| name.ends_with("/created.json")).count();
    assert_eq!(tokens, 1, "what is refused makes nothing");
}
