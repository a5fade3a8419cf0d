//! The certificate a server shows: the development certificate in the data dir, or one from files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use opentaco_crypto::dev_certificate::{
    CertificateAndKey, authority_must_be_renewed, issue_leaf, leaf_must_be_renewed, make_authority,
    server_config, trust_bundle,
};
use rustls::ServerConfig;

use crate::data_dir::{DataDir, Readers};

const AUTHORITY: Files = Files { certificate: "tls/ca.pem", key: "tls/ca-key.pem" };
const SERVER: Files = Files { certificate: "tls/server.pem", key: "tls/server-key.pem" };
const BUNDLE: &str = "tls/ca-bundle.pem";

struct Files {
    certificate: &'static str,
    key: &'static str,
}

/// The development certificate, ready to serve.
#[derive(Debug)]
pub struct Development {
    /// For the server.
    pub config: Arc<ServerConfig>,
    /// For clients: `SSL_CERT_FILE`.
    pub bundle: PathBuf,
}

/// Makes the development certificate, or takes the kept one while it is good for `hosts` at `now` (Unix seconds).
///
/// # Errors
/// When a file cannot be read or written, or a host cannot be in a certificate.
pub fn development(dir: &DataDir, hosts: &[String], now: i64) -> anyhow::Result<Development> {
    dir.exclusively(|| {
        let authority = match kept(dir, &AUTHORITY)? {
            Some(authority) if !authority_must_be_renewed(&authority.certificate, now) => authority,
            _ => keep(dir, &AUTHORITY, make_authority(now)?)?,
        };
        let is_good = |leaf: &CertificateAndKey| {
            !leaf_must_be_renewed(&leaf.certificate, &authority.certificate, hosts, now)
                && server_config(&leaf.certificate, &leaf.private_key).is_ok()
        };
        let server = match kept(dir, &SERVER)?.filter(is_good) {
            Some(server) => server,
            None => keep(dir, &SERVER, issue_leaf(&authority, hosts, now)?)?,
        };
        // Made anew each time, because the system's roots change.
        let bundle = dir.replace(BUNDLE, Readers::Everybody, &trust_bundle(&authority.certificate))?;
        Ok(Development { config: server_config(&server.certificate, &server.private_key)?, bundle })
    })
}

/// Reads a certificate chain and its key from files.
///
/// # Errors
/// When one cannot be read, or they do not belong together; the message names them.
pub fn from_files(certificate: &Path, key: &Path) -> anyhow::Result<Arc<ServerConfig>> {
    let read = |path: &Path, setting: &str| {
        fs::read_to_string(path).with_context(|| format!("{setting}: {} cannot be read", path.display()))
    };
    let chain = read(certificate, "OPENTACO_TLS_CERT_PATH")?;
    let key_pem = read(key, "OPENTACO_TLS_KEY_PATH")?;
    server_config(&chain, &key_pem)
        .with_context(|| format!("{} and {} cannot be used", certificate.display(), key.display()))
}

fn kept(dir: &DataDir, files: &Files) -> anyhow::Result<Option<CertificateAndKey>> {
    let (certificate, private_key) = (dir.read(files.certificate)?, dir.read(files.key)?);
    Ok(certificate
        .zip(private_key)
        .map(|(certificate, private_key)| CertificateAndKey { certificate, private_key }))
}

fn keep(dir: &DataDir, files: &Files, made: CertificateAndKey) -> anyhow::Result<CertificateAndKey> {
    dir.replace(files.key, Readers::Owner, &made.private_key)?;
    dir.replace(files.certificate, Readers::Everybody, &made.certificate)?;
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000;
    const YEAR: i64 = 365 * 24 * 60 * 60;

    #[test]
    fn a_second_start_shows_the_same_certificate_until_it_is_old() -> anyhow::Result<()> {
        let home = tempfile::tempdir()?;
        let dir = DataDir::open(home.path())?;
        development(&dir, &[], NOW)?;
        let (authority, server) = (dir.read(AUTHORITY.certificate)?, dir.read(SERVER.certificate)?);
        let again = development(&dir, &[], NOW + 1)?;
        assert_eq!(dir.read(SERVER.certificate)?, server);
        assert!(fs::read_to_string(again.bundle)?.len() >= authority.as_deref().unwrap_or_default().len());

        development(&dir, &[], NOW + 2 * YEAR)?;
        assert_eq!(dir.read(AUTHORITY.certificate)?, authority);
        assert_ne!(dir.read(SERVER.certificate)?, server);
        development(&dir, &[], NOW + 12 * YEAR)?;
        assert_ne!(dir.read(AUTHORITY.certificate)?, authority);
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_the_keys() -> anyhow::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;

        let home = tempfile::tempdir()?;
        let dir = DataDir::open(home.path())?;
        development(&dir, &["taco.example.com".to_owned()], NOW)?;
        for name in [AUTHORITY.key, SERVER.key] {
            assert_eq!(fs::metadata(dir.path().join(name))?.permissions().mode() & 0o777, 0o600, "{name}");
        }
        Ok(())
    }
}
