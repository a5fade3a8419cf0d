//! Tokens: one object says that a token was made, another that it was revoked, a third when it was used last.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lru::LruCache;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use opentaco_domain::actor::Subject;
use opentaco_domain::claims::Successor;
use opentaco_domain::id::TokenId;
use opentaco_domain::name::NamePattern;
use opentaco_domain::rbac::Scope;
use opentaco_domain::time::Timestamp;
use opentaco_domain::token::{TokenKind, TokenRecord};
use opentaco_ports::driven::tokens::{Listed, TokenMade, Tokens, Used};
use opentaco_ports::driven::{Clock, StoreError};
use opentaco_ports::recent::FRESH;
use serde::{Deserialize, Serialize};

use crate::layout;
use crate::record::{digest, field, moment, parse_moment, place};
use crate::store::{Settled, Store, unavailable};

const REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// How many tokens are read side by side.
const SIDE_BY_SIDE: usize = 32;
/// How long what has died is kept.
const KEPT_AFTER_DEATH: Duration = Duration::from_hours(24);
const HOUR_MILLIS: i64 = 3_600_000;

/// Tokens in that store.
pub struct ObjectTokens {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
    /// The hour of the last use that this server has written down.
    noted: Arc<Mutex<HashMap<TokenId, Timestamp>>>,
}

struct Known {
    records: LruCache<TokenId, (TokenRecord, Duration)>,
    /// Counts revocations made here: a read that began before one is not remembered after it.
    revocations: u64,
}

#[derive(Serialize, Deserialize)]
struct CreatedDisk {
    id: String,
    /// `refresh` for a family of refresh tokens; absent for an API token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// SHA-256 of an API token's secret, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    owner: String,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    created_at: String,
    expires_at: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct RevokedDisk {
    by: String,
    at: String,
}

#[derive(Serialize, Deserialize)]
struct LastUsedDisk {
    /// To the hour.
    at: String,
}

#[derive(Serialize, Deserialize)]
struct SuccessorDisk {
    /// 32 lower-case hexadecimal digits.
    jti: String,
    issued_at: String,
    expires_at: String,
}

impl CreatedDisk {
    fn of(record: &TokenRecord) -> Self {
        let (kind, digest) = match record.kind {
            TokenKind::Api { digest } => (None, Some(data_encoding::HEXLOWER.encode(&digest))),
            TokenKind::Family => (Some(TokenKind::Family.as_str().to_owned()), None),
        };
        Self {
            id: record.id.to_string(),
            kind,
            digest,
            owner: record.owner.to_string(),
            name: record.name.to_string(),
            role: record.scope.role.map(|role| role.to_string()),
            unit: record.scope.unit.as_ref().map(|unit| unit.as_str().to_owned()),
            created_at: moment(record.created_at),
            expires_at: record.expires_at.map(moment),
        }
    }

    fn read(self, revoked_at: Option<Timestamp>) -> Result<TokenRecord, String> {
        let kind = match (self.kind.as_deref(), self.digest) {
            (None, Some(text)) => TokenKind::Api { digest: digest(&text)? },
            (Some("refresh"), None) => TokenKind::Family,
            // A kind of a newer server: whatever it is, it admits nobody here.
            _ => return Err("its kind is unknown".to_owned()),
        };
        Ok(TokenRecord {
            id: field("id", &self.id)?,
            kind,
            owner: field("owner", &self.owner)?,
            name: field("name", &self.name)?,
            scope: Scope {
                role: self.role.map(|role| field("role", &role)).transpose()?,
                unit: self.unit.map(NamePattern::new),
            },
            created_at: parse_moment(&self.created_at)?,
            expires_at: self.expires_at.as_deref().map(parse_moment).transpose()?,
            revoked_at,
        })
    }
}

impl ObjectTokens {
    /// Tokens in that store.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>) -> Self {
        let known = Known { records: LruCache::new(REMEMBERED), revocations: 0 };
        Self { store, clock, known: Mutex::new(known), noted: Arc::default() }
    }

    fn remembered(&self, id: &TokenId) -> (Option<TokenRecord>, u64) {
        let now = self.clock.mono();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let revocations = known.revocations;
        let record = known.records.get(id).filter(|(_, at)| now.saturating_sub(*at) < FRESH);
        (record.map(|(record, _)| record.clone()), revocations)
    }

    /// What the store says now.
    async fn look(&self, id: &TokenId) -> Result<Option<TokenRecord>, StoreError> {
        let Some(created) = self.store.get(&layout::token_created(id)).await? else { return Ok(None) };
        let revoked = self.store.get(&layout::token_revoked(id)).await?;
        read(&created, revoked.as_ref()).map(Some).map_err(|why| corrupt(&layout::token_created(id), &why))
    }

