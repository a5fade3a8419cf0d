//! Folders of a local disk that outlive a power cut.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use object_store::path::Path;
use thiserror::Error;

use crate::store::OpenError;

/// File systems whose locks, links or fsync do not keep the promise: their names and `statfs` magic numbers.
const REFUSED: [(&str, u64); 6] = [
    ("NFS", 0x6969),
    ("FAT", 0x4d44),
    ("exFAT", 0x2011_bab0),
    ("CIFS", 0xff53_4d42),
    ("SMB", 0xfe53_4d42),
    ("9P", 0x0102_1997),
];
const KNOWN: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();

/// A folder on a file system that is not a local POSIX disk.
#[derive(Debug, Error)]
#[error(
    "{folder} is on {name}, which does not keep what it acknowledges; use a local disk, or an object store for \
     storage"
)]
pub struct NotLocalDisk {
    folder: String,
    name: &'static str,
}

/// The folders below a root that are known to be durable.
#[derive(Clone, Debug)]
pub(crate) struct Folders {
    root: Arc<PathBuf>,
    known: Arc<Mutex<LruCache<PathBuf, ()>>>,
}

impl Folders {
    /// Opens the root; what a killed process left in the page cache becomes durable first (`syncfs`).
    pub(crate) fn open(root: &FilePath) -> Result<Self, OpenError> {
        let failed = |error| OpenError::Folder(root.display().to_string(), error);
        std::fs::create_dir_all(root).map_err(failed)?;
        let folder = File::open(root).map_err(failed)?;
        #[cfg(target_os = "linux")]
        {
            let kind = rustix::fs::fstatfs(&folder).map_err(|error| failed(error.into()))?.f_type;
            let kind = u64::from_ne_bytes(kind.to_ne_bytes()) & 0xffff_ffff;
            if let Some((name, _)) = REFUSED.iter().find(|(_, magic)| *magic == kind) {
                return Err(NotLocalDisk { folder: root.display().to_string(), name }.into());
            }
            rustix::fs::syncfs(&folder).map_err(|error| failed(error.into()))?;
        }
        folder.sync_all().map_err(failed)?;
        let known = Arc::new(Mutex::new(LruCache::new(KNOWN)));
        Ok(Self { root: Arc::new(root.to_owned()), known })
    }

    /// Makes the folder of a key, and fsyncs every folder from it up to the root, once.
    ///
    /// The store beneath fsyncs what it makes, but a second writer that finds a folder just made by a first one would
    /// not wait for it; so both come through here.
    pub(crate) async fn prepare(&self, key: &Path) -> Result<(), NotPrepared> {
        let mut folder = (*self.root).clone();
        let parts: Vec<_> = key.parts().collect();
        for part in parts.iter().take(parts.len().saturating_sub(1)) {
            folder.push(part.as_ref());
        }
        if self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&folder).is_some() {
            return Ok(());
        }
        let (root, made) = (self.root.clone(), folder.clone());
        let done = tokio::task::spawn_blocking(move || make(&root, &made)).await;
        done.map_err(|error| NotPrepared::Early(io::Error::other(error)))??;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).put(folder, ());
        Ok(())
    }
}

/// Why a folder was not made.
#[derive(Debug)]
pub(crate) enum NotPrepared {
    /// Before anything was asked of the disk; trying again is honest.
    Early(io::Error),
    /// The disk did not take it. The system tells this once: a second try would seem to succeed.
    Sync(io::Error),
}

fn make(root: &FilePath, folder: &FilePath) -> Result<(), NotPrepared> {
    std::fs::create_dir_all(folder).map_err(NotPrepared::Early)?;
    for level in folder.ancestors() {
        File::open(level).map_err(NotPrepared::Early)?.sync_all().map_err(NotPrepared::Sync)?;
        if level == root {
            break;
        }
    }
    Ok(())
}
