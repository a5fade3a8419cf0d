//! Ed25519 keys in PEM, and the names they go by.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use ed25519_compact::{KeyPair, PublicKey, Seed};
use opentaco_domain::secret::Secret;
use sha2::Digest as _;
use thiserror::Error;

/// The longest `kid` that is accepted, in bytes.
pub const MAX_KID: usize = 200;

/// Why a key cannot be used. The message names no path: who reads the file adds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// There is no such PEM block.
    #[error("JWT signer not available: this is not a PEM file with a `PRIVATE KEY` block (PKCS#8)")]
    NotPem,
    /// It is the key of another algorithm, or in another form.
    #[error(
        "JWT signer not available: the PEM block is not an Ed25519 key in plain PKCS#8; \
         make one with `openssl genpkey -algorithm ed25519`"
    )]
    NotEd25519,
    /// It is encrypted with a passphrase.
    #[error(
        "JWT signer not available: the private key is encrypted; store it without a passphrase, readable by its owner only"
    )]
    Encrypted,
    /// The key is of a kind that protects nothing: all zeros, or a point of small order.
    #[error("JWT signer not available: the key is a weak one (all zeros, or a point of small order)")]
    Weak,
    /// The key's name is outside the rule.
    #[error("JWT signer not available: a kid must have 1 to 200 printable ASCII characters without spaces")]
    Kid,
    /// Two different keys go by one name.
    #[error("JWT signer not available: two different keys have the same kid")]
    DoubledKid,
}

/// A private key that signs, with its `kid`. It never prints.
pub struct SigningKey {
    pair: KeyPair,
    kid: String,
}

impl SigningKey {
    /// Reads a private key: Ed25519, as one PKCS#8 `PRIVATE KEY` block, as `openssl genpkey` writes it.
    ///
    /// Without a `kid` the key goes by its RFC 7638 thumbprint (43 base64url characters).
    ///
    /// # Errors
    /// [`KeyError`] by variant.
    pub fn from_pem(pem: &str, kid: Option<&str>) -> Result<Self, KeyError> {
        if pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
            return Err(KeyError::Encrypted);
        }
        if !pem.contains("-----BEGIN PRIVATE KEY-----") {
            return Err(KeyError::NotPem);
        }
        let pair = KeyPair::from_pem(pem).map_err(|error| match error {
            ed25519_compact::Error::InvalidSeed => KeyError::Weak,
            _ => KeyError::NotEd25519,
        })?;
        let kid = kid_or_thumbprint(kid, &pair.pk)?;
        Ok(Self { pair, kid })
    }

    /// A new private key as PEM, from 32 bytes that nobody else knows. The same bytes make the same key.
    ///
    /// Whoever keeps the text writes it readable by its owner only (mode 0600).
    ///
    /// # Errors
    /// [`KeyError::Weak`] when all bytes are zero.
    pub fn generate_pem(seed: [u8; 32]) -> Result<Secret<String>, KeyError> {
        let pair = KeyPair::try_from_seed(Seed::new(seed)).map_err(|_| KeyError::Weak)?;
        Ok(Secret::new(pair.sk.to_pem()))
    }

    /// The name that signed tokens carry in their header.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half, under the same name.
    pub fn verify_key(&self) -> VerifyKey {
        VerifyKey { public: self.pair.pk, kid: self.kid.clone() }
    }

    /// The key as jwt-simple takes it: seed, then public key.
    pub(crate) fn to_bytes(&self) -> Secret<Vec<u8>> {
        Secret::new(self.pair.sk.to_vec())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// A public key whose signatures are accepted, with its `kid`.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyKey {
    public: PublicKey,
    kid: String,
}

impl VerifyKey {
    /// Reads an Ed25519 key of either half: a `PUBLIC KEY` block, or a `PRIVATE KEY` block of which only the public
    /// half is kept.
    ///
    /// # Errors
    /// [`KeyError`] by variant.
    pub fn from_pem(pem: &str, kid: Option<&str>) -> Result<Self, KeyError> {
        if !pem.contains("-----BEGIN PUBLIC KEY-----") {
            return Ok(SigningKey::from_pem(pem, kid)?.verify_key());
        }
        let public = PublicKey::from_pem(pem).map_err(|_| KeyError::NotEd25519)?;
        public.validate().map_err(|_| KeyError::Weak)?;
        Ok(Self { public, kid: kid_or_thumbprint(kid, &public)? })
    }

