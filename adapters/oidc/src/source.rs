//! An issuer's endpoints and keys: fetched when they are needed, remembered, and fetched again when they are old or do
//! not fit.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openidconnect::IssuerUrl;
use openidconnect::core::CoreJsonWebKeySet;
use opentaco_ports::driven::Clock;
use opentaco_ports::driven::idp::IdpError;
use serde::Deserialize;
use tracing::{info, warn};
use url::Url;

use crate::fetch::{Fetch, FetchError, Kind, get};
use crate::settings::{OpenError, is_web, issuer_url};

/// How long endpoints and keys serve before they are looked up again.
const FRESH: Duration = Duration::from_hours(1);
/// The shortest time between two looks for newer keys, so that nobody who sends odd tokens can make us ask more often.
const RENEWAL: Duration = Duration::from_secs(10);
/// How long a failure is everybody's answer while nothing is known, so that a crowd does not ask one by one.
const SHARED: Duration = Duration::from_secs(1);

/// How strictly an issuer's own document must repeat its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// To the letter.
    Exact,
    /// With or without a `/` at the end; from then on what the document says counts.
    EitherSlash,
}

/// Addresses of a provider, as far as they are known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Endpoints {
    pub(crate) authorization: Option<Url>,
    pub(crate) token: Option<Url>,
    pub(crate) keys: Option<Url>,
    pub(crate) userinfo: Option<Url>,
}

/// How our secret goes to the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    Basic,
    Post,
}

/// What is known of an issuer.
pub(crate) struct Known {
    /// The issuer that its tokens must name.
    pub(crate) issuer: IssuerUrl,
    pub(crate) endpoints: Endpoints,
    pub(crate) client_auth: ClientAuth,
    /// Its keys, when it has any that may be fetched.
    pub(crate) keys: Option<CoreJsonWebKeySet>,
}

/// One issuer, from which all ask at once.
pub(crate) struct Source {
    issuer: String,
    /// The same, for the library.
    named: IssuerUrl,
    url: Url,
    naming: Naming,
    given: Endpoints,
    fetch: Fetch,
    clock: Arc<dyn Clock>,
    memory: Mutex<Memory>,
    /// Held by the one who asks the issuer.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Memory {
    known: Option<Arc<Known>>,
    /// When [`Memory::known`] came, by the monotonic clock.
    since: Duration,
    /// When somebody last asked, whatever came of it.
    tried: Option<Duration>,
}

