//! Tokens made by hand, one thing wrong with each; most of them signed with the server's own key, so that nothing but that
//! one thing can be why they are refused.

use std::sync::atomic::{AtomicU64, Ordering};

use data_encoding::BASE64URL_NOPAD;
use opentaco_tests::client::{Attempt, REDIRECT};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::bench::{Bench, Held, Says, accepted, text, with};
use super::forge::{Forged, Key, flipped, in_base64, now, with_part};
use crate::flow::exchange_fields;

const SUBJECT: &str = "dev:alice";
/// How far clocks may differ, in seconds.
const TOLERANCE: i64 = 30;

/// A purpose: what a right token for it says, and where it is presented.
struct Purpose<'a> {
    name: &'static str,
    says: Says,
    typ: &'static str,
    claims: Value,
    present: Box<dyn Fn(&str) -> RequestBuilder + 'a>,
}

impl Purpose<'_> {
    /// A token as the server would sign it, with another `jti` each time.
    fn token(&self, key: &Key) -> Forged {
        static DRAWN: AtomicU64 = AtomicU64::new(0);
        let drawn = u128::from(DRAWN.fetch_add(1, Ordering::Relaxed));
        let jti = BASE64URL_NOPAD.encode(&drawn.to_be_bytes());
        Forged::new(key, self.typ, self.claims.clone()).claim("jti", jti)
    }
}

/// Every purpose there is a place for. All hang from what alice holds.
async fn purposes<'a>(bench: &'a Bench, held: &Held, attempt: &Attempt) -> [Purpose<'a>; 3] {
    let issuer = bench.url("");
    let me = accepted(bench.get("/v1/auth/me").bearer_auth(&held.access)).await;
    assert_eq!(me["subject"], SUBJECT);
    let family = format!("fam:{}", text(&me["token"]["id"]));
    let url = reqwest::Url::parse(&attempt.authorization).unwrap();
    let challenge = url.query_pairs().find(|(name, _)| name == "code_challenge").unwrap().1.into_owned();
    let fields = exchange_fields(attempt, "");
    let claims = |audience: &str, life: i64, more: Value| {
        let mut claims = json!({
            "iss": issuer, "sub": SUBJECT, "aud": format!("{issuer}{audience}"), "iat": now(), "exp": now() + life,
        });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claims
    };
    let code = json!({"client": "terraform-cli", "redirect": REDIRECT, "challenge": challenge, "verdict": "allowed"});
    [
        Purpose {
            name: "access",
            says: Says::Problem,
            typ: "at+jwt",
            claims: claims("/v1", 600, json!({"par": family})),
            present: Box::new(|token| bench.get("/v1/auth/me").bearer_auth(token)),
        },
        Purpose {
            name: "refresh",
            says: Says::Oauth("invalid_grant"),
            typ: "rt+jwt",
            claims: claims("/v1/auth/token", 600, json!({"par": family})),
            present: Box::new(|token| bench.refresh(token)),
        },
        Purpose {
            name: "code",
            says: Says::Oauth("invalid_grant"),
            typ: "oac+jwt",
            claims: claims("/oauth/token", 200, code),
            present: Box::new(move |token| bench.token(&with(&fields, "code", token))),
        },
    ]
}

/// What is wrong with what a token says.
fn wrong_claims(right: &Forged, audience: &str, issuer: &str) -> Vec<(&'static str, Forged)> {
    let of = |name: &str, value: Value| right.clone().claim(name, value);
    vec![
        ("another issuer", of("iss", json!("https://evil.example"))),
        ("the issuer with a slash", of("iss", json!(format!("{issuer}/")))),
        ("the issuer over http", of("iss", json!(issuer.replace("https://", "http://")))),
        ("issuers", of("iss", json!([issuer]))),
        ("no issuer", right.clone().without("iss")),
        ("the bare issuer as audience", of("aud", json!(issuer))),
        ("another audience", of("aud", json!("https://evil.example/v1"))),
        ("the audience of the S3 door", of("aud", json!(format!("{issuer}/s3")))),
        ("an audience that begins right", of("aud", json!(format!("{audience}/more")))),
        ("audiences", of("aud", json!([audience]))),
        ("audiences, one of them right", of("aud", json!([audience, "https://evil.example"]))),
        ("no audience", right.clone().without("aud")),
        ("no subject", right.clone().without("sub")),
        ("a subject without a kind", of("sub", json!("alice"))),
        ("an empty subject", of("sub", json!(""))),
        ("no id", right.clone().without("jti")),
        ("a short id", of("jti", json!("AAAA"))),
        ("an id that is no base64url", of("jti", json!("!".repeat(22)))),
        ("no time of issue", right.clone().without("iat")),
        ("no end", right.clone().without("exp")),
        ("an end in words", of("exp", json!("tomorrow"))),
        ("an end before 1970", of("exp", json!(-1))),
        ("a beginning", of("nbf", json!(now() - 60))),
        ("over since 31 seconds", of("exp", json!(now() - TOLERANCE - 1))),
        ("over since an hour", of("exp", json!(now() - 3600))),
        ("issued in an hour", of("iat", json!(now() + 3600))),
        ("more than anybody reads", of("more", json!("x".repeat(9000)))),
    ]
}

