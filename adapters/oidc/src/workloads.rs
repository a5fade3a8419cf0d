//! Tokens that CI systems sign for their workloads.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use opentaco_domain::trust::WorkloadToken;
use opentaco_ports::driven::Clock;
use opentaco_ports::driven::idp::{IdpError, Workloads};
use tracing::info;

use crate::claims::Claims;
use crate::fetch::Fetch;
use crate::settings::OpenError;
use crate::source::{Endpoints, Naming, Source};
use crate::verify::{Expected, believe, parse};

/// The longest token that is looked at, in bytes.
const LONGEST: usize = 16 * 1024;

/// The issuers that some trust rule names. No other is ever contacted.
pub struct Issuers {
    sources: BTreeMap<String, Source>,
    clock: Arc<dyn Clock>,
}

impl Issuers {
    /// Issuers, each exactly as the `iss` of its tokens has it. Nobody is contacted yet.
    ///
    /// # Errors
    /// [`OpenError::Issuer`] for the first that is no URL; [`OpenError::Client`].
    pub fn new(issuers: Vec<String>, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        // Without issuers there is nobody to talk to, and no need for the system's certificates.
        if issuers.is_empty() {
            return Ok(Self { sources: BTreeMap::new(), clock });
        }
        let fetch = Fetch::new()?;
        let source = |issuer: String| {
            let given = Endpoints::default();
            let source = Source::new(&issuer, Naming::Exact, given, fetch.clone(), Arc::clone(&clock))?;
            Ok((issuer, source))
        };
        let sources = issuers.into_iter().map(source).collect::<Result<_, OpenError>>()?;
        Ok(Self { sources, clock })
    }

    /// The source of a token's keys, if the token is worth asking for them.
    fn source(&self, token: &str) -> Result<&Source, &'static str> {
        if token.len() > LONGEST {
            return Err("the token is longer than 16 KiB");
        }
        let claims = Claims::unverified(token).ok_or("the token is malformed")?;
        let issuer = claims.text("iss").ok_or("the token names no issuer")?;
        self.sources.get(issuer).ok_or("no trust rule names the token's issuer")
    }
}

#[async_trait]
impl Workloads for Issuers {
    async fn verify(&self, token: &str) -> Result<WorkloadToken, IdpError> {
        let source = self.source(token).map_err(|why| refused(None, why))?;
        let refused = |why| refused(Some(source.issuer()), why);
        let parsed = parse(token).map_err(refused)?;
        let known = source.get().await?;
        let claims =
            believe(&parsed, Expected::Anybody, source, known, &*self.clock).await.map_err(refused)?;
        let subject = claims.text("sub").ok_or("the token names no subject").map_err(refused)?;
        Ok(WorkloadToken {
            issuer: source.issuer().to_owned(),
            audiences: claims.audiences(),
            subject: subject.to_owned(),
            claims: claims.scalars(),
        })
    }
}

/// What is not listed is not logged either: anybody may send anything.
fn refused(issuer: Option<&str>, why: &str) -> IdpError {
    info!(issuer, reason = why, "OIDC: Workload token refused");
    IdpError::Refused(why.to_owned())
}
