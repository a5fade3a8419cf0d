//! What a code proves, and what it does not.

use data_encoding::BASE64URL_NOPAD as B64;
use ed25519_compact::KeyPair;
use jwt_simple::prelude::{HS256Key, MACLike as _};
use opentaco_domain::actor::Subject;
use opentaco_domain::claims::RedeemError;
use opentaco_domain::id::TokenId;
use opentaco_domain::oauth::AuthorizationRequest;
use opentaco_domain::token::Parent;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const ISSUER: &str = "https://taco.example";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const REDIRECT: &str = "http://localhost:10000/login";

fn pem(seed: u8) -> String {
    SigningKey::generate_pem([seed; 32]).unwrap().expose().clone()
}

fn key(seed: u8, kid: &str) -> SigningKey {
    SigningKey::from_pem(&pem(seed), Some(kid)).unwrap()
}

fn signer() -> JwtSigner {
    of(ISSUER, &key(1, "k1"), Vec::new())
}

fn of(issuer: &str, key: &SigningKey, others: Vec<VerifyKey>) -> JwtSigner {
    JwtSigner::new(issuer.to_owned(), KeySet::new(key, others).unwrap())
}

fn claims(at: Timestamp, verdict: Verdict) -> CodeClaims {
    let request = AuthorizationRequest {
        client: Client::TerraformCli,
        redirect: RedirectUri::parse(REDIRECT).unwrap(),
        challenge: Challenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").unwrap(),
        state: "s".to_owned(),
    };
    CodeClaims::new(&request, Subject::development("alice").unwrap(), [9; 16], verdict, at)
}

fn sample() -> CodeClaims {
    claims(Timestamp::from_millis(1_764_072_000_000), Verdict::Allowed)
}

/// Header and claims of a code that opens, to be bent.
fn parts() -> (Value, Value) {
    let code = signer().sign_code(&sample());
    let read = |part: &str| serde_json::from_slice(&B64.decode(part.as_bytes()).unwrap()).unwrap();
    let mut split = code.split('.');
    (read(split.next().unwrap()), read(split.next().unwrap()))
}

/// Signs any header and claims with the right private key.
fn forge(header: &Value, claims: &Value) -> String {
    let signed = format!(
        "{}.{}",
        B64.encode(header.to_string().as_bytes()),
        B64.encode(claims.to_string().as_bytes())
    );
    let signature = KeyPair::from_pem(&pem(1)).unwrap().sk.sign(&signed, None);
    format!("{signed}.{}", B64.encode(&signature[..]))
}

proptest! {
    #[test]
    fn a_code_reads_back(
        seconds in 0i64..4_000_000_000, jti: [u8; 16], denied: bool, name in "[a-zA-Z0-9._@+-]{1,64}",
        redirect in "http://(localhost|127\\.0\\.0\\.1|\\[::1\\]):100(0[0-9]|10)/[a-z/]{0,20}",
    ) {
        let verdict = if denied { Verdict::Denied(Denial::AtProvider) } else { Verdict::Allowed };
        let claims = CodeClaims {
            jti,
            subject: Subject::development(&name).unwrap(),
            redirect: RedirectUri::parse(&redirect).unwrap(),
            ..claims(Timestamp::from_millis(seconds * 1000), verdict)
        };
        prop_assert_eq!(signer().open_code(&signer().sign_code(&claims)), Some(claims));
    }

    #[test]
    fn no_text_makes_it_panic_or_open(text: String, header in "[A-Za-z0-9_-]{0,60}") {
        prop_assert_eq!(signer().open_code(&text), None);
        let text = format!("{header}.{header}.{header}");
        prop_assert_eq!(signer().open_code(&text), None);
    }
}

#[test]
fn no_changed_byte_opens() {
    let signer = signer();
    let code = signer.sign_code(&sample()).into_bytes();
    for at in 0..code.len() {
        for bit in 0..7 {
            let mut changed = code.clone();
            changed[at] ^= 1 << bit;
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(signer.open_code(&changed), None, "byte {at}, bit {bit}");
        }
    }
    // The last character holds bits that no decoder needs; each spelling but one is refused all the same.
    for other in (b'0'..=b'z').filter(|other| Some(other) != code.last()) {
        let mut changed = code.clone();
        changed.pop();
        changed.push(other);
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(signer.open_code(&changed), None, "{changed}");
    }
    let code = String::from_utf8(code).unwrap();
    for changed in
        [format!("{code}="), format!("{code}."), format!(" {code}"), format!("{code}A"), code[1..].to_owned()]
    {
        assert_eq!(signer.open_code(&changed), None, "{changed}");
    }
}

