//! What went wrong elsewhere in logins and tokens, one line each, and the tests that hold it down.
//!
//! | line | what went wrong | test |
//! |---|---|---|
//! | 25 | one of two ways in did not check the redirect address | `a_crafted_redirect_address_leads_nowhere`, `nor_does_it_on_the_way_to_a_provider_or_to_the_terminal` (`refusals/redirects.rs`), `a_redirect_address_that_is_not_the_command_lines_is_a_page` (`authorization.rs`) |
//! | 26 | a code or an access token was taken for a refresh token | `a_token_of_one_kind_is_none_of_another` (`refusals/kinds.rs`) |
//! | 27 | codes could be replayed | `a_replayed_code_gets_nothing_and_kills_what_the_first_got`, `exchanges_in_parallel_give_at_most_one_working_token` (`token.rs`), `a_code_that_was_used_ends_what_it_gave` (`refusals/replays.rs`) |
//! | 28 | the session did not expire | `a_session_is_young_and_of_this_browser` (`domain/src/claims.rs`) |
//! | 28 | it was not bound to the browser | `a_session_is_of_one_browser_and_one_step` (`refusals/replays.rs`) |
//! | 28 | its key was published | `a_key_from_the_documentation_never_leaves_this_machine` (`start/refusals.rs`), `a_session_of_another_server_is_refused` (`consent.rs`) |
//! | 28 | there was no nonce | `every_way_to_the_provider_is_another_one` below, and `adapters/oidc/src/tests/id_token.rs` |
//! | 29 | an address was put into a script unescaped | `markup_in_any_parameter_stays_text`, `every_page_is_guarded_and_only_those_of_a_checked_request_may_lead_to_its_command_line` (`pages.rs`): there are no scripts |
//! | 30 | forwarded headers were believed | `refusals/forwarded.rs`, all of it |
//! | 31 | the log had codes, tokens and state in it | `nothing_that_opens_a_door_is_logged` below, `after_a_whole_walk_no_secret_lies_in_the_log_or_beside_the_blobs` (`tfe/secrets.rs`) |
//! | 32 | every login got the same token; tokens lay there in plain text, with no list and no end | `each_login_gets_a_token_of_its_own_which_is_listed_and_ended_alone`, `nobody_but_an_administrator_ends_what_is_not_theirs` below, `what_does_not_hold` (`troubleshooting.rs`) |
//! | 33 | a late write could undo a revocation | `a_revocation_stands_whoever_uses_the_token_meanwhile` below, `a_revocation_survives_a_read_that_began_before_it` (`contract/tokens.rs`) |
//! | 34 | `kid` was ignored, and there was one key | `rotation.rs`, all of it; `a_token_with_one_thing_wrong_is_refused` (`refusals/signatures.rs`) |
//! | 35 | credentials had ids to be guessed and no end | `credentials_of_the_s3_door_cannot_be_guessed_and_end_with_their_token` below |
//! | 36 | a provider that was down at the start was never asked again | `the_log_says_when_the_provider_is_known` (`troubleshooting.rs`) |
//! | 37 | a dead token in a file kept people from logging in | `a_dead_token_keeps_nobody_from_logging_in` below |

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use futures_util::future::join_all;
use opentaco_tests::browser::Who;
use opentaco_tests::client::{Api, Attempt, http, login, state};
use opentaco_tests::server::{Options, Server};
use opentaco_tests::wait::eventually;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::{Value, json};

use crate::flow::{Shown, exchange_fields, open, post, session, start, window, works};
use crate::refusals::{Bench, Forged, accepted, now, text, with_endpoints};

const PATIENCE: Duration = Duration::from_secs(40);