    /// The name that tokens signed with this key carry in their header.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public key: 32 bytes (RFC 8032).
    pub fn as_bytes(&self) -> &[u8] {
        &self.public[..]
    }
}

impl fmt::Debug for VerifyKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("VerifyKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

fn kid_or_thumbprint(kid: Option<&str>, public: &PublicKey) -> Result<String, KeyError> {
    match kid {
        None => Ok(thumbprint(public)),
        Some(kid) if (1..=MAX_KID).contains(&kid.len()) && kid.bytes().all(|b| b.is_ascii_graphic()) => {
            Ok(kid.to_owned())
        }
        Some(_) => Err(KeyError::Kid),
    }
}

/// The JWK thumbprint (RFC 7638): SHA-256 of the required members in order, in base64url.
fn thumbprint(public: &PublicKey) -> String {
    let x = BASE64URL_NOPAD.encode(&public[..]);
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    BASE64URL_NOPAD.encode(&sha2::Sha256::digest(members.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key pair of RFC 8037, appendix A.
    const RFC8037_D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";

    fn pem(seed: [u8; 32]) -> String {
        SigningKey::generate_pem(seed).unwrap().expose().clone()
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037() {
        let seed = BASE64URL_NOPAD.decode(RFC8037_D.as_bytes()).unwrap().try_into().unwrap();
        let key = SigningKey::from_pem(&pem(seed), None).unwrap();
        assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(key.verify_key().kid(), key.kid());
    }

    #[test]
    fn a_made_key_reads_back_and_the_same_seed_makes_the_same_key() {
        assert_eq!(pem([7; 32]), pem([7; 32]));
        let key = SigningKey::from_pem(&pem([7; 32]), Some("k1")).unwrap();
        assert_eq!(key.kid(), "k1");
        let public = VerifyKey::from_pem(&key.pair.pk.to_pem(), Some("k1")).unwrap();
        assert_eq!(public, key.verify_key());
        assert_eq!(VerifyKey::from_pem(&pem([7; 32]), Some("k1")).unwrap(), public);
        assert!(pem([7; 32]).starts_with("-----BEGIN PRIVATE KEY-----\n"));
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_reason() {
        let refused = |pem: &str| SigningKey::from_pem(pem, None).unwrap_err();
        assert_eq!(refused(""), KeyError::NotPem);
        assert_eq!(
            refused("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----"),
            KeyError::NotPem
        );
        assert_eq!(
            refused("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"),
            KeyError::NotEd25519
        );
        assert_eq!(refused("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), KeyError::Encrypted);
        assert_eq!(refused(&pem([7; 32]).replace("-----END", "")), KeyError::NotEd25519);
        assert_eq!(SigningKey::generate_pem([0; 32]).unwrap_err(), KeyError::Weak);
        for kid in ["", "a b", "ä", &"k".repeat(201)] {
            assert_eq!(SigningKey::from_pem(&pem([7; 32]), Some(kid)).unwrap_err(), KeyError::Kid, "{kid}");
        }
        for error in [KeyError::NotPem, KeyError::NotEd25519, KeyError::Weak] {
            assert!(error.to_string().starts_with("JWT signer not available: "));
        }
    }

    #[test]
    fn a_public_key_of_small_order_is_refused() {
        let mut der = vec![48, 42, 48, 5, 6, 3, 43, 101, 112, 3, 33, 0, 1];
        der.extend([0; 31]);
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            data_encoding::BASE64.encode(&der)
        );
        assert_eq!(VerifyKey::from_pem(&pem, None), Err(KeyError::Weak));
    }

    #[test]
    fn a_private_key_never_prints() {
        let key = SigningKey::from_pem(&pem([7; 32]), Some("k1")).unwrap();
        assert_eq!(format!("{key:?}"), "SigningKey { kid: \"k1\", .. }");
    }
}
