//! Who is asking: a presented token becomes an actor.

use std::sync::Arc;
use std::time::Duration;

use opentaco_domain::actor::{Actor, Door, Subject};
use opentaco_domain::claims::{Purpose, TOLERANCE};
use opentaco_domain::commit::Ticket;
use opentaco_domain::id::TokenId;
use opentaco_domain::policy::Policy;
use opentaco_domain::rbac::Scope;
use opentaco_domain::secret::Secret;
use opentaco_domain::time::Timestamp;
use opentaco_domain::token::{ApiToken, Parent, Terms, TokenName, TokenRecord, TokenRefused};
use opentaco_domain::user::User;
use thiserror::Error;

use super::Driven;
use crate::driven::tokens::TokenMade;
use crate::driven::{Signer, StoreError, random};
use crate::recent::Recent;

/// Why nobody is admitted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AccessError {
    /// A JWT came where only API tokens are taken.
    #[error("this API takes API tokens (otc_tfe_…), not JWTs; run `terraform login` to get one")]
    Jwt,
    /// The token does not count. Clients are not told why.
    #[error("the token is not valid; run `terraform login` again")]
    Refused(TokenRefused),
    /// Storage does not answer, so nobody is admitted.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Somebody known, and what they are known by.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who.
    pub actor: Actor,
    /// The token, or what the signed token hangs from.
    pub token: TokenRecord,
    /// The user as of the newest login, if there was one.
    pub user: Option<Arc<User>>,
    /// What was presented.
    presented: Presented,
}

/// What a caller presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presented {
    /// An API token itself.
    ApiToken,
    /// Something signed that hangs from it, and dies then.
    Signed(Timestamp),
    /// An upload ticket that hangs from it.
    Ticket,
}

impl Caller {
    /// Whether an API token itself was presented, not something that hangs from one.
    pub fn has_api_token(&self) -> bool {
        self.presented == Presented::ApiToken
    }
}

/// Use cases of authentication.
#[derive(Clone)]
pub struct Access {
    driven: Arc<Driven>,
    signer: Arc<dyn Signer>,
    known: Arc<Known>,
}

/// What every request asks about, of the last 5 seconds.
struct Known {
    users: Recent<Subject, Option<Arc<User>>>,
    policy: Recent<(), Arc<Policy>>,
}

impl Access {
    /// Use cases over these ports.
    pub fn new(driven: Arc<Driven>, signer: Arc<dyn Signer>) -> Self {
        let known = Arc::new(Known { users: Recent::new(), policy: Recent::new() });
        Self { driven, signer, known }
    }

    /// Turns a presented API token into a caller.
    ///
    /// # Errors
    /// [`AccessError`]; [`AccessError::Jwt`] for a signed token, which might die in the middle of an apply.
    pub async fn authenticate(&self, presented: &str, door: Door) -> Result<Caller, AccessError> {
        if presented.starts_with("eyJ") {
            return Err(AccessError::Jwt);
        }
        self.caller(presented, door).await
    }

    /// Turns a presented API token or access token into a caller.
    ///
    /// # Errors
    /// [`AccessError::Refused`], [`AccessError::Store`].
    pub async fn caller(&self, presented: &str, door: Door) -> Result<Caller, AccessError> {
        let now = self.driven.clock.now();
        let unknown = AccessError::Refused(TokenRefused::Unknown);
        if presented.starts_with("eyJ") {
            let claims = self.signer.open_bearer(Purpose::Access, presented).ok_or(unknown)?;
            claims.check(now).map_err(|_| AccessError::Refused(TokenRefused::Expired))?;
            let record = self.living(&claims.parent, &claims.subject).await?;
            return self.as_caller(record, door, Presented::Signed(claims.expires_at)).await;
        }
        let token = ApiToken::parse(presented).ok_or_else(|| unknown.clone())?;
        let record = self.driven.tokens.read(&token.id).await?.ok_or(unknown)?;
        record.admits(&token, now).map_err(AccessError::Refused)?;
        self.as_caller(record, door, Presented::ApiToken).await
    }

    /// Asks once more about a caller whose request took its time: whether the token still lives, and is worth the same.
    ///
    /// # Errors
    /// [`AccessError::Refused`], [`AccessError::Store`].
    pub async fn still(&self, caller: &Caller) -> Result<(), AccessError> {
        let now = self.driven.clock.now();
        if matches!(caller.presented, Presented::Signed(end) if now > end.plus(TOLERANCE)) {
            return Err(AccessError::Refused(TokenRefused::Expired));
        }
        let record = self.living(&caller.token.parent(), &caller.actor.subject).await?;
        let again = self.as_caller(record, caller.actor.door, caller.presented).await?;
        if again.actor == caller.actor { Ok(()) } else { Err(AccessError::Refused(TokenRefused::Changed)) }
    }

