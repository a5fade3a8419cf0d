//! API tokens: `otc_tfe_<id>_<secret>`, shown once, kept as a digest; and families of refresh tokens, kept beside them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sha2::Digest;
use thiserror::Error;

use crate::actor::Subject;
use crate::id::TokenId;
use crate::rbac::Scope;
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

/// The longest name of a token, in characters.
pub const MAX_NAME: usize = 100;

/// A text that cannot name a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a token's name must have 1 to 100 characters, none of them a control character")]
pub struct BadTokenName;

/// A token's name, for people: 1 to 100 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenName(String);

impl TokenName {
    /// The name of what a login made: the program, where it ran, and what it calls itself.
    pub fn of_login(program: &str, address: Option<&str>, agent: Option<&str>) -> Self {
        let mut name = program.to_owned();
        if let Some(address) = address {
            name = format!("{name} from {address}");
        }
        if let Some(agent) = agent {
            name = format!("{name} ({agent})");
        }
        Self(name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TokenName {
    type Err = BadTokenName;

    fn from_str(text: &str) -> Result<Self, BadTokenName> {
        let fits = (1..=MAX_NAME).contains(&text.chars().count());
        if fits && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadTokenName)
        }
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// An API token.
    Api {
        /// SHA-256 of its secret.
        digest: [u8; 32],
    },
    /// A family of refresh tokens: each is used once and has one successor. It has no secret of its own.
    Family,
}

impl TokenKind {
    /// The kind's name in lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api { .. } => "api",
            Self::Family => "refresh",
        }
    }
}

/// What signed tokens hang from: when it ends, they end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parent {
    /// An API token.
    Token(TokenId),
    /// A family of refresh tokens.
    Family(TokenId),
}

impl Parent {
    /// The id of what it names.
    pub fn id(&self) -> &TokenId {
        match self {
            Self::Token(id) | Self::Family(id) => id,
        }
    }
}

impl fmt::Display for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(id) => write!(f, "tok:{id}"),
            Self::Family(id) => write!(f, "fam:{id}"),
        }
    }
}

/// A text that names no parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a parent is tok:<id> or fam:<id>")]
pub struct BadParent;

impl FromStr for Parent {
    type Err = BadParent;

    fn from_str(text: &str) -> Result<Self, BadParent> {
        let id = |id: &str| id.parse().map_err(|_| BadParent);
        match text.split_once(':') {
            Some(("tok", token)) => id(token).map(Self::Token),
            Some(("fam", family)) => id(family).map(Self::Family),
            _ => Err(BadParent),
        }
    }
}

/// What is to hold for a new token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whose it is.
    pub owner: Subject,
    /// A name for people.
    pub name: TokenName,
    /// What it is limited to.
    pub scope: Scope,
    /// When it dies by itself; never when absent.
    pub expires_at: Option<Timestamp>,
}

/// What is kept of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// The public part.
    pub id: TokenId,
    /// What it is.
    pub kind: TokenKind,
    /// Whose it is.
    pub owner: Subject,
    /// A name for people: the program it was made for.
    pub name: TokenName,
    /// What it is limited to.
    pub scope: Scope,
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
    /// Its owner is disabled.
    #[error("its owner is disabled")]
    Disabled,
    /// What its owner may do changed while the request was on its way.
    #[error("its rights changed meanwhile")]
    Changed,
}

/// The end of the year 9999.
const LAST_END: Timestamp = Timestamp::from_millis(253_402_300_799_000);

/// When a new token is to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// After that time.
    After(Duration),
    /// At that moment.
    At(Timestamp),
}

/// Why a new token cannot die then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadEnd {
    /// It would outlive the one it is made with.
    #[error(
        "a token cannot outlive the one it is made with: choose an earlier end, or log in again and make it then"
    )]
    OutlivesMaker,
    /// It would be dead at once.
    #[error("a token cannot end before it begins")]
    Over,
    /// It would end after the year 9999, which no date in an answer can say.
    #[error("a token must end before the year 10000; leave the end out for one that never ends")]
    TooFar,
}

impl TokenRecord {
    /// What is kept of an API token that is made now.
    pub fn api(token: &ApiToken, terms: Terms, now: Timestamp) -> Self {
        Self::of(token.id.clone(), TokenKind::Api { digest: token.digest() }, terms, now)
    }

    /// What is kept of a family of refresh tokens that begins now.
    pub fn family(id: TokenId, terms: Terms, now: Timestamp) -> Self {
        Self::of(id, TokenKind::Family, terms, now)
    }

    fn of(id: TokenId, kind: TokenKind, terms: Terms, now: Timestamp) -> Self {
        Self {
            id,
            kind,
            owner: terms.owner,
            name: terms.name,
            scope: terms.scope,
            created_at: now,
            expires_at: terms.expires_at,
            revoked_at: None,
        }
    }

