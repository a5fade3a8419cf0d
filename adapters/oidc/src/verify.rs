//! Whether a signed token is believed.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use openidconnect::core::{CoreIdToken, CoreIdTokenVerifier, CoreJwsSigningAlgorithm};
use openidconnect::{ClaimsVerificationError, ClientId, Nonce, NonceVerifier, SignatureVerificationError};
use opentaco_domain::time::Timestamp;
use opentaco_ports::driven::Clock;

use crate::claims::Claims;
use crate::source::{Known, Source};

/// How far clocks may differ, in seconds.
const TOLERANCE: i64 = 30;

/// The algorithms that are believed: those of key pairs, as far as the library verifies them. A key that is public must
/// never count as a shared secret.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// For whom a token must be.
#[derive(Clone, Copy)]
pub(crate) enum Expected<'a> {
    /// Our own client, in answer to the login that drew the nonce.
    Login { client_id: &'a str, nonce: &'a str },
    /// Whomever; the caller judges the audience.
    Anybody,
}

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// No key that is known fits; there may be newer ones.
    Key(&'static str),
    /// Newer keys would not help.
    Token(&'static str),
}

/// A token in its parts, before anybody has believed it. Those that no key could save are told apart here, so that
/// they make nobody fetch anything.
pub(crate) fn parse(token: &str) -> Result<CoreIdToken, &'static str> {
    let token: CoreIdToken = token.parse().map_err(|_| "the token is malformed")?;
    match token.signing_alg() {
        Ok(algorithm) if ALGORITHMS.contains(algorithm) => Ok(token),
        _ => Err("the token is not signed with an asymmetric algorithm that is supported"),
    }
}

/// The claims of a token that is believed; newer keys are fetched once when those that are known do not fit.
pub(crate) async fn believe(
    token: &CoreIdToken,
    expected: Expected<'_>,
    source: &Source,
    known: Arc<Known>,
    clock: &dyn Clock,
) -> Result<Claims, &'static str> {
    let why = match judge(token, expected, &known, clock.now()) {
        Ok(claims) => return Ok(claims),
        Err(Doubt::Token(why)) => return Err(why),
        Err(Doubt::Key(why)) => why,
    };
    let newer = source.newer_than(&known).await.ok_or(why)?;
    judge(token, expected, &newer, clock.now()).map_err(|doubt| match doubt {
        Doubt::Key(why) | Doubt::Token(why) => why,
    })
}

fn judge(
    token: &CoreIdToken,
    expected: Expected<'_>,
    known: &Known,
    now: Timestamp,
) -> Result<Claims, Doubt> {
    let keys = known.keys.clone().ok_or(Doubt::Token("the issuer has no keys to verify a token with"))?;
    let client_id = match expected {
        Expected::Login { client_id, .. } => client_id,
        Expected::Anybody => "",
    };
    let latest = now.as_secs().saturating_add(TOLERANCE);
    // A moment outside the calendar means that the clock is broken: everything has expired then.
    let past = now.as_millis().saturating_sub(TOLERANCE * 1000);
    let past = DateTime::<Utc>::from_timestamp_millis(past).unwrap_or(DateTime::<Utc>::MAX_UTC);
    let client_id = ClientId::new(client_id.to_owned());
    let verifier = CoreIdTokenVerifier::new_public_client(client_id, known.issuer.clone(), keys)
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(move || past)
        .set_issue_time_verifier_fn(
            move |at| {
                if at.timestamp() <= latest { Ok(()) } else { Err(String::new()) }
            },
        );
    let checked = match expected {
        Expected::Login { nonce, .. } => check(token, &verifier, &Nonce::new(nonce.to_owned())),
        Expected::Anybody => {
            check(token, &verifier.require_audience_match(false), |_: Option<&Nonce>| Ok(()))
        }
    };
    checked.map_err(|error| doubt(&error))?;
    // The verified text once more, as a map: the library's own claims leave out what they do not know.
    let claims = Claims::unverified(&token.to_string()).ok_or(Doubt::Token("the token is malformed"))?;
    match claims.not_before() {
        #[expect(clippy::cast_precision_loss, reason = "seconds of this era are exact in an f64")]
        Ok(Some(from)) if from > latest as f64 => Err(Doubt::Token("the token is not valid yet")),
        Ok(_) => Ok(claims),
        Err(()) => Err(Doubt::Token("the token is malformed")),
    }
}

fn check(
    token: &CoreIdToken,
    verifier: &CoreIdTokenVerifier<'_>,
    nonce: impl NonceVerifier,
) -> Result<(), ClaimsVerificationError> {
    token.claims(verifier, nonce).map(|_| ())
}

/// The library's own words hold what the token says, so only their kind is passed on.
fn doubt(error: &ClaimsVerificationError) -> Doubt {
    use SignatureVerificationError as Signature;

    match error {
        ClaimsVerificationError::Expired(_) => Doubt::Token("the token has expired or is of the future"),
        ClaimsVerificationError::InvalidAudience(_) => Doubt::Token("the token is for another audience"),
        ClaimsVerificationError::InvalidIssuer(_) => Doubt::Token("the token is of another issuer"),
        ClaimsVerificationError::InvalidNonce(_) => Doubt::Token("the token belongs to another login"),
        ClaimsVerificationError::SignatureVerification(signature) => match signature {
            Signature::NoMatchingKey => {
                Doubt::Key("the token is signed with a key that the issuer does not publish")
            }
            Signature::CryptoError(_) => Doubt::Key("the token's signature is wrong"),
            Signature::AmbiguousKeyId(_) => {
                Doubt::Key("the token does not say which of the issuer's keys signed it")
            }
            Signature::InvalidKey(_) => Doubt::Key("the issuer's key does not fit the token"),
            _ => Doubt::Token("the token is not signed with an asymmetric algorithm that is supported"),
        },
        _ => Doubt::Token("the token is of an unsupported kind"),
    }
}