    /// What something signed for that subject hangs from, if it still lives.
    ///
    /// # Errors
    /// [`AccessError::Refused`], [`AccessError::Store`].
    pub(super) async fn living(
        &self,
        parent: &Parent,
        subject: &Subject,
    ) -> Result<TokenRecord, AccessError> {
        let record = self.driven.tokens.read(parent.id()).await?;
        let record = record.filter(|record| record.parent() == *parent && record.owner == *subject);
        let record = record.ok_or(AccessError::Refused(TokenRefused::Unknown))?;
        record.lives(self.driven.clock.now()).map_err(AccessError::Refused)?;
        Ok(record)
    }

    /// Turns an upload ticket into the actor that proposed it, if its token still lives.
    ///
    /// # Errors
    /// [`AccessError`].
    pub async fn bearer_of(&self, ticket: &Ticket, door: Door) -> Result<Actor, AccessError> {
        let record = self.living(&Parent::Token(ticket.parent.clone()), &ticket.subject).await?;
        Ok(self.as_caller(record, door, Presented::Ticket).await?.actor)
    }

    async fn as_caller(
        &self,
        token: TokenRecord,
        door: Door,
        presented: Presented,
    ) -> Result<Caller, AccessError> {
        let user = self.enabled(&token.owner).await?;
        let rights = self.policy().await?.rights(&token.owner, user.as_deref(), token.scope.clone());
        self.driven.tokens.note_use(&token.id, self.driven.clock.now());
        let actor = Actor { subject: token.owner.clone(), parent: token.id.clone(), door, rights };
        Ok(Caller { actor, token, user, presented })
    }

    /// What is known of a subject, unless it is disabled: then nothing it holds counts.
    ///
    /// # Errors
    /// [`AccessError::Refused`], [`AccessError::Store`].
    pub(super) async fn enabled(&self, subject: &Subject) -> Result<Option<Arc<User>>, AccessError> {
        let user = self.user(subject).await?;
        if user.as_ref().is_some_and(|user| user.disabled) {
            return Err(AccessError::Refused(TokenRefused::Disabled));
        }
        Ok(user)
    }

    /// What is known of a subject from its newest login, at most 5 seconds old.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn user(&self, subject: &Subject) -> Result<Option<Arc<User>>, StoreError> {
        let asked = match self.known.users.get(subject, self.driven.clock.mono()) {
            Ok(user) => return Ok(user),
            Err(asked) => asked,
        };
        let user = self.driven.users.newest(subject).await?.map(|entry| Arc::new(entry.value));
        self.known.users.keep(subject.clone(), user.clone(), asked);
        Ok(user)
    }

    /// The installation's policy, at most 5 seconds old.
    ///
    /// # Errors
    /// [`StoreError`]; nobody is admitted then.
    pub async fn policy(&self) -> Result<Arc<Policy>, StoreError> {
        let asked = match self.known.policy.get(&(), self.driven.clock.mono()) {
            Ok(policy) => return Ok(policy),
            Err(asked) => asked,
        };
        let policy = self.driven.policies.newest(&()).await?.map(|entry| entry.value);
        let policy = Arc::new(policy.unwrap_or_default());
        self.known.policy.keep((), policy.clone(), asked);
        Ok(policy)
    }

    /// Makes what has changed here count at once.
    pub(super) fn forget_user(&self, subject: &Subject) {
        self.known.users.forget(subject);
    }

    /// Makes what has changed here count at once.
    pub(super) fn forget_policy(&self) {
        self.known.policy.forget(&());
    }

    /// Makes an API token for somebody. Its secret is shown here and nowhere else.
    ///
    /// # Errors
    /// [`StoreError`]; then no token may be handed out.
    pub async fn issue(
        &self,
        owner: Subject,
        name: TokenName,
        life: Option<Duration>,
    ) -> Result<(Secret<String>, TokenRecord), StoreError> {
        let expires_at = life.map(|life| self.driven.clock.now().plus(life));
        self.make(Terms { owner, name, scope: Scope::full(), expires_at }).await
    }

    /// Makes an API token on those terms.
    ///
    /// # Errors
    /// [`StoreError`]; then no token may be handed out.
    pub(super) async fn make(&self, terms: Terms) -> Result<(Secret<String>, TokenRecord), StoreError> {
        let entropy = &*self.driven.entropy;
        let token = ApiToken::new(TokenId::from_bytes(random(entropy)), random(entropy));
        let record = TokenRecord::api(&token, terms, self.driven.clock.now());
        match self.driven.tokens.create(&record).await? {
            TokenMade::Created => Ok((token.reveal(), record)),
            // Two draws of 80 random bits were the same.
            TokenMade::Taken => Err(StoreError::Unavailable),
        }
    }
}
