//! API tokens: one object says that a token was made, another that it was revoked.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use lru::LruCache;
use opentaco_domain::actor::Subject;
use opentaco_domain::id::TokenId;
use opentaco_domain::time::Timestamp;
use opentaco_domain::token::TokenRecord;
use opentaco_ports::driven::tokens::{TokenMade, Tokens};
use opentaco_ports::driven::{Clock, StoreError};
use serde::{Deserialize, Serialize};

use crate::layout;
use crate::record::{digest, field, moment, parse_moment, place};
use crate::store::{Settled, Store};

/// How old an answer may be: a token revoked elsewhere is refused here after this.
const FRESH: Duration = Duration::from_secs(5);
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// Tokens in that store.
pub struct ObjectTokens {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
}

struct Known {
    records: LruCache<TokenId, (TokenRecord, Duration)>,
    /// Counts revocations made here: a read that began before one is not remembered after it.
    revocations: u64,
}

#[derive(Serialize, Deserialize)]
struct CreatedDisk {
    id: String,
    /// SHA-256 of the secret, in hexadecimal.
    digest: String,
    owner: String,
    name: String,
    created_at: String,
    expires_at: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct RevokedDisk {
    by: String,
    at: String,
}

impl ObjectTokens {
    /// Tokens in that store.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>) -> Self {
        let known = Known { records: LruCache::new(REMEMBERED), revocations: 0 };
        Self { store, clock, known: Mutex::new(known) }
    }

    fn remembered(&self, id: &TokenId) -> (Option<TokenRecord>, u64) {
        let now = self.clock.mono();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let revocations = known.revocations;
        let record = known.records.get(id).filter(|(_, at)| now.saturating_sub(*at) < FRESH);
        (record.map(|(record, _)| record.clone()), revocations)
    }
}

fn corrupt(id: &TokenId, why: &str) -> StoreError {
    tracing::error!(token = %id, why, "storage holds an unreadable token");
    StoreError::Corrupt(layout::token_created(id).to_string())
}

fn read(created: &Bytes, revoked: Option<&Bytes>) -> Result<TokenRecord, String> {
    let disk: CreatedDisk = serde_json::from_slice(created).map_err(|error| place(&error))?;
    let revoked: Option<RevokedDisk> =
        revoked.map(|bytes| serde_json::from_slice(bytes)).transpose().map_err(|error| place(&error))?;
    Ok(TokenRecord {
        id: field("id", &disk.id)?,
        digest: digest(&disk.digest)?,
        owner: field("owner", &disk.owner)?,
        name: disk.name,
        created_at: parse_moment(&disk.created_at)?,
        expires_at: disk.expires_at.as_deref().map(parse_moment).transpose()?,
        revoked_at: revoked.map(|revoked| parse_moment(&revoked.at)).transpose()?,
    })
}

#[async_trait]
impl Tokens for ObjectTokens {
    async fn create(&self, record: &TokenRecord) -> Result<TokenMade, StoreError> {
        let disk = CreatedDisk {
            id: record.id.to_string(),
            digest: data_encoding::HEXLOWER.encode(&record.digest),
            owner: record.owner.to_string(),
            name: record.name.clone(),
            created_at: moment(record.created_at),
            expires_at: record.expires_at.map(moment),
        };
        let bytes = serde_json::to_vec(&disk).map_err(|_| corrupt(&record.id, "it cannot be written"))?;
        // The digest of a fresh secret is in the bytes, so the same bytes are this very create.
        match self.store.settle(&*self.clock, &layout::token_created(&record.id), &bytes.into()).await? {
            Settled::Landed => Ok(TokenMade::Created),
            Settled::Taken(_) => Ok(TokenMade::Taken),
        }
    }

    async fn read(&self, id: &TokenId) -> Result<Option<TokenRecord>, StoreError> {
        let (remembered, revocations) = self.remembered(id);
        if remembered.is_some() {
            return Ok(remembered);
        }
        let asked = self.clock.mono();
        let Some(created) = self.store.get(&layout::token_created(id)).await? else { return Ok(None) };
        let revoked = self.store.get(&layout::token_revoked(id)).await?;
        let record = read(&created, revoked.as_ref()).map_err(|why| corrupt(id, &why))?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.revocations == revocations {
            known.records.put(id.clone(), (record.clone(), asked));
        }
        Ok(Some(record))
    }

    async fn revoke(&self, id: &TokenId, by: &Subject, at: Timestamp) -> Result<(), StoreError> {
        let disk = RevokedDisk { by: by.to_string(), at: moment(at) };
        let bytes = serde_json::to_vec(&disk).map_err(|_| corrupt(id, "it cannot be revoked"))?;
        self.store.settle(&*self.clock, &layout::token_revoked(id), &bytes.into()).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.revocations += 1;
        known.records.pop(id);
        Ok(())
    }
}
