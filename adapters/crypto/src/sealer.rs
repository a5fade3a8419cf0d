//! Login sessions and upload tickets, sealed.

use std::fmt;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead as _, KeyInit as _, Nonce, Payload};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use opentaco_domain::claims::{AtProvider, LoginSession, Person, Stage};
use opentaco_domain::commit::{Proposal, Ticket, TicketKind};
use opentaco_domain::id::StateVersionId;
use opentaco_domain::oauth::AuthorizationRequest;
use opentaco_domain::secret::Secret;
use opentaco_domain::time::Timestamp;
use opentaco_ports::driven::{S3Secrets, Sealer};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

/// The fewest bytes a root secret has.
pub const MIN_ROOT: usize = 32;
/// The longest sealed text that is looked at, in bytes.
pub const MAX_SEALED: usize = 8 * 1024;
const NONCE: usize = 12;
const SESSION: &str = "opentaco/login-session/v1";
const TICKET: &str = "opentaco/upload-ticket/v1";
const S3_SECRET: &str = "opentaco/s3-secret/v1";

/// Why no sealer can be made of some root secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SealerError {
    /// There is none.
    #[error("no root secret to seal login sessions and upload tickets with")]
    NoRoot,
    /// One is too short to be safe.
    #[error("a root secret must have at least {MIN_ROOT} bytes")]
    ShortRoot,
    /// No key could be derived.
    #[error("no key could be derived from a root secret")]
    NoKey,
}

/// Seals with AES-256-GCM under keys derived from root secrets.
///
/// Every purpose has its own key, also what derives secrets: HKDF-SHA-256 of the root secret, no salt, the purpose's label
/// as info. The label is also the associated data, so a session never opens as a ticket. The text is base64url without
/// padding of nonce (12 bytes), ciphertext and tag (16 bytes); the plaintext is compact JSON, and nothing in it is believed
/// until the domain's parsers have read it. The first root secret seals; all of them open, so that a secret can be replaced
/// while logins and uploads are under way.
///
/// Nonces are 96 random bits. Two equal ones under one key would give that key away, so at most 2^32 texts may be
/// sealed under one root secret and purpose (NIST SP 800-38D, section 8.3): more than a hundred a second for a year.
/// Busier installations replace the secret in time.
pub struct AeadSealer {
    /// Of the root secret that seals.
    newest: Keys,
    /// Of those that only open, in the order given.
    older: Vec<Keys>,
}

struct Keys {
    session: Aes256Gcm,
    ticket: Aes256Gcm,
    s3_secret: Hmac<Sha256>,
}

impl AeadSealer {
    /// A sealer over root secrets of at least [`MIN_ROOT`] bytes, the newest first.
    ///
    /// # Errors
    /// [`SealerError`] by variant.
    pub fn new(roots: &[Secret<Vec<u8>>]) -> Result<Self, SealerError> {
        let Some((newest, older)) = roots.split_first() else { return Err(SealerError::NoRoot) };
        if roots.iter().any(|root| root.expose().len() < MIN_ROOT) {
            return Err(SealerError::ShortRoot);
        }
        Ok(Self { newest: Keys::of(newest)?, older: older.iter().map(Keys::of).collect::<Result<_, _>>()? })
    }

    fn seal(&self, label: &str, plain: &impl Serialize, nonce: [u8; NONCE]) -> String {
        // Neither step fails for these few bytes of plain data. Were it otherwise, an empty text opens nothing.
        let Ok(plain) = serde_json::to_vec(plain) else { return String::new() };
        let payload = Payload { msg: &plain, aad: label.as_bytes() };
        let Ok(sealed) = self.newest.aead(label).encrypt(&Nonce::<Aes256Gcm>::from(nonce), payload) else {
            return String::new();
        };
        BASE64URL_NOPAD.encode(&[&nonce[..], &sealed].concat())
    }

