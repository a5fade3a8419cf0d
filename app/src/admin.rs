//! Commands for who holds the storage: they work beside running servers and need no login.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use opentaco_crypto::jwt_signer::{JwtSigner, KeySet};
use opentaco_crypto::signing_key::SigningKey;
use opentaco_domain::actor::Subject;
use opentaco_domain::principal::Principal;
use opentaco_domain::token::TokenName;
use opentaco_object_store::probe;
use opentaco_ports::driven::{Clock, Entropy, random};
use opentaco_ports::driving::access::Access;
use opentaco_ports::driving::policy::Policies;
use opentaco_system::{SystemClock, SystemEntropy};

use crate::data_dir::DataDir;
use crate::settings::{Settings, Storage};
use crate::{compose, logging};

/// Makes an API token for somebody and gives the line to print; everything else is said on standard error.
///
/// # Errors
/// When the storage cannot be used.
pub fn token(settings: &Settings, subject: Subject) -> anyhow::Result<String> {
    run(settings, async |access, _| {
        let name = TokenName::of_login("admin token", None, None);
        let (token, record) = access.issue(subject, name, settings.terraform_token_ttl).await?;
        tracing::info!(id = %record.id, owner = %record.owner, "made an API token; it is shown once");
        Ok(format!("{}\n", token.expose()))
    })
}

/// Switches access control on and makes somebody an administrator.
///
/// # Errors
/// When the storage cannot be used.
pub fn grant(settings: &Settings, who: &Principal) -> anyhow::Result<String> {
    run(settings, async |_, policies| {
        policies.grant(who.clone()).await?;
        Ok(format!("access control is on; {who} is administrator. Running servers know within 5 seconds.\n"))
    })
}

/// Switches access control off.
///
/// # Errors
/// When the storage cannot be used.
pub fn open(settings: &Settings) -> anyhow::Result<String> {
    run(settings, async |_, policies| {
        policies.open().await?;
        Ok("access control is off: every authenticated user may do everything. Running servers know within 5 seconds.\n"
            .to_owned())
    })
}

fn run<F: Future<Output = anyhow::Result<String>>>(
    settings: &Settings,
    work: impl FnOnce(Access, Policies) -> F,
) -> anyhow::Result<String> {
    let _last_lines = logging::start(&settings.log_level, settings.log_format)?;
    // Libraries that are not told which provider to use take this one. An error means that it is set already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads")?;
    runtime.block_on(async {
        let store = Arc::new(compose::open_store(settings, &place(settings)?)?);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        probe(&store, &*clock, &*entropy).await?;
        let driven = compose::driven(settings, &store, clock, &entropy);
        // Nothing is signed here, so the servers' key is not asked for.
        let key = SigningKey::from_pem(SigningKey::generate_pem(random(&*entropy))?.expose(), None)?;
        let signer = Arc::new(JwtSigner::new(String::new(), KeySet::new(&key, [])?));
        let access = Access::new(driven.clone(), signer);
        work(access.clone(), Policies::new(driven, access)).await
    })
}

/// Elsewhere than on the disk there is nothing to be made here.
fn place(settings: &Settings) -> anyhow::Result<PathBuf> {
    Ok(match settings.storage {
        Storage::Local => DataDir::open(&settings.data_dir)?.path().to_owned(),
        Storage::Memory | Storage::S3(_) => settings.data_dir.clone(),
    })
}
