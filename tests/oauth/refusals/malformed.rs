//! Requests that say something twice, or nothing that can be read.

use std::time::Duration;

use futures_util::stream;
use opentaco_tests::client::Attempt;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use reqwest::{Body, RequestBuilder};
use serde_json::json;

use super::bench::{Bench, Says, field};
use crate::flow::{code, exchange_fields, varied};

const REQUEST: Says = Says::Oauth("invalid_request");
const GRANT: Says = Says::Oauth("invalid_grant");
const FORM: &str = "application/x-www-form-urlencoded";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// How a place is asked.
type Ask = fn(&Bench, &str) -> RequestBuilder;

#[tokio::test]
async fn two_tokens_or_none_that_can_be_read_are_no_token() {
    let bench = Bench::start();
    let held = bench.held().await;
    let places: [(&str, Says, Ask); 6] = [
        ("/v1/auth/me", Says::Problem, Bench::get),
        ("/v1/auth/issue-s3-creds", Says::Problem, Bench::post),
        ("/v1/auth/tokens", Says::Problem, Bench::get),
        ("/tfe/api/v2/account/details", Says::Cloud, Bench::get),
        ("/tfe/api/v2/ping", Says::Cloud, Bench::get),
        ("/oauth/debug", Says::Problem, Bench::get),
    ];
    let (api, bearer) = (held.api.as_str(), format!("Bearer {}", held.api));
    let headers: [(&str, Vec<HeaderValue>); 9] = [
        ("the same twice", vec![value(&bearer), value(&bearer)]),
        ("a good one after a bad one", vec![value("Bearer otc_tfe_x_y"), value(&bearer)]),
        ("a good one before a bad one", vec![value(&bearer), value("Bearer otc_tfe_x_y")]),
        ("two in one header", vec![value(&format!("{bearer}, {bearer}"))]),
        ("two in one header, with a space", vec![value(&format!("{bearer} {api}"))]),
        ("another scheme", vec![value(&format!("Basic {api}"))]),
        ("the token alone", vec![value(api)]),
        ("the scheme alone", vec![value("Bearer ")]),
        ("bytes that are no text", vec![HeaderValue::from_bytes(b"Bearer \xff\xfe").unwrap()]),
    ];
    for (path, says, request) in places {
        for (what, values) in &headers {
            let with = |request: RequestBuilder, value: &HeaderValue| request.header(AUTHORIZATION, value);
            let request = values.iter().fold(request(&bench, path), with);
            bench.refuses(&format!("{path}: {what}"), request, says, &[api]).await;
        }
        let lower = request(&bench, path).header(AUTHORIZATION, format!("bearer  {api} "));
        bench.grants(path, lower).await;
    }
    bench.done(places.len() * headers.len());
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap()
}

#[tokio::test]
async fn a_parameter_that_stands_there_twice_is_no_parameter() {
    let bench = Bench::start();
    let (taco, attempt) = bench.taco().await;
    let held = bench.held().await;
    let mut cases = 0;
    // Before and after, the same or another: which one counts must never be a question.
    for (place, (name, value)) in taco.iter().enumerate() {
        let doubled = [(taco.len(), value.as_str()), (0, "x"), (taco.len(), "x"), (place, ""), (0, value)];
        for (at, again) in doubled {
            let mut fields = taco.clone();
            fields.insert(at, (name.clone(), again.to_owned()));
            let secrets = [field(&taco, "code"), &attempt.verifier];
            bench.refuses(&format!("{name}={again:.9}"), bench.token(&fields), REQUEST, &secrets).await;
            cases += 1;
        }
    }
    let form = |path: &str, fields: &[(&str, &str)]| bench.post(path).form(fields);
    let (grant, refresh) = (("grant_type", "refresh_token"), ("refresh_token", held.refresh.as_str()));
    for path in ["/oauth/token", "/v1/auth/token"] {
        for fields in
            [[grant, refresh, refresh], [grant, grant, refresh], [refresh, ("refresh_token", "x"), grant]]
        {
            bench.refuses(path, form(path, &fields), REQUEST, &[&held.refresh]).await;
            cases += 1;
        }
    }
    let twice = [grant, refresh, ("client_id", "taco"), ("client_id", "taco")];
    let request = form("/oauth/token", &twice);
    bench.refuses("client_id", request, Says::Oauth("invalid_client"), &[&held.refresh]).await;
    let token = ("subject_token", held.access.as_str());
    let kind = ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt");
    let wanted = ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token");
    let other = ("requested_token_type", "urn:ietf:params:oauth:token-type:saml2");
    let exchange = ("grant_type", EXCHANGE);
    for fields in [
        [exchange, kind, token, token, wanted],
        [exchange, kind, kind, token, wanted],
        [exchange, exchange, kind, token, wanted],
    ] {
        bench.refuses("exchange", form("/v1/auth/token", &fields), REQUEST, &[&held.access]).await;
    }
    let fields = [exchange, kind, token, wanted, other];
    bench.refuses("requested_token_type", form("/v1/auth/token", &fields), REQUEST, &[&held.access]).await;
    // At the authorization endpoint it is a page; `authorization.rs` has every parameter.
    let own = Attempt::new(&bench.server);
    let encoded = format!("{}&redirect%5Furi=http%3A%2F%2Fevil.example%2F", own.authorization);
    bench.refuses("in another spelling", bench.client.get(encoded), Says::Page, &[&own.state]).await;
    bench.grants("none of it used the code up", bench.token(&taco)).await;
    bench.done(cases + 6);
}

