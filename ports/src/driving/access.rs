//! Who is asking: a presented token becomes an actor.

use std::sync::Arc;

use opentaco_domain::actor::{Actor, Door};
use opentaco_domain::commit::Ticket;
use opentaco_domain::token::{ApiToken, TokenRefused};
use thiserror::Error;

use super::Driven;
use crate::driven::StoreError;

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
