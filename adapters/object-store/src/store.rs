//! The object store as this crate uses it: get, create only if absent, put under an own key, list.

use std::fmt;
use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use opentaco_ports::driven::{Clock, StoreError};
use thiserror::Error;
use tokio::sync::watch;

use crate::local::{Folders, NotLocalDisk, NotPrepared};
use crate::refusal::words;

/// What became of one try to create a key.
#[derive(Debug)]
pub(crate) enum Created {
    /// It was absent and now holds these bytes, durably.
    Yes,
    /// It is there already.
    Taken,
    /// Nobody knows.
    Unknown(StoreError),
}

/// What became of a create that was tried until it was settled.
#[derive(Debug)]
pub(crate) enum Settled {
    /// It holds these bytes, durably.
    Landed,
    /// It holds other bytes.
    Taken(Bytes),
}

/// How the newest entry of a stream is found.
pub(crate) enum Newest {
    /// By looking for numbers: a look costs little, or lists come in no order.
    Gallop,
    /// By the first key of a list, which is sorted.
    List(Arc<dyn PaginatedListStore>),
}

impl fmt::Debug for Newest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gallop => "Gallop",
            Self::List(_) => "List",
        })
    }
}

/// What a store says of the first key in a folder.
#[derive(Debug)]
pub(crate) enum First {
    /// It has no list in order.
    Unordered,
    /// There is none.
    Nothing,
    /// It is there, or was when it was looked for.
    Key(Path),
}