#[tokio::test]
async fn what_is_no_form_is_no_token_request() {
    let bench = Bench::start();
    let attempt = Attempt::new(&bench.server);
    let fields = exchange_fields(&attempt, &code(&bench.server, &attempt).await);
    let secrets = [field(&fields, "code"), attempt.verifier.as_str()];
    let good = bench.token(&fields).build().unwrap();
    let good = String::from_utf8(good.body().unwrap().as_bytes().unwrap().to_vec()).unwrap();
    let large = format!("{good}&more={}", "x".repeat(64 * 1024));
    let latin = [good.as_bytes(), b"&more=\xff"].concat();
    let document = json!(fields.iter().cloned().collect::<std::collections::BTreeMap<_, _>>()).to_string();
    let bodies: [(&str, &str, Vec<u8>); 8] = [
        ("nothing", FORM, Vec::new()),
        ("JSON", FORM, document.clone().into()),
        ("JSON by its name", "application/json", document.into()),
        ("a form by no name", "", good.clone().into()),
        ("a form in parts", "multipart/form-data; boundary=x", good.clone().into()),
        ("a form by another name", "application/x-www-form-urlencoded-x", good.clone().into()),
        ("too large a form", FORM, large.clone().into()),
        ("zeros", FORM, vec![0; 512]),
    ];
    let count = bodies.len();
    let post = |kind: &str, body: Vec<u8>| bench.post("/oauth/token").header(CONTENT_TYPE, kind).body(body);
    for (what, kind, body) in bodies {
        bench.refuses(what, post(kind, body), REQUEST, &secrets).await;
    }
    let packed = post(FORM, good.clone().into()).header(CONTENT_ENCODING, "gzip");
    bench.refuses("compressed", packed, REQUEST, &secrets).await;
    // Without a length that could be judged first.
    let chunks = large
        .into_bytes()
        .chunks(8192)
        .map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()))
        .collect::<Vec<_>>();
    let streamed = bench.post("/oauth/token").header(CONTENT_TYPE, FORM);
    let streamed = streamed.body(Body::wrap_stream(stream::iter(chunks))).timeout(Duration::from_secs(30));
    bench.refuses("too large, in chunks", streamed, REQUEST, &secrets).await;
    for (what, grant, error) in [
        ("the password of a user", "password", "unsupported_grant_type"),
        ("the client's own", "client_credentials", "unsupported_grant_type"),
        ("implicit", "token", "unsupported_grant_type"),
        ("a device", "urn:ietf:params:oauth:grant-type:device_code", "unsupported_grant_type"),
        ("the other endpoint's", EXCHANGE, "unsupported_grant_type"),
        ("in another case", "Authorization_Code", "unsupported_grant_type"),
    ] {
        let request = bench.token(&super::bench::with(&fields, "grant_type", grant));
        bench.refuses(what, request, Says::Oauth(error), &secrets).await;
    }
    bench.grants("letters that are no text are read as others", post(FORM, latin)).await;
    bench.done(count + 2 + 6);
}