/// What a token says.
fn claims(token: &str) -> Value {
    let claims = BASE64URL_NOPAD.decode(token.split('.').nth(1).unwrap().as_bytes()).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

#[tokio::test]
async fn every_way_to_the_provider_is_another_one() {
    let server = Server::start(with_endpoints(Options::memory()));
    let mut seen = BTreeSet::new();
    let (one_browser, one_attempt) = (window(&server), Attempt::new(&server));
    for _ in 0..3 {
        let shown = open(&one_browser, &one_attempt.authorization).await;
        assert_eq!(shown.status, StatusCode::FOUND);
        let to = Url::parse(shown.headers["location"].to_str().unwrap()).unwrap();
        let value = |name: &str| {
            let found: Vec<_> = to.query_pairs().filter(|(key, _)| key == name).collect();
            assert_eq!(found.len(), 1, "{name}: {to}");
            found[0].1.clone().into_owned()
        };
        assert_eq!((value("response_type"), value("code_challenge_method")), ("code".into(), "S256".into()));
        for name in ["nonce", "state", "code_challenge"] {
            assert!(value(name).len() >= 43, "{name}: {to}");
            assert!(seen.insert(value(name)), "{name} was there before");
        }
        // What the command line keeps for itself goes no further.
        let url = Url::parse(&one_attempt.authorization).unwrap();
        let own = url.query_pairs().find(|(name, _)| name == "code_challenge").unwrap().1.into_owned();
        assert!(!to.as_str().contains(&one_attempt.state) && !to.as_str().contains(&own), "{to}");
    }
    assert_eq!(seen.len(), 9);
}

#[tokio::test]
async fn nothing_that_opens_a_door_is_logged() {
    let bench = Bench::start();
    let held = bench.held().await;
    let window = window(&bench.server);
    let attempt = Attempt::new(&bench.server);
    let first = session(&open(&window, &attempt.authorization).await.html);
    let proof = [("session", first.as_str()), ("proof", "alice")];
    let shown = post(&window, &bench.url("/oauth/authorization"), &proof).await;
    let cookie =
        open(&window, &attempt.authorization).await.headers["set-cookie"].to_str().unwrap().to_owned();
    let cookie = cookie.split(['=', ';']).nth(1).unwrap().to_owned();
    let second = session(&shown.html);
    let verdict = [("session", second.as_str()), ("verdict", "allow")];
    let arrived = post(&window, &bench.url("/oauth/consent"), &verdict).await;
    let code = attempt.code(&Url::parse(arrived.headers["location"].to_str().unwrap()).unwrap());
    let token = accepted(bench.token(&exchange_fields(&attempt, &code))).await;
    let credentials = accepted(bench.post("/v1/auth/issue-s3-creds").bearer_auth(&held.access)).await;
    let next = accepted(bench.refresh(&held.refresh)).await;
    let made = bench.post("/v1/auth/tokens").bearer_auth(&held.api).json(&json!({"name": "ci"}));
    let made = accepted(made).await;

    let api = Api::new(&bench.server, &held.api);
    let workspace = api.create_workspace("default", "web").await;
    api.lock(&workspace).await.expect(StatusCode::OK);
    let outputs =
        json!({"password": {"value": "correct horse battery staple", "type": "string", "sensitive": true}});
    let bytes = state(1, "lineage-of-a-secret", 1, &outputs);
    let proposal = api.propose(&workspace, &bytes).await.expect(StatusCode::CREATED);
    let upload = text(&proposal.json()["data"]["attributes"]["hosted-state-upload-url"]);
    let (_, ticket) = upload.rsplit_once('/').unwrap();
    // Also where they do not belong: in a query, in a path, under another scheme, to a method that is none.
    let stray = [
        bench.get(&format!("/tfe/api/v2/ping?token={}", held.api)),
        bench.get(&format!("/{}", held.api)),
        bench.get(&format!("/v1/auth/{}", held.access)),
        bench.get(&format!("/oauth/oidc-callback?code={code}&state={second}")),
        bench.get(&format!("/tfe/api/v2/uploads/{ticket}")),
        bench.get("/v1/auth/me").basic_auth("otc", Some(&held.api)),
        bench
            .get("/v1/auth/me")
            .header("x-api-key", &held.api)
            .header("cookie", format!("token={}", held.api)),
        bench
            .client
            .request(Method::from_bytes(b"BREW").unwrap(), bench.url(&format!("/oauth/token?code={code}"))),
        bench.client.put(&upload).body("{\"version\": 4, \"outputs\": \"correct horse battery staple\""),
    ];
    for request in stray {
        assert!(!request.send().await.unwrap().status().is_server_error());
    }
    api.upload(&proposal, &bytes).await.expect(StatusCode::OK);
    bench.mark().await;
    let output = bench.server.output();
    let secrets = [
        held.api.rsplit_once('_').unwrap().1.to_owned(),
        held.access,
        held.refresh,
        held.s3,
        first,
        second,
        cookie,
        code,
        attempt.verifier,
        attempt.state,
        text(&token["access_token"]).rsplit_once('_').unwrap().1.to_owned(),
        text(&made["token"]).rsplit_once('_').unwrap().1.to_owned(),
        text(&next["access_token"]),
        text(&next["refresh_token"]),
        text(&credentials["SecretAccessKey"]),
        text(&credentials["SessionToken"]),
        ticket.to_owned(),
        "correct horse battery staple".to_owned(),
        "lineage-of-a-secret".to_owned(),
        "Bearer ".to_owned(),
    ];
    for secret in &secrets {
        let line = output.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret:.60} was logged: {line:.300?}");
    }
    bench.done(0);
}

