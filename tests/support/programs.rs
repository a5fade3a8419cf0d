//! Programs of others that tests need and may not find.

use std::path::PathBuf;

/// A program on the path.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// What was found. Nothing is a failure in CI, and elsewhere a notice that the test was skipped, with what would help.
pub(crate) fn or_skipped<T>(found: Option<T>, notice: &str) -> Option<T> {
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{notice}");
        eprintln!("SKIPPED, {notice}");
    }
    found
}