#[test]
fn the_header_says_what_it_must() {
    let (header, claims) = parts();
    assert_eq!(header, json!({"alg": "EdDSA", "kid": "k1", "typ": "oac+jwt"}));
    assert_eq!(claims["aud"], "https://taco.example/oauth/token");
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(signer().open_code(&forge(&header, &claims)), Some(sample()), "the forger's tool works");
}

#[test]
fn a_header_that_is_not_ours_to_the_letter_does_not_open() {
    let (header, claims) = parts();
    for (name, value) in [
        ("alg", json!("none")),
        ("alg", json!("Ed25519")),
        ("alg", json!("eddsa")),
        ("alg", json!("HS256")),
        ("alg", Value::Null),
        ("kid", Value::Null),
        ("kid", json!("k2")),
        ("kid", json!("")),
        ("typ", Value::Null),
        ("typ", json!("JWT")),
        ("typ", json!("at+jwt")),
        ("typ", json!("OAC+JWT")),
        ("crit", json!(["b64"])),
    ] {
        let mut bent = header.clone();
        bent[name] = value.clone();
        assert_eq!(signer().open_code(&forge(&bent, &claims)), None, "{name} {value}");
        if value.is_null() {
            bent.as_object_mut().unwrap().remove(name);
            assert_eq!(signer().open_code(&forge(&bent, &claims)), None, "without {name}");
        }
    }
}

#[test]
fn claims_that_lack_or_bend_something_do_not_open() {
    let (header, claims) = parts();
    for name in ["iss", "sub", "aud", "jti", "iat", "exp", "client", "redirect", "challenge", "verdict"] {
        let mut bent = claims.clone();
        bent.as_object_mut().unwrap().remove(name);
        assert_eq!(signer().open_code(&forge(&header, &bent)), None, "without {name}");
    }
    for (name, value) in [
        ("iss", json!("https://taco.example/")),
        ("aud", json!("https://taco.example/v1")),
        ("aud", json!(["https://taco.example/oauth/token"])),
        ("aud", json!(["https://taco.example/oauth/token", "https://evil.example"])),
        ("sub", json!("root")),
        ("sub", json!("dev:")),
        ("jti", json!("short")),
        ("jti", json!("CQkJCQkJCQkJCQkJCQkJCR")),
        ("iat", json!("1764072000")),
        ("iat", json!(-1)),
        ("exp", Value::Null),
        ("nbf", json!(1)),
        ("client", json!("other")),
        ("reason", json!("here")),
        ("redirect", json!("http://evil.example:10000/")),
        ("challenge", json!("x")),
        ("verdict", json!("maybe")),
    ] {
        let mut bent = claims.clone();
        bent[name] = value.clone();
        assert_eq!(signer().open_code(&forge(&header, &bent)), None, "{name} {value}");
    }
}

#[test]
fn a_code_without_a_real_signature_does_not_open() {
    let code = signer().sign_code(&sample());
    let unsigned = &code[..=code.rfind('.').unwrap()];
    assert_eq!(signer().open_code(unsigned), None);
    let (mut header, claims) = parts();
    header["alg"] = json!("none");
    let none = format!(
        "{}.{}.",
        B64.encode(header.to_string().as_bytes()),
        B64.encode(claims.to_string().as_bytes())
    );
    assert_eq!(signer().open_code(&none), None);
}

#[test]
fn the_public_key_is_no_shared_secret() {
    let (_, claims) = parts();
    let public = key(1, "k1").verify_key();
    for secret in [public.as_bytes().to_vec(), pem(1).into_bytes()] {
        let body: JWTClaims<Value> = serde_json::from_value(claims.clone()).unwrap();
        let options = HeaderOptions { signature_type: Some(CODE.typ.to_owned()), content_type: None };
        let hmac = HS256Key::from_bytes(&secret).with_key_id("k1");
        let confused = hmac.authenticate_with_options(body, &options).unwrap();
        assert_eq!(signer().open_code(&confused), None);
        // The same tag under a header that claims the right algorithm.
        let (_, rest) = confused.split_once('.').unwrap();
        let header = B64.encode(parts().0.to_string().as_bytes());
        assert_eq!(signer().open_code(&format!("{header}.{rest}")), None);
    }
}

#[test]
fn a_code_of_another_key_or_issuer_does_not_open() {
    let stranger = of(ISSUER, &key(2, "k1"), Vec::new());
    assert_eq!(signer().open_code(&stranger.sign_code(&sample())), None);
    let elsewhere = of("https://other.example", &key(1, "k1"), Vec::new());
    assert_eq!(signer().open_code(&elsewhere.sign_code(&sample())), None);
}

