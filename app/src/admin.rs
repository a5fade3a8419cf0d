//! Commands for who holds the storage: they work beside running servers and need no login.

use std::sync::Arc;

use anyhow::Context as _;
use opentaco_domain::actor::Subject;
use opentaco_object_store::probe;
use opentaco_ports::driven::{Clock, Entropy};
use opentaco_ports::driving::access::Access;
use opentaco_system::{SystemClock, SystemEntropy};

use crate::data_dir::DataDir;
use crate::settings::{Settings, Storage};
use crate::{compose, logging};

/// Makes an API token for somebody and gives the line to print; everything else is said on standard error.
///
/// # Errors
/// When the storage cannot be used.
pub fn token(settings: &Settings, subject: Subject) -> anyhow::Result<String> {
    let _last_lines = logging::start(&settings.log_level, settings.log_format)?;
    // Libraries that are not told which provider to use take this one. An error means that it is set already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads")?;
    runtime.block_on(async {
        // Elsewhere than on the disk there is nothing to be made here.
        let data_dir = match settings.storage {
            Storage::Local => DataDir::open(&settings.data_dir)?.path().to_owned(),
            Storage::Memory | Storage::S3(_) => settings.data_dir.clone(),
        };
        let store = Arc::new(compose::open_store(settings, &data_dir)?);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        probe(&store, &*clock, &*entropy).await?;
        let access = Access::new(compose::driven(settings, &store, clock, &entropy));
        let (token, record) = access.issue(subject, "admin token", settings.terraform_token_ttl).await?;
        tracing::info!(id = %record.id, owner = %record.owner, "made an API token; it is shown once");
        Ok(format!("{}\n", token.expose()))
    })
}
