//! Each kind of token at the places of every other kind: `typ` and `aud` say what it is for, and nothing else will do.

use opentaco_tests::client::Attempt;
use reqwest::RequestBuilder;

use super::bench::{Bench, Says, with};
use crate::flow::{code, exchange_fields};

const GRANT: Says = Says::Oauth("invalid_grant");

/// What can be presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Code,
    TacoCode,
    Access,
    Refresh,
    S3,
    Api,
}

/// Where, and which kinds are good there.
struct Place<'a> {
    name: &'a str,
    says: Says,
    takes: &'a [Kind],
    request: Box<dyn Fn(&str) -> RequestBuilder + 'a>,
}

impl<'a> Place<'a> {
    fn new(
        name: &'a str,
        says: Says,
        takes: &'a [Kind],
        request: impl Fn(&str) -> RequestBuilder + 'a,
    ) -> Self {
        Self { name, says, takes, request: Box::new(request) }
    }
}

/// A token exchange (RFC 8693) of that token.
fn traded(bench: &Bench, token: &str) -> RequestBuilder {
    bench.post("/v1/auth/token").form(&[
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("subject_token", token),
    ])
}

fn refreshed(bench: &Bench, path: &str, token: &str) -> RequestBuilder {
    bench.post(path).form(&[("grant_type", "refresh_token"), ("refresh_token", token)])
}

#[tokio::test]
async fn a_token_of_one_kind_is_none_of_another() {
    use Kind::{Access, Api, Code, Refresh, S3, TacoCode};
    let bench = Bench::start();
    let held = bench.held().await;
    let attempt = Attempt::new(&bench.server);
    let terraform = exchange_fields(&attempt, &code(&bench.server, &attempt).await);
    let (taco, _) = bench.taco().await;
    let value = |fields: &[(String, String)]| super::bench::field(fields, "code").to_owned();
    let tokens = [
        (Code, value(&terraform)),
        (TacoCode, value(&taco)),
        (Access, held.access.clone()),
        (Refresh, held.refresh.clone()),
        (S3, held.s3.clone()),
        (Api, held.api.clone()),
    ];
    let bearer = |path: &'static str| {
        let bench = &bench;
        move |token: &str| bench.get(path).bearer_auth(token)
    };
    let posted = |path: &'static str| {
        let bench = &bench;
        move |token: &str| bench.post(path).bearer_auth(token)
    };
    let places = [
        Place::new("a code of terraform", GRANT, &[Code], |token| {
            bench.token(&with(&terraform, "code", token))
        }),
        Place::new("a code of taco", GRANT, &[TacoCode], |token| bench.token(&with(&taco, "code", token))),
        Place::new("a refresh token at /oauth/token", GRANT, &[Refresh], |token| {
            refreshed(&bench, "/oauth/token", token)
        }),
        Place::new("a refresh token in a form", GRANT, &[Refresh], |token| {
            refreshed(&bench, "/v1/auth/token", token)
        }),
        Place::new("a refresh token", GRANT, &[Refresh], |token| bench.refresh(token)),
        Place::new("the token of a CI system", GRANT, &[], |token| traded(&bench, token)),
        Place::new("what an access token is made from", GRANT, &[Api], posted("/v1/auth/token")),
        Place::new("/v1/auth/me", Says::Problem, &[Access, Api], bearer("/v1/auth/me")),
        Place::new("/v1/auth/tokens", Says::Problem, &[Access, Api], bearer("/v1/auth/tokens")),
        Place::new(
            "/v1/auth/issue-s3-creds",
            Says::Problem,
            &[Access, Api],
            posted("/v1/auth/issue-s3-creds"),
        ),
        Place::new("/oauth/debug", Says::Problem, &[Access, Api], bearer("/oauth/debug")),
        Place::new("the cloud API", Says::Cloud, &[Api], bearer("/tfe/api/v2/account/details")),
        Place::new("the cloud API's other path", Says::Cloud, &[Api], bearer("/api/v2/account/details")),
        Place::new("ping", Says::Cloud, &[Api], bearer("/tfe/api/v2/ping")),
    ];
    let mut cases = 0;
    for place in &places {
        for (kind, token) in tokens.iter().filter(|(kind, _)| !place.takes.contains(kind)) {
            // Only what never was one is the wrong kind of code; of the wrong client is another table's.
            if matches!(kind, Code | TacoCode) && place.name.starts_with("a code") {
                continue;
            }
            let what = format!("{kind:?} as {}", place.name);
            bench.refuses(&what, (place.request)(token), place.says, &[token]).await;
            cases += 1;
        }
    }
    // Each is good where it belongs, and none was used up on the way. Refresh and codes are good once.
    for place in &places {
        for (kind, token) in tokens.iter().filter(|(kind, _)| place.takes.contains(kind)) {
            bench.grants(&format!("{kind:?} as {}", place.name), (place.request)(token)).await;
        }
    }
    drop(places);
    bench.done(cases);
    assert!(cases >= 60, "{cases}");
}
