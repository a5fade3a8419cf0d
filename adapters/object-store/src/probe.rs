//! The probes: does this store keep the one promise that everything stands on?

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use object_store::path::Path;
use object_store::{Error, ObjectStore as _, ObjectStoreExt};
use opentaco_domain::id::OperationId;
use opentaco_domain::time::Timestamp;
use opentaco_ports::driven::{Clock, Entropy, StoreError, random};

use crate::layout;
use crate::refusal::{Refusal, words};
use crate::store::{Created, Settled, Store};

const RACERS: usize = 20;
/// The layout this server writes.
const LAYOUT: u32 = 1;
/// How far the store's clock may be from ours.
const MAX_SKEW: Duration = Duration::from_secs(30);

/// What a store showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probed {
    /// How far the store's clock is from ours.
    pub skew: Duration,
}

impl Probed {
    /// Whether the clocks are near enough.
    pub fn clocks_agree(self) -> bool {
        self.skew <= MAX_SKEW
    }
}

/// Why a store is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// It does not answer, or does not let us write.
    #[error("storage cannot be read and written: {0}")]
    Store(#[from] StoreError),
    /// It failed in a way of its own: its name, and what it said.
    #[error("storage cannot be read and written: {0} says: {1}")]
    Failed(String, String),
    /// The bucket is not there.
    #[error("{0} does not exist: create it, or name another with -s3-bucket")]
    NoBucket(String),
    /// The store does not take the credentials; its code says why.
    #[error(
        "{0} does not take these credentials ({1}): check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and \
         AWS_SESSION_TOKEN if they are temporary"
    )]
    Credentials(String, String),
    /// There are no credentials.
    #[error(
        "there are no credentials for {0}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role"
    )]
    NoCredentials(String),
    /// The bucket lies in another region.
    #[error("{0} lies in another region: name it with -s3-region or AWS_REGION")]
    Region(String),
    /// Listing is denied, so that a missing key looks like a denied one.
    #[error(
        "{0} may not be listed, so that it answers 403 for a missing key and nobody can tell what is there: grant \
         s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject on what is in it"
    )]
    NotListed(String),
    /// Reading is denied.
    #[error("objects in {0} may not be read: grant s3:GetObject on them")]
    NotRead(String),
    /// Writing is denied.
    #[error("{0} can be read but not written: grant s3:PutObject and s3:DeleteObject on what is in it")]
    ReadOnly(String),
    /// Nobody answers.
    #[error(
        "{0} cannot be reached: {1}; check the network, and AWS_ENDPOINT_URL_S3 for a store other than AWS"
    )]
    Unreachable(String, String),
    /// A second create of a key succeeded.
    #[error(
        "storage ignores \"create only if absent\" in {0}: state would be lost; use a store with conditional writes"
    )]
    IgnoresConditions(String),
    /// Several racing creates succeeded, or none.
    #[error("{0} of 20 racing creates of one key succeeded in {1}: it is not atomic; use another store")]
    NotAtomic(usize, String),
    /// The bucket was written by a newer server.
    #[error("storage has layout {0}, which is newer than this server: update this server")]
    TooNew(u32),
    /// The record of the layout is not readable.
    #[error("storage has an unreadable record of its layout at {0}")]
    Unreadable(String),
}

/// What was asked of a store when it refused.
#[derive(Clone, Copy, Debug)]
enum Asked {
    List,
    Read,
    Write,
}

impl ProbeError {
    fn of(store: &Store, asked: Asked, error: &Error) -> Self {
        tracing::warn!(error = words(error), "storage: a request of the probe failed");
        let name = store.name().to_owned();
        match (Refusal::of(error), asked) {
            (Refusal::NoBucket, _) => Self::NoBucket(name),
            (Refusal::Credentials(code), _) => Self::Credentials(name, code),
            (Refusal::NoCredentials, _) => Self::NoCredentials(name),
            (Refusal::Region, _) => Self::Region(name),
            (Refusal::Unreachable(why), _) => Self::Unreachable(name, why),
            (Refusal::Denied, Asked::List) => Self::NotListed(name),
            (Refusal::Denied, Asked::Read) => Self::NotRead(name),
            (Refusal::Denied, Asked::Write) => Self::ReadOnly(name),
            (Refusal::Other, _) => Self::Failed(name, words(error)),
        }
    }
}

