//! What is signed for those who hold a token: access tokens, refresh tokens, and credentials of the S3 door.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use opentaco_domain::claims::{BearerClaims, Purpose, Successor};
use opentaco_domain::id::TokenId;
use opentaco_domain::secret::Secret;
use opentaco_domain::time::Timestamp;
use opentaco_domain::token::{Terms, TokenName, TokenRecord, TokenRefused};
use opentaco_domain::trust::TrustRule;
use thiserror::Error;

use super::Driven;
use super::access::{Access, AccessError, Caller};
use crate::driven::idp::{IdpError, Workloads};
use crate::driven::tokens::{TokenMade, Used};
use crate::driven::{Sealer, Signer, StoreError, random};

/// In the place of the refresh token that a family's first one follows.
const BEGINNING: [u8; 16] = [0; 16];

/// How long what is signed lives.
#[derive(Clone, Copy, Debug)]
pub struct Lives {
    /// Access tokens and credentials of the S3 door.
    pub access: Duration,
    /// Refresh tokens.
    pub refresh: Duration,
}

/// Why nothing is given for what was presented.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GrantError {
    /// What was presented is forged, too old, revoked, or of another kind. Clients are not told which.
    #[error("what was presented is not valid any more, or not valid here; log in again")]
    Invalid(TokenRefused),
    /// A refresh token was used again, so its whole family is ended.
    #[error(
        "this refresh token was used before: it or its successor may be stolen, so the whole session is ended; log in again"
    )]
    Reused,
    /// The token of a CI system is genuine, and no trust rule admits it.
    #[error(
        "no [[trust]] rule of this server admits this token: issuer, audience and every claim of a rule must fit"
    )]
    Untrusted,
    /// The token of a CI system is not believed.
    #[error(transparent)]
    Provider(#[from] IdpError),
    /// Storage does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<AccessError> for GrantError {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Jwt => Self::Invalid(TokenRefused::Unknown),
            AccessError::Refused(why) => Self::Invalid(why),
            AccessError::Store(error) => Self::Store(error),
        }
    }
}

/// A signed token and how long it lives.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The token.
    pub token: Secret<String>,
    /// How long from now.
    pub life: Duration,
}

/// An access token, and the refresh token for the next one.
#[derive(Clone, Debug)]
pub struct Session {
    /// For calls.
    pub access: Signed,
    /// For the next session; used once.
    pub refresh: Secret<String>,
}

/// Credentials of the S3 door, as AWS names their parts.
#[derive(Clone, Debug)]
pub struct S3Credentials {
    /// Public; also in the session token.
    pub access_key_id: String,
    /// Derived from it.
    pub secret_access_key: Secret<String>,
    /// Says whose they are.
    pub session_token: Secret<String>,
    /// When they end.
    pub expiration: Timestamp,
}

/// Use cases of signed tokens.
#[derive(Clone)]
pub struct Sessions {
    driven: Arc<Driven>,
    access: Access,
    signer: Arc<dyn Signer>,
    sealer: Arc<dyn Sealer>,
    workloads: Arc<dyn Workloads>,
    rules: Arc<[TrustRule]>,
    lives: Lives,
}

impl Sessions {
    /// Use cases over these ports; `rules` say which workloads get tokens, the first that fits counts.
    pub fn new(
        driven: Arc<Driven>,
        access: Access,
        signer: Arc<dyn Signer>,
        sealer: Arc<dyn Sealer>,
        (workloads, rules): (Arc<dyn Workloads>, Vec<TrustRule>),
        lives: Lives,
    ) -> Self {
        Self { driven, access, signer, sealer, workloads, rules: rules.into(), lives }
    }

