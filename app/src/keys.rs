//! The keys of an installation: from the settings, else made once and kept in the data dir.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use opentaco_crypto::jwt_signer::{JwtSigner, KeySet};
use opentaco_crypto::sealer::AeadSealer;
use opentaco_crypto::signing_key::{SigningKey, VerifyKey};
use opentaco_domain::secret::Secret;
use opentaco_ports::driven::{Entropy, random};

use crate::data_dir::{DataDir, GeneratedKeys};
use crate::settings::{Settings, Storage, VerifyKeyPath};

const BETWEEN_LOOKS: Duration = Duration::from_secs(5);

/// What signs and seals.
pub struct Keys {
    /// Signs authorization codes and bearer tokens.
    pub signer: Arc<JwtSigner>,
    /// Seals login sessions and upload tickets.
    pub sealer: AeadSealer,
    /// The signing keys in files, which others replace.
    pub files: KeyFiles,
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
        let signing = match &settings.tokens_private_key_pem_path {
            None => SigningPem::Made(generated.as_ref().context(none)?.signing_key_pem.clone()),
            Some(path) => {
                tracing::info!("JWT: Loading Ed25519 private key from {}", path.display());
                SigningPem::File(path.clone())
            }
        };
        let (kid, others) = (settings.tokens_kid.clone(), settings.tokens_verify_pem_paths.clone());
        let places = Places { signing, kid, others };
        let loaded = places.read().and_then(|texts| places.parse(&texts).map(|keys| (texts, keys)));
        let (texts, keys) =
            loaded.inspect_err(|error| tracing::error!("Failed to create JWT signer: {error:#}"))?;
        let signer = Arc::new(JwtSigner::new(issuer, keys.set()?));
        let roots = if settings.oauth_state_key.is_empty() {
            vec![Secret::new(generated.context(none)?.state_key.into_bytes())]
        } else {
            tracing::info!("OAuth: Using custom state encryption key");
            settings.oauth_state_key.iter().map(|key| Secret::new(key.expose().as_bytes().to_vec())).collect()
        };
        let files = KeyFiles { places, texts, keys, signer: signer.clone() };
        Ok(Self { signer, sealer: AeadSealer::new(&roots)?, files })
    }
}

/// Where the signing key is.
enum SigningPem {
    /// Made here.
    Made(String),
    /// In a file.
    File(PathBuf),
}

/// Where every key is, and what it is called.
struct Places {
    signing: SigningPem,
    kid: Option<String>,
    others: Vec<VerifyKeyPath>,
}

/// The keys as they are loaded.
struct Loaded {
    signing: SigningKey,
    others: Vec<VerifyKey>,
}

impl Places {
    /// What the files hold, the signing key first.
    fn read(&self) -> anyhow::Result<Vec<String>> {
        let read = |setting: &str, path: &Path| {
            fs::read_to_string(path).with_context(|| {
                format!("JWT signer not available: {setting}: {} cannot be read", path.display())
            })
        };
        let signing = match &self.signing {
            SigningPem::Made(pem) => pem.clone(),
            SigningPem::File(path) => read("OPENTACO_TOKENS_PRIVATE_KEY_PEM_PATH", path)?,
        };
        let others = self.others.iter().map(|other| read("OPENTACO_TOKENS_VERIFY_PEM_PATHS", &other.path));
        [Ok(signing)].into_iter().chain(others).collect()
    }

    fn parse(&self, texts: &[String]) -> anyhow::Result<Loaded> {
        let (signing, others) = texts.split_first().context("no signing key")?;
        let place = match &self.signing {
            SigningPem::Made(_) => "keys/token-signing.pem in the data dir".to_owned(),
            SigningPem::File(path) => format!("OPENTACO_TOKENS_PRIVATE_KEY_PEM_PATH: {}", path.display()),
        };
        let signing = SigningKey::from_pem(signing, self.kid.as_deref());
        let others = self.others.iter().zip(others).map(|(other, text)| {
            let key = VerifyKey::from_pem(text, other.kid.as_deref());
            key.with_context(|| {
                format!("OPENTACO_TOKENS_VERIFY_PEM_PATHS: {} cannot be used", other.path.display())
            })
        });
        Ok(Loaded {
            signing: signing.with_context(|| format!("{place} cannot be used"))?,
            others: others.collect::<Result<_, _>>()?,
        })
    }
}

