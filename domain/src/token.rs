//! API tokens: `otc_tfe_<id>_<secret>`, shown once, kept as a digest.

use std::time::Duration;

use sha2::Digest;
use thiserror::Error;

use crate::actor::Subject;
use crate::id::TokenId;
use crate::secret::{Secret, same_bytes};
use crate::time::Timestamp;

const PREFIX: &str = "otc_tfe_";
const SECRET_CHARS: usize = 52;

pub(crate) fn base32_lower(bytes: &[u8]) -> String {
    data_encoding::BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

/// An API token as its owner holds it.
#[derive(Clone, Debug)]
pub struct ApiToken {
    /// The public part.
    pub id: TokenId,
    secret: Secret<String>,
}

impl ApiToken {
    /// A token of that id with 256 random bits as its secret.
    pub fn new(id: TokenId, random: [u8; 32]) -> Self {
        Self { id, secret: Secret::new(base32_lower(&random)) }
    }

    /// Reads what a client presents; none for anything that is not an API token.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let well_formed =
            secret.len() == SECRET_CHARS && secret.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'));
        let id = id.parse().ok()?;
        well_formed.then(|| Self { id, secret: Secret::new(secret.to_owned()) })
    }

    /// The token as it is shown to its owner, once.
    pub fn reveal(&self) -> Secret<String> {
        Secret::new(format!("{PREFIX}{}_{}", self.id, self.secret.expose()))
    }

    /// SHA-256 of the secret: what is stored.
    pub fn digest(&self) -> [u8; 32] {
        sha2::Sha256::digest(self.secret.expose().as_bytes()).into()
    }
}

/// What is kept of an API token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// The public part.
    pub id: TokenId,
    /// SHA-256 of the secret.
    pub digest: [u8; 32],
    /// Whose it is.
    pub owner: Subject,
    /// A name for people: the program it was made for.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it dies by itself; never when absent.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Why a token is not accepted. The client is told only that it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenRefused {
    /// No such token, or another secret.
    #[error("unknown token")]
    Unknown,
    /// It was revoked.
    #[error("revoked token")]
    Revoked,
    /// Its life is over.
    #[error("expired token")]
    Expired,
}

impl TokenRecord {
    /// What is kept of a token that is made now, to live that long; for ever when absent.
    pub fn new(token: &ApiToken, owner: Subject, name: &str, now: Timestamp, life: Option<Duration>) -> Self {
        Self {
            id: token.id.clone(),
            digest: token.digest(),
            owner,
            name: name.to_owned(),
            created_at: now,
            expires_at: life.map(|life| now.plus(life)),
            revoked_at: None,
        }
    }

    /// Whether the token still lives.
    ///
    /// # Errors
    /// [`TokenRefused::Revoked`], [`TokenRefused::Expired`].
    pub fn lives(&self, now: Timestamp) -> Result<(), TokenRefused> {
        if self.revoked_at.is_some() {
            return Err(TokenRefused::Revoked);
        }
        if self.expires_at.is_some_and(|end| now >= end) {
            return Err(TokenRefused::Expired);
        }
        Ok(())
    }

    /// Whether what a client presents is this token, compared in constant time, and lives.
    ///
    /// # Errors
    /// [`TokenRefused`].
    pub fn admits(&self, presented: &ApiToken, now: Timestamp) -> Result<(), TokenRefused> {
        if presented.id != self.id || !same_bytes(&presented.digest(), &self.digest) {
            return Err(TokenRefused::Unknown);
        }
        self.lives(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn record(token: &ApiToken) -> TokenRecord {
        TokenRecord {
            id: token.id.clone(),
            digest: token.digest(),
            owner: Subject::local_owner(),
            name: "terraform".into(),
            created_at: Timestamp::from_millis(0),
            expires_at: None,
            revoked_at: None,
        }
    }

    proptest! {
        #[test]
        fn a_token_reads_back_and_only_its_own_secret_opens(id: [u8; 10], secret: [u8; 32], other: [u8; 32]) {
            let token = ApiToken::new(TokenId::from_bytes(id), secret);
            let read = ApiToken::parse(token.reveal().expose()).unwrap();
            let now = Timestamp::from_millis(1);
            prop_assert_eq!(record(&token).admits(&read, now), Ok(()));
            if other != secret {
                let forged = ApiToken::new(TokenId::from_bytes(id), other);
                prop_assert_eq!(record(&token).admits(&forged, now), Err(TokenRefused::Unknown));
            }
        }

        #[test]
        fn no_text_makes_the_token_parser_panic(text: String) {
            let _ = ApiToken::parse(&text);
            let _ = ApiToken::parse(&format!("otc_tfe_{text}"));
        }
    }

    #[test]
    fn revoked_and_expired_tokens_are_refused() {
        let token = ApiToken::new(TokenId::from_bytes([1; 10]), [2; 32]);
        let at = Timestamp::from_millis;
        let revoked = TokenRecord { revoked_at: Some(at(5)), ..record(&token) };
        assert_eq!(revoked.admits(&token, at(6)), Err(TokenRefused::Revoked));
        let short = TokenRecord { expires_at: Some(at(0).plus(Duration::from_millis(10))), ..record(&token) };
        assert_eq!(short.admits(&token, at(9)), Ok(()));
        assert_eq!(short.admits(&token, at(10)), Err(TokenRefused::Expired));
    }

    #[test]
    fn a_printed_token_shows_no_secret() {
        let token = ApiToken::new(TokenId::from_bytes([1; 10]), [2; 32]);
        assert!(!format!("{token:?}").contains(&token.reveal().expose()[26..]));
    }
}
