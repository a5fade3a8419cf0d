//! A certificate that is replaced while the server runs, as renewal tools do it.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::dev_certificate::{CertificateError, server_config};

/// The certificate shown to new connections; connections that stand keep theirs.
#[derive(Debug)]
pub struct Renewable(RwLock<Arc<dyn ResolvesServerCert>>);

impl Renewable {
    /// A TLS side of a server from PEM, and the handle by which its certificate is replaced.
    ///
    /// # Errors
    /// As [`server_config`].
    pub fn server_config(
        chain_pem: &str,
        key_pem: &str,
    ) -> Result<(Arc<ServerConfig>, Arc<Self>), CertificateError> {
        let mut config = ServerConfig::clone(&*server_config(chain_pem, key_pem)?);
        let renewable = Arc::new(Self(RwLock::new(config.cert_resolver.clone())));
        config.cert_resolver = renewable.clone();
        Ok((Arc::new(config), renewable))
    }

    /// Shows another certificate from now on.
    ///
    /// # Errors
    /// As [`server_config`]; the certificate shown so far stays.
    pub fn replace(&self, chain_pem: &str, key_pem: &str) -> Result<(), CertificateError> {
        let fresh = server_config(chain_pem, key_pem)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fresh.cert_resolver.clone();
        Ok(())
    }
}

impl ResolvesServerCert for Renewable {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).resolve(hello)
    }
}