#[tokio::test]
async fn each_login_gets_a_token_of_its_own_which_is_listed_and_ended_alone() {
    let server = start();
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(login(&server, &Who::dev("alice")).await);
    }
    assert_eq!(tokens.iter().collect::<BTreeSet<_>>().len(), 3, "three logins, three tokens");
    let client = http(&server).build().unwrap();
    let url = format!("{}/v1/auth/tokens", server.base_https());
    let listed = async |by: &str| -> BTreeSet<String> {
        let list = accepted(client.get(&url).bearer_auth(by)).await;
        assert!(!tokens.iter().any(|token| list.to_string().contains(token.rsplit_once('_').unwrap().1)));
        list["tokens"].as_array().unwrap().iter().map(|token| text(&token["id"])).collect()
    };
    let ids: Vec<&str> = tokens.iter().map(|token| id_of(token)).collect();
    assert_eq!(listed(&tokens[0]).await, ids.iter().map(|id| (*id).to_owned()).collect());
    let ended = client.delete(format!("{url}/{}", ids[1])).bearer_auth(&tokens[0]);
    assert_eq!(ended.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    for (token, good) in tokens.iter().zip([true, false, true]) {
        assert_eq!(works(&server, token).await, good);
    }
    assert!(!listed(&tokens[0]).await.contains(ids[1]));
}

/// The public part of an API token.
fn id_of(token: &str) -> &str {
    token.split('_').nth(2).unwrap()
}

#[tokio::test]
async fn nobody_but_an_administrator_ends_what_is_not_theirs() {
    let options = with_endpoints(Options::local()).env("OPENTACO_ADMINS", "oidc:ann");
    let server = Server::start(options);
    let [ann, bob, eve] = ["oidc:ann", "oidc:bob", "oidc:eve"].map(|subject| server.admin_token(subject));
    let client = http(&server).build().unwrap();
    let end = async |id: &str, by: &str| {
        let url = format!("{}/v1/auth/tokens/{id}", server.base_https());
        client.delete(url).bearer_auth(by).send().await.unwrap().status()
    };
    assert_eq!(end(id_of(&bob), &eve).await, StatusCode::NOT_FOUND, "as if it were not there");
    assert!(works(&server, &bob).await);
    assert_eq!(end(id_of(&bob), &ann).await, StatusCode::NO_CONTENT);
    assert!(!works(&server, &bob).await && works(&server, &eve).await);
}