/// A store cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The folder is on a file system that does not keep what it acknowledges.
    #[error(transparent)]
    NotLocalDisk(#[from] NotLocalDisk),
    /// The folder cannot be used.
    #[error("cannot use {0} for storage: {1}")]
    Folder(String, #[source] std::io::Error),
    /// The store refuses the place.
    #[error("cannot use {0} for storage: {1}")]
    Store(String, #[source] object_store::Error),
    /// The bucket's name is none.
    #[error("{0:?} is not the name of a bucket: a name has letters, digits, '-', '_' and '.' alone")]
    Bucket(String),
    /// The prefix is none.
    #[error(
        "{0:?} cannot be a prefix of keys: use folder names without '.', '..' and control characters, at most 512 \
         bytes in all"
    )]
    Prefix(String),
    /// The region's name is none.
    #[error("{0:?} is not the name of a region: a name has letters, digits and '-' alone")]
    Region(String),
    /// The variable does not hold an address.
    #[error("{0} must be an http or https address without a user, a password or a query")]
    Endpoint(&'static str),
}

/// An object store with what its kind needs beside it.
#[derive(Debug)]
pub struct Store {
    /// Small things that are read, looked for, listed and deleted; tried again by itself.
    objects: Arc<dyn ObjectStore>,
    /// Creates, each tried once.
    creates: Arc<dyn ObjectStore>,
    /// Bytes that stream for as long as they take.
    blobs: Arc<dyn ObjectStore>,
    newest: Newest,
    /// What people know the place as.
    name: String,
    folders: Option<Folders>,
    failed: watch::Sender<bool>,
}

impl Store {
    /// A store that lives and dies with the process.
    pub fn memory() -> Self {
        Self::over(Arc::new(InMemory::new()))
    }

    /// A store over any object store that has a conditional create.
    pub fn over(objects: Arc<dyn ObjectStore>) -> Self {
        let (creates, blobs) = (objects.clone(), objects.clone());
        Self::with(objects, creates, blobs, Newest::Gallop, "the store".to_owned())
    }

    pub(crate) fn with(
        objects: Arc<dyn ObjectStore>,
        creates: Arc<dyn ObjectStore>,
        blobs: Arc<dyn ObjectStore>,
        newest: Newest,
        name: String,
    ) -> Self {
        let failed = watch::Sender::new(false);
        Self { objects, creates, blobs, newest, name, folders: None, failed }
    }

    /// A store in a folder of a local POSIX disk; every answer waits for the disk (fsync).
    ///
    /// # Errors
    /// [`OpenError`] when the folder cannot be used, or is on a network or FAT file system.
    pub fn local(root: &FilePath) -> Result<Self, OpenError> {
        let folders = Folders::open(root)?;
        let objects = LocalFileSystem::new_with_prefix(root)
            .map_err(|error| OpenError::Store(root.display().to_string(), error))?
            .with_fsync(true);
        let name = root.display().to_string();
        Ok(Self { folders: Some(folders), name, ..Self::over(Arc::new(objects)) })
    }

    /// Waits until a write has failed in a way that cannot be settled by looking. The process must then end.
    pub async fn failed(&self) {
        let mut failed = self.failed.subscribe();
        let _never_closed_while_self_lives = failed.wait_for(|failed| *failed).await;
    }

    /// Whether [`Store::failed`] has come true.
    pub fn has_failed(&self) -> bool {
        *self.failed.borrow()
    }

    pub(crate) fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    pub(crate) fn blobs(&self) -> &Arc<dyn ObjectStore> {
        &self.blobs
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) async fn get(&self, key: &Path) -> Result<Option<Bytes>, StoreError> {
        let found = match self.objects.get(key).await {
            Ok(found) => found.bytes().await,
            Err(error) => Err(error),
        };
        match found {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(unavailable("read", key, &error)),
        }
    }

    pub(crate) async fn exists(&self, key: &Path) -> Result<bool, StoreError> {
        match self.objects.head(key).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(unavailable("look for", key, &error)),
        }
    }

    /// Makes sure that the folder of a key exists durably, where there are folders.
    pub(crate) async fn prepare(&self, key: &Path) -> Result<(), StoreError> {
        if self.has_failed() {
            return Err(StoreError::Fatal);
        }
        match &self.folders {
            None => Ok(()),
            Some(folders) => match folders.prepare(key).await {
                Ok(()) => Ok(()),
                Err(NotPrepared::Early(error)) => {
                    tracing::error!(%error, "cannot make a folder in the data dir");
                    Err(StoreError::Unavailable)
                }
                Err(NotPrepared::Sync(error)) => Err(self.fail(key, &error)),
            },
        }
    }

    /// Creates a key if it is absent. Tried once.
    pub(crate) async fn create(&self, key: &Path, bytes: Bytes) -> Created {
        let created = self.try_create(key, bytes).await;
        created.unwrap_or_else(|error| Created::Unknown(unavailable("create", key, &error)))
    }

    /// The same, with the store's own words when nobody knows and somebody asks why.
    pub(crate) async fn try_create(&self, key: &Path, bytes: Bytes) -> Result<Created, Error> {
        if let Err(error) = self.prepare(key).await {
            return Ok(Created::Unknown(error));
        }
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.creates.put_opts(key, bytes.into(), options).await {
            Ok(_) => Ok(Created::Yes),
            Err(Error::AlreadyExists { .. }) => Ok(Created::Taken),
            // The link may be there without being durable: looking would lie. Nobody may build on it.
            Err(error) if self.folders.is_some() && !is_before_the_link(&error) => {
                Ok(Created::Unknown(self.fail(key, &error)))
            }
            Err(error) => Err(error),
        }
    }

    /// Takes no more writes.
    fn fail(&self, key: &Path, error: &dyn std::error::Error) -> StoreError {
        tracing::error!(%error, %key, "the disk failed during a write; this server stops");
        self.failed.send_replace(true);
        StoreError::Fatal
    }

    /// Creates a key, trying the same bytes until it is known who has it.
    pub(crate) async fn settle(
        &self,
        clock: &dyn Clock,
        key: &Path,
        bytes: &Bytes,
    ) -> Result<Settled, StoreError> {
        let deadline = clock.mono() + opentaco_ports::change::PATIENCE;
        let mut pause = std::time::Duration::from_millis(10);
        loop {
            let failure = match self.create(key, bytes.clone()).await {
                Created::Yes => return Ok(Settled::Landed),
                Created::Unknown(StoreError::Fatal) => return Err(StoreError::Fatal),
                Created::Taken => StoreError::Unavailable,
                Created::Unknown(error) => error,
            };
            match self.get(key).await {
                Ok(Some(found)) if found == *bytes => return Ok(Settled::Landed),
                Ok(Some(found)) => return Ok(Settled::Taken(found)),
                Ok(None) | Err(_) if clock.mono() >= deadline => return Err(failure),
                Ok(None) | Err(_) => clock.sleep(pause).await,
            }
            pause = (pause * 2).min(std::time::Duration::from_millis(500));
        }
    }

    /// The first key in a folder, in the order of names, by one request; where that takes more, nothing is asked.
    pub(crate) async fn first(&self, folder: &Path) -> Result<First, StoreError> {
        let Newest::List(lister) = &self.newest else { return Ok(First::Unordered) };
        let options = PaginatedListOptions { max_keys: Some(1), ..PaginatedListOptions::default() };
        // With the slash, so that no folder is meant whose name goes on.
        match lister.list_paginated(Some(&format!("{folder}/")), options).await {
            Ok(page) => Ok(page
                .result
                .objects
                .into_iter()
                .next()
                .map_or(First::Nothing, |object| First::Key(object.location))),
            Err(error) => Err(unavailable("list", folder, &error)),
        }
    }

    pub(crate) async fn list(&self, prefix: &Path) -> Result<Vec<ObjectMeta>, StoreError> {
        let listed = self.objects.list(Some(prefix)).try_collect().await;
        listed.map_err(|error| unavailable("list", prefix, &error))
    }

    pub(crate) async fn list_folders(&self, prefix: &Path) -> Result<Vec<Path>, StoreError> {
        match self.objects.list_with_delimiter(Some(prefix)).await {
            Ok(listed) => Ok(listed.common_prefixes),
            Err(Error::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(unavailable("list", prefix, &error)),
        }
    }
}

/// Whether a create on a local disk failed before its link was made: too many open files, or a full disk. The store says
/// so only in words; whatever it says otherwise counts as a failure of the disk.
fn is_before_the_link(error: &Error) -> bool {
    let text = error.to_string();
    ["Unable to open file", "Unable to copy data to file", "Unable to create dir"]
        .iter()
        .any(|words| text.contains(words))
}

/// Logs the cause, once, and says what the core needs to know.
pub(crate) fn unavailable(what: &str, key: &Path, error: &Error) -> StoreError {
    tracing::warn!(error = words(error), "storage: cannot {what} {key}");
    StoreError::Unavailable
}

#[cfg(test)]
mod tests {
    use futures_util::stream::BoxStream;
    use object_store::{
        CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, PutMultipartOptions, PutPayload,
        PutResult,
    };

    use super::*;

    #[tokio::test]
    async fn a_create_that_fails_before_its_link_does_not_stop_the_server() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::local(home.path()).unwrap();
        let key = Path::from("orgs/taken/by-a-file");
        store.prepare(&key).await.unwrap();
        // The staging file of this key cannot be opened any more: its folder is a file.
        std::fs::remove_dir(home.path().join("orgs/taken")).unwrap();
        std::fs::write(home.path().join("orgs/taken"), b"").unwrap();
        let created = store.create(&key, Bytes::from_static(b"x")).await;
        assert!(matches!(created, Created::Unknown(StoreError::Unavailable)), "{created:?}");
        assert!(!store.has_failed());
    }

    /// A disk that takes the link and then fails.
    #[derive(Debug)]
    struct Failing(InMemory);

    impl std::fmt::Display for Failing {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Failing")
        }
    }

    #[async_trait::async_trait]
    impl ObjectStore for Failing {
        async fn put_opts(
            &self,
            at: &Path,
            bytes: PutPayload,
            options: PutOptions,
        ) -> Result<PutResult, Error> {
            self.0.put_opts(at, bytes, options).await?;
            Err(Error::Generic {
                store: "LocalFileSystem",
                source: "Unable to rename file: I/O error".into(),
            })
        }

        async fn put_multipart_opts(
            &self,
            at: &Path,
            options: PutMultipartOptions,
        ) -> Result<Box<dyn MultipartUpload>, Error> {
            self.0.put_multipart_opts(at, options).await
        }

        async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult, Error> {
            self.0.get_opts(at, options).await
        }

        fn delete_stream(
            &self,
            keys: BoxStream<'static, Result<Path, Error>>,
        ) -> BoxStream<'static, Result<Path, Error>> {
            self.0.delete_stream(keys)
        }

        fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta, Error>> {
            self.0.list(prefix)
        }

        async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult, Error> {
            self.0.list_with_delimiter(prefix).await
        }

        async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<(), Error> {
            self.0.copy_opts(from, to, options).await
        }
    }

    #[tokio::test]
    async fn a_disk_that_fails_after_the_link_ends_all_writing_but_not_reading() {
        let home = tempfile::tempdir().unwrap();
        let folders = Folders::open(home.path()).unwrap();
        let store = Store { folders: Some(folders), ..Store::over(Arc::new(Failing(InMemory::new()))) };
        let key = Path::from("orgs/a/1.json");
        let created = store.create(&key, Bytes::from_static(b"x")).await;
        assert!(matches!(created, Created::Unknown(StoreError::Fatal)), "{created:?}");
        let other = store.create(&Path::from("orgs/b/1.json"), Bytes::from_static(b"x")).await;
        assert!(matches!(other, Created::Unknown(StoreError::Fatal)), "{other:?}");
        assert!(store.has_failed());
        assert!(store.get(&key).await.unwrap().is_some(), "it reads");
        store.failed().await;
    }
}