    fn open<T: DeserializeOwned>(&self, label: &str, text: &str) -> Option<T> {
        if text.len() > MAX_SEALED {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>()?;
        let nonce = Nonce::<Aes256Gcm>::from(*nonce);
        let open = |keys: &Keys| {
            keys.aead(label).decrypt(&nonce, Payload { msg: sealed, aad: label.as_bytes() }).ok()
        };
        let plain = [&self.newest].into_iter().chain(&self.older).find_map(open)?;
        serde_json::from_slice(&plain).ok()
    }
}

impl Keys {
    fn of(root: &Secret<Vec<u8>>) -> Result<Self, SealerError> {
        let s3_secret = derive(root, S3_SECRET)?;
        Ok(Self {
            session: aead(root, SESSION)?,
            ticket: aead(root, TICKET)?,
            s3_secret: Hmac::new_from_slice(&*s3_secret).map_err(|_| SealerError::NoKey)?,
        })
    }

    fn aead(&self, label: &str) -> &Aes256Gcm {
        if label == SESSION { &self.session } else { &self.ticket }
    }
}

fn derive(root: &Secret<Vec<u8>>, label: &str) -> Result<Zeroizing<[u8; 32]>, SealerError> {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, root.expose())
        .expand(label.as_bytes(), &mut *key)
        .map_err(|_| SealerError::NoKey)?;
    Ok(key)
}

fn aead(root: &Secret<Vec<u8>>, label: &str) -> Result<Aes256Gcm, SealerError> {
    Aes256Gcm::new_from_slice(&*derive(root, label)?).map_err(|_| SealerError::NoKey)
}

/// A login session as it is sealed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionText {
    client: String,
    redirect: String,
    challenge: String,
    state: String,
    /// Milliseconds since the epoch.
    issued_at: i64,
    /// 64 lower-case hexadecimal digits.
    browser: String,
    /// 32 lower-case hexadecimal digits.
    jti: String,
    /// What stands at the identity provider.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    away: Option<AwayText>,
    /// Who has identified themselves; none before that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    person: Option<PersonText>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AwayText {
    redirect_uri: String,
    nonce: String,
    verifier: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PersonText {
    subject: String,
    shown: String,
}

impl SessionText {
    fn of(session: &LoginSession) -> Self {
        Self {
            client: session.request.client.id().to_owned(),
            redirect: session.request.redirect.as_str().to_owned(),
            challenge: session.request.challenge.as_str().to_owned(),
            state: session.request.state.clone(),
            issued_at: session.issued_at.as_millis(),
            browser: HEXLOWER.encode(&session.browser),
            jti: HEXLOWER.encode(&session.jti),
            away: match &session.stage {
                Stage::Away(away) => Some(AwayText {
                    redirect_uri: away.redirect_uri.clone(),
                    nonce: away.nonce.clone(),
                    verifier: away.verifier.expose().clone(),
                }),
                Stage::Identify | Stage::Consent(_) => None,
            },
            person: match &session.stage {
                Stage::Consent(person) => {
                    Some(PersonText { subject: person.subject.to_string(), shown: person.shown.clone() })
                }
                Stage::Identify | Stage::Away(_) => None,
            },
        }
    }

    fn parse(self) -> Option<LoginSession> {
        let pairs = [
            ("client_id", self.client),
            ("redirect_uri", self.redirect),
            ("response_type", "code".to_owned()),
            ("code_challenge_method", "S256".to_owned()),
            ("code_challenge", self.challenge),
            ("state", self.state),
        ];
        let stage = match (self.away, self.person) {
            (None, None) => Stage::Identify,
            (Some(away), None) => Stage::Away(AtProvider {
                redirect_uri: away.redirect_uri,
                nonce: away.nonce,
                verifier: Secret::new(away.verifier),
            }),
            (None, Some(person)) => {
                Stage::Consent(Person { subject: person.subject.parse().ok()?, shown: person.shown })
            }
            (Some(_), Some(_)) => return None,
        };
        Some(LoginSession {
            request: AuthorizationRequest::parse(&pairs.map(|(name, value)| (name.to_owned(), value)))
                .ok()?,
            issued_at: Timestamp::from_millis(self.issued_at),
            browser: HEXLOWER.decode(self.browser.as_bytes()).ok()?.try_into().ok()?,
            jti: HEXLOWER.decode(self.jti.as_bytes()).ok()?.try_into().ok()?,
            stage,
        })
    }
}