/// Checks that a key can be created once only, that races have one winner, and that the layout is ours.
///
/// # Errors
/// [`ProbeError`] by variant: such a store must not be used.
pub async fn probe(
    store: &Arc<Store>,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Probed, ProbeError> {
    let name = OperationId::new(clock.now(), random(entropy)).to_string();
    let key = layout::probe(&name);
    // The list tells a bucket that is missing from a key that is missing, which a read cannot.
    match store.objects().list_with_delimiter(Some(&layout::probes())).await {
        Ok(_) | Err(Error::NotFound { .. }) => {}
        Err(error) => return Err(ProbeError::of(store, Asked::List, &error)),
    }
    match store.objects().get(&key).await {
        Err(Error::NotFound { .. }) => {}
        Ok(_) => return Err(ProbeError::IgnoresConditions(store.name().to_owned())),
        Err(error) => return Err(ProbeError::of(store, Asked::Read, &error)),
    }
    let probed = create_once(store, clock, &key, RACERS).await?;
    // Last, because it writes what stays.
    check_layout(store, clock).await?;
    Ok(probed)
}

/// Checks what may change while a server runs: that the store answers, still creates a key once only, and has our time.
///
/// # Errors
/// [`ProbeError`] by variant.
pub async fn check(
    store: &Arc<Store>,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Probed, ProbeError> {
    let name = OperationId::new(clock.now(), random(entropy)).to_string();
    create_once(store, clock, &layout::probe(&name), 1).await
}

/// Creates a key, by so many at once, and once more; removes it.
async fn create_once(
    store: &Store,
    clock: &dyn Clock,
    key: &Path,
    racers: usize,
) -> Result<Probed, ProbeError> {
    let racers = (0..racers).map(|i| store.try_create(key, Bytes::from(format!("{key} {i}"))));
    let results = join_all(racers).await;
    let before = clock.now();
    let winners = results.iter().filter(|created| matches!(created, Ok(Created::Yes))).count();
    let mut failure = None;
    for created in results {
        match created {
            Ok(Created::Unknown(error)) => failure = failure.or(Some(error.into())),
            Err(error) => failure = failure.or_else(|| Some(ProbeError::of(store, Asked::Write, &error))),
            Ok(Created::Yes | Created::Taken) => {}
        }
    }
    // Without a winner a second create may rightly succeed, so it proves nothing.
    if winners == 0
        && let Some(failure) = failure
    {
        return Err(failure);
    }
    let again = store.try_create(key, Bytes::from_static(b"again")).await;
    let written = store.objects().head(key).await;
    let _left_for_the_sweep = store.objects().delete(key).await;
    let name = || store.name().to_owned();
    match (winners, again) {
        (1.., Ok(Created::Yes)) => return Err(ProbeError::IgnoresConditions(name())),
        (_, Err(error)) => return Err(ProbeError::of(store, Asked::Write, &error)),
        (_, Ok(Created::Unknown(error))) => return Err(error.into()),
        (1, Ok(Created::Taken)) => {}
        (winners, Ok(_)) => return Err(failure.unwrap_or_else(|| ProbeError::NotAtomic(winners, name()))),
    }
    let written = written.map_err(|error| ProbeError::of(store, Asked::Read, &error))?;
    let theirs = Timestamp::from_millis(written.last_modified.timestamp_millis());
    Ok(Probed { skew: theirs.since(before).max(before.since(theirs)) })
}

#[derive(serde::Serialize, serde::Deserialize)]
struct LayoutDisk {
    layout: u32,
}

async fn check_layout(store: &Arc<Store>, clock: &dyn Clock) -> Result<(), ProbeError> {
    let ours = serde_json::to_vec(&LayoutDisk { layout: LAYOUT }).unwrap_or_default().into();
    let mut newest = None;
    for number in 1.. {
        let key = layout::entry(&layout::format(), number);
        let found = match store.get(&key).await? {
            None if number == 1 => match store.settle(clock, &key, &ours).await? {
                Settled::Landed => ours.clone(),
                Settled::Taken(theirs) => theirs,
            },
            None => break,
            Some(found) => found,
        };
        let disk = serde_json::from_slice::<LayoutDisk>(&found);
        newest = Some(disk.map_err(|_| ProbeError::Unreadable(key.to_string()))?.layout);
    }
    match newest {
        Some(layout) if layout > LAYOUT => Err(ProbeError::TooNew(layout)),
        _ => Ok(()),
    }
}