/// A discovery document, as far as it matters here. CI systems have neither people nor endpoints for them, so nothing
/// but the name is required.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: Option<Url>,
    token_endpoint: Option<Url>,
    jwks_uri: Option<Url>,
    userinfo_endpoint: Option<Url>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Source {
    /// An issuer as it was written; the endpoints that are given win over those that it says itself.
    pub(crate) fn new(
        issuer: &str,
        naming: Naming,
        given: Endpoints,
        fetch: Fetch,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let url = issuer_url(issuer)?;
        let named = IssuerUrl::new(issuer.to_owned()).map_err(|_| OpenError::Issuer(issuer.to_owned()))?;
        let (memory, turn) = (Mutex::default(), tokio::sync::Mutex::default());
        Ok(Self { issuer: issuer.to_owned(), named, url, naming, given, fetch, clock, memory, turn })
    }

    /// The issuer as it was written.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The issuer as it was written, for the library.
    pub(crate) fn named(&self) -> IssuerUrl {
        self.named.clone()
    }

    /// The endpoints that are known without asking anybody.
    pub(crate) fn endpoints(&self) -> Endpoints {
        let memory = self.memory();
        memory.known.as_ref().map_or_else(|| self.given.clone(), |known| known.endpoints.clone())
    }

    /// What is known, after asking the issuer when that is nothing or an hour old.
    pub(crate) async fn get(&self) -> Result<Arc<Known>, IdpError> {
        if let Some(known) = self.remembered() {
            if self.is_fresh() {
                return Ok(known);
            }
            // What is known still serves while somebody else asks, and when asking fails.
            let Ok(_turn) = self.turn.try_lock() else { return Ok(known) };
            let pause = self.is_fresh() || self.tried_within(RENEWAL);
            return Ok(if pause { known } else { self.ask().await.unwrap_or(known) });
        }
        let _turn = self.turn.lock().await;
        if let Some(known) = self.remembered() {
            return Ok(known);
        }
        if self.tried_within(SHARED) { Err(self.unavailable()) } else { self.ask().await }
    }

    /// Something newer than what did not fit, if there is any and it is time to ask for it.
    pub(crate) async fn newer_than(&self, unfit: &Arc<Known>) -> Option<Arc<Known>> {
        let _turn = self.turn.lock().await;
        match self.remembered() {
            Some(known) if !Arc::ptr_eq(&known, unfit) => Some(known),
            _ if self.tried_within(RENEWAL) => None,
            _ => self.ask().await.ok(),
        }
    }

    pub(crate) fn unavailable(&self) -> IdpError {
        IdpError::Unavailable(self.issuer.clone())
    }

    async fn ask(&self) -> Result<Arc<Known>, IdpError> {
        let outcome = self.load().await;
        let now = self.clock.mono();
        let mut memory = self.memory();
        memory.tried = Some(now);
        match outcome {
            Ok(known) => {
                if memory.known.is_none() {
                    info!(issuer = self.issuer, "OIDC: Configuration loaded");
                }
                let known = Arc::new(known);
                memory.known = Some(Arc::clone(&known));
                memory.since = now;
                Ok(known)
            }
            Err(error) => {
                warn!(issuer = self.issuer, reason = %error, "OIDC: Configuration not loaded");
                Err(self.unavailable())
            }
        }
    }

    async fn load(&self) -> Result<Known, FetchError> {
        let mut known = if self.given.authorization.is_some() && self.given.token.is_some() {
            let (issuer, endpoints) = (self.named.clone(), self.given.clone());
            Known { issuer, endpoints, client_auth: ClientAuth::Basic, keys: None }
        } else {
            self.discover().await?
        };
        if let Some(url) = &known.endpoints.keys {
            known.keys = Some(self.fetch.json(get(url)).await?);
        }
        Ok(known)
    }

    async fn discover(&self) -> Result<Known, FetchError> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/.well-known/openid-configuration", slashless(self.url.path())));
        let document = self.fetch.json(get(&url)).await?;
        self.read(document).map_err(|kind| FetchError::new(&url, kind))
    }

    /// What a document says, if it may be believed.
    fn read(&self, document: Document) -> Result<Known, Kind> {
        let same = match self.naming {
            Naming::Exact => document.issuer == self.issuer,
            Naming::EitherSlash => slashless(&document.issuer) == slashless(&self.issuer),
        };
        if !same {
            return Err(Kind::OtherIssuer);
        }
        let client_auth = match &document.token_endpoint_auth_methods_supported {
            Some(methods) if self.given.token.is_none() => ClientAuth::among(methods),
            _ => ClientAuth::Basic,
        };
        let pick = |given: &Option<Url>, said: Option<Url>| given.clone().or(said);
        let said = [
            &document.authorization_endpoint,
            &document.token_endpoint,
            &document.jwks_uri,
            &document.userinfo_endpoint,
        ];
        // Who is reached by https must not send our secret, or look for keys, where anybody can listen or answer.
        let is_safe = |url: &Url| url.scheme() == "https" || (self.url.scheme() == "http" && is_web(url));
        if !said.into_iter().flatten().all(is_safe) {
            return Err(Kind::NotHttps);
        }
        let endpoints = Endpoints {
            authorization: pick(&self.given.authorization, document.authorization_endpoint),
            token: pick(&self.given.token, document.token_endpoint),
            keys: pick(&self.given.keys, document.jwks_uri),
            userinfo: pick(&self.given.userinfo, document.userinfo_endpoint),
        };
        let issuer = IssuerUrl::new(document.issuer).map_err(|_| Kind::OtherIssuer)?;
        Ok(Known { issuer, endpoints, client_auth, keys: None })
    }

    fn remembered(&self) -> Option<Arc<Known>> {
        self.memory().known.clone()
    }

    fn is_fresh(&self) -> bool {
        self.clock.mono().saturating_sub(self.memory().since) < FRESH
    }

    fn tried_within(&self, time: Duration) -> bool {
        let tried = self.memory().tried;
        tried.is_some_and(|tried| self.clock.mono().saturating_sub(tried) < time)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientAuth {
    /// Basic, unless a provider takes the other one alone.
    fn among(methods: &[String]) -> Self {
        let takes = |method: &str| methods.iter().any(|taken| taken == method);
        if !takes("client_secret_basic") && takes("client_secret_post") { Self::Post } else { Self::Basic }
    }
}

/// A text without one `/` at its end.
pub(crate) fn slashless(text: &str) -> &str {
    text.strip_suffix('/').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tests::{TestClock, prepare};

    #[test]
    fn who_is_reached_by_https_names_nothing_without() {
        prepare();
        let source = |issuer: &str| {
            let clock = Arc::<TestClock>::default();
            Source::new(issuer, Naming::Exact, Endpoints::default(), Fetch::new().unwrap(), clock).unwrap()
        };
        let names = ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"];
        for name in names {
            for (issuer, endpoint, good) in [
                ("https://id.example", "https://other.example/x", true),
                ("https://id.example", "http://id.example/x", false),
                ("https://id.example", "ftp://id.example/x", false),
                ("https://id.example", "javascript:alert(1)", false),
                ("http://id.example", "http://id.example/x", true),
                ("http://id.example", "https://id.example/x", true),
                ("http://id.example", "javascript:alert(1)", false),
            ] {
                let document = serde_json::from_value(json!({ "issuer": issuer, name: endpoint })).unwrap();
                let read = source(issuer).read(document);
                assert_eq!(read.is_ok(), good, "{issuer} {name} {endpoint}");
            }
        }
    }
}