#[test]
fn codes_of_a_listed_key_open_and_two_keys_cannot_share_a_name() {
    let old = signer().sign_code(&sample());
    let others = vec![key(1, "k1").verify_key(), key(2, "k2").verify_key()];
    let new = of(ISSUER, &key(2, "k2"), others);
    assert_eq!(new.open_code(&old), Some(sample()));
    assert_eq!(signer().open_code(&new.sign_code(&sample())), None);
    let doubled = KeySet::new(&key(2, "k1"), vec![key(1, "k1").verify_key()]);
    assert_eq!(doubled.unwrap_err(), KeyError::DoubledKid);
}

#[test]
fn times_are_the_domains_to_judge() {
    // Long past, and far ahead of any real clock: no clock is asked.
    for seconds in [0, 1, 1_000_000_000, 4_000_000_000] {
        let at = Timestamp::from_millis(seconds * 1000);
        let opened = signer().open_code(&signer().sign_code(&claims(at, Verdict::Allowed))).unwrap();
        let redeem = |after: u64| {
            let now = at.plus(std::time::Duration::from_secs(after));
            opened.redeem(Client::TerraformCli, REDIRECT, VERIFIER, now)
        };
        assert_eq!(redeem(0), Ok(()));
        assert_eq!(redeem(330), Ok(()));
        assert_eq!(redeem(331), Err(RedeemError::InvalidGrant));
    }
}

#[test]
fn a_very_long_text_is_not_looked_at() {
    assert_eq!(signer().open_code(&"a".repeat(MAX_TOKEN + 1)), None);
    let (header, mut claims) = parts();
    claims["more"] = json!("x".repeat(MAX_TOKEN));
    assert_eq!(signer().open_code(&forge(&header, &claims)), None);
}

const PURPOSES: [Purpose; 3] = [Purpose::Access, Purpose::Refresh, Purpose::S3];

fn bearer() -> BearerClaims {
    BearerClaims {
        subject: Subject::of_provider("auth0|alice").unwrap(),
        parent: Parent::Family(TokenId::from_bytes([3; 10])),
        jti: [7; 16],
        issued_at: Timestamp::from_millis(1_764_072_000_000),
        expires_at: Timestamp::from_millis(1_764_075_600_000),
    }
}

#[test]
fn a_bearer_token_opens_for_its_own_purpose_alone() {
    let signer = signer();
    for purpose in PURPOSES {
        let token = signer.sign_bearer(purpose, &bearer());
        for other in PURPOSES {
            let opened = signer.open_bearer(other, &token);
            assert_eq!(opened, (other == purpose).then(bearer), "{purpose:?} as {other:?}");
        }
        assert_eq!(signer.open_code(&token), None, "{purpose:?} as a code");
        let code = signer.sign_code(&sample());
        assert_eq!(signer.open_bearer(purpose, &code), None, "a code as {purpose:?}");
    }
}

#[test]
fn each_purpose_has_its_type_and_audience() {
    let read =
        |part: &str| -> Value { serde_json::from_slice(&B64.decode(part.as_bytes()).unwrap()).unwrap() };
    for (purpose, typ, audience) in [
        (Purpose::Access, "at+jwt", "/v1"),
        (Purpose::Refresh, "rt+jwt", "/v1/auth/token"),
        (Purpose::S3, "s3+jwt", "/s3"),
    ] {
        let token = signer().sign_bearer(purpose, &bearer());
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!(read(parts[0]), json!({"alg": "EdDSA", "kid": "k1", "typ": typ}));
        let claims = read(parts[1]);
        assert_eq!(claims["aud"], format!("{ISSUER}{audience}"));
        assert_eq!(claims["par"], format!("fam:{}", TokenId::from_bytes([3; 10])));
    }
}

#[test]
fn other_keys_can_take_over_while_the_server_runs() {
    let signer = signer();
    let old = signer.sign_bearer(Purpose::Access, &bearer());
    signer.replace(KeySet::new(&key(2, "k2"), [key(1, "k1").verify_key()]).unwrap());
    assert_eq!(signer.open_bearer(Purpose::Access, &old), Some(bearer()));
    let kids: Vec<String> = signer.public_keys().into_iter().map(|key| key.kid).collect();
    assert_eq!(kids, ["k2", "k1"], "the one that signs comes first");
    signer.replace(KeySet::new(&key(2, "k2"), []).unwrap());
    assert_eq!(signer.open_bearer(Purpose::Access, &old), None);
}