/// What is wrong with how a token is signed, or with what its header says about that.
fn wrong_signatures(right: &Forged, key: &Key) -> Vec<(&'static str, String)> {
    let stranger = Key::named("stranger");
    let good = right.signed(key);
    let head = |name: &str, value: Value| right.clone().head(name, value).signed(key);
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": stranger.x()});
    let another = right.clone().claim("more", 1).signed(key);
    let signature = another.rsplit_once('.').unwrap().1;
    vec![
        ("typ JWT", head("typ", json!("JWT"))),
        ("typ in upper case", head("typ", json!("AT+JWT"))),
        ("typ of the S3 door", head("typ", json!("s3+jwt"))),
        ("typ with its tree", head("typ", json!("application/at+jwt"))),
        ("no typ", right.clone().headless("typ").signed(key)),
        ("an unknown kid", head("kid", json!("other"))),
        ("an empty kid", head("kid", json!(""))),
        ("a kid that is a path", head("kid", json!("../../dev/null"))),
        ("a kid that is a number", head("kid", json!(1))),
        ("no kid", right.clone().headless("kid").signed(key)),
        ("the public key as the secret of HS256", right.clone().authenticated(key.public())),
        ("x of the JWKS as that secret", right.clone().authenticated(key.x().as_bytes())),
        ("its PEM file as that secret", right.clone().authenticated(key.public_pem().as_bytes())),
        ("no secret at all", right.clone().authenticated(b"")),
        ("alg none", right.clone().unsigned()),
        ("alg none under a signature", head("alg", json!("none"))),
        ("alg None", head("alg", json!("None"))),
        ("alg HS256 under our signature", head("alg", json!("HS256"))),
        ("alg ES256 under our signature", head("alg", json!("ES256"))),
        ("alg in lower case", head("alg", json!("eddsa"))),
        ("no alg", right.clone().headless("alg").signed(key)),
        ("a stranger under our kid", right.signed(&stranger)),
        ("a stranger with a key in the header", right.clone().head("jwk", jwk.to_string()).signed(&stranger)),
        ("a stranger under a kid of its own", right.clone().head("kid", stranger.kid()).signed(&stranger)),
        (
            "a stranger that says where its keys are",
            right.clone().head("jku", "https://evil.example/jwks.json").signed(&stranger),
        ),
        ("a header that nobody here understands", head("crit", json!(["exp"]))),
        ("the signature of another token", with_part(&good, 2, |_| signature.to_owned())),
        ("no signature", with_part(&good, 2, |_| String::new())),
        ("one wrong bit in the signature", with_part(&good, 2, flipped)),
        ("half a signature", with_part(&good, 2, |part| part[..part.len() / 2].to_owned())),
        ("one wrong bit in the claims", with_part(&good, 1, flipped)),
        ("the claims of another token", with_part(&good, 1, |_| another.split('.').nth(1).unwrap().into())),
        ("a signature in another alphabet", with_part(&good, 2, in_base64)),
        ("claims with padding", with_part(&good, 1, |part| format!("{part}=="))),
        ("a part too many", format!("{good}.{signature}")),
        ("a part too few", good.rsplit_once('.').unwrap().0.to_owned()),
        ("a space in it", good.replacen('.', ". ", 1)),
        ("one after another", format!("{good}{good}")),
    ]
}

#[tokio::test]
async fn a_token_with_one_thing_wrong_is_refused() {
    let bench = Bench::start();
    let held = bench.held().await;
    let (attempt, issuer) = (Attempt::new(&bench.server), bench.url(""));
    let purposes = purposes(&bench, &held, &attempt).await;
    let mut cases = 0;
    for purpose in &purposes {
        let right = purpose.token(&bench.key);
        let audience = text(&purpose.claims["aud"]);
        let mut wrong = wrong_signatures(&right, &bench.key);
        let claims = wrong_claims(&right, &audience, &issuer);
        wrong.extend(claims.into_iter().map(|(what, token)| (what, token.signed(&bench.key))));
        for other in purposes.iter().filter(|other| other.name != purpose.name) {
            let audience = right.clone().claim("aud", other.claims["aud"].clone());
            wrong.push(("the audience of another kind", audience.signed(&bench.key)));
            wrong.push(("the typ of another kind", right.clone().head("typ", other.typ).signed(&bench.key)));
            wrong.push(("another kind", other.token(&bench.key).signed(&bench.key)));
        }
        for (what, token) in &wrong {
            let what = format!("{}: {what}", purpose.name);
            bench.refuses(&what, (purpose.present)(token), purpose.says, &[token]).await;
        }
        cases += wrong.len();
    }
    // Were these refused, too, the table would show nothing. A code is good once, so it comes last.
    for purpose in &purposes {
        let token = purpose.token(&bench.key).signed(&bench.key);
        bench.grants(purpose.name, (purpose.present)(&token)).await;
    }
    drop(purposes);
    bench.done(cases);
    assert_eq!(cases, 3 * (38 + 27 + 6), "as many as the tables above have");
}

