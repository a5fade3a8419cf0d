//! The development certificate: a certificate authority of one's own, and the server certificate it signs.
//!
//! Terraform insists on https for discovery. A server that runs on a developer's machine has no certificate anybody
//! knows, so it makes one. Nothing here reads a clock, a file or the environment (but for the system's own roots):
//! times are passed in as Unix seconds, and keys are returned for the caller to keep.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate};

const DAY: i64 = 24 * 60 * 60;
/// Clocks disagree: a certificate is valid from a little before it was made.
const EARLY: i64 = 60 * 60;
const AUTHORITY_LIFE: i64 = 3653 * DAY;
/// Some clients refuse server certificates that live longer than 398 days.
const LEAF_LIFE: i64 = 397 * DAY;
/// A certificate with less than this left is replaced at the next start.
const RENEW_BEFORE: i64 = 30 * DAY;
/// 31 December 9998; the calendar of the encoder ends a year later.
const LATEST: i64 = 253_370_678_400;
/// Names every development certificate has.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A certificate and its private key, both as PEM.
///
/// The key is in clear: whoever keeps it writes it readable by its owner only (mode 0600).
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateAndKey {
    /// One `CERTIFICATE` block.
    pub certificate: String,
    /// One PKCS#8 `PRIVATE KEY` block.
    pub private_key: String,
}

impl fmt::Debug for CertificateAndKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CertificateAndKey")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// Why a certificate could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Making or signing failed; a host name that is not ASCII or an authority that is no PEM are the usual causes.
    #[error("the development certificate could not be made: {0}")]
    Make(#[from] rcgen::Error),
    /// The certificate file is not PEM, or holds no certificate.
    #[error("the certificate is not PEM with at least one CERTIFICATE block: {0}")]
    Certificate(String),
    /// The key file is not PEM, or holds no private key.
    #[error("the private key is not PEM with a PRIVATE KEY block: {0}")]
    Key(String),
    /// Certificate and key do not belong together, or TLS cannot use them.
    #[error("certificate and private key cannot be used for TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Makes a certificate authority valid for ten years that may sign server certificates, but no other authority.
///
/// # Errors
/// [`CertificateError::Make`] when the operating system gives no randomness.
pub fn make_authority(now: i64) -> Result<CertificateAndKey, CertificateError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::OrganizationName, "OpenTaco");
    params.distinguished_name.push(DnType::CommonName, "OpenTaco development CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    set_validity(&mut params, now, AUTHORITY_LIFE);
    Ok(CertificateAndKey { certificate: params.self_signed(&key)?.pem(), private_key: key.serialize_pem() })
}

/// Issues a server certificate for the loopback names and `hosts`, valid for 397 days.
///
/// # Errors
/// [`CertificateError::Make`] when the authority is not PEM, or a host name cannot be in a certificate.
pub fn issue_leaf(
    authority: &CertificateAndKey,
    hosts: &[String],
    now: i64,
) -> Result<CertificateAndKey, CertificateError> {
    let issuer =
        Issuer::from_ca_cert_pem(&authority.certificate, KeyPair::from_pem(&authority.private_key)?)?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(names(hosts).into_iter().collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, "OpenTaco development server");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, now, LEAF_LIFE);
    Ok(CertificateAndKey {
        certificate: params.signed_by(&key, &issuer)?.pem(),
        private_key: key.serialize_pem(),
    })
}

/// Tells whether an authority is unreadable, not an authority, or would end before a certificate it signs now.
pub fn authority_must_be_renewed(authority_pem: &str, now: i64) -> bool {
    with_certificate(authority_pem, |certificate| {
        certificate.is_ca() && is_valid_for(certificate, now, LEAF_LIFE)
    }) != Some(true)
}

/// Tells whether a server certificate is unreadable, ends within 30 days, lacks a name, has one too many, or was
/// signed by another authority than `authority_pem`.
pub fn leaf_must_be_renewed(leaf_pem: &str, authority_pem: &str, hosts: &[String], now: i64) -> bool {
    let Some(Some(signer)) = with_certificate(authority_pem, subject_key) else { return true };
    with_certificate(leaf_pem, |leaf| {
        is_valid_for(leaf, now, RENEW_BEFORE)
            && issuer_key(leaf).as_deref() == Some(&*signer)
            && certified_names(leaf) == names(hosts)
    }) != Some(true)
}

