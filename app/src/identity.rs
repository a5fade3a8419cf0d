//! The identity provider and the issuers of CI tokens, from the settings.

use std::sync::Arc;
use std::time::Duration;

use opentaco_domain::secret::Secret;
use opentaco_oidc::{Issuers, Provider, ProviderSettings};
use opentaco_ports::driven::Clock;
use opentaco_ports::driven::idp::Workloads;

use crate::settings::Settings;

/// The longest pause between two tries to reach a provider that was down at the start.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How often a provider that is known is looked at again.
const BETWEEN_LOOKS: Duration = Duration::from_mins(30);

/// The identity provider, if one is set. Nobody is contacted yet.
///
/// # Errors
/// When its settings cannot work.
pub fn provider(settings: &Settings, clock: Arc<dyn Clock>) -> anyhow::Result<Option<Arc<Provider>>> {
    let Some(set) = &settings.provider else { return Ok(None) };
    let set = set.clone();
    let settings = ProviderSettings {
        issuer: set.issuer,
        client_id: set.client_id,
        client_secret: set.client_secret.map(|secret| Secret::new(secret.expose().to_owned())),
        auth_url: set.auth_url,
        token_url: set.token_url,
        jwks_url: set.jwks_url,
        userinfo_url: set.userinfo_url,
        scopes: set.scopes,
        groups_claim: set.groups_claim,
        email_verified: set.email_verified,
    };
    Ok(Some(Arc::new(Provider::new(settings, clock)?)))
}

/// Who verifies tokens of the CI systems that trust rules name.
///
/// # Errors
/// When an issuer cannot be one.
pub fn workloads(settings: &Settings, clock: Arc<dyn Clock>) -> anyhow::Result<Arc<dyn Workloads>> {
    let issuers = settings.trust.iter().map(|rule| rule.issuer().to_owned()).collect();
    Ok(Arc::new(Issuers::new(issuers, clock)?))
}

/// Looks a provider up before anybody logs in, and again after it was down; for ever.
pub async fn keep_warm(provider: Arc<Provider>) {
    let mut pause = Duration::from_secs(1);
    loop {
        // A failure is logged where it happened.
        if provider.warm().await.is_ok() {
            pause = Duration::from_secs(1);
            tokio::time::sleep(BETWEEN_LOOKS).await;
        } else {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
