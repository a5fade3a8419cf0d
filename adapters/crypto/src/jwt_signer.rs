//! Everything that is signed: authorization codes and bearer tokens, as JWTs of one form.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use data_encoding::BASE64URL_NOPAD;
use jwt_simple::prelude::{
    Audiences, Duration, Ed25519KeyPair, Ed25519PublicKey, EdDSAKeyPairLike as _, EdDSAPublicKeyLike as _,
    HeaderOptions, JWTClaims, Token, UnixTimeStamp, VerificationOptions,
};
use opentaco_domain::actor::Subject;
use opentaco_domain::claims::{BearerClaims, CodeClaims, Denial, Purpose, Verdict};
use opentaco_domain::oauth::{Challenge, Client, RedirectUri};
use opentaco_domain::time::Timestamp;
use opentaco_ports::driven::{PublicKey, Signer};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::signing_key::{KeyError, SigningKey, VerifyKey};

const ALGORITHM: &str = "EdDSA";
/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 8 * 1024;

/// What tells one kind of token from every other: its `typ`, and what follows the issuer in its `aud`.
#[derive(Clone, Copy)]
struct Kind {
    typ: &'static str,
    audience: &'static str,
}

const CODE: Kind = Kind { typ: "oac+jwt", audience: "/oauth/token" };

const fn kind_of(purpose: Purpose) -> Kind {
    match purpose {
        // RFC 9068.
        Purpose::Access => Kind { typ: "at+jwt", audience: "/v1" },
        Purpose::Refresh => Kind { typ: "rt+jwt", audience: "/v1/auth/token" },
        Purpose::S3 => Kind { typ: "s3+jwt", audience: "/s3" },
    }
}

/// What every token says, read through the domain's parsers.
struct Registered {
    subject: Subject,
    jti: [u8; 16],
    issued_at: Timestamp,
    expires_at: Timestamp,
}

/// What a code says beside that.
#[derive(Serialize, Deserialize)]
struct CodeBody {
    client: String,
    redirect: String,
    challenge: String,
    verdict: VerdictName,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    reason: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum VerdictName {
    Allowed,
    Denied,
}

/// What a bearer token says beside that.
#[derive(Serialize, Deserialize)]
struct BearerBody {
    par: String,
}

/// The keys of an installation: one signs, all of them verify.
pub struct KeySet {
    signing: Ed25519KeyPair,
    /// The signing one first.
    accepted: Vec<(VerifyKey, Ed25519PublicKey)>,
}

impl KeySet {
    /// Signs with `key`, and accepts what `key` or one of `others` has signed.
    ///
    /// # Errors
    /// [`KeyError::DoubledKid`] when different keys go by one name; [`KeyError::Weak`].
    pub fn new(key: &SigningKey, others: impl IntoIterator<Item = VerifyKey>) -> Result<Self, KeyError> {
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
            Ok((key, public))
        });
        Ok(Self { signing: pair.with_key_id(key.kid()), accepted: accepted.collect::<Result<_, _>>()? })
    }

    /// Every key that is accepted, the signing one first.
    pub fn accepted(&self) -> impl Iterator<Item = &VerifyKey> {
        self.accepted.iter().map(|(key, _)| key)
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kids: Vec<&str> = self.accepted().map(VerifyKey::kid).collect();
        formatter.debug_struct("KeySet").field("accepted", &kids).finish_non_exhaustive()
    }
}

/// Signs with Ed25519 and opens what this installation signed.
///
/// Every token is a JWT: `alg` `EdDSA`, `typ` of its kind, `kid`, and `iss`, `sub`, `aud` (the issuer and what follows it for
/// the kind), `jti` (16 bytes in base64url), `iat`, `exp` (whole seconds). A code adds `client`, `redirect`, `challenge`,
/// `verdict` and, when denied, `reason`; a bearer token `par`. All of them are required, and nothing else is believed. Times
/// are rounded down to the second and are not judged here: no clock is read, the domain's rules do that.
///
/// Signatures are hedged with randomness of the operating system (jwt-simple does not let go of it), so the same claims
/// make different texts; nothing may compare tokens as text. Their identity is the `jti`.
pub struct JwtSigner {
    issuer: String,
    keys: RwLock<Arc<KeySet>>,
}

impl JwtSigner {
    /// A signer for that issuer (the public base URL, without a slash at its end).
    pub fn new(issuer: String, keys: KeySet) -> Self {
        Self { issuer, keys: RwLock::new(Arc::new(keys)) }
    }

    /// Signs and accepts with other keys from now on.
    pub fn replace(&self, keys: KeySet) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    fn keys(&self) -> Arc<KeySet> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn sign<B: Serialize + DeserializeOwned>(&self, kind: Kind, registered: &Registered, body: B) -> String {
        let token = JWTClaims {
            issued_at: Some(to_seconds(registered.issued_at)),
            expires_at: Some(to_seconds(registered.expires_at)),
            invalid_before: None,
            issuer: Some(self.issuer.clone()),
            subject: Some(registered.subject.to_string()),
            audiences: Some(Audiences::AsString(self.audience(kind))),
            jwt_id: Some(BASE64URL_NOPAD.encode(&registered.jti)),
            nonce: None,
            custom: body,
        };
        let options = HeaderOptions { signature_type: Some(kind.typ.to_owned()), content_type: None };
        // Plain strings and numbers always become JSON. Were it otherwise, an empty token opens nothing.
        self.keys().signing.sign_with_options(token, &options).unwrap_or_default()
    }

