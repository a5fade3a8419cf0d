//! A person's own tokens: make, list, show, end.

use std::sync::Arc;

use opentaco_domain::actor::Subject;
use opentaco_domain::id::TokenId;
use opentaco_domain::rbac::Scope;
use opentaco_domain::role::Right;
use opentaco_domain::secret::Secret;
use opentaco_domain::token::{ApiToken, End, Terms, TokenName, TokenRecord};

use super::access::{Access, Caller};
use super::{Driven, Failure};
use crate::driven::tokens::Listed;

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// A name for people.
    pub name: TokenName,
    /// What it is limited to.
    pub scope: Scope,
    /// When it dies; with the token it is made with when absent.
    pub end: Option<End>,
}

/// Use cases of tokens.
#[derive(Clone)]
pub struct ApiTokens {
    driven: Arc<Driven>,
    access: Access,
}

impl ApiTokens {
    /// Use cases over these ports.
    pub fn new(driven: Arc<Driven>, access: Access) -> Self {
        Self { driven, access }
    }

    /// Makes a token of the caller's own. It is never worth more than the API token it is made with: a limited one makes none,
    /// and none outlives it. It is a token of its own, which the end of the session that it was made in does not end.
    ///
    /// # Errors
    /// [`Failure::LimitedToken`], [`Failure::TokenEnd`]; a failing store.
    pub async fn create(
        &self,
        caller: &Caller,
        new: NewToken,
    ) -> Result<(Secret<String>, TokenRecord), Failure> {
        caller.actor.may_make_tokens()?;
        let expires_at = caller.token.end_of_token(new.end, self.driven.clock.now())?;
        let owner = caller.actor.subject.clone();
        Ok(self.access.make(Terms { owner, name: new.name, scope: new.scope, expires_at }).await?)
    }

    /// The caller's own tokens that live, in the order of their making. A limited token sees only itself.
    ///
    /// # Errors
    /// A failing store.
    pub async fn list(&self, caller: &Caller) -> Result<Vec<Listed>, Failure> {
        let now = self.driven.clock.now();
        let mut listed = self.driven.tokens.list(&caller.actor.subject).await?;
        listed.retain(|listed| listed.record.lives(now).is_ok() && sees(caller, &listed.record));
        listed.sort_by(|a, b| {
            (a.record.created_at, a.record.id.as_str()).cmp(&(b.record.created_at, b.record.id.as_str()))
        });
        Ok(listed)
    }

    /// One of the caller's own tokens.
    ///
    /// # Errors
    /// [`Failure::Missing`], also for somebody else's; a failing store.
    pub async fn read(&self, caller: &Caller, id: &TokenId) -> Result<Listed, Failure> {
        let listed = self.list(caller).await?;
        listed.into_iter().find(|listed| listed.record.id == *id).ok_or_else(|| missing(id.as_str()))
    }

    /// Ends a token, named by its id or by itself, and everything that hangs from it. Own ones always; anybody's by who may
    /// manage access, or by who holds the token itself.
    ///
    /// # Errors
    /// [`Failure::Missing`], also for what the caller may not end; a failing store.
    pub async fn revoke(&self, caller: &Caller, named: &str) -> Result<Subject, Failure> {
        let now = self.driven.clock.now();
        let presented = ApiToken::parse(named);
        let id: TokenId = match &presented {
            Some(token) => token.id.clone(),
            // What is no id may be a secret, so it is not repeated.
            None => named.parse().map_err(|_| missing("of this id"))?,
        };
        let record = self.driven.tokens.read(&id).await?.ok_or_else(|| missing(id.as_str()))?;
        let holds = presented.is_some_and(|token| record.admits(&token, now).is_ok());
        let own = record.owner == caller.actor.subject && sees(caller, &record);
        if !(own || holds || caller.actor.may(Right::RbacManage, None).is_ok()) || record.revoked_at.is_some()
        {
            return Err(missing(id.as_str()));
        }
        self.driven.tokens.revoke(&id, &caller.actor.subject, now).await?;
        Ok(record.owner)
    }
}

fn sees(caller: &Caller, record: &TokenRecord) -> bool {
    !caller.actor.rights.is_limited() || record.id == caller.token.id
}

fn missing(id: &str) -> Failure {
    Failure::missing("token", id)
}