/// Builds the TLS side of a server from PEM: the certificate chain, leaf first, and its key.
///
/// Uses ring, TLS 1.2 and 1.3, and offers `http/1.1`.
///
/// # Errors
/// [`CertificateError::Certificate`] or [`CertificateError::Key`] when one is not PEM, [`CertificateError::Tls`]
/// when they do not belong together.
pub fn server_config(chain_pem: &str, key_pem: &str) -> Result<Arc<ServerConfig>, CertificateError> {
    let chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| CertificateError::Certificate(error.to_string()))?;
    if chain.is_empty() {
        return Err(CertificateError::Certificate("there is none".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
        .map_err(|error| CertificateError::Key(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The roots this system trusts and the given authority, as PEM, each once.
///
/// For `SSL_CERT_FILE`, which replaces the system's roots instead of adding to them. Roots that cannot be read are
/// left out: a bundle with the authority alone still serves to reach this server.
pub fn trust_bundle(authority_pem: &str) -> String {
    bundle(rustls_native_certs::load_native_certs().certs, authority_pem)
}

fn bundle(roots: Vec<CertificateDer<'static>>, authority_pem: &str) -> String {
    let authority = CertificateDer::pem_slice_iter(authority_pem.as_bytes()).filter_map(Result::ok);
    let mut seen = BTreeSet::new();
    let mut pem = String::new();
    for certificate in roots.into_iter().chain(authority) {
        if seen.insert(certificate.to_vec()) {
            push_pem(&mut pem, &certificate);
        }
    }
    pem
}

fn push_pem(pem: &mut String, der: &[u8]) {
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    // 48 bytes are 64 characters, the line length PEM asks for.
    for line in der.chunks(48) {
        BASE64.encode_append(line, pem);
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
}

fn set_validity(params: &mut CertificateParams, now: i64, life: i64) {
    let epoch = date_time_ymd(1970, 1, 1);
    let at = |seconds: i64| epoch + Duration::from_secs(seconds.clamp(0, LATEST).unsigned_abs());
    params.not_before = at(now.saturating_sub(EARLY));
    params.not_after = at(now.saturating_sub(EARLY).saturating_add(life));
}

/// Host names compare without case and addresses by value, so both are brought into one form.
fn names(hosts: &[String]) -> BTreeSet<String> {
    LOOPBACK.into_iter().map(str::to_owned).chain(hosts.iter().map(|host| plain(host))).collect()
}

fn plain(host: &str) -> String {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().map_or_else(|_| bare.to_ascii_lowercase(), |address| address.to_string())
}

fn with_certificate<T>(pem: &str, look: impl FnOnce(&X509Certificate<'_>) -> T) -> Option<T> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    Some(look(&certificate))
}

fn is_valid_for(certificate: &X509Certificate<'_>, now: i64, seconds: i64) -> bool {
    let validity = certificate.validity();
    validity.not_before.timestamp() <= now && validity.not_after.timestamp() > now.saturating_add(seconds)
}

fn subject_key(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(key) => Some(key.0.to_vec()),
        _ => None,
    })
}

fn issuer_key(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(key) => key.key_identifier.as_ref().map(|key| key.0.to_vec()),
        _ => None,
    })
}

fn certified_names(certificate: &X509Certificate<'_>) -> BTreeSet<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return BTreeSet::new() };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(plain(name)),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        })
        .collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    let address = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
    };
    Some(address.to_string())
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::{ServerName, UnixTime};
    use rustls::{RootCertStore, client::WebPkiServerVerifier, client::danger::ServerCertVerifier as _};

    use super::*;

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    const NOW: i64 = 1_790_000_000;

    fn accepts(
        authority: &str,
        leaf: &str,
        name: &str,
        now: i64,
    ) -> Result<bool, Box<dyn std::error::Error>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        let leaf = CertificateDer::from_pem_slice(leaf.as_bytes())?;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now.unsigned_abs()));
        Ok(verifier.verify_server_cert(&leaf, &[], &ServerName::try_from(name.to_owned())?, &[], now).is_ok())
    }

    #[test]
    fn a_client_that_trusts_the_authority_accepts_every_name_and_no_other() -> TestResult {
        let authority = make_authority(NOW)?;
        let leaf = issue_leaf(&authority, &["taco.example.com".to_owned(), "10.1.2.3".to_owned()], NOW)?;
        for name in ["localhost", "127.0.0.1", "::1", "taco.example.com", "10.1.2.3"] {
            assert!(accepts(&authority.certificate, &leaf.certificate, name, NOW)?, "{name}");
        }
        assert!(!accepts(&authority.certificate, &leaf.certificate, "example.com", NOW)?);
        assert!(!accepts(&make_authority(NOW)?.certificate, &leaf.certificate, "localhost", NOW)?);
        Ok(())
    }

    #[test]
    fn validity_starts_an_hour_early_and_ends_after_397_days() -> TestResult {
        let authority = make_authority(NOW)?;
        let leaf = issue_leaf(&authority, &[], NOW)?;
        let valid = |now| accepts(&authority.certificate, &leaf.certificate, "localhost", now);
        assert!(!valid(NOW - EARLY - 1)?);
        assert!(valid(NOW - EARLY)?);
        assert!(valid(NOW + 396 * DAY)?);
        assert!(!valid(NOW + 397 * DAY)?);
        Ok(())
    }

    #[test]
    fn a_leaf_is_kept_until_thirty_days_before_its_end() -> TestResult {
        let authority = make_authority(NOW)?;
        let leaf = issue_leaf(&authority, &[], NOW)?;
        let renew = |now| leaf_must_be_renewed(&leaf.certificate, &authority.certificate, &[], now);
        assert!(!renew(NOW));
        assert!(!renew(NOW + 366 * DAY));
        assert!(renew(NOW + 367 * DAY));
        assert!(renew(NOW - DAY), "a certificate from the future is of no use");
        Ok(())
    }

    #[test]
    fn a_leaf_with_other_names_or_another_signer_is_replaced() -> TestResult {
        let authority = make_authority(NOW)?;
        let hosts = ["Taco.example.com".to_owned(), "localhost".to_owned()];
        let leaf = issue_leaf(&authority, &hosts, NOW)?;
        let renew = |authority: &str, hosts: &[String]| {
            leaf_must_be_renewed(&leaf.certificate, authority, hosts, NOW)
        };
        assert!(!renew(&authority.certificate, &hosts));
        assert!(!renew(&authority.certificate, &["taco.example.com".to_owned()]));
        assert!(renew(&authority.certificate, &[]));
        assert!(renew(&authority.certificate, &["other.example.com".to_owned()]));
        assert!(renew(&make_authority(NOW)?.certificate, &hosts));
        assert!(leaf_must_be_renewed("rubbish", &authority.certificate, &[], NOW));
        Ok(())
    }

    #[test]
    fn an_authority_outlives_what_it_signs() -> TestResult {
        let authority = make_authority(NOW)?;
        assert!(!authority_must_be_renewed(&authority.certificate, NOW));
        assert!(!authority_must_be_renewed(&authority.certificate, NOW + 3000 * DAY));
        assert!(authority_must_be_renewed(&authority.certificate, NOW + 3300 * DAY));
        assert!(authority_must_be_renewed(&issue_leaf(&authority, &[], NOW)?.certificate, NOW));
        assert!(authority_must_be_renewed("", NOW));
        Ok(())
    }

    #[test]
    fn a_key_of_somebody_else_is_refused() -> TestResult {
        let authority = make_authority(NOW)?;
        let (one, two) = (issue_leaf(&authority, &[], NOW)?, issue_leaf(&authority, &[], NOW)?);
        assert_eq!(server_config(&one.certificate, &one.private_key)?.alpn_protocols, [b"http/1.1".to_vec()]);
        assert!(matches!(server_config(&one.certificate, &two.private_key), Err(CertificateError::Tls(_))));
        assert!(matches!(server_config("", &two.private_key), Err(CertificateError::Certificate(_))));
        assert!(matches!(server_config(&one.certificate, "no"), Err(CertificateError::Key(_))));
        Ok(())
    }

    #[test]
    fn the_bundle_holds_every_root_once_and_the_authority() -> TestResult {
        let (authority, other) = (make_authority(NOW)?, make_authority(NOW)?);
        let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes());
        let roots = vec![der(&other.certificate)?, der(&other.certificate)?, der(&authority.certificate)?];
        let pem = bundle(roots, &authority.certificate);
        let read = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>()?;
        assert_eq!(read, [der(&other.certificate)?, der(&authority.certificate)?]);
        Ok(())
    }

    #[test]
    fn debug_output_holds_no_key() -> TestResult {
        assert!(!format!("{:?}", make_authority(NOW)?).contains("PRIVATE KEY"));
        Ok(())
    }

    #[test]
    fn a_host_that_cannot_be_in_a_certificate_is_an_error() -> TestResult {
        assert!(issue_leaf(&make_authority(NOW)?, &["täco.example".to_owned()], NOW).is_err());
        Ok(())
    }

    #[test]
    fn absurd_clocks_do_not_panic() -> TestResult {
        for now in [i64::MIN, -1, 0, i64::MAX] {
            make_authority(now)?;
        }
        Ok(())
    }
}