    /// Begins a family of refresh tokens; nothing when that family was begun before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn begin(&self, id: TokenId, terms: Terms) -> Result<Option<Session>, StoreError> {
        let now = self.driven.clock.now();
        let family = TokenRecord::family(id, terms, now);
        if self.driven.tokens.create(&family).await? == TokenMade::Taken {
            return Ok(None);
        }
        let first = self.successor(now);
        // It settles who began the family, should two have made the same record in the same moment; and a family that nobody
        // refreshes has an end to be swept after.
        match self.driven.tokens.use_refresh(&family.id, BEGINNING, &first).await? {
            Used::Now => Ok(Some(self.session(&family, &first, now))),
            Used::Before(_) => Ok(None),
        }
    }

    /// Gives the next session for a refresh token, which is used up. A client that lost the answer gets the same
    /// successor for 30 seconds; a later use ends the family.
    ///
    /// # Errors
    /// [`GrantError::Invalid`], [`GrantError::Reused`], [`GrantError::Store`].
    pub async fn refresh(&self, presented: &str) -> Result<Session, GrantError> {
        let now = self.driven.clock.now();
        let claims = self.signer.open_bearer(Purpose::Refresh, presented);
        let claims = claims.ok_or(GrantError::Invalid(TokenRefused::Unknown))?;
        claims.check(now).map_err(|_| GrantError::Invalid(TokenRefused::Expired))?;
        let family = self.access.living(&claims.parent, &claims.subject).await?;
        self.access.enabled(&family.owner).await?;
        let successor = self.successor(now);
        match self.driven.tokens.use_refresh(&family.id, claims.jti, &successor).await? {
            Used::Now => Ok(self.session(&family, &successor, now)),
            Used::Before(earlier) if earlier.may_repeat(now) => Ok(self.session(&family, &earlier, now)),
            Used::Before(_) => {
                self.driven.tokens.revoke(&family.id, &family.owner, now).await?;
                Err(GrantError::Reused)
            }
        }
    }

    /// An access token for who presents an API token; it never outlives it. An access token gives no other, or it would
    /// never end.
    ///
    /// # Errors
    /// [`GrantError::Invalid`].
    pub fn access(&self, caller: &Caller) -> Result<Signed, GrantError> {
        if !caller.has_api_token() {
            return Err(GrantError::Invalid(TokenRefused::Unknown));
        }
        Ok(self.sign_access(&caller.token, self.driven.clock.now()))
    }

    /// Credentials of the S3 door for a caller; they never outlive its token, and nothing is kept of them.
    pub fn s3_credentials(&self, caller: &Caller) -> S3Credentials {
        let now = self.driven.clock.now();
        let claims = self.claims(&caller.token, self.lives.access, now);
        let access_key_id = format!("OTC{}", BASE32_NOPAD.encode(&claims.jti));
        S3Credentials {
            secret_access_key: self.sealer.s3_secrets(&access_key_id).newest,
            session_token: Secret::new(self.signer.sign_bearer(Purpose::S3, &claims)),
            expiration: claims.expires_at,
            access_key_id,
        }
    }

    /// Makes a short API token for a workload that proves who it is with its CI system's token (RFC 8693).
    ///
    /// # Errors
    /// [`GrantError::Untrusted`], [`GrantError::Provider`], [`GrantError::Store`].
    pub async fn exchange(&self, presented: &str) -> Result<(Secret<String>, TokenRecord), GrantError> {
        let proven = self.workloads.verify(presented).await?;
        let rule = self.rules.iter().find(|rule| rule.admits(&proven)).ok_or(GrantError::Untrusted)?;
        let owner = rule.subject(&proven).map_err(|_| GrantError::Untrusted)?;
        self.access.enabled(&owner).await?;
        let name = TokenName::of_login(&format!("trust rule {}", rule.name()), None, None);
        let expires_at = Some(self.driven.clock.now().plus(rule.life()));
        Ok(self.access.make(Terms { owner, name, scope: rule.scope(), expires_at }).await?)
    }

    fn successor(&self, now: Timestamp) -> Successor {
        let now = whole_seconds(now);
        Successor {
            jti: random(&*self.driven.entropy),
            issued_at: now,
            expires_at: now.plus(self.lives.refresh),
        }
    }

    fn session(&self, family: &TokenRecord, successor: &Successor, now: Timestamp) -> Session {
        let claims = BearerClaims {
            subject: family.owner.clone(),
            parent: family.parent(),
            jti: successor.jti,
            issued_at: successor.issued_at,
            expires_at: successor.expires_at,
        };
        let refresh = Secret::new(self.signer.sign_bearer(Purpose::Refresh, &claims));
        Session { access: self.sign_access(family, now), refresh }
    }

    fn sign_access(&self, token: &TokenRecord, now: Timestamp) -> Signed {
        let claims = self.claims(token, self.lives.access, now);
        let life = claims.expires_at.since(claims.issued_at);
        Signed { token: Secret::new(self.signer.sign_bearer(Purpose::Access, &claims)), life }
    }

    fn claims(&self, token: &TokenRecord, life: Duration, now: Timestamp) -> BearerClaims {
        let issued_at = whole_seconds(now);
        let end = token.end_of(Some(life), issued_at).unwrap_or(issued_at);
        BearerClaims {
            subject: token.owner.clone(),
            parent: token.parent(),
            jti: random(&*self.driven.entropy),
            issued_at,
            expires_at: whole_seconds(end),
        }
    }
}

/// Signed times have whole seconds.
fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_secs().saturating_mul(1000))
}
