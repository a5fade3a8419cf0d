//! Authorization codes as signed tokens.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use jwt_simple::prelude::{
    Audiences, Duration, Ed25519KeyPair, Ed25519PublicKey, EdDSAKeyPairLike as _, EdDSAPublicKeyLike as _,
    HeaderOptions, JWTClaims, Token, UnixTimeStamp, VerificationOptions,
};
use opentaco_domain::claims::{CodeClaims, Verdict};
use opentaco_domain::oauth::{Challenge, Client, RedirectUri};
use opentaco_domain::time::Timestamp;
use opentaco_ports::driven::Signer;
use serde::{Deserialize, Serialize};

use crate::signing_key::{KeyError, SigningKey, VerifyKey};

/// The `typ` of an authorization code.
pub const CODE_TYP: &str = "oac+jwt";
const ALGORITHM: &str = "EdDSA";
/// The longest code that is looked at, in bytes.
const MAX_CODE: usize = 8 * 1024;

/// What a code says beside the registered claims. Every text is read back through the domain's parsers.
#[derive(Serialize, Deserialize)]
struct CodeBody {
    client: String,
    redirect: String,
    challenge: String,
    verdict: VerdictName,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum VerdictName {
    Allowed,
    Denied,
}

/// Signs authorization codes with Ed25519 and opens those it signed.
///
/// A code is a JWT: `alg` `EdDSA`, `typ` [`CODE_TYP`], `kid`, and `iss`, `sub`, `aud` (`<iss>/oauth/token`), `jti`
/// (16 bytes in base64url), `iat`, `exp` (whole seconds), `client`, `redirect`, `challenge`, `verdict`. All of them are
/// required, and nothing else is believed. Times are rounded down to the second and are not judged here: no clock is
/// read, the caller asks [`CodeClaims::redeem`].
///
/// Signatures are hedged with randomness of the operating system (jwt-simple does not let go of it), so the same claims
/// make different texts; nothing may compare codes as text. Their identity is the `jti`.
pub struct CodeSigner {
    issuer: String,
    audience: String,
    key: Ed25519KeyPair,
    accepted: Vec<(String, Ed25519PublicKey)>,
}

impl CodeSigner {
    /// A signer for that issuer (the public base URL, without a slash at its end), which signs with `key` and accepts
    /// codes of `key` and of all `others`.
    ///
    /// # Errors
    /// [`KeyError::DoubledKid`] when different keys go by one name; [`KeyError::Weak`].
    pub fn new(issuer: String, key: &SigningKey, others: Vec<VerifyKey>) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_bytes(key.to_bytes().expose()).map_err(|_| KeyError::NotEd25519)?;
        let mut keys = vec![key.verify_key()];
        for other in others {
            match keys.iter().find(|known| known.kid() == other.kid()) {
                Some(known) if *known == other => {}
                Some(_) => return Err(KeyError::DoubledKid),
                None => keys.push(other),
            }
        }
        let accepted = keys.into_iter().map(|key| {
            let public = Ed25519PublicKey::from_bytes(key.as_bytes()).map_err(|_| KeyError::Weak)?;
            Ok((key.kid().to_owned(), public))
        });
        Ok(Self {
            audience: format!("{issuer}/oauth/token"),
            issuer,
            key: pair.with_key_id(key.kid()),
            accepted: accepted.collect::<Result<_, _>>()?,
        })
    }

    /// The header must be ours to the letter before anything else is looked at.
    fn key_for(&self, code: &str) -> Option<&Ed25519PublicKey> {
        let header = Token::decode_metadata(code).ok()?;
        if header.algorithm() != ALGORITHM || header.signature_type() != Some(CODE_TYP) {
            return None;
        }
        let kid = header.key_id()?;
        self.accepted.iter().find(|(known, _)| known == kid).map(|(_, key)| key)
    }

    fn read(&self, claims: JWTClaims<CodeBody>) -> Option<CodeClaims> {
        // A code has exactly one audience. jwt-simple would take a list that holds ours.
        let audience =
            matches!(&claims.audiences, Some(Audiences::AsString(audience)) if *audience == self.audience);
        if !audience || claims.issuer.as_ref() != Some(&self.issuer) || claims.invalid_before.is_some() {
            return None;
        }
        let body = claims.custom;
        Some(CodeClaims {
            subject: claims.subject?.parse().ok()?,
            jti: BASE64URL_NOPAD.decode(claims.jwt_id?.as_bytes()).ok()?.try_into().ok()?,
            issued_at: from_seconds(claims.issued_at?)?,
            expires_at: from_seconds(claims.expires_at?)?,
            client: Client::from_id(&body.client).ok()?,
            redirect: RedirectUri::parse(&body.redirect).ok()?,
            challenge: Challenge::parse(&body.challenge).ok()?,
            verdict: match body.verdict {
                VerdictName::Allowed => Verdict::Allowed,
                VerdictName::Denied => Verdict::Denied,
            },
        })
    }
}

/// What makes jwt-simple check signature and form only. With an artificial time of zero it never reads its own clock,
/// its "not expired" is `0 <= exp`, and `accept_future` leaves `iat` to us.
fn no_clock() -> VerificationOptions {
    VerificationOptions {
        artificial_time: Some(UnixTimeStamp::from_secs(0)),
        time_tolerance: Some(Duration::from_secs(0)),
        accept_future: true,
        required_signature_type: Some(CODE_TYP.to_owned()),
        max_token_length: Some(MAX_CODE),
        ..VerificationOptions::default()
    }
}

fn to_seconds(time: Timestamp) -> UnixTimeStamp {
    UnixTimeStamp::from_secs(u64::try_from(time.as_secs()).unwrap_or(0))
}

fn from_seconds(time: UnixTimeStamp) -> Option<Timestamp> {
    i64::try_from(time.as_secs()).ok()?.checked_mul(1000).map(Timestamp::from_millis)
}

impl Signer for CodeSigner {
    fn sign_code(&self, claims: &CodeClaims) -> String {
        let token = JWTClaims {
            issued_at: Some(to_seconds(claims.issued_at)),
            expires_at: Some(to_seconds(claims.expires_at)),
            invalid_before: None,
            issuer: Some(self.issuer.clone()),
            subject: Some(claims.subject.to_string()),
            audiences: Some(Audiences::AsString(self.audience.clone())),
            jwt_id: Some(BASE64URL_NOPAD.encode(&claims.jti)),
            nonce: None,
            custom: CodeBody {
                client: claims.client.id().to_owned(),
                redirect: claims.redirect.as_str().to_owned(),
                challenge: claims.challenge.as_str().to_owned(),
                verdict: match claims.verdict {
                    Verdict::Allowed => VerdictName::Allowed,
                    Verdict::Denied => VerdictName::Denied,
                },
            },
        };
        let options = HeaderOptions { signature_type: Some(CODE_TYP.to_owned()), content_type: None };
        // Plain strings and numbers always become JSON. Were it otherwise, an empty code opens nothing.
        self.key.sign_with_options(token, &options).unwrap_or_default()
    }

    fn open_code(&self, code: &str) -> Option<CodeClaims> {
        if code.len() > MAX_CODE {
            return None;
        }
        let claims = self.key_for(code)?.verify_token::<CodeBody>(code, Some(no_clock())).ok()?;
        self.read(claims)
    }
}

impl fmt::Debug for CodeSigner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CodeSigner").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "code_signer_tests.rs"]
mod tests;
