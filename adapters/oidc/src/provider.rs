//! The one identity provider of people.

use std::sync::Arc;

use async_trait::async_trait;
use openidconnect::{PkceCodeChallenge, PkceCodeVerifier};
use opentaco_domain::actor::Subject;
use opentaco_domain::user::Identity;
use opentaco_ports::driven::Clock;
use opentaco_ports::driven::idp::{Ask, IdentityProvider, IdpError, ProviderFacts};
use tokio::sync::Semaphore;
use tracing::warn;

use crate::claims::Claims;
use crate::fetch::{Fetch, FetchError};
use crate::oidc::Oidc;
use crate::settings::{EmailVerified, OpenError, ProviderSettings};
use crate::workos::WorkOs;

/// An identity provider of people: `OpenID` Connect, or `WorkOS` user management when the issuer is that.
pub struct Provider {
    kind: Kind,
    exchanges: Semaphore,
}

/// How many codes are exchanged at once. Anybody can send codes to the callback, and each one makes us ask the provider with
/// our own secret; it must not take us for the attacker.
const MOST_EXCHANGES: usize = 16;

enum Kind {
    Oidc(Box<Oidc>),
    WorkOs(Box<WorkOs>),
}

impl Provider {
    /// A provider as it is set. Nobody is contacted yet, so a server starts while its provider is down.
    ///
    /// # Errors
    /// [`OpenError`] for the first setting that cannot work.
    pub fn new(settings: ProviderSettings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let issuer = settings.check()?;
        let fetch = Fetch::new()?;
        let kind = if WorkOs::is(&issuer) {
            Kind::WorkOs(Box::new(WorkOs::new(settings, &issuer, fetch)))
        } else {
            Kind::Oidc(Box::new(Oidc::new(settings, fetch, clock)?))
        };
        Ok(Self { kind, exchanges: Semaphore::new(MOST_EXCHANGES) })
    }

    /// Looks endpoints and keys up, unless they are known and less than an hour old, so that no login has to wait.
    ///
    /// # Errors
    /// [`IdpError::Unavailable`] when nothing is known and the provider does not say it now.
    pub async fn warm(&self) -> Result<(), IdpError> {
        match &self.kind {
            Kind::Oidc(oidc) => oidc.warm().await,
            Kind::WorkOs(_) => Ok(()),
        }
    }
}

#[async_trait]
impl IdentityProvider for Provider {
    async fn authorization_url(&self, ask: &Ask, state: &str) -> Result<String, IdpError> {
        match &self.kind {
            Kind::Oidc(oidc) => oidc.authorization_url(ask, state).await,
            Kind::WorkOs(workos) => workos.authorization_url(ask, state),
        }
    }

    async fn identify(&self, ask: &Ask, code: &str) -> Result<Identity, IdpError> {
        let Ok(_one_of_few) = self.exchanges.try_acquire() else {
            warn!("OIDC: Too many logins come back at once; one was sent away");
            return Err(IdpError::Unavailable(self.facts().issuer));
        };
        match &self.kind {
            Kind::Oidc(oidc) => oidc.identify(ask, code).await,
            Kind::WorkOs(workos) => workos.identify(ask, code).await,
        }
    }

    fn facts(&self) -> ProviderFacts {
        match &self.kind {
            Kind::Oidc(oidc) => oidc.facts(),
            Kind::WorkOs(workos) => workos.facts(),
        }
    }
}

/// The public half of a login's PKCE pair.
pub(crate) fn challenge(ask: &Ask) -> Result<PkceCodeChallenge, IdpError> {
    // The library panics on a verifier outside the RFC's bounds.
    if !(43..=128).contains(&ask.verifier.expose().len()) {
        return Err(IdpError::Refused("the PKCE verifier does not have 43 to 128 characters".to_owned()));
    }
    let verifier = PkceCodeVerifier::new(ask.verifier.expose().clone());
    Ok(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
}

/// Who somebody is by what is said of them: the first that says an address or groups counts.
pub(crate) fn identity(
    issuer: &str,
    sub: Option<&str>,
    said: &[&Claims],
    groups_claim: Option<&str>,
    trust: EmailVerified,
) -> Result<Identity, IdpError> {
    let subject = sub.and_then(|sub| Subject::of_provider(sub).ok());
    let subject = subject.ok_or_else(|| refused(issuer, "its name for the person is missing or unusable"))?;
    let mail = said.iter().find(|claims| claims.has_email());
    let email = mail.and_then(|claims| claims.email());
    let vouched = match trust {
        EmailVerified::Always => true,
        EmailVerified::Claim => mail.is_some_and(|claims| claims.email_verified()),
    };
    let email_verified = email.is_some() && vouched;
    let groups = groups_claim.and_then(|claim| said.iter().find_map(|claims| claims.groups(claim)));
    let groups = groups.unwrap_or_default();
    Ok(Identity { subject, email, email_verified, groups })
}

/// A login that failed because there was no answer to use.
pub(crate) fn failed(issuer: &str, error: &FetchError) -> IdpError {
    if error.is_passing() {
        warn!(issuer, reason = %error, "OIDC: The provider does not answer");
        IdpError::Unavailable(issuer.to_owned())
    } else {
        refused(issuer, &error.to_string())
    }
}

/// A login that failed because what was said is not believed.
pub(crate) fn refused(issuer: &str, why: &str) -> IdpError {
    warn!(issuer, reason = why, "OIDC: The provider's answer was refused");
    IdpError::Refused(why.to_owned())
}