#[tokio::test]
async fn a_revocation_stands_whoever_uses_the_token_meanwhile() {
    let mut server = Server::start(Options::local().dev_login());
    let [mut keeper, mut victim] = [String::new(), String::new()];
    for token in [&mut keeper, &mut victim] {
        *token = login(&server, &Who::dev("alice")).await;
    }
    let client = http(&server).build().unwrap();
    let (me, ended) = (format!("{}/v1/auth/me", server.base_https()), AtomicBool::new(false));
    let used = async || {
        let mut seen = 0;
        loop {
            // Looked at before the request: one that begins after the end must be refused.
            let after = ended.load(Ordering::SeqCst);
            let status = client.get(&me).bearer_auth(&victim).send().await.unwrap().status();
            match status {
                StatusCode::OK => assert!(!after, "a use after the end"),
                StatusCode::UNAUTHORIZED if after => return seen,
                StatusCode::UNAUTHORIZED => {}
                other => panic!("{other}"),
            }
            seen += 1;
        }
    };
    let revoke = async {
        let url = format!("{}/v1/auth/tokens/{victim}", server.base_https());
        // In the middle of it, and not before.
        while !works(&server, &victim).await {}
        let answer = client.delete(url).bearer_auth(&keeper).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        ended.store(true, Ordering::SeqCst);
        0
    };
    let counts = futures_util::future::join(join_all((0..8).map(|_| used())), revoke).await.0;
    assert!(counts.iter().all(|seen| *seen > 0), "{counts:?}");
    assert!(!works(&server, &victim).await && works(&server, &keeper).await);
    // Whatever was still on its way to the disk has arrived by the end.
    server.restart();
    assert!(!works(&server, &victim).await && works(&server, &keeper).await);
}

#[tokio::test]
async fn credentials_of_the_s3_door_cannot_be_guessed_and_end_with_their_token() {
    let bench = Bench::start();
    let held = bench.held().await;
    let issue = async |token: &str| accepted(bench.post("/v1/auth/issue-s3-creds").bearer_auth(token)).await;
    let mut seen = BTreeSet::new();
    for token in [&held.api, &held.api, &held.access, &held.access] {
        let credentials = issue(token).await;
        let id = text(&credentials["AccessKeyId"]);
        assert_eq!((id.len(), &id[..3]), (29, "OTC"), "128 bits in base32");
        // Neither the beginning nor the end is the same twice: nothing counts up in it, and no clock.
        for part in [&id[3..11], &id[11..19], &id[19..27]] {
            assert!(seen.insert(part.to_owned()), "{part} again: {id}");
        }
        for name in ["SecretAccessKey", "SessionToken"] {
            assert!(seen.insert(text(&credentials[name])), "{name} again");
            assert!(!text(&credentials[name]).contains(&id[3..]));
        }
        let session = claims(&text(&credentials["SessionToken"]));
        let life = session["exp"].as_i64().unwrap() - session["iat"].as_i64().unwrap();
        assert_eq!(life, 3600, "as long as an access token");
        assert_eq!(session["aud"], format!("{}/s3", bench.server.base_https()));
    }
    // Of a token that ends sooner they end with it.
    let made =
        bench.post("/v1/auth/tokens").bearer_auth(&held.api).json(&json!({"name": "ci", "ttl": "10m"}));
    let made = accepted(made).await;
    let short = text(&made["token"]);
    let credentials = issue(&short).await;
    assert!(text(&credentials["Expiration"]) <= text(&made["expires_at"]), "{made} {credentials}");
    let session = claims(&text(&credentials["SessionToken"]));
    assert!(session["exp"].as_i64().unwrap() - session["iat"].as_i64().unwrap() <= 600, "{session}");
    // And of a token that was ended there are none.
    let id = text(&made["id"]);
    let ended = bench.client.delete(bench.url(&format!("/v1/auth/tokens/{id}"))).bearer_auth(&held.api);
    accepted(ended).await;
    let refused = bench.post("/v1/auth/issue-s3-creds").bearer_auth(&short).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    bench.done(0);
}

