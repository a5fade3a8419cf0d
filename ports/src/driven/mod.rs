//! What the core needs from outside.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use opentaco_domain::claims::{BearerClaims, CodeClaims, LoginSession, Purpose};
use opentaco_domain::commit::Ticket;
use opentaco_domain::secret::Secret;
use opentaco_domain::time::Timestamp;
use thiserror::Error;

pub mod blobs;
pub mod catalog;
pub mod idp;
pub mod records;
pub mod tokens;
pub mod versions;

/// A body that could not be read to its end.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the body ended early: {0}")]
pub struct BodyError(pub String);

/// Bytes on their way through, never all in memory.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

/// The store did not do as asked. The cause is logged by the adapter, once.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// It did not answer, or answered that it cannot now.
    #[error("storage did not answer; try again")]
    Unavailable,
    /// It holds something that cannot be read: the message names the key, never its content.
    #[error("storage holds something unreadable: {0}")]
    Corrupt(String),
    /// It was written by a newer server: this one may read but must not change it.
    #[error("this record was written by a newer server (format {0}); update this server to change it")]
    TooNew(u32),
    /// A write failed in a way that cannot be settled by looking; this server takes no more writes.
    #[error("storage failed while writing; this server stops")]
    Fatal,
}

impl StoreError {
    /// What a client may be told: the name of a key is the operator's to see.
    pub fn told(&self) -> String {
        match self {
            Self::Corrupt(_) => "storage holds something unreadable; the server's log names it".to_owned(),
            Self::Unavailable | Self::TooNew(_) | Self::Fatal => self.to_string(),
        }
    }

    /// Whether trying again may help.
    pub fn may_pass(&self) -> bool {
        !matches!(self, Self::Corrupt(_))
    }
}

/// What time it is.
#[async_trait::async_trait]
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Timestamp;

    /// A clock that never goes back and counts time spent suspended; its zero means nothing.
    fn mono(&self) -> Duration;

    /// Waits that long.
    async fn sleep(&self, time: Duration);
}

/// Randomness fit for secrets.
pub trait Entropy: Send + Sync {
    /// Fills the whole buffer.
    fn fill(&self, buffer: &mut [u8]);
}

/// A fixed number of random bytes.
pub fn random<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}

/// A public key whose signatures are accepted (Ed25519).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// The name that signed tokens carry.
    pub kid: String,
    /// The key (RFC 8032).
    pub key: [u8; 32],
}

/// Signs authorization codes and bearer tokens. What does not verify, for whatever reason, does not open; whose times
/// are over is the domain's to judge.
pub trait Signer: Send + Sync {
    /// The code as a signed token, safe in a URL.
    fn sign_code(&self, claims: &CodeClaims) -> String;

    /// The claims of a code that this installation signed; its times are the domain's to judge.
    fn open_code(&self, code: &str) -> Option<CodeClaims>;

    /// A bearer token of that purpose.
    fn sign_bearer(&self, purpose: Purpose, claims: &BearerClaims) -> String;

    /// The claims of a bearer token that this installation signed for just that purpose.
    fn open_bearer(&self, purpose: Purpose, token: &str) -> Option<BearerClaims>;

    /// Every key whose signatures are accepted, the one that signs first.
    fn public_keys(&self) -> Vec<PublicKey>;
}

/// What an access key id of the S3 door is worth, by each root secret.
#[derive(Clone, Debug)]
pub struct S3Secrets {
    /// What is given out.
    pub newest: Secret<String>,
    /// What was given out before the root secret was replaced, and still counts.
    pub older: Vec<Secret<String>>,
}

/// Seals what browsers and clients carry for us. What was changed or sealed elsewhere does not open.
pub trait Sealer: Send + Sync {
    /// A login session as text for a form field.
    fn seal_session(&self, session: &LoginSession, nonce: [u8; 12]) -> String;

    /// The session in that text.
    fn open_session(&self, text: &str) -> Option<LoginSession>;

    /// An upload ticket as text, safe in a URL path.
    fn seal_ticket(&self, ticket: &Ticket, nonce: [u8; 12]) -> String;

    /// The ticket in that text.
    fn open_ticket(&self, text: &str) -> Option<Ticket>;

    /// The secret access keys that belong to an access key id of the S3 door: derived, never stored.
    fn s3_secrets(&self, access_key_id: &str) -> S3Secrets;
}

/// The server's own terminal, which only its operator can read.
pub trait Terminal: Send + Sync {
    /// Shows the login code that is valid now.
    fn show_login_code(&self, code: &str);
}
