//! The directory for everything a server keeps on this machine.
//!
//! It holds secrets, so only its owner may enter it, and git is told to look away. Files appear whole or not at all:
//! they are written beside their place, synced, and then moved in.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
#[cfg(unix)]
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Name, below the data dir, of the key that signs tokens.
const SIGNING_KEY: &str = "keys/token-signing.pem";
/// Name of the root of every symmetric key.
const STATE_KEY: &str = "keys/state-key";
const LOCK: &str = ".lock";

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Its owner only (mode 0600).
    Owner,
    /// Everybody who can enter the directory (mode 0644).
    Everybody,
}

impl Readers {
    #[cfg(unix)]
    fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Everybody => 0o644,
        }
    }
}

/// Keys made at the first start and kept.
#[derive(Clone, PartialEq, Eq)]
pub struct GeneratedKeys {
    /// Ed25519 PKCS#8 PEM.
    pub signing_key_pem: String,
    /// At least 32 random characters.
    pub state_key: String,
}

/// An existing directory of mode 0700, by its absolute path.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    is_new: bool,
}

impl DataDir {
    /// Makes the directory if there is none, and makes sure that only its owner can enter it.
    ///
    /// # Errors
    /// When it cannot be made, or belongs to somebody else; the message names it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let failed = |error: io::Error| {
            io::Error::new(error.kind(), format!("the data dir {} cannot be used: {error}", path.display()))
        };
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        let is_new = make_private(path).map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        let dir = Self { path, is_new };
        dir.create(".gitignore", Readers::Everybody, "*\n").map_err(failed)?;
        Ok(dir)
    }

    /// Its canonical absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this start made it.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Runs `work` while no other process does the same in this directory.
    ///
    /// # Errors
    /// When the lock cannot be taken, and whatever `work` returns.
    pub fn exclusively<T, E: From<io::Error>>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        options.mode(Readers::Owner.mode());
        let lock = options.open(self.path.join(LOCK))?;
        lock.lock()?;
        // The lock ends with the file, also when the process is killed.
        work()
    }

    /// The text of a file, `None` when there is none.
    ///
    /// # Errors
    /// When it is there but cannot be read.
    pub fn read(&self, name: &str) -> io::Result<Option<String>> {
        match fs::read_to_string(self.path.join(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(named(&error, &self.path.join(name))),
        }
    }

    /// Writes a file unless it exists; says whether it did. Of two processes exactly one writes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(&self, name: &str, readers: Readers, text: &str) -> io::Result<bool> {
        let place = self.path.join(name);
        if place.try_exists()? {
            return Ok(false);
        }
        let beside = self.write_beside(&place, readers, text).map_err(|error| named(&error, &place))?;
        // Unlike a rename, a link never replaces what somebody else has put there in the meantime.
        let linked = fs::hard_link(&beside, &place);
        fs::remove_file(&beside)?;
        match linked {
            Ok(()) => sync_parent(&place).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(named(&error, &place)),
        }
    }

    /// Writes a file, replacing it if it exists.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn replace(&self, name: &str, readers: Readers, text: &str) -> io::Result<PathBuf> {
        let place = self.path.join(name);
        let beside = self.write_beside(&place, readers, text).map_err(|error| named(&error, &place))?;
        fs::rename(&beside, &place).map_err(|error| named(&error, &place))?;
        sync_parent(&place)?;
        Ok(place)
    }

    /// The kept keys, made by the two functions where there is none yet.
    ///
    /// # Errors
    /// When a key cannot be made, read or written, or a kept one is empty.
    pub fn keys(
        &self,
        make_signing_key_pem: impl FnOnce() -> io::Result<String>,
        make_state_key: impl FnOnce() -> io::Result<String>,
    ) -> io::Result<GeneratedKeys> {
        Ok(GeneratedKeys {
            signing_key_pem: self.kept(SIGNING_KEY, make_signing_key_pem)?,
            state_key: self.kept(STATE_KEY, make_state_key)?.trim().to_owned(),
        })
    }

    fn kept(&self, name: &str, make: impl FnOnce() -> io::Result<String>) -> io::Result<String> {
        if self.read(name)?.is_none() {
            self.create(name, Readers::Owner, &make()?)?;
        }
        // Read back, because another process may have been first.
        match self.read(name)? {
            Some(text) if !text.trim().is_empty() => Ok(text),
            _ => Err(named(
                &io::Error::other("the key is empty; restore it from a backup"),
                &self.path.join(name),
            )),
        }
    }

    fn write_beside(&self, place: &Path, readers: Readers, text: &str) -> io::Result<PathBuf> {
        if let Some(parent) = place.parent().filter(|parent| *parent != self.path) {
            make_private(parent)?;
        }
        let (beside, mut file) = create_beside(place, readers)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written.map(|()| beside)
    }
}