    async fn listed(&self, id: TokenId) -> Result<Option<Listed>, StoreError> {
        let record = match self.look(&id).await {
            Ok(Some(record)) if record.revoked_at.is_none() => record,
            // One unreadable token is logged where it was read, and must not hide all the others.
            Ok(_) | Err(StoreError::Corrupt(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let last_used_at = last_used(&self.store, &id).await?;
        Ok(Some(Listed { record, last_used_at }))
    }

    /// When a family's newest refresh token dies. What says that a token was used that is dead itself is removed on the way,
    /// or a family that lives for years would keep one of these for every hour of it.
    async fn end_of_family(
        &self,
        record: &TokenRecord,
        dead: impl Fn(Timestamp) -> bool,
    ) -> Result<Option<Timestamp>, StoreError> {
        let mut uses = Vec::new();
        for object in self.store.list(&layout::used_refreshes(&record.id)).await? {
            let Some(bytes) = self.store.get(&object.location).await? else { continue };
            let successor = read_successor(&bytes).map_err(|why| corrupt(&object.location, &why))?;
            uses.push((object.location, successor));
        }
        let end = uses.iter().map(|(_, successor)| successor.expires_at).max();
        if !end.is_some_and(&dead) {
            // A successor may die before what it followed, when the lives of refresh tokens were made shorter: a use is
            // remembered until both are dead, or what was used could come again.
            let living = uses.iter().filter(|(_, successor)| !dead(successor.expires_at));
            let living: HashSet<Path> =
                living.map(|(_, successor)| layout::used_refresh(&record.id, successor.jti)).collect();
            for (key, successor) in &uses {
                if dead(successor.expires_at) && !living.contains(key) {
                    self.delete(key).await?;
                }
            }
        }
        Ok(end)
    }

    async fn delete(&self, key: &Path) -> Result<(), StoreError> {
        match self.store.objects().delete(key).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(unavailable("delete", key, &error)),
        }
    }

    /// Removes everything of a token that is dead by its own end. That it was made goes late, so that what is left of a try
    /// that was cut off is found by the next one; that it was revoked goes last, so that it is never alive in between.
    async fn remove(&self, record: &TokenRecord) -> Result<(), StoreError> {
        let id = &record.id;
        let used = self.store.list(&layout::used_refreshes(id)).await?;
        let keys = [
            layout::token_last_used(id),
            layout::token_of(&record.owner, id),
            layout::token_created(id),
            layout::token_revoked(id),
        ];
        for key in used.into_iter().map(|object| object.location).chain(keys) {
            self.delete(&key).await?;
        }
        Ok(())
    }
}

fn corrupt(key: &Path, why: &str) -> StoreError {
    tracing::error!(%key, why, "storage holds an unreadable token");
    StoreError::Corrupt(key.to_string())
}

fn read(created: &Bytes, revoked: Option<&Bytes>) -> Result<TokenRecord, String> {
    let disk: CreatedDisk = serde_json::from_slice(created).map_err(|error| place(&error))?;
    let revoked: Option<RevokedDisk> =
        revoked.map(|bytes| serde_json::from_slice(bytes)).transpose().map_err(|error| place(&error))?;
    disk.read(revoked.map(|revoked| parse_moment(&revoked.at)).transpose()?)
}

fn read_successor(bytes: &Bytes) -> Result<Successor, String> {
    let disk: SuccessorDisk = serde_json::from_slice(bytes).map_err(|error| place(&error))?;
    let jti = data_encoding::HEXLOWER.decode(disk.jti.as_bytes()).ok();
    Ok(Successor {
        jti: jti.and_then(|jti| jti.try_into().ok()).ok_or("its successor is malformed")?,
        issued_at: parse_moment(&disk.issued_at)?,
        expires_at: parse_moment(&disk.expires_at)?,
    })
}

/// The hour of the last use; none when it is not known.
async fn last_used(store: &Store, id: &TokenId) -> Result<Option<Timestamp>, StoreError> {
    let bytes = store.get(&layout::token_last_used(id)).await?;
    let disk = bytes.and_then(|bytes| serde_json::from_slice::<LastUsedDisk>(&bytes).ok());
    Ok(disk.and_then(|disk| parse_moment(&disk.at).ok()))
}

async fn write_last_use(store: &Store, id: &TokenId, hour: Timestamp) -> Result<(), StoreError> {
    if last_used(store, id).await?.is_some_and(|known| known >= hour) {
        return Ok(());
    }
    let key = layout::token_last_used(id);
    let Ok(bytes) = serde_json::to_vec(&LastUsedDisk { at: moment(hour) }) else { return Ok(()) };
    store.prepare(&key).await?;
    let written = store.objects().put(&key, bytes.into()).await;
    written.map(drop).map_err(|error| unavailable("write", &key, &error))
}

#[async_trait]
impl Tokens for ObjectTokens {
    async fn create(&self, record: &TokenRecord) -> Result<TokenMade, StoreError> {
        let at = layout::token_created(&record.id);
        let bytes =
            serde_json::to_vec(&CreatedDisk::of(record)).map_err(|_| corrupt(&at, "it cannot be written"))?;
        // Before the token itself, so that no token is missing in its owner's list.
        let entry = layout::token_of(&record.owner, &record.id);
        self.store.settle(&*self.clock, &entry, &Bytes::from_static(b"{}")).await?;
        // The digest of a fresh secret is in the bytes, so the same bytes are this very create. A family has none: who began
        // it is settled by its first refresh token.
        match self.store.settle(&*self.clock, &at, &bytes.into()).await? {
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
        let Some(record) = self.look(id).await? else { return Ok(None) };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.revocations == revocations {
            known.records.put(id.clone(), (record.clone(), asked));
        }
        Ok(Some(record))
    }

    async fn revoke(&self, id: &TokenId, by: &Subject, at: Timestamp) -> Result<(), StoreError> {
        let key = layout::token_revoked(id);
        let disk = RevokedDisk { by: by.to_string(), at: moment(at) };
        let bytes = serde_json::to_vec(&disk).map_err(|_| corrupt(&key, "it cannot be revoked"))?;
        self.store.settle(&*self.clock, &key, &bytes.into()).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.revocations += 1;
        known.records.pop(id);
        Ok(())
    }

    async fn list(&self, owner: &Subject) -> Result<Vec<Listed>, StoreError> {
        let entries = self.store.list(&layout::tokens_of(owner)).await?;
        let mut ids: Vec<TokenId> =
            entries.iter().filter_map(|entry| layout::parse_token(&entry.location)).collect();
        ids.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        let reads = stream::iter(ids.into_iter().map(|id| self.listed(id))).buffered(SIDE_BY_SIDE);
        let listed: Vec<Option<Listed>> = reads.try_collect().await?;
        Ok(listed.into_iter().flatten().filter(|listed| listed.record.owner == *owner).collect())
    }

    fn note_use(&self, id: &TokenId, at: Timestamp) {
        let hour = Timestamp::from_millis(at.as_millis().div_euclid(HOUR_MILLIS) * HOUR_MILLIS);
        {
            let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
            if noted.get(id) == Some(&hour) {
                return;
            }
            if noted.len() >= REMEMBERED.get() {
                noted.clear();
            }
            noted.insert(id.clone(), hour);
        }
        // No request waits for this, and none fails with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (store, noted, id) = (self.store.clone(), self.noted.clone(), id.clone());
            runtime.spawn(async move {
                if write_last_use(&store, &id, hour).await.is_err() {
                    // The next use tells it.
                    noted.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                }
            });
        }
    }

    async fn use_refresh(
        &self,
        family: &TokenId,
        jti: [u8; 16],
        successor: &Successor,
    ) -> Result<Used, StoreError> {
        let key = layout::used_refresh(family, jti);
        let disk = SuccessorDisk {
            jti: data_encoding::HEXLOWER.encode(&successor.jti),
            issued_at: moment(successor.issued_at),
            expires_at: moment(successor.expires_at),
        };
        let bytes = serde_json::to_vec(&disk).map_err(|_| corrupt(&key, "it cannot be written"))?;
        // A fresh id is in the bytes, so the same bytes are this very use.
        match self.store.settle(&*self.clock, &key, &bytes.into()).await? {
            Settled::Landed => Ok(Used::Now),
            Settled::Taken(found) => {
                read_successor(&found).map(Used::Before).map_err(|why| corrupt(&key, &why))
            }
        }
    }

    async fn sweep(&self, now: Timestamp) -> Result<usize, StoreError> {
        let dead = |end: Timestamp| now.since(end) > KEPT_AFTER_DEATH;
        let mut removed = 0;
        for folder in self.store.list_folders(&layout::tokens()).await? {
            let Some(id) = layout::parse_token(&folder) else { continue };
            let record = match self.look(&id).await {
                Ok(Some(record)) => record,
                Ok(None) | Err(StoreError::Corrupt(_)) => continue,
                Err(error) => return Err(error),
            };
            let end = match record.kind {
                TokenKind::Api { .. } => Ok(record.expires_at),
                TokenKind::Family => self.end_of_family(&record, dead).await,
            };
            let end = match end {
                Ok(end) => end,
                // It is logged where it was read, and must not keep all the others.
                Err(StoreError::Corrupt(_)) => continue,
                Err(error) => return Err(error),
            };
            if end.is_some_and(dead) {
                self.remove(&record).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}
