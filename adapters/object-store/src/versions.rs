//! Descriptions of state versions beside the record.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use lru::LruCache;
use object_store::path::Path;
use opentaco_domain::id::{StateVersionId, WorkspaceId};
use opentaco_domain::state::StateVersion;
use opentaco_ports::driven::versions::{Pending, Versions};
use opentaco_ports::driven::{Clock, StoreError};
use serde::{Deserialize, Serialize};

use crate::layout;
use crate::record::description::Description;
use crate::record::{field, moment, parse_moment, place};
use crate::store::Store;

const REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// Descriptions in that store.
pub struct ObjectVersions {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    /// Versions whose description is known to be kept.
    kept: Mutex<LruCache<StateVersionId, ()>>,
}

#[derive(Serialize, Deserialize)]
struct PendingDisk {
    version: String,
    serial: u64,
    proposed_at: String,
    entry: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outputs: Option<String>,
}

impl ObjectVersions {
    /// Descriptions in that store.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, kept: Mutex::new(LruCache::new(REMEMBERED)) }
    }

    async fn put<D: Serialize>(&self, key: &Path, disk: &D) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(disk).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        // Each key is written by one decision only, so who was there first wrote the same.
        self.store.settle(&*self.clock, key, &Bytes::from(bytes)).await.map(drop)
    }

    async fn get<D: for<'a> Deserialize<'a>, T>(
        &self,
        key: &Path,
        read: impl FnOnce(D) -> Result<T, String>,
    ) -> Result<Option<T>, StoreError> {
        let Some(bytes) = self.store.get(key).await? else { return Ok(None) };
        let value = serde_json::from_slice::<D>(&bytes).map_err(|error| place(&error)).and_then(read);
        value.map(Some).map_err(|why| {
            tracing::error!(%key, why, "storage holds an unreadable description");
            StoreError::Corrupt(key.to_string())
        })
    }
}

#[async_trait]
impl Versions for ObjectVersions {
    async fn propose(&self, pending: &Pending) -> Result<(), StoreError> {
        let disk = PendingDisk {
            version: pending.version.to_string(),
            serial: pending.serial,
            proposed_at: moment(pending.proposed_at),
            entry: pending.entry,
            outputs: pending.outputs.map(|attempt| attempt.to_string()),
        };
        self.put(&layout::pending(pending.version), &disk).await
    }

    async fn pending(&self, version: StateVersionId) -> Result<Option<Pending>, StoreError> {
        self.get(&layout::pending(version), |disk: PendingDisk| {
            Ok(Pending {
                version: field("version", &disk.version)?,
                serial: disk.serial,
                proposed_at: parse_moment(&disk.proposed_at)?,
                entry: disk.entry,
                outputs: disk.outputs.as_deref().map(|attempt| field("outputs", attempt)).transpose()?,
            })
        })
        .await
    }

    async fn remember(&self, version: &StateVersion) -> Result<(), StoreError> {
        if self.kept.lock().unwrap_or_else(PoisonError::into_inner).contains(&version.id) {
            return Ok(());
        }
        let key = layout::version(version.id.workspace, version.id.ordinal);
        self.put(&key, &Description::of(version)).await?;
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).put(version.id, ());
        Ok(())
    }

    async fn at(&self, workspace: WorkspaceId, ordinal: u32) -> Result<Option<StateVersion>, StoreError> {
        self.get(&layout::version(workspace, ordinal), Description::read).await
    }
}
