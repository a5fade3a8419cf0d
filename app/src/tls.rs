//! The certificate a server shows: the development certificate in the data dir, or one from files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use opentaco_crypto::dev_certificate::{
    CertificateAndKey, authority_must_be_renewed, issue_leaf, leaf_must_be_renewed, make_authority,
    server_config, trust_bundle,
};
use opentaco_crypto::renewable::Renewable;
use rustls::ServerConfig;

use crate::data_dir::{DataDir, Readers};

const AUTHORITY: Files = Files { certificate: "tls/ca.pem", key: "tls/ca-key.pem" };
const SERVER: Files = Files { certificate: "tls/server.pem", key: "tls/server-key.pem" };
const BUNDLE: &str = "tls/ca-bundle.pem";
const BETWEEN_LOOKS: Duration = Duration::from_secs(10);

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

/// A certificate chain and its key in files, which others replace.
#[derive(Debug)]
pub struct CertificateFiles {
    certificate: PathBuf,
    key: PathBuf,
    shown: (String, String),
    renewable: Arc<Renewable>,
}

impl CertificateFiles {
    /// Reads both files and makes the TLS side of a server of them.
    ///
    /// # Errors
    /// When one cannot be read, or they do not belong together; the message names them.
    pub fn open(certificate: &Path, key: &Path) -> anyhow::Result<(Arc<ServerConfig>, Self)> {
        let read = |path: &Path, setting: &str| {
            fs::read_to_string(path).with_context(|| format!("{setting}: {} cannot be read", path.display()))
        };
        let shown = (read(certificate, "OPENTACO_TLS_CERT_PATH")?, read(key, "OPENTACO_TLS_KEY_PATH")?);
        let (config, renewable) = Renewable::server_config(&shown.0, &shown.1)
            .with_context(|| format!("{} and {} cannot be used", certificate.display(), key.display()))?;
        Ok((config, Self { certificate: certificate.to_owned(), key: key.to_owned(), shown, renewable }))
    }

    /// Shows what the files hold when they have changed and belong together, every few seconds, for ever.
    pub async fn follow(mut self) {
        loop {
            tokio::time::sleep(BETWEEN_LOOKS).await;
            self.look().await;
        }
    }

    /// A renewal that is half written does not fit together and is looked at again the next time.
    async fn look(&mut self) {
        let read =
            (tokio::fs::read_to_string(&self.certificate).await, tokio::fs::read_to_string(&self.key).await);
        let (Ok(certificate), Ok(key)) = read else { return };
        let found = (certificate, key);
        if found == self.shown {
            return;
        }
        match self.renewable.replace(&found.0, &found.1) {
            Ok(()) => {
                tracing::info!("showing the renewed certificate of {}", self.certificate.display());
                self.shown = found;
            }
            Err(error) => tracing::warn!(%error, "the changed certificate files are not used"),
        }
    }
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

    #[tokio::test]
    async fn a_renewed_certificate_is_shown_and_a_half_written_one_is_not() -> anyhow::Result<()> {
        let home = tempfile::tempdir()?;
        let (certificate, key) = (home.path().join("tls.pem"), home.path().join("tls-key.pem"));
        let authority = make_authority(NOW)?;
        let (old, new) = (issue_leaf(&authority, &[], NOW)?, issue_leaf(&authority, &[], NOW + 1)?);
        fs::write(&certificate, &old.certificate)?;
        fs::write(&key, &old.private_key)?;
        let (_, mut files) = CertificateFiles::open(&certificate, &key)?;
        fs::write(&certificate, &new.certificate)?;
        files.look().await;
        assert_eq!(files.shown.0, old.certificate, "its key is still the old one");
        fs::write(&key, &new.private_key)?;
        files.look().await;
        assert_eq!(files.shown.0, new.certificate);
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