/// An upload ticket as it is sealed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TicketText {
    kind: KindName,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    predecessor: Option<String>,
    serial: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    lineage: Option<String>,
    md5: String,
    force: bool,
    subject: String,
    parent: String,
    lock: String,
    entry: u64,
    /// Milliseconds since the epoch.
    expires_at: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KindName {
    State,
    JsonState,
}

impl TicketText {
    fn of(ticket: &Ticket) -> Self {
        Self {
            kind: match ticket.kind {
                TicketKind::State => KindName::State,
                TicketKind::JsonState => KindName::JsonState,
            },
            version: ticket.version.to_string(),
            predecessor: ticket.predecessor.map(|id| id.to_string()),
            serial: ticket.proposal.serial,
            lineage: ticket.proposal.lineage.as_ref().map(|lineage| lineage.as_str().to_owned()),
            md5: ticket.proposal.md5.to_string(),
            force: ticket.force,
            subject: ticket.subject.to_string(),
            parent: ticket.parent.to_string(),
            lock: ticket.lock.to_string(),
            entry: ticket.entry,
            expires_at: ticket.expires_at.as_millis(),
        }
    }

    fn parse(self) -> Option<Ticket> {
        let version: StateVersionId = self.version.parse().ok()?;
        let predecessor: Option<StateVersionId> = self.predecessor.map(|id| id.parse()).transpose().ok()?;
        if predecessor.is_some_and(|predecessor| predecessor.workspace != version.workspace) {
            return None;
        }
        Some(Ticket {
            kind: match self.kind {
                KindName::State => TicketKind::State,
                KindName::JsonState => TicketKind::JsonState,
            },
            version,
            predecessor,
            proposal: Proposal {
                serial: self.serial,
                lineage: self.lineage.map(|lineage| lineage.parse()).transpose().ok()?,
                md5: self.md5.parse().ok()?,
            },
            force: self.force,
            subject: self.subject.parse().ok()?,
            parent: self.parent.parse().ok()?,
            lock: self.lock.parse().ok()?,
            entry: self.entry,
            expires_at: Timestamp::from_millis(self.expires_at),
        })
    }
}

impl Sealer for AeadSealer {
    fn seal_session(&self, session: &LoginSession, nonce: [u8; 12]) -> String {
        self.seal(SESSION, &SessionText::of(session), nonce)
    }

    fn open_session(&self, text: &str) -> Option<LoginSession> {
        self.open::<SessionText>(SESSION, text)?.parse()
    }

    fn seal_ticket(&self, ticket: &Ticket, nonce: [u8; 12]) -> String {
        self.seal(TICKET, &TicketText::of(ticket), nonce)
    }

    fn open_ticket(&self, text: &str) -> Option<Ticket> {
        self.open::<TicketText>(TICKET, text)?.parse()
    }

    fn s3_secrets(&self, access_key_id: &str) -> S3Secrets {
        let secret = |keys: &Keys| {
            let mac = keys.s3_secret.clone().chain_update(access_key_id.as_bytes());
            Secret::new(BASE64URL_NOPAD.encode(&mac.finalize().into_bytes()))
        };
        S3Secrets { newest: secret(&self.newest), older: self.older.iter().map(secret).collect() }
    }
}

impl fmt::Debug for AeadSealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AeadSealer").field("older", &self.older.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "sealer_tests.rs"]
mod tests;