impl Loaded {
    fn set(&self) -> anyhow::Result<KeySet> {
        Ok(KeySet::new(&self.signing, self.others.iter().cloned())?)
    }

    fn all(&self) -> Vec<VerifyKey> {
        let mut all = vec![self.signing.verify_key()];
        all.extend(self.others.iter().cloned());
        all
    }
}

/// The signing keys in files, which others replace while the server runs.
pub struct KeyFiles {
    places: Places,
    texts: Vec<String>,
    keys: Loaded,
    signer: Arc<JwtSigner>,
}

impl KeyFiles {
    /// Takes what the files hold when they have changed, every few seconds, for ever.
    pub async fn follow(self) {
        let mut files = self;
        loop {
            tokio::time::sleep(BETWEEN_LOOKS).await;
            let looked = tokio::task::spawn_blocking(move || {
                files.look();
                files
            });
            match looked.await {
                Ok(back) => files = back,
                // The server is stopping.
                Err(_) => return,
            }
        }
    }

    /// A file that is half written is looked at again the next time. A name stands for one key: another key under the same
    /// explicit name is refused, because nobody could tell the two apart.
    fn look(&mut self) {
        let Ok(texts) = self.places.read() else { return };
        if texts == self.texts {
            return;
        }
        self.texts.clone_from(&texts);
        match self.places.parse(&texts).and_then(|keys| self.take(keys)) {
            Ok(()) => tracing::info!(
                kid = self.keys.signing.kid(),
                "JWT: the changed key files are used from now on"
            ),
            Err(error) => {
                tracing::error!("JWT: the changed key files are not used, the old keys stay: {error:#}");
            }
        }
    }

    /// The key that signed before counts no more unless it is listed: perhaps it was replaced because somebody else has it.
    fn take(&mut self, keys: Loaded) -> anyhow::Result<()> {
        let known = self.keys.all();
        for key in keys.all() {
            let other = known.iter().find(|known| known.kid() == key.kid() && **known != key);
            anyhow::ensure!(
                other.is_none(),
                "the kid {} already names another key: give the new key another kid and start again",
                key.kid()
            );
        }
        self.signer.replace(keys.set()?);
        let before = self.keys.signing.verify_key();
        if !keys.all().contains(&before) {
            tracing::warn!(
                kid = before.kid(),
                "JWT: what this key has signed is refused from now on; list it in OPENTACO_TOKENS_VERIFY_PEM_PATHS to accept it until its end"
            );
        }
        self.keys = keys;
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use opentaco_ports::driven::Signer as _;

    fn pem(seed: u8) -> anyhow::Result<String> {
        Ok(SigningKey::generate_pem([seed; 32])?.expose().clone())
    }

    fn files(path: &Path, kid: Option<&str>) -> anyhow::Result<KeyFiles> {
        let places = Places {
            signing: SigningPem::File(path.to_owned()),
            kid: kid.map(str::to_owned),
            others: Vec::new(),
        };
        let texts = places.read()?;
        let keys = places.parse(&texts)?;
        let signer = Arc::new(JwtSigner::new("https://taco.example".to_owned(), keys.set()?));
        Ok(KeyFiles { places, texts, keys, signer })
    }

    fn kids(files: &KeyFiles) -> Vec<String> {
        files.signer.public_keys().into_iter().map(|key| key.kid).collect()
    }

    #[test]
    fn a_key_file_that_is_replaced_signs_from_then_on_and_the_old_key_counts_no_more() -> anyhow::Result<()> {
        let home = tempfile::tempdir()?;
        let path = home.path().join("key.pem");
        fs::write(&path, pem(1)?)?;
        let mut files = files(&path, None)?;
        let old = kids(&files);
        fs::write(&path, "half")?;
        files.look();
        assert_eq!(kids(&files), old, "a broken file changes nothing");
        fs::write(&path, pem(2)?)?;
        files.look();
        let new = kids(&files);
        assert_eq!(new.len(), 1);
        assert_ne!(new, old);
        Ok(())
    }

    #[test]
    fn another_key_under_an_explicit_kid_is_refused() -> anyhow::Result<()> {
        let home = tempfile::tempdir()?;
        let path = home.path().join("key.pem");
        fs::write(&path, pem(1)?)?;
        let mut files = files(&path, Some("v1"))?;
        let before = files.signer.public_keys();
        fs::write(&path, pem(2)?)?;
        files.look();
        assert_eq!(files.signer.public_keys(), before);
        Ok(())
    }
}
