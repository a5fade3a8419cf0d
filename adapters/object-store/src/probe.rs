//! The start-up probe: does this store keep the one promise that everything stands on?

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use object_store::ObjectStoreExt;
use opentaco_domain::id::OperationId;
use opentaco_domain::time::Timestamp;
use opentaco_ports::driven::{Clock, Entropy, StoreError, random};
use thiserror::Error;

use crate::layout;
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
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProbeError {
    /// It does not answer, or does not let us write.
    #[error("storage cannot be read and written: {0}")]
    Store(#[from] StoreError),
    /// A second create of a key succeeded.
    #[error(
        "storage ignores \"create only if absent\": state would be lost; use a store with conditional writes"
    )]
    IgnoresConditions,
    /// Several racing creates succeeded, or none.
    #[error("{0} of 20 racing creates of one key succeeded: storage is not atomic; use another store")]
    NotAtomic(usize),
    /// The bucket was written by a newer server.
    #[error("storage has layout {0}, which is newer than this server: update this server")]
    TooNew(u32),
    /// The record of the layout is not readable.
    #[error("storage has an unreadable record of its layout at {0}")]
    Unreadable(String),
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
    check_layout(store, clock).await?;
    let name = OperationId::new(clock.now(), random(entropy)).to_string();
    let key = layout::probe(&name);
    if store.exists(&key).await? {
        return Err(ProbeError::IgnoresConditions);
    }
    let racers = (0..RACERS).map(|i| store.create(&key, Bytes::from(format!("{name} {i}"))));
    let results = join_all(racers).await;
    let before = clock.now();
    let winners = results.iter().filter(|created| matches!(created, Created::Yes)).count();
    let failure = results.into_iter().find_map(|created| match created {
        Created::Unknown(error) => Some(error),
        Created::Yes | Created::Taken => None,
    });
    let again = store.create(&key, Bytes::from_static(b"again")).await;
    let written = store.objects().head(&key).await;
    let _left_for_the_sweep = store.objects().delete(&key).await;
    match (winners, failure, again) {
        (_, _, Created::Yes) => return Err(ProbeError::IgnoresConditions),
        (1, _, Created::Taken) => {}
        (_, Some(error), _) | (_, _, Created::Unknown(error)) => return Err(error.into()),
        (winners, None, _) => return Err(ProbeError::NotAtomic(winners)),
    }
    let written = written.map_err(|error| crate::store::unavailable("look for", &key, &error))?;
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
