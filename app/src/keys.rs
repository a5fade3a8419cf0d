//! The keys of an installation: from the settings, else made once and kept in the data dir.

use std::fs;

use anyhow::Context as _;
use opentaco_crypto::code_signer::CodeSigner;
use opentaco_crypto::sealer::AeadSealer;
use opentaco_crypto::signing_key::SigningKey;
use opentaco_domain::secret::Secret;
use opentaco_ports::driven::{Entropy, random};

use crate::data_dir::{DataDir, GeneratedKeys};
use crate::settings::{Settings, Storage};

/// What signs and seals.
pub struct Keys {
    /// Signs authorization codes.
    pub signer: CodeSigner,
    /// Seals login sessions and upload tickets.
    pub sealer: AeadSealer,
}

impl Keys {
    /// Loads what the settings name; what they leave out is made once and kept, or lives with the process where storage
    /// does. Where several servers share the storage nothing is made.
    ///
    /// # Errors
    /// When a key cannot be read, kept or used; the message names the file and the setting, never the key.
    pub fn load(
        settings: &Settings,
        data_dir: &DataDir,
        entropy: &dyn Entropy,
        issuer: String,
    ) -> anyhow::Result<Self> {
        let generated = generated(settings, data_dir, entropy)?;
        let none = "no key was made, because servers on this storage share their keys";
        let (pem, place) = match &settings.tokens_private_key_pem_path {
            None => {
                let made = generated.as_ref().context(none)?;
                (made.signing_key_pem.clone(), "keys/token-signing.pem in the data dir".to_owned())
            }
            Some(path) => {
                tracing::info!("JWT: Loading Ed25519 private key from {}", path.display());
                let place = format!("OPENTACO_TOKENS_PRIVATE_KEY_PEM_PATH: {}", path.display());
                (
                    fs::read_to_string(path)
                        .with_context(|| format!("JWT signer not available: {place} cannot be read"))?,
                    place,
                )
            }
        };
        let key = SigningKey::from_pem(&pem, settings.tokens_kid.as_deref());
        let key = key.with_context(|| format!("{place} cannot be used"))?;
        let roots = if settings.oauth_state_key.is_empty() {
            vec![Secret::new(generated.context(none)?.state_key.into_bytes())]
        } else {
            tracing::info!("OAuth: Using custom state encryption key");
            settings.oauth_state_key.iter().map(|key| Secret::new(key.expose().as_bytes().to_vec())).collect()
        };
        Ok(Self { signer: CodeSigner::new(issuer, &key, Vec::new())?, sealer: AeadSealer::new(&roots)? })
    }
}

fn generated(
    settings: &Settings,
    data_dir: &DataDir,
    entropy: &dyn Entropy,
) -> anyhow::Result<Option<GeneratedKeys>> {
    let pem = || {
        let pem = SigningKey::generate_pem(random(entropy)).map_err(std::io::Error::other)?;
        Ok(pem.expose().clone())
    };
    let state_key = || Ok(data_encoding::BASE64URL_NOPAD.encode(&random::<32>(entropy)));
    Ok(match settings.storage {
        Storage::Memory => Some(GeneratedKeys { signing_key_pem: pem()?, state_key: state_key()? }),
        Storage::Local => Some(data_dir.keys(pem, state_key)?),
        Storage::S3(_) => None,
    })
}