    fn audience(&self, kind: Kind) -> String {
        format!("{}{}", self.issuer, kind.audience)
    }

    fn open<B: Serialize + DeserializeOwned>(&self, kind: Kind, token: &str) -> Option<(Registered, B)> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        // The header must be ours to the letter before anything else is looked at.
        let header = Token::decode_metadata(token).ok()?;
        if header.algorithm() != ALGORITHM || header.signature_type() != Some(kind.typ) {
            return None;
        }
        let name = header.key_id()?;
        let keys = self.keys();
        let (_, key) = keys.accepted.iter().find(|(known, _)| known.kid() == name)?;
        self.read(kind, key.verify_token::<B>(token, Some(no_clock(kind))).ok()?)
    }

    fn read<B>(&self, kind: Kind, claims: JWTClaims<B>) -> Option<(Registered, B)> {
        // A token has exactly one audience. jwt-simple would take a list that holds ours.
        let audience = matches!(&claims.audiences, Some(Audiences::AsString(audience)) if *audience == self.audience(kind));
        if !audience || claims.issuer.as_ref() != Some(&self.issuer) || claims.invalid_before.is_some() {
            return None;
        }
        let registered = Registered {
            subject: claims.subject?.parse().ok()?,
            jti: BASE64URL_NOPAD.decode(claims.jwt_id?.as_bytes()).ok()?.try_into().ok()?,
            issued_at: from_seconds(claims.issued_at?)?,
            expires_at: from_seconds(claims.expires_at?)?,
        };
        Some((registered, claims.custom))
    }
}

/// What makes jwt-simple check signature and form only. With an artificial time of zero it never reads its own clock,
/// its "not expired" is `0 <= exp`, and `accept_future` leaves `iat` to us.
fn no_clock(kind: Kind) -> VerificationOptions {
    VerificationOptions {
        artificial_time: Some(UnixTimeStamp::from_secs(0)),
        time_tolerance: Some(Duration::from_secs(0)),
        accept_future: true,
        required_signature_type: Some(kind.typ.to_owned()),
        max_token_length: Some(MAX_TOKEN),
        ..VerificationOptions::default()
    }
}

fn to_seconds(time: Timestamp) -> UnixTimeStamp {
    UnixTimeStamp::from_secs(u64::try_from(time.as_secs()).unwrap_or(0))
}

fn from_seconds(time: UnixTimeStamp) -> Option<Timestamp> {
    i64::try_from(time.as_secs()).ok()?.checked_mul(1000).map(Timestamp::from_millis)
}

impl Signer for JwtSigner {
    fn sign_code(&self, claims: &CodeClaims) -> String {
        let registered = Registered {
            subject: claims.subject.clone(),
            jti: claims.jti,
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
        };
        let (verdict, reason) = match claims.verdict {
            Verdict::Allowed => (VerdictName::Allowed, None),
            Verdict::Denied(why) => (VerdictName::Denied, Some(why.as_str().to_owned())),
        };
        let body = CodeBody {
            client: claims.client.id().to_owned(),
            redirect: claims.redirect.as_str().to_owned(),
            challenge: claims.challenge.as_str().to_owned(),
            verdict,
            reason,
        };
        self.sign(CODE, &registered, body)
    }

    fn open_code(&self, code: &str) -> Option<CodeClaims> {
        let (registered, body) = self.open::<CodeBody>(CODE, code)?;
        Some(CodeClaims {
            subject: registered.subject,
            jti: registered.jti,
            issued_at: registered.issued_at,
            expires_at: registered.expires_at,
            client: Client::from_id(&body.client).ok()?,
            redirect: RedirectUri::parse(&body.redirect).ok()?,
            challenge: Challenge::parse(&body.challenge).ok()?,
            verdict: match (body.verdict, body.reason) {
                (VerdictName::Allowed, None) => Verdict::Allowed,
                (VerdictName::Denied, Some(reason)) => Verdict::Denied(Denial::from_name(&reason)?),
                _ => return None,
            },
        })
    }

    fn sign_bearer(&self, purpose: Purpose, claims: &BearerClaims) -> String {
        let registered = Registered {
            subject: claims.subject.clone(),
            jti: claims.jti,
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
        };
        self.sign(kind_of(purpose), &registered, BearerBody { par: claims.parent.to_string() })
    }

    fn open_bearer(&self, purpose: Purpose, token: &str) -> Option<BearerClaims> {
        let (registered, body) = self.open::<BearerBody>(kind_of(purpose), token)?;
        Some(BearerClaims {
            subject: registered.subject,
            parent: body.par.parse().ok()?,
            jti: registered.jti,
            issued_at: registered.issued_at,
            expires_at: registered.expires_at,
        })
    }

    fn public_keys(&self) -> Vec<PublicKey> {
        let keys = self.keys();
        let keys = keys.accepted().filter_map(|key| {
            Some(PublicKey { kid: key.kid().to_owned(), key: key.as_bytes().try_into().ok()? })
        });
        keys.collect()
    }
}

impl fmt::Debug for JwtSigner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("JwtSigner").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "jwt_signer_tests.rs"]
mod tests;
