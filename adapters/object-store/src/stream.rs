//! Records as numbered streams of entries, each created only if absent.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use lru::LruCache;
use object_store::path::Path;
use opentaco_domain::time::Timestamp;
use opentaco_ports::driven::records::{Appended, Change, Records, Versioned};
use opentaco_ports::driven::{Clock, StoreError};

use crate::layout;
use crate::record::{FORMAT, Stored, decode, encode};
use crate::store::{Created, First, Store};

/// How long an entry may be believed to be near the newest, by either clock.
const FRESH: Duration = Duration::from_mins(1);
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

struct Memory<T> {
    entry: Versioned<T>,
    mono: Duration,
    wall: Timestamp,
}

/// All streams of one kind of record.
pub struct RecordStreams<T: Stored> {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    memory: Mutex<LruCache<T::Key, Memory<T>>>,
}

impl<T: Stored> RecordStreams<T> {
    /// Streams in that store.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, memory: Mutex::new(LruCache::new(REMEMBERED)) }
    }

    /// Remembers an entry unless a newer one is remembered already.
    fn keep(&self, key: &T::Key, entry: &Versioned<T>) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.peek(key).is_none_or(|known| known.entry.number <= entry.number) {
            let (mono, wall) = (self.clock.mono(), self.clock.now());
            memory.put(key.clone(), Memory { entry: entry.clone(), mono, wall });
        }
    }

    /// The remembered entry, and whether it is fresh.
    fn known(&self, key: &T::Key) -> Option<(Versioned<T>, bool)> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let known = memory.get(key)?;
        let (mono, wall) = (self.clock.mono(), self.clock.now());
        // A wall clock that went back says nothing about age: not fresh.
        let fresh =
            mono.saturating_sub(known.mono) < FRESH && wall.since(known.wall) < FRESH && wall >= known.wall;
        Some((known.entry.clone(), fresh))
    }

    async fn fetch(&self, stream: &Path, number: u64) -> Result<Option<Versioned<T>>, StoreError> {
        let key = layout::entry(stream, number);
        match self.store.get(&key).await? {
            None => Ok(None),
            Some(bytes) => read_entry(&key, number, &bytes).map(|(entry, _)| Some(entry)),
        }
    }

    /// The highest number in a stream, at least `from`; a hint, since entries may come while it is looked for.
    async fn highest(&self, stream: &Path, from: u64) -> Result<u64, StoreError> {
        let first = match self.store.first(stream).await? {
            First::Nothing => return Ok(from),
            First::Key(key) => key.filename().and_then(layout::parse_entry),
            First::Unordered => None,
        };
        match first {
            Some(number) => Ok(number.max(from)),
            // Something that is no entry comes first, or nobody knows what does.
            None => self.gallop(stream, from).await,
        }
    }

    /// The same by looking for entries: gallops, then bisects, since a stream has no holes.
    async fn gallop(&self, stream: &Path, from: u64) -> Result<u64, StoreError> {
        let (mut low, mut step) = (from, 1u64);
        let mut high = loop {
            let probe = low.saturating_add(step);
            if !self.store.exists(&layout::entry(stream, probe)).await? {
                break probe;
            }
            low = probe;
            step = step.saturating_mul(2);
        };
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.store.exists(&layout::entry(stream, middle)).await? {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

fn read_entry<T: Stored>(
    key: &Path,
    number: u64,
    bytes: &Bytes,
) -> Result<(Versioned<T>, crate::record::Header), StoreError> {
    let corrupt = |why: String| {
        tracing::error!(%key, why, "storage holds an unreadable entry");
        StoreError::Corrupt(key.to_string())
    };
    let (entry, header) = decode::<T>(bytes).map_err(corrupt)?;
    if entry.number == number {
        Ok((entry, header))
    } else {
        Err(corrupt("its number is another".to_owned()))
    }
}

#[async_trait]
impl<T: Stored> Records<T> for RecordStreams<T> {
    async fn newest(&self, key: &T::Key) -> Result<Option<Versioned<T>>, StoreError> {
        let stream = T::stream(key);
        let mut newest = match self.known(key) {
            Some((entry, true)) => Some(entry),
            stale => {
                let from = stale.map_or(0, |(entry, _)| entry.number);
                match self.highest(&stream, from).await? {
                    0 => None,
                    number => self.fetch(&stream, number).await?,
                }
            }
        };
        loop {
            let next = newest.as_ref().map_or(1, |entry| entry.number + 1);
            let at = layout::entry(&stream, next);
            let Some(bytes) = self.store.get(&at).await? else { break };
            let (entry, header) = read_entry::<T>(&at, next, &bytes)?;
            if newest.as_ref().is_some_and(|before| header.previous != Some(before.link.digest)) {
                tracing::error!(key = %at, "this entry does not continue the one before it");
                return Err(StoreError::Corrupt(at.to_string()));
            }
            newest = Some(entry);
        }
        if let Some(entry) = &newest {
            self.keep(key, entry);
        }
        Ok(newest)
    }

    fn remembered(&self, key: &T::Key) -> Option<Versioned<T>> {
        self.known(key).and_then(|(entry, fresh)| fresh.then_some(entry))
    }

    async fn try_append(&self, key: &T::Key, base: Option<&Versioned<T>>, change: &Change<T>) -> Appended<T> {
        if let Some(format) = base.map(|base| base.link.min_writer).filter(|format| *format > FORMAT) {
            return Appended::Unknown(StoreError::TooNew(format));
        }
        let number = base.map_or(1, |base| base.number + 1);
        let at = layout::entry(&T::stream(key), number);
        let (bytes, entry) = match encode(number, base.map(|base| &base.link), change) {
            Ok(encoded) => encoded,
            Err(why) => {
                tracing::error!(key = %at, why, "cannot write an entry");
                return Appended::Unknown(StoreError::Corrupt(at.to_string()));
            }
        };
        match self.store.create(&at, bytes).await {
            Created::Yes => {
                self.keep(key, &entry);
                return Appended::Landed(entry);
            }
            Created::Unknown(StoreError::Fatal) => return Appended::Unknown(StoreError::Fatal),
            // Whatever the store said, what stands at that number is the truth.
            Created::Taken | Created::Unknown(_) => {}
        }
        match self.store.get(&at).await {
            Ok(None) => Appended::Unknown(StoreError::Unavailable),
            Err(error) => Appended::Unknown(error),
            Ok(Some(found)) => match read_entry::<T>(&at, number, &found) {
                Err(error) => Appended::Unknown(error),
                Ok((found, header)) => {
                    self.keep(key, &found);
                    if header.operation == change.operation {
                        Appended::Ours(found)
                    } else {
                        Appended::Theirs
                    }
                }
            },
        }
    }
}