/// A token that has died, as a file may still hold it.
async fn dead_tokens(bench: &Bench) -> Vec<(&'static str, HeaderValue)> {
    let held = bench.held().await;
    let me = accepted(bench.get("/v1/auth/me").bearer_auth(&held.access)).await;
    let old = claims(&held.access);
    let forged = Forged::new(&bench.key, "at+jwt", old).claim("iat", now() - 7200).claim("exp", now() - 3600);
    let make = json!({"name": "short", "ttl": "1s"});
    let short =
        text(&accepted(bench.post("/v1/auth/tokens").bearer_auth(&held.api).json(&make)).await["token"]);
    eventually(PATIENCE, async || {
        let answer = bench.get("/v1/auth/me").bearer_auth(&short).send().await.unwrap();
        if answer.status() == StatusCode::UNAUTHORIZED { Ok(()) } else { Err("it lives".to_owned()) }
    })
    .await;
    let revoked = bench.client.delete(bench.url(&format!("/v1/auth/tokens/{}", held.api)));
    accepted(revoked.bearer_auth(&held.access)).await;
    assert_eq!(me["subject"], "dev:alice");
    let bearer = |token: &str| HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    vec![
        ("expired", bearer(&short)),
        ("an expired JWT", bearer(&forged.signed(&bench.key))),
        ("revoked", bearer(&held.api)),
        ("of another product", bearer("abc.atlasv1.def")),
        ("nothing", HeaderValue::from_static("Bearer ")),
        ("another scheme", HeaderValue::from_static("Basic dXNlcjpwYXNz")),
        ("no text", HeaderValue::from_bytes(b"Bearer \xff").unwrap()),
    ]
}

fn always_sending(server: &Server, header: &HeaderValue) -> Client {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, header.clone());
    let client = http(server).cookie_store(true).redirect(Policy::none());
    client.default_headers(headers).build().unwrap()
}

#[tokio::test]
async fn a_dead_token_keeps_nobody_from_logging_in() {
    let bench = Bench::start();
    for (what, header) in dead_tokens(&bench).await {
        let client = always_sending(&bench.server, &header);
        let refused = client.get(bench.url("/v1/auth/me")).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "it is dead: {what}");
        for path in
            ["/.well-known/terraform.json", "/oidc/jwks.json", "/v1/auth/config", "/healthz", "/readyz"]
        {
            for method in [Method::GET, Method::HEAD] {
                let answer = client.request(method.clone(), bench.url(path)).send().await.unwrap();
                let expected = if method == Method::HEAD && path == "/v1/auth/config" { 405 } else { 200 };
                assert_eq!(answer.status(), expected, "{method} {path}: {what}");
            }
        }
        // The whole login, every request of which carries it.
        let attempt = Attempt::new(&bench.server);
        let first = session(&open(&client, &attempt.authorization).await.html);
        let proof = [("session", first.as_str()), ("proof", "alice")];
        let second = session(&post(&client, &bench.url("/oauth/authorization"), &proof).await.html);
        let verdict = [("session", second.as_str()), ("verdict", "allow")];
        let shown = post(&client, &bench.url("/oauth/consent"), &verdict).await;
        assert_eq!(shown.status, StatusCode::FOUND, "{what}: {}", shown.html);
        let code = attempt.code(&Url::parse(shown.headers["location"].to_str().unwrap()).unwrap());
        let form = client.post(bench.url("/oauth/token")).form(&exchange_fields(&attempt, &code));
        let token = text(&accepted(form).await["access_token"]);
        assert!(works(&bench.server, &token).await, "{what}");
        // What is refused is refused for what it is.
        let callback = client.get(bench.url("/oauth/oidc-callback")).send().await.unwrap();
        Shown::read(callback).await.stops(400);
        let again = client.post(bench.url("/oauth/token")).form(&exchange_fields(&attempt, &code));
        assert_eq!(again.send().await.unwrap().status(), StatusCode::BAD_REQUEST, "{what}");
        let none = client.post(bench.url("/v1/auth/token")).json(&json!({"refresh_token": "x"}));
        assert_eq!(none.send().await.unwrap().status(), StatusCode::BAD_REQUEST, "{what}");
    }
    bench.done(0);
}