#[tokio::test]
async fn what_is_no_json_refreshes_nothing() {
    let bench = Bench::start();
    let held = bench.held().await;
    let refresh = held.refresh.as_str();
    let good = json!({"refresh_token": refresh}).to_string();
    let bodies: [(&str, Says, Vec<u8>); 14] = [
        ("half of it", REQUEST, good.as_bytes()[..good.len() / 2].to_vec()),
        ("more behind it", REQUEST, format!("{good}{good}").into()),
        ("a list", REQUEST, json!([{"refresh_token": refresh}]).to_string().into()),
        ("a text", REQUEST, json!(refresh).to_string().into()),
        ("a number", REQUEST, b"1".to_vec()),
        ("null", REQUEST, b"null".to_vec()),
        ("an empty object", GRANT, b"{}".to_vec()),
        ("another name", GRANT, json!({"refreshToken": refresh}).to_string().into()),
        ("a list of tokens", GRANT, json!({"refresh_token": [refresh]}).to_string().into()),
        ("no token", GRANT, json!({"refresh_token": null}).to_string().into()),
        ("a number for a token", GRANT, json!({"refresh_token": 1}).to_string().into()),
        (
            "bytes that are no text",
            REQUEST,
            [b"{\"refresh_token\": \"\xff".as_slice(), refresh.as_bytes(), b"\"}"].concat(),
        ),
        ("deep", REQUEST, "[".repeat(100_000).into()),
        (
            "more than anybody reads",
            REQUEST,
            json!({"refresh_token": "x".repeat(1024 * 1024)}).to_string().into(),
        ),
    ];
    let count = bodies.len();
    let post =
        |body: Vec<u8>| bench.post("/v1/auth/token").header(CONTENT_TYPE, "application/json").body(body);
    for (what, says, body) in bodies {
        bench.refuses(what, post(body), says, &[refresh]).await;
    }
    let both = bench.refresh(refresh).bearer_auth(&held.api);
    bench.refuses("two credentials", both, REQUEST, &[refresh, &held.api]).await;
    let basic = bench.post("/v1/auth/token").basic_auth("otc", Some(&held.api));
    bench.refuses("another scheme", basic, REQUEST, &[&held.api]).await;
    let twice = bench.post("/v1/auth/token").bearer_auth(&held.api).bearer_auth(&held.api);
    bench.refuses("two headers", twice, REQUEST, &[&held.api]).await;
    let packed = post(good.clone().into()).header(CONTENT_ENCODING, "gzip");
    bench.refuses("compressed", packed, REQUEST, &[refresh]).await;
    let long = "x".repeat(100_000);
    bench.refuses("a long token", bench.refresh(&long), GRANT, &[&long]).await;
    bench.refuses("an empty token", bench.refresh(""), GRANT, &[refresh]).await;
    for (what, fields) in [
        ("no subject", vec![("grant_type", EXCHANGE)]),
        ("no type of it", vec![("grant_type", EXCHANGE), ("subject_token", held.access.as_str())]),
        (
            "another type of it",
            vec![
                ("grant_type", EXCHANGE),
                ("subject_token", &held.access),
                ("subject_token_type", "urn:ietf:params:oauth:token-type:saml2"),
            ],
        ),
        (
            "somebody to act for",
            vec![
                ("grant_type", EXCHANGE),
                ("subject_token", &held.access),
                ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
                ("actor_token", &held.access),
            ],
        ),
    ] {
        let request = bench.post("/v1/auth/token").form(&fields);
        bench.refuses(what, request, REQUEST, &[&held.access]).await;
    }
    bench.grants("the token itself", bench.refresh(refresh)).await;
    bench.done(count + 6 + 4);
}

#[tokio::test]
async fn what_is_no_form_moves_no_login() {
    let bench = Bench::start();
    let attempt = Attempt::new(&bench.server);
    let long = "x".repeat(60_000);
    let pages = [
        ("no query", "/oauth/authorization".to_owned()),
        ("a query that is none", "/oauth/authorization?%zz=%ff&&&=".to_owned()),
        ("a callback of nobody", "/oauth/oidc-callback".to_owned()),
        ("a callback with an error", "/oauth/oidc-callback?error=access_denied".to_owned()),
        ("a callback with two states", "/oauth/oidc-callback?state=a&state=b&code=c".to_owned()),
        ("a callback with a long state", format!("/oauth/oidc-callback?code=c&state={long}")),
    ];
    for (what, path) in &pages {
        bench.refuses(what, bench.get(path), Says::Page, &[&long]).await;
    }
    let long_state = varied(&attempt, &[("state", Some(&long))]);
    bench.refuses("a long state", bench.client.get(long_state), Says::Page, &[&long]).await;
    let large = format!("session={}&verdict=allow", "x".repeat(64 * 1024));
    let mut cases = pages.len() + 1;
    for path in ["/oauth/authorization", "/oauth/consent"] {
        for (what, kind, body) in [
            ("nothing", FORM, String::new()),
            ("JSON", "application/json", json!({"session": long, "verdict": "allow"}).to_string()),
            ("a form by no name", "text/plain", "session=x&verdict=allow&proof=alice".to_owned()),
            ("too large a form", FORM, large.clone()),
        ] {
            let request = bench.post(path).header(CONTENT_TYPE, kind).body(body);
            bench.refuses(&format!("{path}: {what}"), request, Says::Page, &[&long]).await;
            cases += 1;
        }
    }
    bench.done(cases);
}
