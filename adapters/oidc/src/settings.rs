//! What an operator says about the identity provider.

use opentaco_domain::secret::Secret;
use thiserror::Error;
use url::{Host, Url};

/// Whom to believe that somebody owns an e-mail address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmailVerified {
    /// The claim `email_verified`; where it is absent, the address is unverified.
    #[default]
    Claim,
    /// Every address, for providers that never send the claim and let nobody choose an address.
    Always,
}

/// The identity provider as its operator set it.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// The issuer, exactly as written; a missing or additional `/` at its end is forgiven when it is discovered.
    pub issuer: String,
    /// Our client id at the provider.
    pub client_id: String,
    /// Our client secret; without one this is a public client.
    pub client_secret: Option<Secret<String>>,
    /// The authorization endpoint. With [`token_url`](Self::token_url) nothing is discovered.
    pub auth_url: Option<Url>,
    /// The token endpoint; the secret goes there by `client_secret_basic`.
    pub token_url: Option<Url>,
    /// The keys of the provider (a JWK set).
    pub jwks_url: Option<Url>,
    /// The userinfo endpoint.
    pub userinfo_url: Option<Url>,
    /// The scopes to ask for; nothing is added to them.
    pub scopes: Vec<String>,
    /// The claim that lists groups: the literal name of a top-level claim. Empty when there are none.
    pub groups_claim: String,
    /// Whom to believe about e-mail addresses.
    pub email_verified: EmailVerified,
}

/// Why there is no adapter for these settings.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The issuer is no URL.
    #[error("the issuer `{0}` is not an http or https URL without user info, query and fragment")]
    Issuer(String),
    /// The client id is missing.
    #[error("the client id of the identity provider is empty")]
    ClientId,
    /// An explicit endpoint is no web address; the text names the endpoint.
    #[error("the {0} of the identity provider is not an http or https URL")]
    Endpoint(&'static str),
    /// Nothing would tell who somebody is.
    #[error(
        "authorization and token URL are set, so nothing is discovered: set the JWKS URL (id tokens), the userinfo URL, \
         or both"
    )]
    NoTrust,
    /// The HTTP client does not start.
    #[error("no HTTP client for the identity provider: {0}")]
    Client(String),
}

impl ProviderSettings {
    /// The issuer as a URL, once everything is in order.
    pub(crate) fn check(&self) -> Result<Url, OpenError> {
        let issuer = issuer_url(&self.issuer)?;
        if self.client_id.is_empty() {
            return Err(OpenError::ClientId);
        }
        let endpoints = [
            ("authorization URL", &self.auth_url),
            ("token URL", &self.token_url),
            ("JWKS URL", &self.jwks_url),
            ("userinfo URL", &self.userinfo_url),
        ];
        for (name, url) in endpoints {
            if url.as_ref().is_some_and(|url| !is_web(url)) {
                return Err(OpenError::Endpoint(name));
            }
        }
        Ok(issuer)
    }
}

/// Checks an issuer. What is kept and compared is the text as it was written.
pub(crate) fn issuer_url(text: &str) -> Result<Url, OpenError> {
    let bare = |url: &Url| {
        is_web(url) && url.username().is_empty() && url.query().is_none() && url.fragment().is_none()
    };
    Url::parse(text).ok().filter(bare).ok_or_else(|| OpenError::Issuer(text.to_owned()))
}

pub(crate) fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "https" | "http") && url.host().is_some()
}

/// Whether a URL is on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
