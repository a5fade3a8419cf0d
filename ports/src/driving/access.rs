//! Who is asking: a presented token becomes an actor.

use std::sync::Arc;
use std::time::Duration;

use opentaco_domain::actor::{Actor, Door, Subject};
use opentaco_domain::commit::Ticket;
use opentaco_domain::id::TokenId;
use opentaco_domain::secret::Secret;
use opentaco_domain::token::{ApiToken, TokenRecord, TokenRefused};
use thiserror::Error;

use super::Driven;
use crate::driven::tokens::TokenMade;
use crate::driven::{StoreError, random};

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

/// Use cases of authentication.
#[derive(Clone)]
pub struct Access {
    driven: Arc<Driven>,
}

impl Access {
    /// Use cases over these ports.
    pub fn new(driven: Arc<Driven>) -> Self {
        Self { driven }
    }

    /// Turns a presented bearer token into an actor.
    ///
    /// # Errors
    /// [`AccessError`].
    pub async fn authenticate(&self, presented: &str, door: Door) -> Result<Actor, AccessError> {
        if presented.starts_with("eyJ") {
            return Err(AccessError::Jwt);
        }
        let token = ApiToken::parse(presented).ok_or(AccessError::Refused(TokenRefused::Unknown))?;
        let record = self.driven.tokens.read(&token.id).await?;
        let record = record.ok_or(AccessError::Refused(TokenRefused::Unknown))?;
        record.admits(&token, self.driven.clock.now()).map_err(AccessError::Refused)?;
        Ok(Actor { subject: record.owner, parent: token.id, door })
    }

    /// Makes an API token for somebody. Its secret is shown here and nowhere else.
    ///
    /// # Errors
    /// [`StoreError`]; then no token may be handed out.
    pub async fn issue(
        &self,
        owner: Subject,
        name: &str,
        life: Option<Duration>,
    ) -> Result<(Secret<String>, TokenRecord), StoreError> {
        let now = self.driven.clock.now();
        let entropy = &*self.driven.entropy;
        let token = ApiToken::new(TokenId::from_bytes(random(entropy)), random(entropy));
        let record = TokenRecord::new(&token, owner, name, now, life);
        match self.driven.tokens.create(&record).await? {
            TokenMade::Created => Ok((token.reveal(), record)),
            // Two draws of 80 random bits were the same.
            TokenMade::Taken => Err(StoreError::Unavailable),
        }
    }

    /// Turns an upload ticket into the actor that proposed it, if its token still lives.
    ///
    /// # Errors
    /// [`AccessError`].
    pub async fn bearer_of(&self, ticket: &Ticket, door: Door) -> Result<Actor, AccessError> {
        let record = self.driven.tokens.read(&ticket.parent).await?;
        let record = record.ok_or(AccessError::Refused(TokenRefused::Unknown))?;
        record.lives(self.driven.clock.now()).map_err(AccessError::Refused)?;
        if record.owner != ticket.subject {
            return Err(AccessError::Refused(TokenRefused::Unknown));
        }
        Ok(Actor { subject: record.owner, parent: record.id, door })
    }
}
