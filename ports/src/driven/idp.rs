//! Who a person or a machine is, as somebody else vouches for it.

use async_trait::async_trait;
use opentaco_domain::secret::Secret;
use opentaco_domain::trust::WorkloadToken;
use opentaco_domain::user::Identity;
use thiserror::Error;

/// Why nobody was identified. The details are logged by the adapter, once; no message holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IdpError {
    /// The provider does not answer, or answers that it cannot now. Trying again may help.
    #[error("the identity provider {0} does not answer now; try again in a moment")]
    Unavailable(String),
    /// What it said is not believed, or it refused. Trying the same again does not help.
    #[error("the identity provider's answer was refused: {0}")]
    Refused(String),
}

/// One login at the provider: what must be the same when the person comes back.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Where the provider sends the browser back to: our own callback, an absolute URL.
    pub redirect_uri: String,
    /// What the id token must repeat.
    pub nonce: String,
    /// The secret half of the PKCE pair towards the provider (RFC 7636): 43 to 128 unreserved characters.
    pub verifier: Secret<String>,
}

/// What may be told to anybody about the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderFacts {
    /// Its issuer, as set.
    pub issuer: String,
    /// Our client id there.
    pub client_id: String,
    /// The scopes that are asked for.
    pub scopes: Vec<String>,
    /// Its authorization endpoint, once it is known.
    pub authorization_endpoint: Option<String>,
    /// Its token endpoint, once it is known.
    pub token_endpoint: Option<String>,
}

/// An identity provider of people.
#[async_trait]
pub trait IdentityProvider: Send + Sync {
    /// Where the browser goes so that the person can prove who they are; `state` comes back with the answer.
    ///
    /// # Errors
    /// [`IdpError::Unavailable`] while the provider's endpoints are not known.
    async fn authorization_url(&self, ask: &Ask, state: &str) -> Result<String, IdpError>;

    /// Exchanges the provider's code and gives who the person is. Signature, issuer, audience, nonce and times of what
    /// the provider says are checked.
    ///
    /// # Errors
    /// [`IdpError`].
    async fn identify(&self, ask: &Ask, code: &str) -> Result<Identity, IdpError>;

    /// What may be told about the provider; never waits for it.
    fn facts(&self) -> ProviderFacts;
}

/// Verifies tokens that CI systems sign for their workloads.
#[async_trait]
pub trait Workloads: Send + Sync {
    /// What a token says, once its signature, issuer and times (30 seconds of tolerance) are right. Keys are fetched only
    /// for issuers that some trust rule names. The audience is the caller's to judge.
    ///
    /// # Errors
    /// [`IdpError`].
    async fn verify(&self, token: &str) -> Result<WorkloadToken, IdpError>;
}