/// Opens a file nobody else has open. Process ids repeat across containers, so the counter decides.
fn create_beside(place: &Path, readers: Readers) -> io::Result<(PathBuf, File)> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    options.mode(readers.mode());
    let mut taken = io::Error::from(io::ErrorKind::AlreadyExists);
    for attempt in 0..100 {
        let beside = place.with_added_extension(format!("{}-{attempt}.tmp", std::process::id()));
        match options.open(&beside) {
            Ok(file) => return Ok((beside, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = error,
            Err(error) => return Err(error),
        }
    }
    Err(taken)
}

/// Makes a directory only its owner can enter; says whether it is new.
fn make_private(path: &Path) -> io::Result<bool> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    builder.mode(0o700);
    match builder.create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let about = fs::metadata(path)?;
            if !about.is_dir() {
                return Err(io::Error::from(io::ErrorKind::NotADirectory));
            }
            #[cfg(unix)]
            if about.permissions().mode() & 0o777 != 0o700 {
                must_be_ours(path)?;
                fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
            }
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// A folder that others use is not closed to them: it is empty, or was made by this program.
#[cfg(unix)]
fn must_be_ours(path: &Path) -> io::Result<()> {
    let is_empty = fs::read_dir(path)?.next().is_none();
    if is_empty || path.join("format").try_exists()? || path.join(LOCK).try_exists()? {
        return Ok(());
    }
    Err(io::Error::other("it holds other things and others can enter it; choose an empty or a new folder"))
}

/// A new name survives a power cut once its directory is synced.
fn sync_parent(place: &Path) -> io::Result<()> {
    match place.parent() {
        Some(parent) if cfg!(unix) => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

fn named(error: &io::Error, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    fn mode(path: &Path) -> io::Result<u32> {
        Ok(fs::metadata(path)?.permissions().mode() & 0o777)
    }

    #[test]
    fn it_is_private_absolute_and_ignored_by_git() -> TestResult {
        let home = tempfile::tempdir()?;
        let path = home.path().join("a/b");
        let dir = DataDir::open(&path)?;
        assert!(dir.is_new() && dir.path().is_absolute());
        assert_eq!(mode(dir.path())?, 0o700);
        assert_eq!(dir.read(".gitignore")?.as_deref(), Some("*\n"));
        assert!(!DataDir::open(&path)?.is_new());
        Ok(())
    }

    #[test]
    fn an_open_directory_is_closed_to_others() -> TestResult {
        let home = tempfile::tempdir()?;
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755))?;
        assert_eq!(mode(DataDir::open(home.path())?.path())?, 0o700);
        Ok(())
    }

    #[test]
    fn keys_are_made_once_and_only_their_owner_reads_them() -> TestResult {
        let home = tempfile::tempdir()?;
        let dir = DataDir::open(home.path())?;
        let first = dir.keys(|| Ok("pem".to_owned()), || Ok("state".to_owned()))?;
        let second =
            dir.keys(|| Err(io::Error::other("made twice")), || Err(io::Error::other("made twice")))?;
        assert!(first == second && first.state_key == "state");
        for name in [SIGNING_KEY, STATE_KEY] {
            assert_eq!(mode(&dir.path().join(name))?, 0o600);
        }
        assert_eq!(mode(&dir.path().join("keys"))?, 0o700);
        assert_eq!(fs::read_dir(dir.path().join("keys"))?.count(), 2, "nothing is left beside the keys");
        Ok(())
    }

    #[test]
    fn of_many_first_starts_one_key_wins() -> TestResult {
        let home = tempfile::tempdir()?;
        let dir = &DataDir::open(home.path())?;
        let keys = std::thread::scope(|scope| {
            let start = |i: usize| {
                scope.spawn(move || dir.keys(|| Ok(format!("pem {i}")), || Ok(format!("state {i}"))))
            };
            let starts: Vec<_> = (0..8).map(start).collect();
            starts.into_iter().filter_map(|start| start.join().ok()).collect::<io::Result<Vec<_>>>()
        })?;
        assert_eq!(keys.len(), 8);
        assert!(keys.iter().all(|each| *each == keys[0]));
        Ok(())
    }

    #[test]
    fn an_empty_key_is_refused_not_replaced() -> TestResult {
        let home = tempfile::tempdir()?;
        let dir = DataDir::open(home.path())?;
        dir.replace(STATE_KEY, Readers::Owner, "\n")?;
        assert!(dir.keys(|| Ok("pem".to_owned()), || Ok("state".to_owned())).is_err());
        Ok(())
    }

    #[test]
    fn a_file_in_its_place_is_named() -> TestResult {
        let home = tempfile::tempdir()?;
        let path = home.path().join("file");
        fs::write(&path, "")?;
        let error = DataDir::open(&path).err().ok_or("a file was taken for a directory")?;
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        Ok(())
    }
}