#[tokio::test]
async fn what_a_token_hangs_from_must_be_there_and_its_owners() {
    let bench = Bench::start();
    let held = bench.held().await;
    let attempt = Attempt::new(&bench.server);
    let [access, refresh, _] = purposes(&bench, &held, &attempt).await;
    let family = text(&access.claims["par"]);
    let id = family.strip_prefix("fam:").unwrap();
    let own = format!("tok:{}", held.api.split('_').nth(2).unwrap());
    let mut cases = 0;
    for purpose in [&access, &refresh] {
        let right = purpose.token(&bench.key);
        let hanging = |from: &str| right.clone().claim("par", from);
        let wrong = [
            ("nothing", right.clone().without("par")),
            ("an empty text", hanging("")),
            ("an id without a kind", hanging(id)),
            ("a kind that is none", hanging(&format!("usr:{id}"))),
            ("a family by the name of a token", hanging(&format!("tok:{id}"))),
            ("a token by the name of a family", hanging(&own.replace("tok:", "fam:"))),
            ("what nobody has made", hanging("fam:aaaaaaaaaaaaaaaa")),
            ("a path", hanging("fam:../../policy")),
            ("a list", right.clone().claim("par", json!([family]))),
            ("what is somebody else's", right.clone().claim("sub", "dev:mallory")),
        ];
        for (what, token) in &wrong {
            let (what, token) = (format!("{}: {what}", purpose.name), token.signed(&bench.key));
            bench.refuses(&what, (purpose.present)(&token), purpose.says, &[&token]).await;
        }
        cases += wrong.len();
        bench.grants(purpose.name, (purpose.present)(&right.signed(&bench.key))).await;
    }
    // An access token may hang from a token, a refresh token may not.
    let token = access.token(&bench.key).claim("par", own.as_str()).signed(&bench.key);
    bench.grants("an access token of a token", (access.present)(&token)).await;
    drop((access, refresh));
    bench.done(cases);
}

#[tokio::test]
async fn a_code_must_say_everything_and_within_its_rules() {
    let bench = Bench::start();
    let held = bench.held().await;
    let attempt = Attempt::new(&bench.server);
    let [_, _, code] = purposes(&bench, &held, &attempt).await;
    let right = code.token(&bench.key);
    let of = |name: &str, value: Value| right.clone().claim(name, value);
    let wrong = [
        ("no client", right.clone().without("client")),
        ("an unknown client", of("client", json!("somebody"))),
        ("no redirect", right.clone().without("redirect")),
        ("a redirect to a stranger", of("redirect", json!("http://evil.example:10004/login"))),
        ("no challenge", right.clone().without("challenge")),
        ("a challenge that is plain", of("challenge", json!(attempt.verifier[1..]))),
        ("an empty challenge", of("challenge", json!(""))),
        ("no verdict", right.clone().without("verdict")),
        ("an unknown verdict", of("verdict", json!("maybe"))),
        ("a denial without a reason", of("verdict", json!("denied"))),
        ("an unknown reason", of("verdict", json!("denied")).claim("reason", "why not")),
        ("allowed for a reason", of("reason", json!("here"))),
        ("a life of an hour", of("exp", json!(now() + 3600))),
        ("a life of 301 seconds", of("exp", json!(code.claims["iat"].as_i64().unwrap() + 301))),
    ];
    let cases = wrong.len() + 1;
    for (what, token) in &wrong {
        let token = token.signed(&bench.key);
        bench.refuses(what, (code.present)(&token), code.says, &[&token, &attempt.verifier]).await;
    }
    let denied = of("verdict", json!("denied")).claim("reason", "here").signed(&bench.key);
    let says = Says::Oauth("access_denied");
    bench.refuses("a denial", (code.present)(&denied), says, &[&denied, &attempt.verifier]).await;
    bench.grants("a right code", (code.present)(&right.signed(&bench.key))).await;
    drop(code);
    bench.done(cases);
}

/// Whether a token is accepted, made anew until it was judged in the second it was made in: then the answer is certain.
async fn is_accepted(purpose: &Purpose<'_>, key: &Key, bend: impl Fn(Forged) -> Forged) -> bool {
    loop {
        let second = now();
        let token = bend(purpose.token(key)).signed(key);
        let response = (purpose.present)(&token).send().await.unwrap();
        assert!(!response.status().is_server_error(), "{}", response.status());
        if now() == second {
            return response.status().is_success();
        }
    }
}

#[tokio::test]
async fn clocks_may_differ_by_thirty_seconds_and_no_more() {
    let bench = Bench::start();
    let held = bench.held().await;
    let attempt = Attempt::new(&bench.server);
    for purpose in purposes(&bench, &held, &attempt).await {
        for (name, at, accepted) in [
            ("exp", -TOLERANCE - 1, false),
            ("exp", -TOLERANCE + 1, true),
            ("iat", TOLERANCE + 1, false),
            ("iat", TOLERANCE - 1, true),
        ] {
            let is = is_accepted(&purpose, &bench.key, |token| token.claim(name, now() + at)).await;
            assert_eq!(is, accepted, "{}: {name} {at} seconds from now", purpose.name);
        }
    }
}