    /// What signed tokens that are made with this one hang from.
    pub fn parent(&self) -> Parent {
        match self.kind {
            TokenKind::Api { .. } => Parent::Token(self.id.clone()),
            TokenKind::Family => Parent::Family(self.id.clone()),
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
        let TokenKind::Api { digest } = &self.kind else { return Err(TokenRefused::Unknown) };
        if presented.id != self.id || !same_bytes(&presented.digest(), digest) {
            return Err(TokenRefused::Unknown);
        }
        self.lives(now)
    }

    /// The end of something made with this token that should live for `life`, for ever when absent: never after its own.
    pub fn end_of(&self, life: Option<Duration>, now: Timestamp) -> Option<Timestamp> {
        let wanted = life.map(|life| now.plus(life));
        match (wanted, self.expires_at) {
            (Some(wanted), Some(own)) => Some(wanted.min(own)),
            (wanted, own) => wanted.or(own),
        }
    }

    /// The end of another token made with this one: its own when none is asked for.
    ///
    /// # Errors
    /// [`BadEnd`].
    pub fn end_of_token(&self, wanted: Option<End>, now: Timestamp) -> Result<Option<Timestamp>, BadEnd> {
        let wanted = wanted.map(|end| match end {
            End::After(life) => now.plus(life),
            End::At(end) => end,
        });
        match (wanted, self.expires_at) {
            (Some(wanted), _) if wanted <= now => Err(BadEnd::Over),
            (Some(wanted), _) if wanted > LAST_END => Err(BadEnd::TooFar),
            (Some(wanted), Some(own)) if wanted > own => Err(BadEnd::OutlivesMaker),
            (wanted, own) => Ok(wanted.or(own)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn record(token: &ApiToken) -> TokenRecord {
        TokenRecord::api(token, terms(), Timestamp::from_millis(0))
    }

    fn terms() -> Terms {
        let name = "terraform".parse().unwrap();
        Terms { owner: Subject::local_owner(), name, scope: Scope::full(), expires_at: None }
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

    #[test]
    fn a_family_is_opened_by_no_secret() {
        let token = ApiToken::new(TokenId::from_bytes([1; 10]), [2; 32]);
        let family = TokenRecord::family(token.id.clone(), terms(), Timestamp::from_millis(0));
        assert_eq!(family.admits(&token, Timestamp::from_millis(1)), Err(TokenRefused::Unknown));
        assert_eq!(family.parent().to_string().parse(), Ok(family.parent()));
        assert_eq!(record(&token).parent().to_string(), format!("tok:{}", token.id));
        assert_eq!("aaa".parse::<Parent>(), Err(BadParent));
    }

    #[test]
    fn nothing_made_with_a_token_outlives_it() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let token = ApiToken::new(TokenId::from_bytes([1; 10]), [2; 32]);
        let short = TokenRecord { expires_at: Some(at(100)), ..record(&token) };
        let secs = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(short.end_of(secs(50), at(0)), Some(at(50)));
        assert_eq!(short.end_of(secs(500), at(0)), Some(at(100)));
        assert_eq!(short.end_of(None, at(0)), Some(at(100)));
        let after = |seconds| Some(End::After(Duration::from_secs(seconds)));
        assert_eq!(short.end_of_token(after(100), at(0)), Ok(Some(at(100))));
        assert_eq!(short.end_of_token(after(101), at(0)), Err(BadEnd::OutlivesMaker));
        assert_eq!(short.end_of_token(Some(End::At(at(101))), at(0)), Err(BadEnd::OutlivesMaker));
        assert_eq!(short.end_of_token(Some(End::At(at(0))), at(0)), Err(BadEnd::Over));
        let ages = Some(End::After(Duration::from_hours(10_000 * 365 * 24)));
        assert_eq!(record(&token).end_of_token(ages, at(0)), Err(BadEnd::TooFar));
        assert_eq!(short.end_of_token(None, at(0)), Ok(Some(at(100))));
        assert_eq!(record(&token).end_of_token(None, at(0)), Ok(None));
        assert_eq!(record(&token).end_of(secs(5), at(0)), Some(at(5)));
    }

    #[test]
    fn a_login_names_its_token_by_what_is_known_of_it() {
        let name = TokenName::of_login("terraform login", Some("10.0.0.7"), Some("Terraform/1.11\n"));
        assert_eq!(name.as_str(), "terraform login from 10.0.0.7 (Terraform/1.11)");
        assert_eq!(TokenName::of_login("x", None, Some(&"y".repeat(500))).as_str().chars().count(), MAX_NAME);
        for bad in ["", "a\tb", &"x".repeat(101)] {
            assert_eq!(bad.parse::<TokenName>(), Err(BadTokenName), "{bad}");
        }
    }
}
